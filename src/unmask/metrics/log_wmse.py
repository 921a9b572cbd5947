"""logWMSE: logarithm of an error that is weighted like hearing, defined for silent targets too."""

import math

import numpy as np

from unmask._arrays import Array, check_axes, check_same_shape, device, namespace, to_numpy
from unmask.metrics.energy import check_pair
from unmask.metrics.single import Real, check_sample_rate
from unmask.transforms import irfft, padded, quick_length, rfft

#: errors below -68 dB of the mixture's level are not heard; the rest is the metric's own scale
_TOLERANCE, _FLOOR, _SCALE = 10 ** (-68 / 20), 1e-8, -4.0


def log_wmse(estimate: Array, target: Array, *, mixture: Array, sample_rate: float) -> Array:
    """Frequency-weighted log mean square error against the level of the mixture; more is better.

    ``-4 ln(1e-8 + mean(d**2))`` with d the weighted error over the weighted RMS of the mixture,
    0 where smaller than -68 dB; the mean over channels. Of Jordal (logWMSE, 2023), whose weights
    resemble Fenton and Lee (2017). Here they are applied in the frequency domain at the signal's
    own rate, where the original resamples to 44.1 kHz and filters with 4000 taps: at that rate the
    two agree within 0.01.
    Limits: no study with listeners is known; clicks of one sample count little.

    Parameters
    ----------
    estimate, target, mixture : array [shape=(..., channel, sample)], real, linear
        The mixture gives the level.
    sample_rate : float, Hz

    Returns
    -------
    array [shape=(...)]
        73.68 at best. A silent target is scored like any other; a silent mixture has 73.68 as in
        the original.
    """
    check_sample_rate(sample_rate)
    check_pair(estimate=estimate, target=target)
    check_axes("channel, sample", mixture=mixture)
    check_same_shape(mixture=mixture, target=target)
    guess, truth, whole = (to_numpy(x).astype(np.float64) for x in (estimate, target, mixture))
    level = np.sqrt((_weighted(whole, sample_rate) ** 2).mean(axis=-1, keepdims=True))
    error = _weighted(guess - truth, sample_rate) / np.where(level > 0, level, math.inf)
    error[np.abs(error) < _TOLERANCE] = 0
    scores = _SCALE * np.log(_FLOOR + (error**2).mean(axis=-1)).mean(axis=-1)
    xp = namespace(estimate, target, mixture)
    return xp.asarray(scores, dtype=target.dtype, device=device(target))


def _weighted(x: Real, sample_rate: float) -> Real:
    """Filter without delay, as if silence surrounded the signal."""
    n_fft = quick_length(x.shape[-1] + 4096)
    hz = np.asarray(np.arange(n_fft // 2 + 1) * (sample_rate / n_fft), np.float64)
    gains = _gains(hz, sample_rate)
    return np.asarray(irfft(rfft(padded(x, n_fft)) * gains, n_fft)[..., : x.shape[-1]])


def _gains(hz: Real, sample_rate: float) -> Real:
    """Magnitude of the weights: shelf +5 dB at 1.5 kHz, 120 Hz to 10 kHz, 2.5 dB at 500 Hz."""
    gains = _butterworth(hz, 120, sample_rate)  # of order 2, from there up
    delay = np.exp(-2j * math.pi * hz / sample_rate)
    for b, a in (
        _shelf(1500, 5.0, 1 / math.sqrt(2), sample_rate),
        _peak(500, 2.5, 1.5 / math.sqrt(2), sample_rate),
    ):
        gains *= np.abs(np.polyval(b[::-1], delay) / np.polyval(a[::-1], delay))
    if sample_rate > 2 * 10_000:  # twice of order 1, up to there
        tangents = (math.tan(math.pi * 10_000 / sample_rate), np.tan(math.pi * hz / sample_rate))
        gains /= 1 + (tangents[1] / tangents[0]) ** 2
    return gains


def _butterworth(hz: Real, corner: float, sample_rate: float) -> Real:
    """Magnitude of the high-pass of order 2, by the bilinear transform."""
    ratio = np.tan(math.pi * hz / sample_rate) / math.tan(math.pi * corner / sample_rate)
    return np.asarray(ratio**2 / np.sqrt(1 + ratio**4))


def _shelf(hz: float, gain_db: float, q: float, sample_rate: float) -> tuple[Real, Real]:
    """High shelf of the Audio EQ Cookbook."""
    g, w = 10 ** (gain_db / 40), 2 * math.pi * hz / sample_rate
    cos, slope = math.cos(w), 2 * math.sqrt(g) * math.sin(w) / (2 * q)
    up, down = g + 1, g - 1
    b = g * np.array([up + down * cos + slope, -2 * (down + up * cos), up + down * cos - slope])
    return b, np.array([up - down * cos + slope, 2 * (down - up * cos), up - down * cos - slope])


def _peak(hz: float, gain_db: float, q: float, sample_rate: float) -> tuple[Real, Real]:
    """Peaking filter of the Audio EQ Cookbook."""
    g, w = 10 ** (gain_db / 40), 2 * math.pi * hz / sample_rate
    alpha = math.sin(w) / (2 * q)
    b = np.array([1 + alpha * g, -2 * math.cos(w), 1 - alpha * g])
    return b, np.array([1 + alpha / g, -2 * math.cos(w), 1 - alpha / g])
