"""Several networks side by side: one for each source, one file for all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ParallelConfig:
    """What the networks of a :class:`Parallel` have in common, and their sources in all."""

    n_freq: int
    n_sources: int
    n_maps: int


class Parallel(nn.Module):
    """Networks that see the same spectrum; the sources of the first come first.

    Parameters
    ----------
    nets : sequence of Module
        As :func:`unmask.nets.build` returns them, with the same bins, maps a source and frames of
        lookahead; all streaming, or all in chunks.

    Raises
    ------
    ConfigError
        If there are none, or they cannot share a spectrum, a mask family or a clock.
    """

    def __init__(self, nets: Sequence[Any]) -> None:
        super().__init__()
        shared = {
            "bins": [net.config.n_freq for net in nets],
            "maps a source": [net.config.n_maps for net in nets],
            "frames of lookahead": [net.lookahead_frames for net in nets],
        }
        for subject, values in shared.items():
            if len(set(values)) != 1:
                raise ConfigError(f"networks side by side: {subject} {values}, expected the same")
        self.nets = nn.ModuleList(nets)
        self.n_tensors = [len(net.initial_state(1)) for net in nets]
        self.lookahead_frames = shared["frames of lookahead"][0]
        self.unit_frames = math.lcm(*(net.unit_frames for net in nets))
        context = max(net.context_frames for net in nets)
        self.context_frames = context + -context % self.unit_frames
        if any(self.n_tensors) and (self.context_frames or self.unit_frames > 1):
            raise ConfigError(
                "networks side by side: some remember and some work in chunks, expected one kind; "
                "write two files"
            )
        self.config = ParallelConfig(
            n_freq=shared["bins"][0],
            n_sources=sum(net.config.n_sources for net in nets),
            n_maps=shared["maps a source"][0],
        )

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        """Return the states of all networks, one after the other."""
        nets: list[Any] = list(self.nets)
        return tuple(tensor for net in nets for tensor in net.initial_state(batch))

    def forward(
        self, spectrum: Tensor, state: tuple[Tensor, ...] = ()
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the raw maps (batch, source, map, freq, frame) of all, and their states."""
        raws, following = [], []
        for net, n_tensors in zip(self.nets, self.n_tensors, strict=True):
            raw, after = net(spectrum, state[:n_tensors])
            raws.append(raw)
            following += after
            state = state[n_tensors:]
        return torch.cat(raws, dim=1), tuple(following)
