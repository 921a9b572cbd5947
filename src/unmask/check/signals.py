"""What separators are given: a recording made here, or a stretch of one from outside."""

import numpy as np

from unmask._arrays import Array

_PEAK = 0.5


def recording(n_samples: int, sample_rate: int, n_channels: int = 2, *, seed: int = 0) -> Array:
    """Return something between voice and music: harmonic tones, clicks and noise, in steps.

    Parameters
    ----------
    n_samples : int
    sample_rate : int
        In Hz. At another rate the tones, clicks and steps stay where they are in Hz and seconds.
    n_channels : int
        They differ in how loud each part is.
    seed : int
        Of the noise.

    Returns
    -------
    float32 array [shape=(channel, sample)], peak 0.5
    """
    rng, time = np.random.default_rng(seed), np.arange(n_samples) / sample_rate
    pitch = 140 * 2 ** (np.floor(time * 3) % 5 / 5)
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    n_tones = int(min(12, 0.4 * sample_rate / 280))
    tones = sum(np.sin(k * phase) / k for k in range(1, n_tones + 1))
    tones = tones * np.sin(np.pi * np.minimum(1, time % (1 / 3) * 6))
    clicks = np.exp(-80 * (time % 0.25)) * rng.standard_normal(n_samples)
    noise = 0.1 * rng.standard_normal(n_samples)
    parts = np.stack([0.5 * tones, 0.5 * clicks, noise])
    weights = 1 - 0.15 * ((np.arange(n_channels)[:, None] * [1, 2, 3]) % 5)
    mixture = weights @ parts
    return (mixture * (_PEAK / max(np.abs(mixture).max(), 1e-9))).astype(np.float32)
