"""FLAC: a header that may leave the length open, and frames that are numbered."""

from __future__ import annotations

import re
from typing import NamedTuple

from unmask.audio.lengths.parts import MOST_CHUNKS, Bytes, Found, Part, truncated

_FRAME = re.compile(rb"\xff[\xf8\xf9][\x10-\xff][\x00-\xaf]")
#: Bytes at the end of a file in which the last frame begins if the header does not say how long
#: frames are; the longest of 16 bits and two channels are below.
_TAIL = 1 << 17


class _Header(NamedTuple):
    """What STREAMINFO says."""

    block: int
    longest: int
    """Bytes of a frame; 0 if it does not say."""
    n_samples: int
    """0 if it does not say."""
    field: int
    """Where the length is written."""


def flac(file: Bytes, start: int) -> Found:
    """Take the length from the number of the last frame, as the header may not have it."""
    info = file.at(start + 8, 34)
    if len(info) < 34:
        return Found(Part(start, file.size), file.size)
    header = _Header(
        int.from_bytes(info[2:4], "big"),
        int.from_bytes(info[7:10], "big"),
        int.from_bytes(info[13:18], "big") & (1 << 36) - 1,
        start + 8 + 13,
    )
    sound = _behind_blocks(file, start + 4)
    stop = _next(file, sound, file.at(start, 8))  # the longer, the faster
    n_samples = _counted(file, header, sound, stop)
    if n_samples != header.n_samples:
        stop = _next(file, sound, b"fLaC")
        n_samples = _counted(file, header, sound, stop)
    if n_samples is None or n_samples == header.n_samples:
        return Found(Part(start, stop), stop)
    if n_samples < header.n_samples:
        where = f"after {n_samples} samples, its header promises {header.n_samples}"
        raise truncated(file.path, where)
    first = info[13] & 0xF0 | n_samples >> 32
    patch = bytes([first]) + (n_samples & 0xFFFFFFFF).to_bytes(4, "big")
    remark = f"says {header.n_samples} samples in its header, {n_samples} are there"
    return Found(Part(start, stop, ((header.field, patch),)), stop, remark=remark)


def _next(file: Bytes, place: int, magic: bytes) -> int:
    """Return where another recording starts, or the end of the file."""
    while (found := file.find(magic, place)) is not None:
        if file.at(found + 4, 4) in {b"\0\0\0\x22", b"\x80\0\0\x22"}:
            return found
        place = found + 4
    return file.size


def _behind_blocks(file: Bytes, place: int) -> int:
    """Return where the metadata ends."""
    for _ in range(MOST_CHUNKS):
        head = file.at(place, 4)
        if len(head) < 4:
            return file.size
        place += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            return place
    raise file.damaged(f"it has more than {MOST_CHUNKS} blocks of metadata")


def _counted(file: Bytes, header: _Header, sound: int, stop: int) -> int | None:
    """Return the samples until the end of the last frame, None if there is no frame at the end."""
    tail = 2 * header.longest + 256 if header.longest else _TAIL
    start = max(sound, stop - tail)
    data = file.at(start, stop - start)
    ends = [
        (found.start(), end)
        for found in _FRAME.finditer(data)
        if (end := _end(data[found.start() : found.start() + 16], header.block)) is not None
    ]
    if header.n_samples and any(end == header.n_samples for _, end in ends):
        return header.n_samples
    checked = [end for place, end in ends if _is_whole(data, place, [p for p, _ in ends])]
    return max(checked, default=None)


def _is_whole(data: bytes, place: int, others: list[int]) -> bool:
    """Tell whether a frame goes to the beginning of another, or to the end, by its checksum."""
    stops = [other for other in others if other > place][:4]
    return any(_crc(data[place:stop], 16, 0x8005) == 0 for stop in (*stops, len(data)))


def _end(head: bytes, block: int) -> int | None:
    """Return the first sample behind a frame, None if it is no head of a frame."""
    size_code, rate_code = head[2] >> 4, head[2] & 15
    number, place = _number(head)
    if number is None or head[3] & 1 or rate_code == 15:
        return None
    n_extra = {6: 1, 7: 2}.get(size_code, 0)
    size = int.from_bytes(head[place : place + n_extra], "big") + 1
    if size_code == 1:
        size = 192
    elif size_code < 6:
        size = 576 << size_code - 2
    elif size_code > 7:
        size = 256 << size_code - 8
    place += n_extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if len(head) <= place or _crc(head[: place + 1], 8, 0x07):
        return None
    return (number if head[1] & 1 else number * block) + size


def _number(head: bytes) -> tuple[int | None, int]:
    """Return the number of a frame or sample, as UTF-8 would write it, and where it ends."""
    first = head[4] if len(head) > 4 else 0x80
    n_bytes = 8 - (first ^ 0xFF).bit_length()
    if n_bytes == 0:
        return first, 5
    if n_bytes == 1 or n_bytes > 7 or len(head) < 4 + n_bytes:
        return None, 5
    number = first & (1 << 7 - n_bytes) - 1
    for byte in head[5 : 4 + n_bytes]:
        number = number << 6 | byte & 0x3F
    return number, 4 + n_bytes


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """Return a checksum of FLAC; 0 if `data` ends with its own."""
    table, top, mask = _table(bits, polynomial), bits - 8, (1 << bits) - 1
    value = 0
    for byte in data:
        value = table[value >> top ^ byte] ^ value << 8 & mask
    return value


_tables: dict[int, list[int]] = {}


def _table(bits: int, polynomial: int) -> list[int]:
    if bits not in _tables:
        _tables[bits] = [_shifted(byte << bits - 8, bits, polynomial) for byte in range(256)]
    return _tables[bits]


def _shifted(value: int, bits: int, polynomial: int) -> int:
    for _ in range(8):
        value = value << 1 ^ (polynomial if value >> bits - 1 else 0)
        value &= (1 << bits) - 1
    return value
