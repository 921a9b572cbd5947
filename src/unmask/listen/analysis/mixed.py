r"""A mixed-effects logistic model: listeners and items have a leaning of their own.

.. math:: \Pr(\text{A preferred}) = \sigma(\beta + u_i + v_j), \quad
          u_i \sim N(0, s_u^2), \; v_j \sim N(0, s_v^2)

for listener i and item j, crossed. The standard deviations maximise the restricted likelihood,
:math:`\beta` and all u and v integrated out by Laplace's approximation (Breslow, Clayton,
"Approximate inference in generalized linear mixed models", JASA 88, 1993; without the restriction
it is what ``glmer`` of lme4 computes, whose intervals are too narrow for few listeners). The
interval of :math:`\beta` is Student's, with the degrees of freedom of Satterthwaite (1946).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unmask.listen.analysis.distributions import minimum, student_p, student_reach

_Reals = NDArray[np.float64]
#: Logarithms of standard deviations that are looked at: 0.007 to 7.4 in log odds.
_BOUNDS = (-5.0, 2.0)
_MOST_STEPS = 100


class Mixed(NamedTuple):
    """What the model says."""

    share: float
    """How often a listener in the middle prefers A on an item in the middle."""
    low: float
    high: float
    """95 % interval of it."""
    p: float
    """Of a half."""
    population: float
    """The share over all listeners and items that there could be; nearer to a half."""
    listener_sd: float
    item_sd: float
    """Of the leanings, in log odds."""
    df: float
    """Degrees of freedom."""
    problem: str
    """Why not to trust it; empty if nothing is wrong."""


class _Mode(NamedTuple):
    """The most likely leanings, in units of their deviation."""

    u: _Reals
    v: _Reals
    """``v[0]`` is beta."""


class _Fit(NamedTuple):
    criterion: float
    mode: _Mode
    variance: float
    """Of beta."""
    converged: bool


def mixed(
    preferred: _Reals, listeners: NDArray[np.int64], items: NDArray[np.int64]
) -> Mixed | None:
    """Fit the model.

    Parameters
    ----------
    preferred : array [answer]
        1 where A was preferred, else 0.
    listeners, items : array of int [answer]

    Returns
    -------
    Mixed, or None
        None where the likelihood has no maximum: all preferred the same, or there are not two
        listeners and two items.
    """
    k, n = _table(preferred, listeners, items)
    if min(n.shape) < 2 or not 0 < k.sum() < n.sum():
        return None
    if is_turned := n.shape[0] < n.shape[1]:  # the larger side is the cheap one
        k, n = k.T, n.T
    mode = _Mode(np.zeros(n.shape[0]), np.zeros(1 + n.shape[1]))

    def loss(logs: _Reals) -> float:
        nonlocal mode
        fit = _fit(k, n, np.exp(logs), mode)
        mode = fit.mode  # the next begins there
        return -fit.criterion

    logs, is_found = minimum(loss, np.full(2, -1.0), _BOUNDS)
    deviations = np.exp(logs)
    fit = _fit(k, n, deviations, mode)
    beta = float(fit.mode.v[0])
    error, df = math.sqrt(fit.variance), _degrees(n, deviations, fit.variance)
    reach = student_reach(df) * error
    return Mixed(
        share=_logistic(beta),
        low=_logistic(beta - reach),
        high=_logistic(beta + reach),
        p=student_p(beta / error, df),
        population=_population(beta, float(np.hypot(*deviations))),
        listener_sd=_at_bound(float(deviations[int(is_turned)])),
        item_sd=_at_bound(float(deviations[1 - int(is_turned)])),
        df=df,
        problem=_problem(is_found and fit.converged, logs),
    )


def _at_bound(deviation: float) -> float:
    return 0.0 if math.log(deviation) < _BOUNDS[0] + 1e-6 else deviation


def _problem(converged: bool, logs: _Reals) -> str:
    if not converged:
        return "did not converge"
    return (
        "no finite deviation: some prefer always the same" if max(logs) > _BOUNDS[1] - 1e-6 else ""
    )


def _table(
    preferred: _Reals, listeners: NDArray[np.int64], items: NDArray[np.int64]
) -> tuple[_Reals, _Reals]:
    """Return how often A was preferred, and of how many, ``[listener, item]``."""
    rows, i = np.unique(listeners, return_inverse=True)
    columns, j = np.unique(items, return_inverse=True)
    k = np.zeros((len(rows), len(columns)))
    n = np.zeros_like(k)
    np.add.at(k, (i, j), preferred)
    np.add.at(n, (i, j), 1.0)
    return k, n


def _fit(k: _Reals, n: _Reals, deviations: _Reals, start: _Mode) -> _Fit:
    """Return the mode of beta and all leanings for given deviations, and the criterion there.

    Newton's method; a step that does not help is halved.
    """
    u, v = start
    value = _objective(k, n, deviations, u, v)
    for _ in range(_MOST_STEPS):
        step = _step(k, n, deviations, u, v)
        length = 1.0
        while length > 1e-6:
            moved = u + length * step.u, v + length * step.v
            if (new := _objective(k, n, deviations, *moved)) >= value - 1e-12 * abs(value):
                break
            length /= 2
        u, v, value = *moved, new
        if step.gain < 1e-12:
            break
    criterion = value - step.log_determinant / 2
    return _Fit(criterion, _Mode(u, v), step.variance, converged=step.gain < 1e-6)


class _Step(NamedTuple):
    """A step of Newton's method, and what the Hessian says where it begins."""

    u: _Reals
    v: _Reals
    gain: float
    log_determinant: float
    variance: float


