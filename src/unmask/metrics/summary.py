"""One number for many scores, that says how many of them it leaves out."""

from typing import Literal, NamedTuple, get_args

import numpy as np

from unmask._arrays import Array, to_numpy
from unmask.errors import ConfigError

Statistic = Literal["mean", "median"]


class Summary(NamedTuple):
    """Mean or median of the scores that are defined, and how many were not.

    Printed, it says what it left out: ``6.31 (median of 48, 2 undefined left out)``.
    """

    value: float
    """Over the `n` defined scores; NaN when there are none."""
    n: int
    """Scores that count."""
    n_nan: int
    """Scores that are NaN (silent targets) and do not count."""
    n_inf: int
    """Scores among the `n` that are infinite: a mean over them is infinite, a median seldom."""
    statistic: Statistic

    def __str__(self) -> str:
        """One line for people."""
        notes = [f"{self.statistic} of {self.n}"]
        if self.n_nan:
            notes.append(f"{self.n_nan} undefined left out")
        if self.n_inf:
            notes.append(f"{self.n_inf} infinite")
        return f"{self.value:.2f} ({', '.join(notes)})"


def summary(scores: Array, *, statistic: Statistic = "mean") -> Summary:
    """Mean or median over all entries of `scores` that are not NaN, with the counts.

    Parameters
    ----------
    scores : array of any shape and library
    statistic : "mean" or "median"
        BSSEval's convention is the median over frames, then over tracks; the MDX challenges' is
        the mean over stems, then over songs. Nest the calls, over ``.value``.

    Raises
    ------
    ConfigError
        If there is no such statistic.

    Examples
    --------
    >>> print(summary(np.array([3.0, np.nan, 5.0])))
    4.00 (mean of 2, 1 undefined left out)
    """
    if statistic not in get_args(Statistic):
        raise ConfigError(f"no statistic {statistic!r}; there are {sorted(get_args(Statistic))}")
    values = to_numpy(scores).astype(np.float64).ravel()
    kept = values[~np.isnan(values)]
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, and said by n_inf
        value = getattr(np, statistic)(kept) if kept.size else float("nan")
    return Summary(
        value=float(value),
        n=int(kept.size),
        n_nan=int(values.size - kept.size),
        n_inf=int(np.isinf(kept).sum()),
        statistic=statistic,
    )
