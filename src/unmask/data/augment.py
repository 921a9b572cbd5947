"""Random changes of an excerpt (sample,): each draws from the generator that it is given."""

from typing import Any

import numpy as np

from unmask.transforms import irfft, padded, quick_length, rfft

#: Where a low-pass begins to fade, relative to its end: about what resamplers keep.
_LOW_PASS_FADE = 0.92


def smooth_filter(rng: np.random.Generator, x: Any, range_db: float, *, n_samples: int) -> Any:
    """Apply a random smooth gain over frequency, and play `x` so fast that it lasts `n_samples`.

    Both happen on the spectrum of the whole excerpt: no change of phase, and a change of speed is
    a spectrum that is cut or continued with zeros.
    """
    spectrum = rfft(x)
    knots = np.linspace(0, 1, 9) ** 2  # closer at low frequencies
    gains = 10 ** (rng.uniform(-range_db, range_db, len(knots)) / 20)
    places = np.linspace(0, 1, len(spectrum), dtype=np.float32)
    spectrum *= np.interp(places, knots, gains).astype(np.float32)
    return irfft(spectrum, n_samples) * np.float32(n_samples / len(x))


def low_pass(x: Any, band: float) -> Any:
    """Return `x` without what is above `band`, a share of half the sample rate; it fades below."""
    if band >= 1:
        return x
    n_fft = quick_length(len(x))
    spectrum = rfft(padded(x, n_fft))
    edges = band * len(spectrum) * np.array([_LOW_PASS_FADE, 1.0])
    spectrum *= np.interp(np.arange(len(spectrum)), edges, [1.0, 0.0]).astype(np.float32)
    return irfft(spectrum, n_fft)[: len(x)]


def reverberate(rng: np.random.Generator, x: Any, sample_rate: int) -> Any:
    """Add a decaying tail of noise: a room with a decay of 0.1 to 0.5 s."""
    decay_s = rng.uniform(0.1, 0.5)
    n_tail = int(decay_s * sample_rate)
    tail = rng.standard_normal(n_tail, dtype=np.float32)
    tail *= 10 ** (-3 * np.linspace(0, 1, n_tail, dtype=np.float32))
    tail *= rng.uniform(0.1, 0.7) / np.linalg.norm(tail)
    tail[0] = 1.0
    return convolve(x, tail)


def convolve(x: Any, response: Any) -> Any:
    """Return `x` in a room, as long as it was."""
    n_fft = quick_length(len(x) + len(response))
    return irfft(rfft(padded(x, n_fft)) * rfft(padded(response, n_fft)), n_fft)[: len(x)]


def synthetic_noise(rng: np.random.Generator, n_samples: int, sample_rate: int) -> Any:
    """Coloured noise from white to brown, or a hum with harmonics."""
    if rng.uniform() < 0.25:
        frequency = rng.choice([50.0, 60.0, rng.uniform(80, 400)])
        time = np.arange(n_samples) / sample_rate
        orders = np.arange(1, max(2, int(min(16, sample_rate / 2 / frequency))))
        gains = rng.uniform(0, 1, len(orders)) / orders
        phases = rng.uniform(0, 2 * np.pi, len(orders))
        waves = np.sin(2 * np.pi * frequency * orders[:, None] * time + phases[:, None])
        return (gains @ waves).astype(np.float32)
    spectrum = rfft(rng.standard_normal(n_samples, dtype=np.float32))
    knee = 20 * n_samples / sample_rate  # flat below 20 Hz
    spectrum *= np.maximum(np.arange(len(spectrum), dtype=np.float32), knee) ** -rng.uniform(0, 1)
    return irfft(spectrum, n_samples)
