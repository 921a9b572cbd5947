"""A part of a file as a file of its own, for a decoder that believes headers."""

from __future__ import annotations

import io
from bisect import bisect_left
from pathlib import Path

from unmask.audio.lengths.parts import Part

_LONGEST = 64


class View(io.RawIOBase):
    """Read `part` of a file with its head before it and its patches in place."""

    def __init__(self, path: Path, part: Part) -> None:
        self._file = path.open("rb")
        self._part = part
        self._patches = sorted(part.patches)
        self._size = len(part.head) + part.stop - part.start
        self._place = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place from the beginning of the part."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the part."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill `buffer`, which is shorter only at the end."""
        start, head = self._place, self._part.head
        n_bytes = max(0, min(len(buffer), self._size - start))
        data = bytearray(head[start : start + n_bytes])
        self._file.seek(self._part.start + max(0, start - len(head)))
        data += self._file.read(n_bytes - len(data))
        # Patches are short: those that may reach into what is read.
        begin = self._part.start + start - len(head)
        first = bisect_left(self._patches, (begin - _LONGEST,))
        last = bisect_left(self._patches, (begin + n_bytes,))
        for place, patch in self._patches[first:last]:
            at = place - self._part.start + len(head) - start
            low, high = max(0, at, len(head) - start), min(len(data), at + len(patch))
            if low < high:
                data[low:high] = patch[low - at : high - at]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
