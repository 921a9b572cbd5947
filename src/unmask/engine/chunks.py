"""Samples of a stream, handed on as a network wants them: at once, or collected to chunks."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from unmask._arrays import Array
from unmask.errors import ConfigError

# Frames of a chunk, in lengths of the context on both sides: a quarter of what the network is given
# is context. With a U-Net a third as many took a third more time, twice as many saved none.
_CONTEXTS = 3
_LEAST_FRAMES = 32
# More have no use, and would not fit in memory.
_MOST_FRAMES = 10_000


class Pieces:
    """Hands on every block as it comes, but never more than `n_samples` at a time."""

    def __init__(self, n_channels: int, n_samples: int) -> None:
        self._n_channels, self._n_samples = n_channels, n_samples

    def push(self, block: Array) -> Iterable[Array]:
        """Take in `block` (channel, sample) and return all of it."""
        n_samples, step = block.shape[1], self._n_samples
        if n_samples <= step:
            return (block,)
        return (block[:, start : start + step] for start in range(0, n_samples, step))

    def rest(self) -> Array:
        """Return the samples that were not handed on: none."""
        return np.zeros((self._n_channels, 0), np.float32)


class Chunks:
    """Takes blocks of any size and hands on chunks.

    Parameters
    ----------
    n_channels : int
    n_first, n_next : int
        Samples of the first chunk and of all others.
    """

    def __init__(self, n_channels: int, n_first: int, n_next: int) -> None:
        self._n_next, self._n_in = n_next, 0
        self._chunk = np.empty((n_channels, n_first), np.float32)

    def push(self, block: Array) -> Iterator[Array]:
        """Take in `block` (channel, sample) and yield the chunks that it completes."""
        while block.shape[1]:
            n = min(block.shape[1], self._chunk.shape[1] - self._n_in)
            self._chunk[:, self._n_in : self._n_in + n] = block[:, :n]
            self._n_in += n
            block = block[:, n:]
            if self._n_in == self._chunk.shape[1]:
                full = self._chunk
                self._chunk = np.empty((full.shape[0], self._n_next), np.float32)
                self._n_in = 0
                yield full

    def rest(self) -> Array:
        """Return the samples that were not handed on, of the chunk that is not complete."""
        return self._chunk[:, : self._n_in]


def n_chunk_frames(*, context: int, unit: int, wanted: int | None) -> int:
    """Return the frames of a chunk, 0 for what a network that takes any number gets at once.

    Parameters
    ----------
    context : int
        Frames to either side that a mask depends on.
    unit : int
        Frames are a multiple of this.
    wanted : int
        What the user asks for, if anything.

    Raises
    ------
    ConfigError
        If `wanted` is no multiple of `unit`, or above 10000.
    """
    if wanted is None:
        if not context and unit == 1:
            return 0
        return unit * math.ceil(max(2 * _CONTEXTS * context, _LEAST_FRAMES) / unit)
    if not 1 <= wanted <= _MOST_FRAMES or wanted % unit:
        raise ConfigError(
            f"chunk_frames: {wanted}, expected a multiple of {unit}, at most {_MOST_FRAMES}"
        )
    return wanted