def _step(k: _Reals, n: _Reals, deviations: _Reals, u: _Reals, v: _Reals) -> _Step:
    """Return the next step.

    The Hessian's block of u is diagonal and eliminated, so that a step costs no more than the
    square of the number of v for each u.
    """
    s, t = deviations
    chances = (1 + np.tanh((v[0] + s * u[:, None] + t * v[1:]) / 2)) / 2
    rest, weights = k - n * chances, n * chances * (1 - chances)
    slopes_u = s * rest.sum(1) - u
    slopes_v = np.r_[rest.sum(), t * rest.sum(0) - v[1:]]
    diagonal = s**2 * weights.sum(1) + 1
    cross = np.column_stack([s * weights.sum(1), s * t * weights])
    small = np.diag(np.r_[weights.sum(), t**2 * weights.sum(0) + 1])
    small[0, 1:] = small[1:, 0] = t * weights.sum(0)
    inverse = np.linalg.inv(schur := small - cross.T @ (cross / diagonal[:, None]))
    step_v = inverse @ (slopes_v - cross.T @ (slopes_u / diagonal))
    step_u = (slopes_u - cross @ step_v) / diagonal
    return _Step(
        step_u,
        step_v,
        gain=float(slopes_v @ step_v + slopes_u @ step_u),
        log_determinant=float(np.sum(np.log(diagonal)) + np.linalg.slogdet(schur)[1]),
        variance=float(inverse[0, 0]),
    )


def _objective(k: _Reals, n: _Reals, deviations: _Reals, u: _Reals, v: _Reals) -> float:
    """Return the log likelihood of answers and leanings."""
    odds = v[0] + deviations[0] * u[:, None] + deviations[1] * v[1:]
    likelihood = np.sum(k * odds - n * np.logaddexp(0, odds))
    return float(likelihood - (u @ u + v[1:] @ v[1:]) / 2)


def _degrees(n: _Reals, deviations: _Reals, variance: float) -> float:
    """Return degrees of freedom: the variance of beta is that of three means."""
    total = float(n.sum())
    effective = [total**2 / float(np.sum(n.sum(axis) ** 2)) for axis in (1, 0)]
    parts = [float(s**2 / many) for s, many in zip(deviations, effective, strict=True)]
    parts.append(max(variance - sum(parts), 1e-12))
    each = (n.shape[0] - 1, n.shape[1] - 1, total - 1)
    return float(sum(parts) ** 2 / sum(x**2 / df for x, df in zip(parts, each, strict=True)))


def _population(beta: float, deviation: float) -> float:
    """Return the mean of the logistic function over a normal distribution."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    values = np.array([_logistic(beta + deviation * node) for node in nodes])
    return float(weights @ values) / math.sqrt(2 * math.pi)


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))
