"""How many judgements a preference needs to show, and what a number of them can show."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from unmask.errors import ConfigError


def power(n: int, preference: float, *, alpha: float = 0.05) -> float:
    """Return how often `n` judgements show a preference, by the exact two-sided binomial test.

    Parameters
    ----------
    n : int
        Independent judgements; those without a preference do not count.
    preference : float
        How often one of two is truly preferred, above 0 and below 1.
    alpha : float
        How often the test may find one where there is none.

    Examples
    --------
    >>> round(power(105, 0.58), 2), round(power(105, 0.65), 2)
    (0.31, 0.83)
    """
    if n < 1:
        return 0.0
    # The most that the less preferred of two may have; below zero where nothing is significant.
    most = int(np.searchsorted(_binomial(n, 0.5), alpha / 2, side="right")) - 1
    if most < 0:
        return 0.0
    ways = _binomial(n, preference)
    return float(ways[most] + 1 - ways[n - most - 1])


def _binomial(n: int, p: float) -> NDArray[np.float64]:
    """Return how often at most k of `n` are preferred, for k = 0 to n."""
    k = np.arange(n + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(k[1:]))])
    chosen = factorials[n] - factorials - factorials[::-1]
    found: NDArray[np.float64] = np.cumsum(
        np.exp(chosen + k * math.log(p) + (n - k) * math.log1p(-p))
    )
    return found


def judgements_needed(preference: float, *, wanted: float = 0.8, alpha: float = 0.05) -> int:
    """Return the fewest judgements that show a preference with the power that is wanted.

    The normal approximation says about 304 for 58 % and 85 for 65 %; the exact test, which cannot
    use all of its `alpha`, needs a few more.

    Raises
    ------
    ConfigError
        If there is no preference to show.

    Examples
    --------
    >>> judgements_needed(0.58), judgements_needed(0.65)
    (312, 90)
    """
    if not 0 < preference < 1 or abs(preference - 0.5) < 0.01:
        raise ConfigError(
            f"preference: {preference:g}, expected above 0, below 1, and 0.01 or more from 0.5"
        )
    n = max(1, approximately_needed(preference, wanted=wanted, alpha=alpha) * 9 // 10)
    while power(n, preference, alpha=alpha) < wanted:
        n += 1
    while n > 1 and power(n - 1, preference, alpha=alpha) >= wanted:
        n -= 1
    return n


def approximately_needed(preference: float, *, wanted: float = 0.8, alpha: float = 0.05) -> int:
    """Return what the normal approximation to the test says.

    >>> approximately_needed(0.58), approximately_needed(0.65)
    (305, 85)
    """
    quantile = NormalDist().inv_cdf
    spread = math.sqrt(preference * (1 - preference))
    reach = quantile(1 - alpha / 2) / 2 + quantile(wanted) * spread
    return math.ceil((reach / (preference - 0.5)) ** 2)
