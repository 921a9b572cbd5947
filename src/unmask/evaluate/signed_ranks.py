"""Wilcoxon's signed-rank test: whether paired differences lean to one side more than by chance."""

import math

import numpy as np
from numpy.typing import NDArray

_Reals = NDArray[np.float64]

#: With more differences the normal distribution is as good.
_MOST_EXACT = 50


def ranks(values: _Reals) -> _Reals:
    """Return the rank of each value, the smallest 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place])


def p_value(differences: _Reals) -> float:
    """Return the two-sided p of differences that are not zero (Wilcoxon, 1945).

    Exact up to 50 differences, ties or not, as if every sign were a coin; above it the normal
    distribution with the variance that ties leave.
    """
    own = ranks(np.abs(differences))
    above = float(own[differences > 0].sum())
    if len(own) > _MOST_EXACT:
        deviation = abs(above - own.sum() / 2) / math.sqrt(float(own @ own) / 4)
        return math.erfc(deviation / math.sqrt(2))
    # Ranks are whole or half, so their sums are whole when doubled.
    doubled = np.rint(2 * own).astype(int)
    chances = np.zeros(doubled.sum() + 1)
    chances[0] = 1.0
    for rank in doubled:
        chances /= 2
        chances[rank:] += chances[:-rank].copy()
    found = round(2 * above)
    return min(1.0, 2 * float(min(chances[: found + 1].sum(), chances[found:].sum())))
