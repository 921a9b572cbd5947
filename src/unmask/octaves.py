"""The SDR of octaves: where in the band an estimate is good."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from unmask._arrays import Array
from unmask.frontends import STFT
from unmask.mixtures import own_frames

__all__ = [
    "band_energies",
    "band_sdr",
    "decibels",
    "in_bands",
    "octave_bands",
    "power",
]

_LOWEST_HZ = 62.5


def octave_bands(
    sample_rate: float, *, lowest_hz: float = _LOWEST_HZ
) -> Iterator[tuple[float, float]]:
    """Yield the edges in Hz of bands that cover 0 Hz to half of `sample_rate`.

    The first ends at the first octave above 62.5 Hz that reaches `lowest_hz`, the others are
    octaves, the last is what is left of one.

    Examples
    --------
    >>> list(octave_bands(1000, lowest_hz=100))
    [(0.0, 125.0), (125.0, 250.0), (250.0, 500.0)]
    """
    low, high = 0.0, _LOWEST_HZ
    while high < lowest_hz:
        high *= 2
    while low < sample_rate / 2:
        yield low, min(high, sample_rate / 2)
        low, high = high, 2 * high


def band_sdr(
    stft: STFT,
    estimate: Array,
    target: Array,
    sample_rate: int,
    bands: Sequence[tuple[float, float]],
) -> list[float]:
    """Return the SDR of every band in dB, over all channels and frames; NaN in a silent band.

    Parameters
    ----------
    stft : STFT
        Its bins are sorted into the bands by their centres.
    estimate, target : array [shape=(channel, sample)], real
    sample_rate : int
        In Hz.
    bands : sequence of (low, high)
        In Hz; bins at `low` belong to the band, bins at `high` to the next.
    """
    signal, error = band_energies(stft, estimate, target, sample_rate, bands)
    return [decibels(above, below) for above, below in zip(signal, error, strict=True)]


def band_energies(
    stft: STFT,
    estimate: Array,
    target: Array,
    sample_rate: int,
    bands: Sequence[tuple[float, float]],
) -> tuple[list[float], list[float]]:
    """Return the energies of the target and of the error in every band; see :func:`band_sdr`."""
    hz = stft.frequencies(sample_rate)
    signal, error = np.zeros(stft.n_freq), np.zeros(stft.n_freq)
    for outer, inner in stft.pieces(target.shape[-1]):
        frames = own_frames(inner, stft.hop)
        truth = stft.analyze(target[:, outer])[..., frames]
        signal += power(truth)
        error += power(truth - stft.analyze(estimate[:, outer])[..., frames])
    return in_bands(signal, hz, bands), in_bands(error, hz, bands)


def power(spectrum: Array) -> Array:
    """Return the energy of every bin over channels and frames, (..., freq), float64.

    Parameters
    ----------
    spectrum : array [shape=(..., channel, freq, frame)], complex
    """
    total: Array = 0
    for part in (spectrum.real, spectrum.imag):
        total = total + np.einsum("...cft,...cft->...f", part, part, dtype=np.float64)
    return total


def in_bands(energy: Array, hz: Array, bands: Sequence[tuple[float, float]]) -> list[float]:
    """Return the sums of energies of bins, (freq,), in bands; the last bin is in the last band.

    Parameters
    ----------
    energy, hz : array [shape=(freq,)]
        Of every bin, and its centre.
    bands : sequence of (low, high)
        In Hz.
    """
    top = hz[-1]
    inside = [(low <= hz) & ((hz < high) | ((hz == top) & (high >= top))) for low, high in bands]
    return [float(energy[bins].sum()) for bins in inside]


def decibels(signal: float, error: float) -> float:
    """Return the ratio of energies in dB; NaN for no signal, infinite for no error."""
    if signal == 0:
        return math.nan
    return 10 * math.log10(signal / error) if error > 0 else math.inf


def __dir__() -> list[str]:
    return __all__
