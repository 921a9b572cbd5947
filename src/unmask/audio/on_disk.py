"""Sound files that are indexed like arrays, of which no more than a piece is in memory."""

from collections.abc import Iterable, Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.audio.formats import BLOCK, Place, placed
from unmask.audio.reading import info, read_blocks
from unmask.errors import AudioFileError

# Samples that are kept behind the last ones asked for: work on blocks that overlap goes back a bit.
_KEPT = 1 << 16


class OnDisk:
    """The samples of a sound file: ``signal[:, first:last]`` is an array of them.

    Made for work that goes through a recording from its beginning to its end, in pieces that may
    overlap: then the file is decoded once for every pass.

    Parameters
    ----------
    path : path or Place

    Attributes
    ----------
    place : Place
    shape : (int, int)
        (channel, sample).
    sample_rate : int
        In Hz.

    Raises
    ------
    AudioFileError, MissingExtraError
        As `info`; as `read_blocks` when samples are asked for.
    """

    ndim = 2

    def __init__(self, path: str | Path | Place) -> None:
        self.place, found = placed(path), info(path)
        self.sample_rate = found.sample_rate
        self.shape = found.n_channels, found.n_samples
        self._blocks: Iterator[NDArray[Any]] = iter(())
        self._held: NDArray[Any] | None = None
        self._first = 0

    def __len__(self) -> int:
        """Return the number of channels."""
        return self.shape[0]

    def __getitem__(self, place: tuple[slice, slice]) -> NDArray[Any]:
        """Return the samples of a slice of all channels; its step is 1."""
        _, span = place
        first, last, _ = span.indices(self.shape[1])
        if first >= last:
            return np.empty((self.shape[0], 0), np.float32)
        if self._held is None or first < self._first:
            self._go_to(first)
        return self._until(first, last)

    def _go_to(self, first: int) -> None:
        start_s = first / self.sample_rate
        self._blocks, self._first = read_blocks(self.place, start_s=start_s), first
        self._held = next(self._blocks)

    def _until(self, first: int, last: int) -> NDArray[Any]:
        """Return samples that are not behind, and let go of those that are far behind."""
        assert self._held is not None
        parts, end = [self._held], self._first + self._held.shape[-1]
        while end < last:
            if (block := next(self._blocks, None)) is None:
                raise AudioFileError(f"{self.place}: ends early or was changed; make it again")
            parts.append(block)
            end += block.shape[-1]
        if len(parts) > 1:
            keep_from = max(self._first, min(first, last - _KEPT))
            self._held = np.concatenate(parts, axis=-1)[:, keep_from - self._first :]
            self._first = keep_from
        return self._held[:, first - self._first : last - self._first]

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield all of it in blocks (channel, sample), from the beginning."""
        yield from read_blocks(self.place, block=BLOCK)


class SumOnDisk:
    """The sum of one sound file or more, indexed as :class:`OnDisk` is.

    Parameters
    ----------
    paths : iterable of path or Place
        They agree in sample rate, channels and length.

    Attributes
    ----------
    shape : (int, int)
        (channel, sample).
    sample_rate : int
        In Hz.

    Raises
    ------
    AudioFileError, MissingExtraError
        As `OnDisk`.
    """

    ndim = 2

    def __init__(self, paths: Iterable[str | Path | Place]) -> None:
        self._parts = [OnDisk(path) for path in paths]
        self.shape, self.sample_rate = self._parts[0].shape, self._parts[0].sample_rate

    def __len__(self) -> int:
        """Return the number of channels."""
        return self.shape[0]

    def __getitem__(self, place: tuple[slice, slice]) -> NDArray[Any]:
        """Return the samples of a slice of all channels; its step is 1."""
        return reduce(np.add, [part[place] for part in self._parts])

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield all of it in blocks (channel, sample), from the beginning."""
        for blocks in zip(*(part.blocks() for part in self._parts), strict=True):
            yield reduce(np.add, blocks)

    def whole(self) -> NDArray[Any]:
        """Return all of it as one array."""
        return np.concatenate(list(self.blocks()), axis=-1)
