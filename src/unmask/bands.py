"""Band views of a spectrum: mel, ERB or even bands, forth and back."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from unmask._arrays import Array, check_axes, make_complex, namespace, real_dtype
from unmask._arrays import is_complex as _is_complex
from unmask.errors import ConfigError, ShapeError

Scale = Literal["mel", "erb", "even"]


def _to_scale(hz: Any, scale: str) -> Any:
    if scale == "mel":  # O'Shaughnessy (1987)
        return 2595 * np.log10(1 + hz / 700)
    if scale == "erb":  # Glasberg and Moore (1990)
        return 21.4 * np.log10(1 + 0.00437 * hz)
    return hz


@dataclass(frozen=True)
class Bands:
    """A coarser frequency axis: `reduce` averages bins to bands, `expand` spreads bands to bins.

    Parameters
    ----------
    n_bands, n_freq : int
        Number of bands and of the bins that they cover, 0 Hz to half the sample rate.
    sample_rate : float
        In Hz.
    scale : {"mel", "erb", "even"}
        Bands are equally wide on this scale, but at least one bin wide.
    overlap : bool
        False: bands share no bin, and ``reduce(expand(b)) == b``. True: triangles that add up to
        one in every bin; `expand` then interpolates linearly between band centres.

    Raises
    ------
    ConfigError
        If there are more bands than bins, or the scale is unknown.

    Examples
    --------
    >>> bands = Bands(n_bands=4, n_freq=257, sample_rate=16000, scale="erb")
    >>> gains = np.array([[0.1], [0.2], [0.3], [0.4]])
    >>> bands.expand(gains).shape
    (257, 1)
    >>> bool(np.allclose(bands.reduce(bands.expand(gains)), gains))
    True
    """

    n_bands: int
    n_freq: int
    sample_rate: float
    scale: Scale = "mel"
    overlap: bool = False

    def __post_init__(self) -> None:
        if self.scale not in ("mel", "erb", "even"):
            raise ConfigError(f"scale: {self.scale!r}, expected 'mel', 'erb' or 'even'")
        if not (self.overlap + 1) <= self.n_bands <= self.n_freq:
            raise ConfigError(
                f"n_bands: {self.n_bands}, expected {self.overlap + 1} to n_freq = {self.n_freq}"
            )

    @cached_property
    def weights(self) -> Any:
        """Share of every bin in every band, float64 (band, freq); columns sum to one."""
        bins = np.arange(self.n_freq)
        if self.overlap:
            centres = self._marks(self.n_bands, self.n_freq - 1)
            rows = [np.interp(bins, centres, row) for row in np.eye(self.n_bands)]
            return np.stack(rows)
        edges = self._marks(self.n_bands + 1, self.n_freq)
        return ((edges[:-1, None] <= bins) & (bins < edges[1:, None])).astype(float)

    def _marks(self, n_marks: int, last: int) -> Any:
        """Return `n_marks` whole numbers from 0 to `last`, even on the scale, strictly rising."""
        bins = np.arange(last + 1)
        position = _to_scale(bins * (self.sample_rate / 2 / last), self.scale)
        marks = np.round(np.interp(np.linspace(0, position[-1], n_marks), position, bins))
        step = np.arange(n_marks)
        # Each mark at least one above the one before, and no later than leaves room for the rest.
        marks = np.maximum.accumulate(marks - step) + step
        return np.minimum(marks, last - step[::-1]).astype(int)

    def centres(self) -> Any:
        """Return the centre of gravity of every band in Hz, shape (band,)."""
        hz = np.arange(self.n_freq) * (self.sample_rate / 2 / (self.n_freq - 1))
        return self.weights @ hz / self.weights.sum(axis=1)

    def reduce(self, x: Array) -> Array:
        """Return the (weighted) mean of the bins of every band.

        Parameters
        ----------
        x : array [shape=(..., freq, frame)], real or complex

        Returns
        -------
        array [shape=(..., band, frame)], dtype of `x`
        """
        self._check(x, self.n_freq, "freq")
        return _matmul(self.weights / self.weights.sum(axis=1, keepdims=True), x)

    def expand(self, x: Array) -> Array:
        """Return the bands spread over their bins.

        Parameters
        ----------
        x : array [shape=(..., band, frame)], real or complex

        Returns
        -------
        array [shape=(..., freq, frame)], dtype of `x`
            Within the range of `x`; bands that sum to one over sources still do.
        """
        self._check(x, self.n_bands, "band")
        return _matmul(self.weights.T, x)

    @staticmethod
    def _check(x: Array, size: int, axis: str) -> None:
        check_axes(f"{axis}, frame", x=x)
        if x.shape[-2] != size:
            raise ShapeError(f"x{tuple(x.shape)} has {x.shape[-2]} in axis {axis}, expected {size}")


def _matmul(matrix: Any, x: Array) -> Array:
    xp = namespace(x)
    matrix = xp.asarray(matrix, dtype=real_dtype(x), device=x.device)
    if _is_complex(x):
        return make_complex(matrix @ xp.real(x), matrix @ xp.imag(x))
    return matrix @ x
