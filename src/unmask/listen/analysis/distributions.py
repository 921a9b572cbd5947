"""The beta, binomial and Student's distributions, and a minimum of two numbers."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_Reals = NDArray[np.float64]
_TINY = 1e-300


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function, by Lentz's continued fraction.

    Parameters
    ----------
    x : float
        From 0 to 1.
    a, b : float
        Above 0.

    Examples
    --------
    >>> round(beta_cdf(0.3, 1, 1), 12), round(beta_cdf(0.5, 4, 4), 12)
    (0.3, 0.5)
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1 - beta_cdf(1 - x, b, a)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + term * d) or _TINY)
            c = (1 + term / c) or _TINY
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * value


def binomial_p(k: int, n: int) -> float:
    """Return p of the exact two-sided binomial test of a half.

    >>> binomial_p(9, 10) == 22 / 1024
    True
    """
    fewer = min(k, n - k)
    tail = sum(math.comb(n, i) for i in range(fewer + 1))
    return float(min(1.0, 2 * tail / 2**n))


def binomial_bounds(k: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of Clopper and Pearson (1934)."""
    low = _where(lambda p: beta_cdf(p, k, n - k + 1) > 0.025, 0, 1) if k else 0.0
    high = _where(lambda p: beta_cdf(p, k + 1, n - k) > 0.975, 0, 1) if k < n else 1.0
    return low, high


def student_p(t: float, df: float) -> float:
    """Return the two-sided p of Student's distribution.

    >>> round(student_p(12.7062, 1), 6)
    0.05
    """
    return beta_cdf(df / (df + t * t), df / 2, 0.5)


def student_reach(df: float) -> float:
    """Return what 95 % of Student's distribution lie within.

    >>> round(student_reach(15), 4)
    2.1314
    """
    return _where(lambda t: student_p(t, df) < 0.05, 0, 1e4)


def _where(is_beyond: Callable[[float], bool], low: float, high: float) -> float:
    """Return where a condition begins to hold."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if is_beyond(middle) else (middle, high)
    return (low + high) / 2


def minimum(
    function: Callable[[_Reals], float], start: _Reals, bounds: tuple[float, float]
) -> tuple[_Reals, bool]:
    """Return where a function is least within bounds, and whether that was found.

    The simplex of Nelder and Mead (Computer Journal 7, 1965).
    """

    def of(x: _Reals) -> float:
        return function(np.clip(x, *bounds))

    points = [start, *(start + step for step in np.eye(len(start)))]
    values = [of(x) for x in points]
    for _ in range(300):
        order = np.argsort(values)
        points, values = [points[k] for k in order], [values[k] for k in order]
        if (
            max(np.abs(x - points[0]).max() for x in points) < 1e-4
            and values[-1] - values[0] < 1e-6
        ):
            return np.clip(points[0], *bounds), True
        centre = np.mean(points[:-1], axis=0)
        away = centre - points[-1]
        tried = centre + away
        if (value := of(tried)) < values[0]:
            further = centre + 2 * away
            if (better := of(further)) < value:
                tried, value = further, better
        elif value >= values[-2]:
            tried = centre + (away if value < values[-1] else -away) / 2
            value = of(tried)
        if value < values[-1]:
            points[-1], values[-1] = tried, value
        else:
            points = [points[0], *((x + points[0]) / 2 for x in points[1:])]
            values = [values[0], *(of(x) for x in points[1:])]
    return np.clip(points[0], *bounds), False
