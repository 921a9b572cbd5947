"""A temporal convolutional network: dilated convolutions over frames (Conv-TasNet)."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.blocks import reshape, whole_frame
from unmask.nets.contract import Region, Seen, State
from unmask.nets.norms import CumulativeNorm, global_norm, of_segments, to_segments

#: What is normalised over: all frames so far, a whole segment, all of a batch.
NORMS = ("cumulative", "global", "batch")


@dataclass(frozen=True, kw_only=True)
class TCNConfig:
    """Settings of :class:`TCN`; what it sees comes from the front-end."""

    seen: Seen
    channels: int = 128
    """Maps between blocks, B in the paper."""
    hidden: int = 512
    """Maps inside a block, H."""
    skip: int = 128
    """Maps that every block gives to the head, Sc."""
    kernel: int = 3
    """Frames that a convolution sees, P; odd."""
    blocks: int = 8
    """Blocks of a repeat, X; each looks twice as far as the one before."""
    repeats: int = 3
    """Times that this is done, R."""
    causal: bool = True
    """Whether only the past is seen; then it streams."""
    norm: str = "cumulative"
    """One of :data:`NORMS`; ``cumulative`` is causal, ``global`` is not, ``batch`` is either."""
    segment: int = 4000
    """With the norm ``global``: frames that are normalised together, and separated from all others.
    Best as many as the examples of the training have."""

    def __post_init__(self) -> None:
        sizes = (self.channels, self.hidden, self.skip, self.blocks, self.repeats, self.segment)
        if min(sizes) < 1 or self.kernel < 1 or self.kernel % 2 == 0:
            raise ConfigError(
                f"backbone: channels, hidden, skip, blocks, repeats and segment = {list(sizes)}, "
                f"kernel = {self.kernel}; expected >= 1, and the kernel odd"
            )
        if self.blocks > 12:
            raise ConfigError(f"backbone: blocks = {self.blocks}, expected at most 12")
        if self.norm not in NORMS:
            raise ConfigError(f"backbone: norm {self.norm!r}; there are {list(NORMS)}")
        if self.norm == ("global" if self.causal else "cumulative"):
            hears = "hears the future" if self.causal else "is of the past only"
            raise ConfigError(
                f"backbone: norm {self.norm!r} {hears}, causal is {str(self.causal).lower()}; "
                "change one of them"
            )

    @property
    def reach(self) -> int:
        """Frames to the farthest that convolutions see, on one side where they look both ways."""
        sides = 1 if self.causal else 2
        doubled: int = 2**self.blocks - 1
        return self.repeats * (self.kernel - 1) // sides * doubled


class TCN(nn.Module):
    """Blocks of a layer, a dilated depthwise convolution over frames, and a layer, with skips.

    The separator of Conv-TasNet (Luo and Mesgarani, 2019). All bins of a frame are one vector; the
    features that the head gets are the rectified sum of what all blocks give. The residual layer of
    the last block, which the paper counts and nothing hears, is left out.

    Causal, it streams: the state holds what the convolutions see again and, with cumulative
    normalisation, how many frames there were and their sums. Not causal, it is a chunk network:
    with batch normalisation of a context as long as its convolutions reach, with global
    normalisation of segments by themselves.
    """

    lookahead_frames = 0

    def __init__(self, config: TCNConfig) -> None:
        super().__init__()
        self.config, seen = config, config.seen
        self.unit_frames = config.segment if config.norm == "global" else 1
        self.context_frames = 0 if config.causal or config.norm == "global" else config.reach
        n_seen = seen.n_maps * seen.n_bins
        self.norm = _norm(config.norm, n_seen)
        self.down = nn.Conv1d(n_seen, config.channels, 1)
        n_blocks = config.repeats * config.blocks
        self.blocks = nn.ModuleList(
            Block(config, 2 ** (k % config.blocks), last=k == n_blocks - 1) for k in range(n_blocks)
        )
        self.last = nn.PReLU()
        readout = partial(whole_frame, n_bins=seen.n_bins)
        self.regions = [
            Region(n_features=config.skip, n_bins=seen.n_bins, n_places=1, readout=readout)
        ]

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame of `batch` recordings: zeros."""
        config = self.config
        if not config.causal:
            return ()
        shapes: list[tuple[int, ...]] = []
        if config.norm == "cumulative":
            shapes += [(1, 1), (1 + 2 * len(self.blocks), 2, 1)]
        shapes += [(config.hidden, block.past) for block in self._each if block.past]
        return tuple(self.down.weight.new_zeros((batch, *shape)) for shape in shapes)

    def forward(self, x: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Return the features (batch, map, frame, 1), and the state after the last frame.

        Parameters
        ----------
        x : Tensor [shape=(batch, map, frame, bin)]
            What it sees.
        state : tuple of Tensor
            What the previous call returned, or :meth:`initial_state`.
        """
        batch = x.shape[0]
        if self.config.norm == "global":
            x = to_segments(x, self.unit_frames)
        else:
            x = reshape(x.transpose(2, 3), 0, self.down.in_channels, -1)
        memory = Memory(state, cumulative=self.config.norm == "cumulative", like=x)
        x = self.down(memory.normalised(self.norm, x))
        total = None
        for block in self._each:
            x, skip = block(x, memory)
            total = skip if total is None else total + skip
        x = self.last(total)
        if self.config.norm == "global":
            return [of_segments(x, batch)], ()
        return [x.unsqueeze(-1)], memory.following()

    @property
    def _each(self) -> "list[Block]":
        return list(self.blocks)  # type: ignore[arg-type]


class Memory:
    """The state, in the order in which layers ask for it; what there is to keep of it.

    Parameters
    ----------
    state : tuple of Tensor
        Empty, or counts, sums and frames.
    cumulative : bool
        Whether counts and sums are among it.
    like : Tensor [shape=(batch, map, frame)]
        The input.
    """

    def __init__(self, state: State, *, cumulative: bool, like: Tensor) -> None:
        self._streams = bool(state)
        self._kept: list[Tensor] = []
        self._sums: list[Tensor] = []
        self._before: list[Tensor] = []
        self._count: Tensor | None = None
        if cumulative:
            self._count = state[0] + torch.cumsum(torch.ones_like(like[:, :1]), dim=2)
            self._before = list(torch.split(state[1], 1, dim=1))
        self._pasts = iter(state[2:] if cumulative else state)

    def normalised(self, norm: nn.Module, x: Tensor) -> Tensor:
        """Return what a layer of normalisation makes of `x`."""
        if self._count is None:
            made: Tensor = norm(x)
            return made
        sums = self._before[len(self._sums)].squeeze(1)
        x, sums = norm(x, sums, self._count)
        self._sums.append(sums)
        return x

    def extended(self, x: Tensor, past: int) -> Tensor:
        """Return the `past` frames before `x`, and `x`; as it is where nothing is remembered."""
        if not (self._streams and past):
            return x
        x = torch.cat([next(self._pasts), x], dim=2)
        self._kept.append(x[:, :, -past:])
        return x

    def following(self) -> State:
        """Return the state after the last frame."""
        if self._count is None:
            return tuple(self._kept)
        return (self._count[:, :, -1:], torch.stack(self._sums, dim=1), *self._kept)


class Block(nn.Module):
    """A layer, a depthwise convolution, a layer each for what goes on and what goes to the head.

    Parameters
    ----------
    config : TCNConfig
    dilation : int
        Frames between the taps.
    last : bool
        Whether nothing goes on.
    """

    def __init__(self, config: TCNConfig, dilation: int, *, last: bool) -> None:
        super().__init__()
        reach, hidden = (config.kernel - 1) * dilation, config.hidden
        self.past = reach if config.causal else 0
        self.up = nn.Conv1d(config.channels, hidden, 1)
        self.bends = nn.ModuleList(nn.PReLU() for _ in range(2))
        self.norms = nn.ModuleList(_norm(config.norm, hidden) for _ in range(2))
        self.over_time = nn.Conv1d(
            hidden,
            hidden,
            config.kernel,
            dilation=dilation,
            groups=hidden,
            padding=0 if config.causal else reach // 2,
        )
        self.down = None if last else nn.Conv1d(hidden, config.channels, 1)
        self.skip = nn.Conv1d(hidden, config.skip, 1)

    def forward(self, x: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return what goes on and what goes to the head, of `x` (batch, map, frame)."""
        y = memory.normalised(self.norms[0], self.bends[0](self.up(x)))
        y = self.over_time(memory.extended(y, self.past))
        y = memory.normalised(self.norms[1], self.bends[1](y))
        return x if self.down is None else x + self.down(y), self.skip(y)


def _norm(kind: str, n_maps: int) -> nn.Module:
    """Return a layer of normalisation by name."""
    if kind == "batch":
        return nn.BatchNorm1d(n_maps)
    return CumulativeNorm(n_maps) if kind == "cumulative" else global_norm(n_maps)
