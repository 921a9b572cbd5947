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
        permutation-invariant training.
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

    Found by the Hungarian algorithm (scipy's `linear_sum_assignment`): n**3 steps, not n!.

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
        If there are fewer estimates than targets.

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
    permutation : integer array [shape=(..., target)]
        From `best_permutation`, with the same leading axes as `estimates`.

    Returns
    -------
    array [shape=(..., target, channel, sample)]

    Raises
    ------
    ShapeError
        If the leading axes differ.
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
    from scipy.optimize import linear_sum_assignment  # half a second to load

    finite = scores[np.isfinite(scores)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    margin = (high - low + 1.0) * (scores.shape[1] + 1)
    scores = np.nan_to_num(scores, nan=low - margin, neginf=low - margin, posinf=high + margin)
    estimate, target = linear_sum_assignment(scores, maximize=True)
    return np.asarray(estimate[np.argsort(target)])
