"""Magnitude spectrograms for metrics, in NumPy, by chunks."""

import numpy as np

from unmask.metrics.single import Real, frames


def magnitudes(x: Real, n_fft: int, hop: int, *, window: int | None = None, pad: str) -> Real:
    """Magnitudes like torch.stft(center=True) with a periodic Hann window: (..., frame, freq).

    A window shorter than `n_fft` lies in its middle; `pad` is "constant" or "reflect".
    """
    window = window or n_fft
    shape = np.zeros(n_fft)
    start = (n_fft - window) // 2
    shape[start : start + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    margin = [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)]
    cut = frames(np.pad(x, margin, mode=pad), n_fft, hop)  # type: ignore[call-overload]
    found = np.empty((*cut.shape[:-1], n_fft // 2 + 1))
    for first in range(0, cut.shape[-2], 256):
        piece = slice(first, first + 256)
        found[..., piece, :] = np.abs(np.fft.rfft(cut[..., piece, :] * shape))
    return found
