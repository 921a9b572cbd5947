r"""Many systems, pair by pair: Bradley-Terry strengths.

.. math:: \Pr(a > b) \propto e^{(\lambda_a - \lambda_b)/2}, \quad
          \Pr(b > a) \propto e^{(\lambda_b - \lambda_a)/2}, \quad
          \Pr(\text{neither}) \propto \nu

(Bradley, Terry, "Rank analysis of incomplete block designs", Biometrika 39, 1952; ties after
Davidson, JASA 65, 1970). The strengths add up to zero; a system of strength 0 is as good as the
average of them. They are those of the largest likelihood, which exists if every system was, over
some chain of others, preferred to every other (Ford, 1957).
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unmask.errors import listed
from unmask.listen.analysis.distributions import student_reach

_Reals = NDArray[np.float64]


class Strength(NamedTuple):
    """How strong a system is among those that it was compared with."""

    system: str
    strength: float
    """Log odds."""
    low: float
    high: float
    """95 % interval; of answers of several listeners one that lets those of each be alike."""
    share: float
    """How often it is preferred to a system of strength 0, where neither is a tie."""
    n: int
    """Answers about it."""


class Strengths(NamedTuple):
    """Strengths, strongest first; or why there are none."""

    systems: tuple[Strength, ...]
    problem: str
    tie: float
    """Davidson's parameter; 0 if there was no tie."""


def strengths(
    pairs: Sequence[tuple[str, str]], outcomes: Sequence[float], listeners: Sequence[str]
) -> Strengths:
    """Return the strengths of all systems.

    Parameters
    ----------
    pairs : sequence of (str, str) [answer]
        The two systems.
    outcomes : sequence of float [answer]
        1 if the first was preferred, 0 if the second was, 0.5 if neither.
    listeners : sequence of str [answer]
        Who said so. With two or more, intervals come from the variance between them (the sandwich
        of Liang, Zeger, Biometrika 73, 1986, and Student's distribution).
    """
    names = sorted({name for pair in pairs for name in pair})
    place = {name: k for k, name in enumerate(names)}
    a = np.array([place[first] for first, _ in pairs])
    b = np.array([place[second] for _, second in pairs])
    won = np.array(outcomes)
    if problem := _no_maximum(a, b, won, names):
        return Strengths((), problem, 0.0)
    has_ties = bool(np.any(won == 0.5))
    values, information, slopes = _maximum(a, b, won, len(names), has_ties)
    variances, df = _variances(information, slopes, np.unique(listeners, return_inverse=True)[1])
    reach = student_reach(df) if df else NormalDist().inv_cdf(0.975)
    basis = _basis(len(names))
    found = basis @ values[: len(names) - 1]
    inner = variances[: len(names) - 1, : len(names) - 1]
    errors = np.sqrt(np.einsum("ki,ij,kj->k", basis, inner, basis))
    rows = [
        Strength(
            name,
            float(x),
            float(x - reach * error),
            float(x + reach * error),
            float(1 / (1 + np.exp(-x))),
            int(np.sum((a == k) | (b == k))),
        )
        for k, (name, x, error) in enumerate(zip(names, found, errors, strict=True))
    ]
    tie = float(np.exp(values[-1])) if has_ties else 0.0
    return Strengths(tuple(sorted(rows, key=lambda row: -row.strength)), "", tie)


def _no_maximum(
    a: NDArray[np.int64], b: NDArray[np.int64], won: _Reals, names: Sequence[str]
) -> str:
    """Say why there are no strengths; nothing if there are."""
    beats = np.zeros((len(names), len(names)))
    np.add.at(beats, (a, b), won)
    np.add.at(beats, (b, a), 1 - won)
    together = _chains(beats + beats.T)[0]
    if not together.all():
        return f"{listed(_of(names, together))} were never compared with the others"
    chains = _chains(beats)
    for system in range(len(names)):
        group = chains[:, system]  # all who won against it, over some chain
        if not beats[np.ix_(~group, group)].any() and not group.all():
            return f"{listed(_of(names, group))} won against all others, every time"
    return ""


def _chains(beats: _Reals) -> NDArray[np.bool_]:
    """Tell which are reached from which: themselves, and over any number of steps."""
    reached = (beats > 0) | np.eye(len(beats), dtype=bool)
    for _ in range(len(beats).bit_length()):
        reached = (reached.astype(float) @ reached) > 0
    return reached


def _of(names: Sequence[str], those: NDArray[np.bool_]) -> list[str]:
    return [name for name, is_one in zip(names, those, strict=True) if is_one]


def _basis(n: int) -> _Reals:
    """Return columns that span all strengths whose sum is zero, ``[system, parameter]``."""
    return np.vstack([np.eye(n - 1), -np.ones((1, n - 1))])


def _maximum(
    a: NDArray[np.int64], b: NDArray[np.int64], won: _Reals, n: int, has_ties: bool
) -> tuple[_Reals, _Reals, _Reals]:
    """Return parameters, their information, and slopes ``[answer, parameter]``: Newton's method.

    An answer is one of three outcomes whose log odds are linear in the parameters.
    """
    basis = _basis(n)
    half = (basis[a] - basis[b]) / 2
    first = np.column_stack([half, np.zeros(len(a))])
    tie = np.zeros_like(first)
    tie[:, -1] = 1
    features = np.stack([first, -first, tie], axis=1)  # [answer, outcome, parameter]
    if not has_ties:
        features = features[:, :2, :-1]
    outcome = np.select([won == 1, won == 0], [0, 1], 2)
    values = np.zeros(features.shape[2])
    for _ in range(100):
        odds = features @ values
        chances = np.exp(odds - odds.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        mean = np.einsum("rk,rkp->rp", chances, features)
        slopes = features[np.arange(len(a)), outcome] - mean
        information = np.einsum("rk,rkp,rkq->pq", chances, features, features) - mean.T @ mean
        step = np.linalg.solve(information, slopes.sum(0))
        values = values + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return values, information, slopes


def _variances(
    information: _Reals, slopes: _Reals, clusters: NDArray[np.int64]
) -> tuple[_Reals, int]:
    """Return the variances of parameters, and degrees of freedom, 0 for infinitely many."""
    inverse = np.asarray(np.linalg.inv(information), dtype=np.float64)
    n = int(clusters.max()) + 1
    if n < 2:
        return inverse, 0
    sums = np.zeros((n, slopes.shape[1]))
    np.add.at(sums, clusters, slopes)
    spread: _Reals = inverse @ (sums.T @ sums) @ inverse
    return spread * (n / (n - 1)), n - 1
