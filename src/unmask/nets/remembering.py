"""A music network in use: with memory in place of context, so that no frame is computed twice."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from unmask.nets.contract import State
from unmask.nets.tfc_tdf import TFCTDF, UNIT, Block

#: Frames of silence after which nothing is remembered of what was before.
_SETTLED = 32 * UNIT


class Remembering(nn.Module):
    """The features of a :class:`TFCTDF`, 94 frames late, from frames that come piece by piece.

    A chunk with its context on both sides is 192 frames longer than what comes of it. Here every
    convolution keeps the frames that it needs again, a skip those that the deeper scales are late
    by. What was before the first frame counts as silence, as it does for the other network; the
    state is the difference to what silence leaves, so that it starts as zeros.

    Parameters
    ----------
    net : TFCTDF
        In evaluation mode; layers are shared with it.
    """

    context_frames = 0
    unit_frames = UNIT

    def __init__(self, net: TFCTDF) -> None:
        super().__init__()
        self.net, self.regions = net, net.regions
        seen = net.config.seen
        tape = Tape(None)
        with torch.no_grad():
            silence = net.last[0].weight.new_zeros(1, seen.n_maps, _SETTLED, seen.n_bins)
            self.lookahead_frames = self._features(silence, tape)[1]
        for k, past in enumerate(tape.following):
            self.register_buffer(f"silence_{k}", past[:, :, -1:].clone())
        self.state_shapes = [tuple(past.shape[1:]) for past in tape.following]

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame of `batch` recordings: zeros."""
        return tuple(self.silence[0].new_zeros((batch, *shape)) for shape in self.state_shapes)

    @property
    def silence(self) -> list[Tensor]:
        """What silence leaves in each tensor of the state, (1, map, 1, band)."""
        return list(self.buffers(recurse=False))

    def forward(self, x: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Return the features of the bands of each region, and the state after the last frame.

        Parameters
        ----------
        x : Tensor [shape=(batch, map, frame, bin)]
            What it sees; frames are a multiple of `unit_frames`.
        state : tuple of Tensor
            What the previous call returned, or :meth:`initial_state`.
        """
        pairs = zip(state, self.silence, strict=True)
        tape = Tape(past + silence for past, silence in pairs)
        x, _ = self._features(x, tape)
        pairs = zip(tape.following, self.silence, strict=True)
        following = tuple(past - silence for past, silence in pairs)
        return self.net.split(self.net.last(x)), following

    def _features(self, x: Tensor, tape: "Tape") -> tuple[Tensor, int]:
        """Return what the last block gives, and by how many frames it is late."""
        net, skips = self.net, []
        x, late = net.bands_of(tape.extended(x, 2), padding=0), 1
        for block, down in zip(net.encoder, net.down, strict=True):
            x, late = _block(block, x, tape), late + sum(block.dilations)
            if late % 2:  # frames are paired as they are in the recording
                x, late = tape.delayed(x, 1), late + 1
            skips.append((x, late))
            x, late = down(x), late // 2
        for block in net.inner:
            x, late = _block(block, x, tape), late + sum(block.dilations)
        for up, skip, block in zip(net.up, net.skip, net.decoder, strict=True):
            x, late = up(x), 2 * late
            beside, waits = skips.pop()
            x = x + skip(tape.delayed(beside, late - waits))
            x, late = _block(block, x, tape), late + sum(block.dilations)
        return x, late


class Tape:
    """The frames that layers keep, in the order in which they are asked for.

    Parameters
    ----------
    past : iterable of Tensor, optional
        What was kept; zeros when left out.
    """

    def __init__(self, past: Iterator[Tensor] | None) -> None:
        self._past, self.following = past, list[Tensor]()

    def extended(self, x: Tensor, n: int) -> Tensor:
        """Return the `n` frames before `x` (batch, map, frame, band), and `x`."""
        past = next(self._past) if self._past else torch.zeros_like(x[:, :, :n])
        x = torch.cat([past, x], dim=2)
        self.following.append(x[:, :, -n:])
        return x

    def delayed(self, x: Tensor, n: int) -> Tensor:
        """Return as many frames as `x` has, `n` late."""
        return self.extended(x, n)[:, :, :-n]


def _block(block: Block, x: Tensor, tape: Tape) -> Tensor:
    """Return what a block gives, the sum of its dilations late."""
    first, second = block.dilations
    late = first + second
    n_kept = max(2 * first, late)
    x = tape.extended(x, n_kept)
    y = _over_time(block.first, x[:, :, n_kept - 2 * first :])
    y = tape.extended(y + block.over_bands(y), 2 * second)
    return x[:, :, n_kept - late : -late] + _over_time(block.second, y)


def _over_time(layer: nn.Sequential, x: Tensor) -> Tensor:
    """Return what a normalised convolution gives where all frames that it needs are there."""
    *before, convolution = layer
    for part in before:
        x = part(x)
    return conv2d(x, convolution.weight, padding=(0, 1), dilation=convolution.dilation)
