"""A dual-path recurrent network: along chunks and across them (DPRNN)."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.blocks import whole_frame
from unmask.nets.contract import Region, Seen, State
from unmask.nets.norms import global_norm, of_segments, to_segments


@dataclass(frozen=True, kw_only=True)
class DualPathConfig:
    """Settings of :class:`DualPath`; what it sees comes from the front-end."""

    seen: Seen
    channels: int = 64
    """Maps between layers."""
    hidden: int = 128
    """Width of a recurrent layer, in each direction."""
    blocks: int = 6
    chunk: int = 100
    """Frames of a chunk, even; neighbours overlap by half."""
    segment: int = 4000
    """Frames that are heard together, and separated from all others: a multiple of half a chunk.
    Best as many as the examples of the training have."""

    def __post_init__(self) -> None:
        sizes = (self.channels, self.hidden, self.blocks, self.chunk, self.segment)
        if min(sizes) < 1:
            raise ConfigError(
                f"backbone: channels, hidden, blocks, chunk and segment = {list(sizes)}, expected "
                ">= 1"
            )
        if self.chunk % 2 or self.segment % (self.chunk // 2):
            raise ConfigError(
                f"backbone: chunk = {self.chunk} and segment = {self.segment}, expected an even "
                "chunk and a segment of a multiple of its half"
            )


class DualPath(nn.Module):
    """Recurrent layers along chunks of frames and across chunks, in turn, both ways in time.

    The separator of DPRNN-TasNet (Luo, Chen and Yoshioka, 2020). All bins of a frame are one
    vector. Chunks overlap by half; a block runs along each chunk, then across all chunks at each
    place of theirs, with a layer, global normalisation and a sum after either.

    It hears a whole segment before it says anything: a chunk network that works in units of a
    segment, each by itself.
    """

    lookahead_frames = context_frames = 0

    def __init__(self, config: DualPathConfig) -> None:
        super().__init__()
        self.config, seen = config, config.seen
        self.unit_frames = config.segment
        n_seen = seen.n_maps * seen.n_bins
        self.norm = global_norm(n_seen)
        self.down = nn.Conv1d(n_seen, config.channels, 1)
        self.blocks = nn.ModuleList(
            Path(config.channels, config.hidden) for _ in range(2 * config.blocks)
        )
        self.last = nn.PReLU()
        readout = partial(whole_frame, n_bins=seen.n_bins)
        self.regions = [
            Region(n_features=config.channels, n_bins=seen.n_bins, n_places=1, readout=readout)
        ]

    def initial_state(self, batch: int) -> State:
        """Return the state: none."""
        return ()

    def forward(self, x: Tensor, state: State = ()) -> tuple[list[Tensor], State]:
        """Return the features (batch, map, frame, 1), and no state.

        Parameters
        ----------
        x : Tensor [shape=(batch, map, frame, bin)]
            What it sees; frames are a multiple of `unit_frames`.
        state : tuple
            Empty.
        """
        batch = x.shape[0]
        x = self.down(self.norm(to_segments(x, self.unit_frames)))
        x = self._in_chunks(x)  # (segment, map, chunk, frame of the chunk)
        for k, path in enumerate(self.blocks):
            x = path(x) if k % 2 == 0 else path(x.transpose(2, 3)).transpose(2, 3)
        x = self.last(self._added(x))
        return [of_segments(x, batch)], ()

    def _in_chunks(self, x: Tensor) -> Tensor:
        """Return chunks of frames (segment, map, frame); every frame is in two of them."""
        half = self.config.chunk // 2
        x = nn.functional.pad(x, (half, half))
        halves = x.reshape(-1, x.shape[1], x.shape[2] // half, half)
        return torch.cat([halves[:, :, :-1], halves[:, :, 1:]], dim=3)

    def _added(self, x: Tensor) -> Tensor:
        """Return the frames (segment, map, frame) that chunks add up to."""
        first, second = torch.split(x, self.config.chunk // 2, dim=3)
        return (second[:, :, :-1] + first[:, :, 1:]).flatten(2)


class Path(nn.Module):
    """A recurrent layer both ways along the last axis, then a layer; added to the input.

    Parameters
    ----------
    n_maps : int
        Of the input (batch, map, place, step).
    hidden : int
        Width in each direction.
    """

    def __init__(self, n_maps: int, hidden: int) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(n_maps, hidden, bidirectional=True)
        self.down = nn.Linear(2 * hidden, n_maps)
        self.norm = global_norm(n_maps)
        self.register_buffer("silence", torch.zeros(2, 1, hidden), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output, of the shape of `x`."""
        n_maps, n_places, n_steps = x.shape[1:]
        y = x.permute(3, 0, 2, 1).reshape(n_steps, -1, n_maps)
        # A first state that follows the batch: the exporter would write its own as a constant.
        first = self.get_buffer("silence") + 0 * y[:1, :, :1]
        y = self.down(self.recurrent(y, (first, first))[0])
        y = y.reshape(n_steps, -1, n_places, n_maps).permute(1, 3, 2, 0)
        added: Tensor = x + self.norm(y)
        return added
