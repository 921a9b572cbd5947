"""What is drawn of a passage: some frames of one channel, kept as they go by."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from unmask._arrays import Array
from unmask.mask_analysis.applied import AppliedMasks, of_pieces
from unmask.mask_analysis.passage import Passage


class Thinned:
    """A passage of which some frames of one channel are kept as they go by, to be drawn.

    Parameters
    ----------
    passage : Passage
    channel : int
        Counted from 0.
    most : int
        Every frame is kept of a passage of so many, every second one of up to twice as many, ...
    """

    def __init__(self, passage: Passage, *, channel: int, most: int = 512) -> None:
        self.passage, self._channel = passage, channel
        self.step = -(-(passage.frames.stop - passage.frames.start) // most)
        self._kept: list[AppliedMasks] = []

    @property
    def frame_s(self) -> float:
        """Step between frames of the passage in seconds."""
        return self.passage.frame_s

    def spectra(self) -> Iterator[Mapping[str, Array]]:
        """Yield those of the passage."""
        return self.passage.spectra()

    def pieces(self) -> Iterator[AppliedMasks]:
        """Yield those of the passage."""
        missing, kept = not self._kept, []
        for piece in self.passage.pieces():
            if missing:
                kept.append(self._thin(piece))
            yield piece
        self._kept = self._kept or kept

    def _thin(self, piece: AppliedMasks) -> AppliedMasks:
        first = (self.passage.frames.start - piece.first_frame) % self.step

        def some(x: Array) -> Array:
            return np.array(x[self._channel : self._channel + 1, :, first :: self.step])

        return replace(
            piece,
            masks={name: some(mask) for name, mask in piece.masks.items()},
            mixture=some(piece.mixture),
            targets={name: some(piece.targets[name]) for name in piece.masks},
        )

    def drawn(self) -> AppliedMasks:
        """Return what was kept when the pieces went by, as if frames were `step` hops apart."""
        return of_pieces(self._kept)

    @property
    def times_s(self) -> Array:
        """Centres of the frames that are kept, in the recording, in seconds."""
        frames = self.passage.frames
        return np.arange(frames.start, frames.stop, self.step) * self.frame_s
