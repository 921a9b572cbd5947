"""Which estimate belongs to which target, where a recipe leaves it open."""

from collections.abc import Mapping

import torch
from torch import Tensor

from unmask import losses


class Assignment:
    """Gives estimates to targets as a recipe says.

    Parameters
    ----------
    kind : str
        One of :data:`unmask.recipe.sections.ASSIGNMENTS`.
    loss : Loss
        What the best assignment makes least.
    """

    def __init__(self, kind: str, loss: losses.Loss) -> None:
        self.mixes = kind == "mixit"
        self._arrange: losses.Arrange | None = None
        if kind != "fixed":
            self._arrange = (losses.ordered if kind == "permutation" else losses.grouped)(loss)

    def __call__(self, estimates: Tensor, targets: Tensor, mixture: Tensor, sums: Tensor) -> Tensor:
        """Return one estimate (batch, target, channel, sample) for each target."""
        if self._arrange is None:
            return losses.combine(sums, estimates)
        return self._arrange(estimates, targets, mixture)

    def examples(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return what is trained on: for MixIT half as many mixtures of mixtures.

        Their targets are the two mixtures; what these are made of is not looked at.
        """
        if not self.mixes:
            return batch
        first, second = batch["mixture"].chunk(2)
        targets = torch.stack([first, second], dim=1)
        sums = torch.eye(2, device=targets.device).expand(len(first), -1, -1)
        return {"mixture": first + second, "targets": targets, "sums": sums}
