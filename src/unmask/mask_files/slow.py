"""What is slow in the frames of a recording, which models may leave out of what they mask."""

import numpy as np

from unmask._arrays import Array
from unmask.engine.framing import slow, within
from unmask.frontends.frames import cut
from unmask.mask_files.header import Header
from unmask.transforms import rfft


def slow_spectrum(header: Header, samples: Array, first: int) -> Array:
    """Return the spectrum of what is slow in the frames of a piece, as the engine takes it out.

    Parameters
    ----------
    header : Header
        Whose front-end and :attr:`~Header.slow_terms`.
    samples : array [shape=(channel, sample)], real
        The piece.
    first : int
        The frame of the recording that its first one is. Frames that are whole in the recording
        but not in the piece come out wrong: nobody keeps what they reach.

    Returns
    -------
    array [shape=(channel, freq, frame)], complex
    """
    stft = header.stft
    n_frames = stft.n_frames(samples.shape[-1])
    frames = cut(samples, n_frames, stft.n_fft, stft.hop, lead=stft.lead)
    frames = frames * stft.window_values.astype(frames.dtype)
    starts = [(first + k) * stft.hop - stft.lead for k in range(n_frames)]
    known: dict[tuple[int, int], Array] = {}
    for k, start in enumerate(starts):
        span = max(0, -start), min(stft.n_fft, header.n_samples - start)
        if span not in known:
            known[span] = slow(within(stft.window_values, *span), header.slow_terms)
        frames[..., k, :] = frames[..., k, :] @ known[span].T @ known[span]
    return np.swapaxes(rfft(frames), -1, -2)
