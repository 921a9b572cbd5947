r"""Whether listeners agree with each other, and with themselves.

Krippendorff's alpha is 1 if all say the same of everything, 0 if no more so than by chance:
:math:`\alpha = 1 - D_o / D_e`, the mean difference of two values of the same thing over that of any
two values; 0 or 1 for names, squared for numbers. Missing values are no matter ("Computing
Krippendorff's alpha-reliability", 2011). Cohen's kappa is about two answers to each of several
things, and chance as each of the two has it (Educational and Psychological Measurement 20, 1960).
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Literal

import numpy as np


def krippendorff(
    units: Mapping[Hashable, Sequence[Hashable]], level: Literal["nominal", "interval"]
) -> float:
    """Return Krippendorff's alpha; NaN if no two values differ, or nothing was judged twice.

    Parameters
    ----------
    units : mapping
        What was judged -> all values that it got, each of another listener.
    level : str
        Whether values are names or numbers.

    Examples
    --------
    >>> krippendorff({"one": "aab", "two": "bbb", "three": "a"}, "nominal")
    0.375
    """
    pairable = [values for values in units.values() if len(values) > 1]
    n = sum(map(len, pairable))
    if not n:
        return float("nan")
    everything = [value for values in pairable for value in values]
    expected = _differences(everything, level) / (n * (n - 1))
    if expected == 0:
        return float("nan")
    observed = sum(_differences(values, level) / (len(values) - 1) for values in pairable) / n
    return 1 - observed / expected


def _differences(values: Sequence[Hashable], level: str) -> float:
    """Return the sum of differences over all ordered pairs."""
    n = len(values)
    if level == "nominal":
        return float(n**2 - sum(count**2 for count in Counter(values).values()))
    numbers = np.array(values, dtype=float)
    numbers -= numbers.mean()
    return float(2 * n * np.sum(numbers**2))


def cohens_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Return Cohen's kappa of two sequences of answers; NaN if all of both are the same.

    >>> round(cohens_kappa("yyyyyynnnn", "yyyynnynnn"), 3)
    0.4
    """
    n = len(first)
    if not n:
        return float("nan")
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    ours, theirs = Counter(first), Counter(second)
    chance = sum(ours[value] * theirs[value] for value in ours) / n**2
    return float("nan") if chance == 1 else (observed - chance) / (1 - chance)
