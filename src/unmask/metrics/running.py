"""SDR and SI-SDR of signals that come in pieces, as long as they like."""

import math

import numpy as np
from numpy.typing import NDArray

from unmask._arrays import Array, to_numpy
from unmask.metrics.energy import check_pair, decibels

Real = NDArray[np.float64]


class RunningScores:
    """Sums over pieces, of which :func:`sdr` and :func:`si_sdr` of the whole are made.

    All channels together. The same numbers as those functions, up to the rounding of float64.

    Examples
    --------
    >>> running, target = RunningScores(), np.array([[3.0, 4.0]])
    >>> for k in range(2):
    ...     running.add(0.9 * target[:, k : k + 1], target[:, k : k + 1])
    >>> float(running.sdr.round(9))
    20.0
    """

    def __init__(self) -> None:
        self._target: Real = np.zeros(())
        self._error: Real = np.zeros(())
        self._both: Real = np.zeros(())

    def add(self, estimate: Array, target: Array) -> None:
        """Add the next samples.

        Parameters
        ----------
        estimate, target : array [shape=(..., channel, sample)], real, linear

        Raises
        ------
        ShapeError, ConfigError
            If the shapes differ, or these are no real signals.
        """
        check_pair(estimate=estimate, target=target)
        truth = to_numpy(target)
        error = to_numpy(estimate) - truth
        self._target = self._target + _dot(truth, truth)
        self._error = self._error + _dot(error, error)
        self._both = self._both + _dot(error, truth)

    @property
    def sdr(self) -> Real:
        """Of all that was added, in dB: (...); NaN for a silent target."""
        return self._known(decibels(np.asarray(self._target), np.asarray(self._error)))

    @property
    def si_sdr(self) -> Real:
        """Of all that was added, in dB: (...); NaN for a silent target."""
        # With e = estimate - target, the gain is 1 + <e, s> / |s|^2, and what is not of the
        # target's shape is e less its projection: no small difference of large numbers.
        share = self._both / np.where(self._target > 0, self._target, 1)
        rest = np.maximum(self._error - share * self._both, 0)
        image = (1 + share) ** 2 * self._target
        return self._known(decibels(np.asarray(image), np.asarray(rest)))

    @property
    def gain(self) -> Real:
        """Factor of the target in all that was added: (...); NaN for a silent target."""
        return self._known(1 + self._both / np.where(self._target > 0, self._target, 1))

    def _known(self, scores: Array) -> Real:
        return np.asarray(np.where(self._target > 0, scores, math.nan))


def _dot(one: Array, other: Array) -> Real:
    """Inner products over channels and samples, summed in float64."""
    return np.asarray(np.einsum("...cn,...cn->...", one, other, dtype=np.float64))
