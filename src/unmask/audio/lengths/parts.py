"""What a walk through a container finds, and the bytes that it walks over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from unmask.errors import AudioFileError

#: More pieces than these before the sound are no header of a recording.
MOST_CHUNKS = 10_000
_PIECE = 1 << 18


@dataclass(frozen=True)
class Part:
    """One recording in a file, from byte `start` to byte `stop`."""

    start: int
    stop: int
    patches: tuple[tuple[int, bytes], ...] = ()
    """Places in the file where other bytes are to be read: lengths put right."""
    head: bytes = b""
    """What is to be read before `start`: a header that is missing."""
    n_samples: int | None = None
    """Samples that were counted, where the decoder would guess."""


@dataclass(frozen=True)
class Found:
    """A recording at some place, and where what comes behind it starts."""

    part: Part
    end: int
    bytes_per_s: float = 0.0
    """Of its sound; 0 if bytes have no fixed duration."""
    remark: str = ""


@dataclass(frozen=True)
class Extent:
    """What a file holds."""

    parts: tuple[Part, ...] = ()
    """Recordings, one behind the other; none if FFmpeg is to read the file."""
    remarks: tuple[str, ...] = ()
    """What is odd about the length."""


class Bytes:
    """A file to walk through; what is beyond its end is not there."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.size = file.seek(0, 2)

    def at(self, place: int, n_bytes: int) -> bytes:
        """Return up to `n_bytes` from `place` on."""
        if not 0 <= place < self.size:
            return b""
        self.file.seek(place)
        return self.file.read(max(0, n_bytes))

    def find(self, wanted: bytes | re.Pattern[bytes], place: int) -> int | None:
        """Return where `wanted`, at most 16 bytes, is found first; reads in pieces."""
        piece = _PIECE >> 4
        while place < self.size:
            data = self.at(place, piece + 15)
            if isinstance(wanted, bytes):
                at = data.find(wanted)
            else:
                at = found.start() if (found := wanted.search(data)) else -1
            if at >= 0:
                return place + at
            place, piece = place + piece, _PIECE
        return None

    def damaged(self, what: str) -> AudioFileError:
        """Make the error for a file that cannot be a recording."""
        return AudioFileError(
            f"{self.path}: is damaged, {what}; copy it again or convert it to WAV"
        )

    def short(self, n_bytes: int) -> AudioFileError:
        """Make the error for a file that lacks `n_bytes`."""
        return truncated(self.path, f"{n_bytes} bytes before its header says")


def truncated(path: Path, where: str) -> AudioFileError:
    """Make the error for a file that ends too early."""
    return AudioFileError(
        f"{path}: is truncated, it ends {where}; "
        "copy or download it again, or convert it to WAV to use what is there"
    )
