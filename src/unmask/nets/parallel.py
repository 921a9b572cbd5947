"""Several networks side by side: one for each source, one file for all."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.contract import State
from unmask.nets.estimator import Estimator


class Parallel(nn.Module):
    """Networks that see the same; the sources of the first come first.

    Parameters
    ----------
    nets : sequence of Estimator
        With the same front, mask family and frames of lookahead; all streaming, or all in chunks.

    Raises
    ------
    ConfigError
        If they cannot share what they see, a mask family or a clock.
    """

    def __init__(self, nets: Sequence[Estimator]) -> None:
        super().__init__()
        shared: dict[str, list[object]] = {
            "what they are given is": [tuple(net.front.example(1, 1).shape) for net in nets],
            "mask families": [net.family.name for net in nets],
            "frames of lookahead": [net.lookahead_frames for net in nets],
        }
        for subject, values in shared.items():
            if len(set(values)) != 1:
                raise ConfigError(f"networks side by side: {subject} {values}, expected the same")
        self.nets = nn.ModuleList(nets)
        self.front, self.family = nets[0].front, nets[0].family
        self.n_channels = nets[0].n_channels
        self.n_sources = sum(net.n_sources for net in nets)
        self.n_tensors = [len(net.initial_state(1)) for net in nets]
        self.lookahead_frames = nets[0].lookahead_frames
        self.unit_frames = math.lcm(*(net.unit_frames for net in nets))
        context = max(net.context_frames for net in nets)
        self.context_frames = context + -context % self.unit_frames
        if any(self.n_tensors) and (self.context_frames or self.unit_frames > 1):
            raise ConfigError(
                "networks side by side: some remember and some work in chunks, expected one kind; "
                "write two files"
            )

    @property
    def _each(self) -> list[Estimator]:
        return list(self.nets)  # type: ignore[arg-type]

    def initial_state(self, batch: int) -> State:
        """Return the states of all networks, one after the other."""
        return tuple(tensor for net in self._each for tensor in net.initial_state(batch))

    def forward(self, x: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Return what all put out, along the axis of sources, and their states."""
        outputs, following = [], []
        for net, n_tensors in zip(self._each, self.n_tensors, strict=True):
            output, after = net(x, state[:n_tensors])
            outputs.append(output)
            following += after
            state = state[n_tensors:]
        return torch.cat(outputs, dim=1), tuple(following)
