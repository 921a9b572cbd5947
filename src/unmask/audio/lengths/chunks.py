"""Containers of chunks, whose headers say how many bytes of samples follow: WAV and relatives."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from unmask.audio.lengths.parts import MOST_CHUNKS, Bytes, Found, Part

#: Writers to a pipe put these, or numbers just below them.
_UNKNOWN = ((0x7FFFF000, 0x80000000), (0xFFFFF000, 0xFFFFFFFF))
_WRAP = 1 << 32
#: What is no chunk that may follow samples, but sound.
_SOUND = {b"RIFF", b"RIFX", b"RF64", b"FORM", b"caff", b"fLaC", b"OggS", b"data", b"SSND"}


class Chunk(NamedTuple):
    """A piece of a container."""

    name: bytes
    field: int
    """Where its length is written."""
    start: int
    """Where its content starts."""
    length: int
    """What the header says of its content."""


def chunks(file: Bytes, place: int, order: str) -> Iterator[Chunk]:
    """Yield the chunks from `place` to the end of the file or to what is none."""
    for _ in range(MOST_CHUNKS):
        header = file.at(place, 8)
        if len(header) < 8 or not is_name(header[:4]):
            return
        name, length = struct.unpack(f"{order}4sI", header)
        yield Chunk(name, place + 4, place + 8, length)
        place += 8 + length + length % 2
    raise file.damaged(f"it has more than {MOST_CHUNKS} chunks")


def is_name(name: bytes) -> bool:
    """Tell whether four bytes name a chunk."""
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


def is_unknown(length: int) -> bool:
    """Tell whether a length of 32 bits is what writers put that do not know it."""
    return any(low <= length <= high for low, high in _UNKNOWN)


def behind(file: Bytes, place: int, order: str = "<") -> int:
    """Return where the chunks that start at `place` end; that of the file at most."""
    end = place
    for chunk in chunks(file, place, order):
        if chunk.name in _SOUND:
            break
        if chunk.start + chunk.length > file.size:  # no sound is lost, but it is no chunk either
            break
        end = min(file.size, chunk.start + chunk.length + chunk.length % 2)
    return end


def settle(
    file: Bytes, start: int, length: int, *, unknown: bool, tail: Callable[[int], int]
) -> tuple[int, int]:
    """Decide how many bytes of samples there are from `start` on, and where their tail ends.

    Parameters
    ----------
    file
        The whole of it.
    start
        Where samples begin.
    length
        What the header says.
    unknown
        The header leaves it open: all that is there are samples.
    tail
        Returns where what may follow samples that end at a place ends.
    """
    available = file.size - start
    if unknown or (length == 0 and tail(start) < file.size):
        return available, file.size
    if length > available:
        raise file.short(length - available)
    end = tail(start + length)
    more = length + (file.size - end) // _WRAP * _WRAP
    if more > length and tail(start + more) == file.size:  # the header holds 32 bits only
        return more, file.size
    return length, end


def riff(file: Bytes, start: int) -> Found:
    """WAV of either byte order, RF64 and BW64."""
    magic = file.at(start, 4)
    order = ">" if magic == b"RIFX" else "<"
    patches = [(start, b"RF64")] if magic == b"BW64" else []
    wide, rate, chunk = None, 0.0, None
    for chunk in chunks(file, start + 12, order):
        if chunk.name == b"data":
            break
        content = file.at(chunk.start, 16)
        if chunk.name == b"ds64" and len(content) == 16:
            wide = struct.unpack("<Q", content[8:])[0], chunk.start + 8
        if chunk.name == b"fmt " and len(content) == 16:
            rate = float(struct.unpack(f"{order}I", content[8:12])[0])
    else:
        _missing(file, chunk, start + 12)
        return Found(Part(start, file.size), file.size)
    return _data(file, start, order, chunk, wide, rate, patches)


def _missing(file: Bytes, last: Chunk | None, first: int) -> None:
    """Refuse a file without samples if its header breaks off; else libsndfile says what it is."""
    place = first if last is None else last.start + last.length + last.length % 2
    if place + 8 <= file.size:
        raise file.damaged(f"byte {place} starts no chunk and no samples came before")


def _data(
    file: Bytes,
    start: int,
    order: str,
    chunk: Chunk,
    wide: tuple[int, int] | None,
    rate: float,
    patches: list[tuple[int, bytes]],
) -> Found:
    length, unknown = chunk.length, is_unknown(chunk.length)
    if wide and chunk.length == 0xFFFFFFFF:
        length, unknown = wide[0], not 0 < wide[0] < 1 << 63

    def tail(end: int) -> int:
        return max(behind(file, end + (end - chunk.start) % 2, order), behind(file, end, order))

    n_bytes, end = settle(file, chunk.start, length, unknown=unknown, tail=tail)
    if n_bytes == length:
        return Found(Part(start, end, tuple(patches)), end, rate)
    stop = chunk.start + n_bytes
    if wide:
        patches = [*patches, (wide[1], struct.pack("<Q", n_bytes))]
    elif not is_unknown(chunk.length):
        patches = [*patches, (chunk.field, b"\xff" * 4)]
    if wide or n_bytes < _WRAP:
        return Found(Part(start, stop, tuple(patches)), end, rate)
    sizes = struct.pack("<IQQQI", 28, stop - start + 28, n_bytes, 0, 0)
    head = b"RF64\xff\xff\xff\xffWAVEds64" + sizes
    return Found(Part(start + 12, stop, tuple(patches), head), end, rate)


def aiff(file: Bytes, start: int) -> Found:
    """AIFF and AIFC."""
    chunk = None
    for chunk in chunks(file, start + 12, ">"):
        if chunk.name == b"SSND":
            break
    else:
        _missing(file, chunk, start + 12)
        return Found(Part(start, file.size), file.size)

    def tail(end: int) -> int:
        return max(behind(file, end + (end - chunk.start) % 2, ">"), behind(file, end, ">"))

    unknown = is_unknown(chunk.length)
    n_bytes, end = settle(file, chunk.start, chunk.length, unknown=unknown, tail=tail)
    fixed = struct.pack(">I", n_bytes if n_bytes < _WRAP else 0)  # which is the rest, too
    patches = () if n_bytes == chunk.length else ((chunk.field, fixed),)
    return Found(Part(start, end, patches), end)


def w64(file: Bytes, start: int) -> Found:
    """Sony Wave64: names of 16 bytes, lengths of 8 that count themselves and the name."""
    place, rate = start + 40, 0.0
    for _ in range(MOST_CHUNKS):
        header = file.at(place, 24)
        if len(header) < 24:
            return Found(Part(start, file.size), file.size)
        name, length = header[:4], struct.unpack("<Q", header[16:])[0]
        if name == b"data":
            break
        if name == b"fmt ":
            rate = float(struct.unpack("<I", file.at(place + 32, 4))[0])
        if length < 24:
            raise file.damaged(f"the chunk at byte {place} has no length")
        place += length + -length % 8
    else:
        raise file.damaged(f"it has more than {MOST_CHUNKS} chunks")
    unknown = length <= 24 or length >= 1 << 63
    unknown = unknown and file.size > place + 24

    def tail(end: int) -> int:
        end += (place - end) % 8
        while len(header := file.at(end, 24)) == 24 and is_name(header[:4]):
            size = struct.unpack("<Q", header[16:])[0]
            if size < 24 or end + size > file.size or header[:4] == b"riff":
                break
            end = min(file.size, end + size + -size % 8)
        return min(end, file.size)

    n_bytes, end = settle(file, place + 24, length - 24, unknown=unknown, tail=tail)
    patches = ((place + 16, struct.pack("<Q", n_bytes + 24)),) if n_bytes != length - 24 else ()
    return Found(Part(start, end, patches), end, rate)


def caf(file: Bytes, start: int) -> Found:
    """Apple's Core Audio Format; a length of -1 is the rest of the file."""
    place = start + 8
    for _ in range(MOST_CHUNKS):
        header = file.at(place, 12)
        if len(header) < 12 or not is_name(header[:4]):
            if len(header) == 12:
                raise file.damaged(f"byte {place} starts no chunk and no samples came before")
            return Found(Part(start, file.size), file.size)
        name, length = struct.unpack(">4sq", header)
        if name == b"data":
            break
        if length < 0:
            raise file.damaged(f"the chunk at byte {place} has no length")
        place += 12 + length
    else:
        raise file.damaged(f"it has more than {MOST_CHUNKS} chunks")

    def tail(end: int) -> int:
        while len(header := file.at(end, 12)) == 12 and is_name(header[:4]):
            size = struct.unpack(">q", header[4:])[0]
            if size < 0 or end + 12 + size > file.size or header[:4] == b"caff":
                break
            end += 12 + size
        return end

    unknown = length < 0
    n_bytes, end = settle(file, place + 12, length, unknown=unknown, tail=tail)
    patches = ((place + 4, struct.pack(">q", n_bytes)),) if n_bytes != length else ()
    return Found(Part(start, end, patches), end)
