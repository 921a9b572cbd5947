"""A music network in use: with memory in place of context, so that no frame is computed twice."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from unmask.nets.contract import State
from unmask.nets.tfc_tdf import NORM_FLOOR, TFCTDF, UNIT, Block

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
        tape = Tape()
        with torch.no_grad():
            silence = next(net.parameters()).new_zeros(1, seen.n_maps, _SETTLED, seen.n_bins)
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
        tape = Tape(zip(state, self.silence, strict=True))
        x, _ = self._features(x, tape)
        return self.net.split(self.net.last(x)), tuple(tape.following)

    def _features(self, x: Tensor, tape: "Tape") -> tuple[Tensor, int]:
        """Return what the last block gives, and by how many frames it is late."""
        net, skips = self.net, []
        x, late = net.bands_of(tape.extended(x, 2), padding=0), 1
        for block, down in zip(_blocks(net.encoder), net.down, strict=True):
            x, late = _block(block, x, tape), late + sum(block.dilations)
            if late % 2:  # frames are paired as they are in the recording
                x, late = tape.delayed(x, 1), late + 1
            skips.append((x, late))
            x, late = down(x), late // 2
        for block in _blocks(net.inner):
            x, late = _block(block, x, tape), late + sum(block.dilations)
        for up, skip, block in zip(net.up, net.skip, _blocks(net.decoder), strict=True):
            x, late = up(x), 2 * late
            beside, waits = skips.pop()
            x = x + skip(tape.delayed(beside, late - waits))
            x, late = _block(block, x, tape), late + sum(block.dilations)
        return x, late


class Tape:
    """The frames that layers keep, in the order in which they are asked for.

    Parameters
    ----------
    kept : iterable of pairs of Tensor, optional
        What was kept, less what silence leaves; and that. Zeros when left out.
    """

    def __init__(self, kept: Iterator[tuple[Tensor, Tensor]] | None = None) -> None:
        self._kept, self.following = kept, list[Tensor]()

    def extended(self, x: Tensor, n: int) -> Tensor:
        """Return the `n` frames before `x` (batch, map, frame, band), and `x`."""
        past, silence = self._next(x, n)
        x = torch.cat([past + silence, x], dim=2)
        self.following.append(x[:, :, -n:] - silence)
        return x

    def delayed(self, x: Tensor, n: int) -> Tensor:
        """Return as many frames as `x` has, `n` late: for a long time, less is added than above."""
        past, silence = self._next(x, n)
        x = torch.cat([past, x - silence], dim=2)
        self.following.append(x[:, :, -n:])
        return x[:, :, :-n] + silence

    def _next(self, x: Tensor, n: int) -> tuple[Tensor, Tensor]:
        if self._kept:
            return next(self._kept)
        return torch.zeros_like(x[:, :, :n]), torch.zeros_like(x[:, :, :1])


def _block(block: Block, x: Tensor, tape: Tape) -> Tensor:
    """Return what a block gives, the sum of its dilations late."""
    first, second = block.dilations
    late = first + second
    n_kept = max(2 * first, late)
    x = tape.extended(x, n_kept)
    y = _over_time(block.first, x[:, :, n_kept - 2 * first :], dilation=first)
    y = tape.extended(y + block.over_bands(y), 2 * second)
    return x[:, :, n_kept - late : -late] + _over_time(block.second, y, dilation=second)


def _blocks(layers: nn.Module) -> list[Block]:
    return [layer for layer in layers.children() if isinstance(layer, Block)]


def _over_time(layer: nn.Sequential, x: Tensor, *, dilation: int) -> Tensor:
    """Return what a normalised convolution gives where all frames that it needs are there.

    The normalisation is a convolution of one tap in each map: ONNX Runtime runs it with the
    rectifier in one pass, in the layout of the convolution that follows.
    """
    mean, variance = (layer.get_buffer(f"0.running_{name}") for name in ("mean", "var"))
    scale = layer.get_parameter("0.weight") * (variance + NORM_FLOOR).rsqrt()
    shift = layer.get_parameter("0.bias") - mean * scale
    x = torch.relu(conv2d(x, scale[:, None, None, None], shift, groups=len(scale)))
    return conv2d(x, layer.get_parameter("2.weight"), padding=(0, 1), dilation=(dilation, 1))
