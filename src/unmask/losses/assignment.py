"""Which estimate belongs to which target where no order is given: found, then compared.

What is found is a choice among few; it has no gradient, what is chosen has.
"""

import itertools
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from unmask.errors import ShapeError
from unmask.metrics.permutation import best_permutation, pairwise

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
#: ``(estimate, target, mixture)`` -> one signal for every target, made of estimates.
Arrange = Callable[[Tensor, Tensor, Tensor], Tensor]

#: Ways to share estimates out that are tried by the loss itself; of more, those of least error are.
TRIED = 16


def combine(sums: Tensor, signals: Tensor) -> Tensor:
    """Return sums of signals.

    Parameters
    ----------
    sums : Tensor [shape=(..., sum, source)]
        What each is made of: 1 for what is in it, 0 for the others.
    signals : Tensor [shape=(..., source, channel, sample)]

    Returns
    -------
    Tensor [shape=(..., sum, channel, sample)]
    """
    return torch.einsum("...ij,...jcn->...icn", sums, signals)


def ordered(loss: Loss) -> Arrange:
    """Return what puts estimates in the order in which the sum of `loss` is the least.

    Estimates that no target is left for are dropped.

    Raises
    ------
    ShapeError
        When called, if there are fewer estimates than targets.
    """

    def arrange(estimate: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
        def score(one: Tensor, other: Tensor) -> Tensor:
            return -loss(one.unsqueeze(-3), other.unsqueeze(-3), mixture).squeeze(-1)

        with torch.no_grad():
            order = best_permutation(pairwise(score, estimate, target))
        return torch.take_along_dim(estimate, order[..., None, None], dim=-3)

    return arrange


def grouped(loss: Loss) -> Arrange:
    """Return what adds up estimates so that the mean of `loss` is the least.

    Every estimate goes to one target. Of ``target ** estimate`` ways, those :data:`TRIED` whose
    squared error is the least are tried by the loss; up to that number, all are.

    Raises
    ------
    ShapeError
        When called, if there are more than 65 536 ways.
    """

    def arrange(estimate: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
        with torch.no_grad():
            ways = _most_likely(_ways(target.shape[-3], estimate.shape[-3]), estimate, target)
            values = torch.stack(
                [loss(combine(way, estimate), target, mixture).mean(-1) for way in ways]
            )
            best = values.argmin(0)[None, ..., None, None]
            way = torch.take_along_dim(ways, best, dim=0).squeeze(0)
        return combine(way, estimate)

    return arrange


@cache
def _ways(n_targets: int, n_estimates: int) -> Tensor:
    """Return all ways to share out, (way, target, estimate)."""
    if n_targets**n_estimates > 2**16:
        raise ShapeError(
            f"{n_estimates} estimates shared out among {n_targets} targets: "
            f"{n_targets**n_estimates} ways, expected at most 65536"
        )
    owners = list(itertools.product(range(n_targets), repeat=n_estimates))
    return torch.eye(n_targets)[torch.tensor(owners)].mT


def _most_likely(ways: Tensor, estimate: Tensor, target: Tensor) -> Tensor:
    """Return the ways of least squared error, best first: (way, ..., target, estimate)."""
    ways = ways.to(estimate)
    signals = torch.cat([estimate, target], dim=-3).flatten(-2)
    gram = signals @ signals.mT  # of all signals with each other
    n = estimate.shape[-3]
    own, cross = gram[..., :n, :n], gram[..., :n, n:]
    # ||target - sum||^2 without the norm of the target, which no way changes
    quadratic = torch.einsum("wtj,...jk,wtk->w...", ways, own, ways)
    linear = torch.einsum("wtj,...jt->w...", ways, cross)
    error = quadratic - 2 * linear
    best = error.topk(min(TRIED, len(ways)), dim=0, largest=False).indices
    return ways[best]


def pit(loss: Loss) -> Loss:
    """Return `loss` for sources that come in any order (Yu et al., 2017: permutation invariance).

    Each target is compared with the estimate that belongs to it, so that the sum is the least.

    Raises
    ------
    ShapeError
        When called, if there are fewer estimates than targets.
    """
    return _after(ordered(loss), loss)


def mixit(loss: Loss) -> Loss:
    """Return `loss` for targets that are mixtures themselves (Wisdom et al., 2020: MixIT).

    Each estimate is given to one of the targets, whichever way makes the mean least, see
    :func:`grouped`; `mixture` is the sum of the targets. With sources for targets it is grouping by
    the best assignment.

    Raises
    ------
    ShapeError
        When called, if there are more than 65 536 ways.
    """
    return _after(grouped(loss), loss)


def _after(arrange: Arrange, loss: Loss) -> Loss:
    def least(estimate: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
        return loss(arrange(estimate, target, mixture), target, mixture)

    return least
