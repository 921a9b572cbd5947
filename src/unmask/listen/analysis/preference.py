"""One of two, or neither: the exact binomial test, and what it could have shown."""

import math
from statistics import NormalDist
from typing import NamedTuple

from unmask.errors import ConfigError
from unmask.listen.analysis.distributions import binomial_bounds, binomial_p
from unmask.listen.power import approximately_needed, judgements_needed, power

#: So near to a half counting one by one takes long, and the approximation is within 1 %.
_NEAR = 0.02


class Preference(NamedTuple):
    """How often one of two was preferred, as if every judgement were independent."""

    k: int
    n: int
    """Judgements with a preference."""
    share: float
    """``k / n``."""
    p: float
    """Of the exact two-sided binomial test of a half."""
    low: float
    high: float
    """95 % interval of Clopper and Pearson (1934): below a half, or above, where `p` < 0.05."""
    wilson_low: float
    wilson_high: float
    """That of Wilson (1927), which is narrower: it covers 95 % on average, not at least."""


def preference(k: int, n: int) -> Preference:
    """Test whether `k` of `n` is a half.

    Raises
    ------
    ConfigError
        If there is no judgement, or `k` is not between 0 and `n`.

    Examples
    --------
    >>> found = preference(61, 105)
    >>> print(f"{found.share:.1%}, p = {found.p:.3f}, {found.low:.1%} to {found.high:.1%}")
    58.1%, p = 0.118, 48.1% to 67.7%
    """
    if not 0 <= k <= n or n < 1:
        raise ConfigError(f"k: {k} of {n}, should be 0 or more, of 1 or more")
    return Preference(k, n, k / n, binomial_p(k, n), *binomial_bounds(k, n), *_wilson(k, n))


def _wilson(k: int, n: int) -> tuple[float, float]:
    z, share = NormalDist().inv_cdf(0.975), k / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def needed(share: float) -> int | None:
    """Return how many independent judgements show a preference with 80 % power; None of a half.

    >>> needed(0.58), needed(0.42), needed(0.5), needed(0.505)
    (312, 312, None, 78487)
    """
    share = min(max(share, 0.01), 0.99)
    if abs(share - 0.5) < 2e-3:
        return None
    return approximately_needed(share) if abs(share - 0.5) < _NEAR else judgements_needed(share)


def detectable(n: int) -> float | None:
    """Return the least preference that `n` independent judgements show with 80 % power.

    None if there is none: five judgements show nothing at 5 %.

    >>> print(f"{detectable(105):.3f} {detectable(1000):.3f}", detectable(5))
    0.644 0.545 None
    """
    low, high = 0.5, 0.999
    if power(n, high) < 0.8:
        return None
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if power(n, middle) >= 0.8 else (middle, high)
    return high
