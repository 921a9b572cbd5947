"""The SDR of octaves: where in the band an estimate is good."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from unmask._arrays import Array
from unmask.frontends import STFT

__all__ = [
    "BandSums",
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


class BandSums:
    """Energies of sources and of the errors of their estimates, in bands, over many frames.

    Parameters
    ----------
    stft : STFT
        Its bins are sorted into the bands by their centres.
    sample_rate : int
        In Hz.
    bands : sequence of (low, high)
        In Hz; bins at `low` belong to the band, bins at `high` to the next.
    """

    def __init__(
        self, stft: STFT, sample_rate: float, bands: Sequence[tuple[float, float]]
    ) -> None:
        self._hz, self._bands = stft.frequencies(sample_rate), bands
        self._signal: Array = 0
        self._error: Array = 0

    def add(self, estimate: Array, target: Array) -> None:
        """Add frames of spectra (source, channel, freq, frame)."""
        self._signal = self._signal + power(target)
        self._error = self._error + power(target - estimate)

    @property
    def energy(self) -> list[list[float]]:
        """Of the target in every band, source by source."""
        return [in_bands(one, self._hz, self._bands) for one in self._signal]

    @property
    def sdr(self) -> list[list[float]]:
        """In dB over all channels and frames, source by source; NaN in a silent band."""
        errors = [in_bands(one, self._hz, self._bands) for one in self._error]
        return [
            [decibels(above, below) for above, below in zip(*pair, strict=True)]
            for pair in zip(self.energy, errors, strict=True)
        ]


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
