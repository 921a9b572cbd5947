"""How more masks than there are sources become those of sources (over-separation, grouping)."""

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.masks.family import Family
from unmask.nets.blocks import reshape

#: ``sum``: neighbours are added up; ``learned``: sums of all with learned weights, which begin as
#: those of ``sum``; ``assigned``: every output leaves the network, and whoever knows the truth says
#: which belong together.
GROUPINGS = ("none", "sum", "learned", "assigned")
#: Ways to share outputs out among sources that are tried for an example.
MOST_WAYS = 2**16


class Summed(nn.Module):
    """Masks of neighbouring outputs are added up.

    Parameters
    ----------
    n_outputs, n_sources : int
        Outputs are a multiple of sources.
    """

    def __init__(self, n_outputs: int, n_sources: int) -> None:
        super().__init__()
        self.n_sources, self.n_each = n_sources, n_outputs // n_sources

    def forward(self, masks: Tensor) -> Tensor:
        """Return masks (batch, source, part, channel, freq, frame) of those of outputs."""
        sizes = map(int, masks.shape[2:5])
        return reshape(masks, 0, self.n_sources, self.n_each, *sizes, -1).sum(2)


class Weighted(nn.Module):
    """Masks of sources are learned sums of all outputs.

    With activated masks as the hidden layer it is the second layer of a deep module: Li, Hu and Luo
    (2022) have the fixed sum as its special case.

    Parameters
    ----------
    n_outputs, n_sources : int
        Outputs are a multiple of sources.
    """

    def __init__(self, n_outputs: int, n_sources: int) -> None:
        super().__init__()
        ones = torch.ones(1, n_outputs // n_sources)
        self.shape = (n_sources, n_outputs)
        self.weight = nn.Parameter(torch.kron(torch.eye(n_sources), ones))

    def macs(self, masks: Tensor, output: Tensor) -> int:
        """Return the multiply-accumulates of a call."""
        return output.numel() * self.shape[1]

    def forward(self, masks: Tensor) -> Tensor:
        """Return masks (batch, source, part, channel, freq, frame) of those of outputs."""
        n_sources, n_outputs = self.shape
        flat = torch.matmul(self.weight, reshape(masks, 0, n_outputs, -1))
        return reshape(flat, 0, n_sources, *map(int, masks.shape[2:5]), -1)


def made(kind: str, n_outputs: int, n_sources: int) -> nn.Module | None:
    """Return what makes masks of sources of those of outputs; None where they are the same."""
    if n_outputs == n_sources or kind in ("none", "assigned"):
        return None
    return (Summed if kind == "sum" else Weighted)(n_outputs, n_sources)


def check(kind: str, family: Family, *, n_outputs: int, n_sources: int) -> None:
    """Refuse outputs that cannot become sources.

    Raises
    ------
    ConfigError
        If there is no such grouping, the numbers do not fit, or masks cannot be added up.
    """
    if kind not in GROUPINGS:
        raise ConfigError(f"head: grouping {kind!r}; there are {list(GROUPINGS)}")
    if kind == "none" and n_outputs != n_sources:
        raise ConfigError(
            f"head: {n_outputs} outputs for {n_sources} sources, expected as many, or "
            'grouping = "sum"'
        )
    if kind == "assigned" and (n_outputs < n_sources or n_sources**n_outputs > MOST_WAYS):
        raise ConfigError(
            f"head: {n_outputs} outputs shared out among {n_sources} sources, expected as many or "
            f"more, and at most {MOST_WAYS} ways to do it"
        )
    if kind != "assigned" and n_outputs % n_sources:
        raise ConfigError(
            f"head: {n_outputs} outputs cannot be shared by {n_sources} sources; take a multiple"
        )
    if n_outputs > n_sources and kind != "assigned" and not family.is_linear:
        raise ConfigError(
            f"head: masks of {family.name} cannot be added up; take another family, or one output "
            "a source"
        )
