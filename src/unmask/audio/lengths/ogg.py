"""OGG: pages that say how long they are, where they belong and which is the last."""

from __future__ import annotations

from dataclasses import dataclass, field

from unmask.audio.lengths.opus import Opus
from unmask.audio.lengths.parts import Bytes, Found, Part

_FIRST, _LAST = 2, 4


@dataclass
class _Link:
    """The logical streams that begin together."""

    numbers: dict[bytes, int] = field(default_factory=dict)
    """Of the last page, by the serial number of the stream."""
    ended: set[bytes] = field(default_factory=set)
    opus: dict[bytes, Opus] = field(default_factory=dict)
    """Streams of it, whose packets are counted."""
    begun: bool = False
    """Pages came that are not the first of their stream."""


def ogg(file: Bytes, start: int) -> Found:
    """Walk through the pages of one link of a chain.

    Pages are counted by their writers, so that one that is missing is noticed; the last one of a
    stream is marked, which a recording of a broadcast does not have.
    """
    link, place = _Link(), start
    while head := file.at(place, 27 + 255):
        if len(head) < 27 or head[:5] != b"OggS\0":
            break
        if head[5] & _FIRST and link.begun:
            break
        _place_page(file, link, head, place)
        segments = head[27 : 27 + head[26]]
        start_of_page, place = place, place + 27 + head[26] + sum(segments)
        if place > file.size or len(segments) < head[26]:
            raise file.short(max(1, place - file.size))
        _count(file, link, start_of_page, place)
    head = file.at(place, 27)
    if 0 < len(head) < 27 and b"OggS".startswith(head[:4]):
        raise file.short(28 - len(head))
    if link.ended != set(link.numbers) and head[:5] != b"OggS\0":
        later = file.find(b"OggS\0", place)
        if later is not None:
            raise file.damaged(f"{later - place} bytes from byte {place} on are no page")
        remark = "ends without a last page, as broadcasts do, or is cut at the end of a page"
        return Found(Part(start, place), place, remark=remark)
    patches = tuple(patch for opus in link.opus.values() for patch in opus.patches(file))
    return Found(Part(start, place, tuple(sorted(patches))), place)


def _count(file: Bytes, link: _Link, start: int, stop: int) -> None:
    """Count the packets of a page of Opus."""
    head = file.at(start, 27 + 255 + 8)
    serial = head[14:18]
    if head[5] & _FIRST and head[27 + head[26] :].startswith(b"OpusHead"):
        link.opus[serial] = Opus()
    if serial in link.opus:
        link.opus[serial].add(file.at(start, stop - start), start)


def _place_page(file: Bytes, link: _Link, head: bytes, place: int) -> None:
    """Count a page; those of headers may be followed by any other, in recordings of broadcasts."""
    serial, number = head[14:18], int.from_bytes(head[18:22], "little")
    last = link.numbers.get(serial, 0)
    if last > 1 and number not in {last, last + 1}:
        raise file.damaged(f"{number - last - 1} pages are missing before byte {place}")
    link.numbers[serial] = number
    link.begun |= not head[5] & _FIRST
    if head[5] & _LAST:
        link.ended.add(serial)
