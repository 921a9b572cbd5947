"""Is one system better than another? On the same tracks, with a test and an effect size."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unmask.errors import ConfigError
from unmask.evaluate import signed_ranks
from unmask.evaluate.table import AGGREGATIONS, Table, interval, per_track
from unmask.metrics.summary import Summary, summary

_Reals = NDArray[np.float64]


class Comparison(NamedTuple):
    """How much better system `a` is than `b` at one metric; all differences are ``a - b``."""

    a: str
    b: str
    target: str
    metric: str
    n_pairs: int
    """Tracks for which both have a score."""
    n_left_out: int
    """Tracks that only one system has, or for which one has no score."""
    difference: float
    """Statistic over the differences of the tracks; not the difference of the statistics."""
    low: float
    high: float
    """Bounds of its 95 % confidence interval, by a bootstrap over the tracks."""
    p: float
    """Of the Wilcoxon signed-rank test, two-sided; 1 if no track differs."""
    rank_biserial: float
    """From -1 (`b` is higher on every track) to 1 (`a` is); 0 if neither is."""
    cohens_dz: float
    """Mean difference in standard deviations of the differences; 0 if no track differs."""


def compare(
    table: Table, a: str, b: str, how: str = "median", *, n_resamples: int = 2000, seed: int = 0
) -> list[Comparison]:
    """Compare two systems on the tracks that both have, for every stem and metric.

    Scores are aggregated over frames first, so that a track counts once. Tracks that do not differ
    are left out of the test and of the rank-biserial correlation, as Wilcoxon does. The p values
    are not corrected for their number.

    Parameters
    ----------
    table : mapping of Key to Series
    a, b : str
        The systems, as the table calls them.
    how : str
        One of `AGGREGATIONS`.
    n_resamples, seed
        Of the bootstrap.

    Returns
    -------
    list of Comparison, one for each target and metric that both have

    Raises
    ------
    ConfigError
        If there is no such system, or nothing that both have.

    References
    ----------
    Kerby, "The simple difference formula", Comprehensive Psychology 3, 2014 (rank-biserial).
    Lakens, "Calculating and reporting effect sizes", Frontiers in Psychology 4, 2013 (d_z).
    """
    if how not in AGGREGATIONS:
        raise ConfigError(f"no aggregation {how!r}; there are {', '.join(AGGREGATIONS)}")
    frames, tracks = AGGREGATIONS[how]
    found = per_track(table, frames=frames)
    methods = dict.fromkeys(method for method, _, _ in found)
    for name in (a, b):
        if name not in methods:
            raise ConfigError(f"no results of {name!r}; there are {', '.join(methods)}")
    rows = []
    for _, target, metric in (group for group in found if group[0] == a):
        if (b, target, metric) not in found:
            continue
        ours, theirs = found[a, target, metric], found[b, target, metric]
        d = _differences(ours, theirs)
        n_left_out = len(ours.keys() | theirs.keys()) - d.size
        low, high = interval(d, tracks, n_resamples=n_resamples, seed=seed)
        middle = summary(d, statistic=tracks).value
        rows.append(
            Comparison(a, b, target, metric, d.size, n_left_out, middle, low, high, *_effects(d))
        )
    if not rows:
        raise ConfigError(f"{a} and {b} have no stem and metric in common; nothing to compare")
    return rows


def _differences(ours: Mapping[str, Summary], theirs: Mapping[str, Summary]) -> _Reals:
    """Ours minus theirs for the tracks that have both scores; 0 where both are infinite alike."""
    common = sorted(ours.keys() & theirs.keys())
    x, y = (np.array([side[name].value for name in common]) for side in (ours, theirs))
    with np.errstate(invalid="ignore"):
        d = np.where(x == y, 0.0, x - y)
    return d[~np.isnan(d)]


def _effects(d: _Reals) -> tuple[float, float, float]:
    """p, rank-biserial correlation and Cohen's d_z of paired differences."""
    unequal = d[d != 0]
    if not unequal.size:
        return 1.0, 0.0, 0.0
    ranks = signed_ranks.ranks(np.abs(unequal))
    with np.errstate(invalid="ignore", divide="ignore"):  # one track, or all differ alike
        dz = np.mean(d) / np.std(d, ddof=1) if d.size > 1 else np.nan
    rank_biserial = np.sum(np.sign(unequal) * ranks) / np.sum(ranks)
    return signed_ranks.p_value(unequal), float(rank_biserial), float(dz)
