"""What a network is made of, and what training and export ask of it.

A network is ``front -> backbone -> head -> masks``, put together in
:class:`unmask.nets.estimator.Estimator`. Inside, axes are ``(batch, map, frame, bin)``: a frame
alone is still a long row. Whatever remembers takes what it saw last and returns what it must see
next, so that a recording cut anywhere in time gives the same numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from unmask.frontends import STFT, Frames
from unmask.masks.family import Family

State = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a front shows a backbone: ``(batch, n_maps, frame, n_bins)``."""

    n_maps: int
    n_bins: int
    n_phaseless: int = 0
    """Of the maps, the last ones, which hold magnitudes."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """Features of some bins, and the layer that a head ends with there.

    Bins of the regions of a network follow each other, from 0 Hz up.
    """

    n_features: int
    """Maps of the features."""
    n_bins: int
    """Bins that the layer puts out."""
    readout: Callable[[int, int], nn.Module]
    """``(n_in, n_out)`` -> layer from (batch, n_in, frame, place) to (batch, n_out, frame, bin)."""
    full: bool = True
    """Whether the head puts out all maps of a mask here, or the first only; the others are zero:
    for the upper half of a hybrid of a complex and a real family."""


class FrontSettings(Protocol):
    """Settings of a front: a frozen dataclass, the table ``[frontend]`` of a recipe."""

    def host(self) -> STFT | Frames:
        """Return the front-end of the host; refuse one that cannot be inverted."""

    def front(self, *, n_channels: int) -> "Front":
        """Return the network's part of it."""


class Front(Protocol):
    """What a backbone sees of what the host gives, and what the host takes of the masks."""

    n_channels: int
    """Channels of a recording that are seen at once."""
    seen: Seen
    repeat_last: bool
    """Whether there is one bin more to mask than is seen, which shares its neighbour's mask."""

    def check(self, family: Family, *, lookahead: int) -> None:
        """Refuse masks that it cannot take, or that come too many frames late."""

    def example(self, batch: int, n_frames: int) -> Tensor:
        """Return silence, as the host gives it."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return what a backbone sees, (batch, map, frame, bin)."""

    def finish(self, masks: Tensor, seen: Tensor) -> Tensor:
        """Return what the host takes, of masks (batch, source, part, channel, freq, frame)."""


class Clock(Protocol):
    """How a network, or its backbone, runs through time.

    A *streaming* one has a state and can be cut anywhere: `unit_frames` is 1, `context_frames` 0. A
    *chunk* one has none: frames must be a multiple of `unit_frames`, and what comes out of a chunk
    that starts and ends on such multiples depends on `context_frames` to either side of it. What a
    file holds of one may be streaming and still work in units, see :mod:`unmask.nets.in_use`.
    """

    lookahead_frames: int
    """Frames that what comes out is late, and sees ahead."""
    context_frames: int
    unit_frames: int

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame of `batch` recordings: zeros."""


class Backbone(Clock, Protocol):
    """Features of what a front shows: everything between encoder and masks."""

    @property
    def regions(self) -> Sequence[Region]:
        """What it puts out, from 0 Hz up."""

    def __call__(self, x: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Return the features of every region, and the state for the frames that follow."""


class Network(Clock, Protocol):
    """What training, counting and export need to know of a network."""

    front: Front
    family: Family
    """Of its masks."""
    n_sources: int
    """Sources that come out."""
    n_channels: int
    """Channels of a recording that it sees at once."""

    def __call__(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return what the file of a model gives, see docs/architecture.md, and the next state."""
