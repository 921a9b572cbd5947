"""Which estimate belongs to which target, when their order is not known (speakers, for example)."""

from collections.abc import Callable

import numpy as np

from unmask._arrays import Array, check_axes, device, namespace, to_numpy
from unmask.errors import ShapeError


def pairwise(metric: Callable[[Array, Array], Array], estimates: Array, targets: Array) -> Array:
    """Score every estimate against every target.

    Parameters
    ----------
    metric : function (estimate, target) -> array [shape=(...)]
        Such as `unmask.metrics.si_sdr`, on (..., channel, sample).
    estimates, targets : array [shape=(..., source, channel, sample)]
        Their numbers of sources may differ.

    Returns
    -------
    array [shape=(..., estimate, target)]
        With gradients where the library has them: the negative of its best entries is the loss of
        permutation-invariant training, `unmask.losses.pit`.

    Raises
    ------
    ShapeError
        If an array has fewer axes, and whatever `metric` refuses.
    """
    check_axes("source, channel, sample", estimates=estimates, targets=targets)
    xp = namespace(estimates, targets)
    rows = [
        xp.stack(
            [
                metric(estimates[..., i, :, :], targets[..., j, :, :])
                for j in range(targets.shape[-3])
            ],
            axis=-1,
        )
        for i in range(estimates.shape[-3])
    ]
    return xp.stack(rows, axis=-2)


def best_permutation(scores: Array) -> Array:
    """Order of the estimates with the largest sum of scores.

    Found by the Hungarian algorithm (Kuhn, 1955), by shortest paths: n**3 steps, not n!.

    Parameters
    ----------
    scores : array [shape=(..., estimate, target)], dB or any unit where more is better
        As `pairwise` returns them. ``inf`` beats every finite sum; NaN and ``-inf`` are worse than
        every finite score, so that a silent target (NaN for every estimate) takes what is left.

    Returns
    -------
    integer array [shape=(..., target)]
        Entry j is the estimate that belongs to target j.

    Raises
    ------
    ShapeError
        If there are fewer than two axes, or fewer estimates than targets.

    Examples
    --------
    >>> best_permutation(np.array([[1.0, 9.0], [8.0, 2.0]]))
    array([1, 0])
    """
    check_axes("estimate, target", scores=scores)
    n_estimates, n_targets = scores.shape[-2:]
    if n_estimates < n_targets:
        raise ShapeError(
            f"scores of {n_estimates} estimates and {n_targets} targets: "
            "expected at least as many estimates as targets"
        )
    values = to_numpy(scores)
    best = [_assign(matrix) for matrix in values.reshape(-1, n_estimates, n_targets)]
    order = np.reshape(np.array(best, dtype=np.int64), (*values.shape[:-2], n_targets))
    return namespace(scores).asarray(order, device=device(scores))


def permute(estimates: Array, permutation: Array) -> Array:
    """Estimates in the order of their targets.

    Parameters
    ----------
    estimates : array [shape=(..., source, channel, sample)]
    permutation : array [shape=(..., target)], whole numbers
        From `best_permutation`, with the same leading axes as `estimates`.

    Returns
    -------
    array [shape=(..., target, channel, sample)]

    Raises
    ------
    ShapeError
        If `estimates` has fewer axes, or the leading axes differ.
    """
    check_axes("source, channel, sample", estimates=estimates)
    if tuple(permutation.shape[:-1]) != tuple(estimates.shape[:-3]):
        raise ShapeError(
            f"permutation{tuple(permutation.shape)} does not fit "
            f"estimates{tuple(estimates.shape)}; expected the same leading axes"
        )
    xp = namespace(estimates, permutation)
    shape = (*permutation.shape, *estimates.shape[-2:])
    return xp.take_along_axis(
        estimates, xp.broadcast_to(permutation[..., None, None], shape), axis=-3
    )


def _assign(scores: np.ndarray) -> np.ndarray:
    """Best estimate of each target, with infinite scores turned to finite ones that outweigh."""
    finite = scores[np.isfinite(scores)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    margin = (high - low + 1.0) * (scores.shape[1] + 1)
    scores = np.nan_to_num(scores, nan=low - margin, neginf=low - margin, posinf=high + margin)
    return _cheapest(-scores.T.astype(np.float64))


def _cheapest(costs: np.ndarray) -> np.ndarray:
    """Return the column of each row, all different, whose costs (row, column) add up to least.

    Row by row: the shortest path, in costs reduced by the prices of rows and columns, to a free
    column, along which rows change places (Jonker and Volgenant, 1987).
    """
    n_rows, n_columns = costs.shape
    row_prices, column_prices = np.zeros(n_rows), np.zeros(n_columns)
    row_of = np.full(n_columns, -1)
    for first in range(n_rows):
        distance, before = np.full(n_columns, np.inf), np.full(n_columns, -1)
        seen = np.zeros(n_columns, bool)
        row, column, length = first, -1, 0.0
        while row >= 0:
            reached = length + costs[row] - row_prices[row] - column_prices
            nearer = ~seen & (reached < distance)
            distance[nearer], before[nearer] = reached[nearer], column
            column = int(np.argmin(np.where(seen, np.inf, distance)))
            length, seen[column], row = distance[column], True, row_of[column]
        gains = np.where(seen, length - distance, 0.0)
        column_prices -= gains
        row_prices[first] += length
        held = seen & (row_of >= 0)
        row_prices[row_of[held]] += gains[held]
        while column >= 0:
            row_of[column] = row_of[before[column]] if before[column] >= 0 else first
            column = before[column]
    columns = np.flatnonzero(row_of >= 0)
    return columns[np.argsort(row_of[columns])]
