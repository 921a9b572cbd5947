"""Pearson's correlation of pairs that come in pieces."""

from typing import Any

import numpy as np

from unmask._arrays import Array, safe_divide


class Correlation:
    """Pearson's, of pairs that come in pieces."""

    def __init__(self) -> None:
        self._sums = np.zeros((3, 3))
        self._shift: Any = None  # sums about the mean of the first lose no digits
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)

    def add(self, one: Array, other: Array, counts: Array) -> None:
        """Add the pairs that count."""
        if counts.any():
            pairs = np.stack([one[counts], other[counts]]).astype(np.float64)
            self._low = np.minimum(self._low, pairs.min(axis=1))
            self._high = np.maximum(self._high, pairs.max(axis=1))
            if self._shift is None:
                self._shift = pairs.mean(axis=1, keepdims=True)
            rows = np.concatenate([np.ones((1, pairs.shape[1])), pairs - self._shift])
            self._sums = self._sums + rows @ rows.T

    @property
    def value(self) -> float:
        """From -1 to 1; NaN if there is none, as where one does not vary."""
        n, sums = self._sums[0, 0], self._sums
        if not n or not (self._high > self._low).all():
            return float("nan")
        spread = sums[1:, 1:] - np.outer(sums[0, 1:], sums[0, 1:]) / n
        return float(safe_divide(spread[0, 1], np.sqrt(spread[0, 0] * spread[1, 1]), fill=np.nan))
