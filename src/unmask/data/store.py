"""Where recordings are: on disk, or held in the memory of a device; both give the same samples.

What is read is written down first, as pieces of recordings, so that a whole batch is read at once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from unmask._arrays import namespace


class Recording(NamedTuple):
    """Samples of 16 bits in the cache; the file is not kept open, there may be thousands."""

    file: Path
    offset: int
    """Bytes before the first sample."""
    n_samples: int
    """Of all parts and channels, one after the other."""

    @classmethod
    def of(cls, file: Path) -> Self:
        """Return what `file`, an array of NumPy, holds."""
        header = np.load(file, mmap_mode="r")
        return cls(file, header.offset, header.size)

    def read(self, start: int, n_samples: int) -> Any:
        """Return `n_samples` from `start` on, int16."""
        return np.fromfile(self.file, np.int16, n_samples, offset=self.offset + 2 * start)


class Piece(NamedTuple):
    """Some samples of a recording."""

    recording: Recording
    start: int
    n_samples: int
    unit: float
    """What counts as 1, in steps of the 16 bits."""


#: What one channel of an excerpt is strung together from; behind the last piece is silence.
Row = Sequence[Piece]


class Store(Protocol):
    """Reads, and keeps the numbers that go with what it reads."""

    def rows(self, rows: Sequence[Row], n_samples: int) -> Any:
        """Return the samples of `rows`, shape (row, sample)."""

    def array(self, values: Any) -> Any:
        """Return real numbers where the samples are, in their precision."""


class Disk:
    """Reads the files of the cache, float32 on the CPU."""

    def rows(self, rows: Sequence[Row], n_samples: int) -> Any:
        """Return the samples of `rows`, float32 of shape (row, sample)."""
        out = np.zeros((len(rows), n_samples), np.float32)
        for row, into in zip(rows, out, strict=True):
            end = 0
            for piece in row:
                start, end = end, end + piece.n_samples
                into[start:end] = piece.recording.read(piece.start, piece.n_samples)
                into[start:end] /= piece.unit
        return out

    def array(self, values: Any) -> Any:
        """Return `values` as float32."""
        return np.asarray(values, np.float32)


class Held:
    """Reads from recordings that are held in memory, of a device or of the machine.

    Parameters
    ----------
    samples : int16 array [shape=(sample,)]
        All recordings, one after the other, of any library.
    recordings : sequence of Recording
        What they are, in that order.
    dtype : optional
        Floating-point type of that library which examples are made in; float32 if not given.
    """

    def __init__(self, samples: Any, recordings: Sequence[Recording], dtype: Any = None) -> None:
        self._xp = namespace(samples)
        self._samples, self._dtype = samples, dtype or self._xp.float32
        ends = np.cumsum([one.n_samples for one in recordings]).tolist()
        starts = [0, *ends[:-1]]
        self._starts = {one.file: at for one, at in zip(recordings, starts, strict=True)}

    def array(self, values: Any) -> Any:
        """Return `values` on the device."""
        return self._moved(values, self._dtype)

    def rows(self, rows: Sequence[Row], n_samples: int) -> Any:
        """Return the samples of `rows`, shape (row, sample)."""
        xp, n_pieces = self._xp, max(map(len, rows))
        # Of every piece: where its row's samples would begin if it were all there is, its first
        # place in the row, its unit. Missing ones begin where nothing is read any more.
        begins = np.zeros((n_pieces, len(rows), 1), np.int64)
        firsts = np.full((n_pieces, len(rows), 1), n_samples)
        units = np.ones((n_pieces, len(rows), 1))
        ends = np.zeros((len(rows), 1), np.int64)
        for k, row in enumerate(rows):
            for p, piece in enumerate(row):
                firsts[p, k] = ends[k]
                begins[p, k] = self._starts[piece.recording.file] + piece.start - ends[k]
                units[p, k] = piece.unit
                ends[k] += piece.n_samples
        place = self._moved(np.arange(n_samples), xp.int64)
        index, unit = (self._moved(x, xp.int64) for x in (begins, firsts)), self.array(units)
        begin, first = index
        at, scale = begin[0] + place, unit[0]
        for p in range(1, n_pieces):
            later = place >= first[p]
            at = xp.where(later, begin[p] + place, at)
            scale = xp.where(later, unit[p], scale)
        heard = place < self._moved(ends, xp.int64)
        found = xp.astype(self._samples[xp.where(heard, at, xp.zeros_like(at))], self._dtype)
        return xp.where(heard, found / scale, xp.zeros_like(found))

    def _moved(self, values: Any, dtype: Any) -> Any:
        return self._xp.asarray(values, dtype=dtype, device=self._samples.device)
