"""Bleedless and fullness: what an estimate has too much, and what it lacks, on a mel scale."""

import math
from typing import NamedTuple

import numpy as np

from unmask._arrays import Array, device, namespace, to_numpy
from unmask.metrics.energy import check_pair
from unmask.metrics.single import Real, check_sample_rate
from unmask.metrics.spectrogram import magnitudes

_N_FFT, _HOP, _BANDS, _RANGE_DB = 4096, 1024, 512, 80.0


class Bleed(NamedTuple):
    """Both out of 100, without a unit: arrays of the leading axes."""

    bleedless: Array
    """``100 / (1 + mean excess in dB)``, over the bins where the estimate is louder."""
    fullness: Array
    """``100 / (1 + mean lack in dB)``, over the bins where it is quieter."""


def bleed(estimate: Array, target: Array, *, sample_rate: float) -> Bleed:
    """Bleedless and fullness of an estimate, from mel spectrograms in dB.

    512 mel bands (Slaney's scale and norm) of a 4096-point STFT, 1024 hop, levels limited to 80 dB
    below the loudest of each signal; as ZFTurbo's Music-Source-Separation-Training defines them,
    where the community of that repository ranks models by them.
    Limits: a mean over bins, not over energy, so that quiet bins decide; bins that agree to the
    last bit do not count; no study with listeners is known.

    Parameters
    ----------
    estimate, target : array [shape=(..., channel, sample)], real, linear
        All channels together.
    sample_rate : float, Hz
        Made for 44100.

    Returns
    -------
    Bleed
        Arrays (...). Both 100 for a perfect estimate; NaN for a silent target.
    """
    check_sample_rate(sample_rate)
    check_pair(estimate=estimate, target=target)
    xp, place = namespace(estimate, target), device(target)
    guesses, truths = (to_numpy(x).astype(np.float64) for x in (estimate, target))
    scores = np.empty((2, math.prod(truths.shape[:-2])))
    pairs = (x.reshape(-1, *x.shape[-2:]) for x in (guesses, truths))
    for i, (guess, truth) in enumerate(zip(*pairs, strict=True)):
        difference = _levels(guess, sample_rate) - _levels(truth, sample_rate)
        excess, lack = difference[difference > 0], -difference[difference < 0]
        means = [part.mean() if part.size else 0.0 for part in (excess, lack)]
        scores[:, i] = 100 / (1 + np.array(means)) if truth.any() else math.nan
    shaped = scores.reshape(2, *truths.shape[:-2])
    return Bleed(*(xp.asarray(x, dtype=target.dtype, device=place) for x in shaped))


def _levels(signal: Real, sample_rate: float) -> Real:
    """Mel spectrogram in dB, limited in range: (channel, frame, band)."""
    mags = magnitudes(signal, _N_FFT, _HOP, pad="constant")
    levels = 20 * np.log10(np.maximum(mags @ _mel_filters(sample_rate), 1e-10))
    return np.asarray(np.maximum(levels, levels.max() - _RANGE_DB))


def _mel_filters(sample_rate: float) -> Real:
    """Triangles of equal area on Slaney's mel scale, from 0 Hz to half the rate: (freq, band)."""
    bins = np.arange(_N_FFT // 2 + 1) * sample_rate / _N_FFT
    edges = _hz(np.linspace(0, _mel(sample_rate / 2), _BANDS + 2))
    rise = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    fall = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    return np.asarray(np.maximum(0, np.minimum(rise, fall)) * 2 / (edges[2:] - edges[:-2]))


def _mel(hz: float) -> float:
    """Slaney's scale: linear below 1 kHz (15 mel), then 27 mel for every factor of 6.4."""
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def _hz(mel: Real) -> Real:
    """Inverse of `_mel`."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
