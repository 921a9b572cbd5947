"""Opus in OGG: packets say how long they are, and pages repeat it, at times wrongly.

Some programs write positions of pages that are a few milliseconds off. libsndfile calls such a file
malformed, where others count the packets (RFC 7845, 4); here they are counted, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from unmask.audio.lengths.parts import Bytes

_CONTINUED, _LAST = 1, 4
_POLYNOMIAL = 0x04C11DB7


@dataclass
class Opus:
    """The pages of one stream, and what their packets add up to."""

    position: int | None = None
    """Samples at 48 kHz up to the end of the last page, by its packets."""
    wrong: list[tuple[int, int]] = field(default_factory=list)
    """Places of pages that say something else, and what is right."""
    agrees: bool = False
    """The last page says what was counted, less what is to be cut off."""
    _n_headers: int = 2
    _toc: bytes = b""

    def add(self, page: bytes, place: int) -> None:
        """Count the packets that end on a page."""
        duration = self._duration(page)
        said = int.from_bytes(page[6:14], "little", signed=True)
        if said < 0 or not duration:
            return
        if self.position is None:  # a recording of a broadcast begins anywhere
            self.position = said
            return
        before, self.position = self.position, self.position + duration
        if page[5] & _LAST:
            self.agrees = before < said <= self.position
        elif said != self.position:
            self.wrong.append((place, self.position))

    def _duration(self, page: bytes) -> int:
        """Return the samples of all packets that end on a page."""
        place, duration = 27 + page[26], 0
        begins = not page[5] & _CONTINUED
        for size in page[27:place]:
            if begins:
                self._toc = page[place : place + 2]
            place += size
            if begins := size < 255:
                duration += 0 if self._n_headers else _samples(self._toc)
                self._n_headers = max(0, self._n_headers - 1)
        return duration

    def patches(self, file: Bytes) -> tuple[tuple[int, bytes], ...]:
        """Return the positions that are right, with their checksums, if the end confirms them."""
        if not self.agrees:
            return ()
        return tuple((place + 6, _corrected(file, place, right)) for place, right in self.wrong)


def _samples(toc: bytes) -> int:
    """Return the length of a packet by its first two bytes (RFC 6716, 3.1), at 48 kHz."""
    if not toc:
        return 0
    config, code = toc[0] >> 3, toc[0] & 3
    if config < 12:
        frame = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:
        frame = (480, 960)[config & 1]
    else:
        frame = (120, 240, 480, 960)[config & 3]
    return frame * (1 if code == 0 else 2 if code < 3 else (toc[1] & 63 if len(toc) > 1 else 0))


def _corrected(file: Bytes, place: int, position: int) -> bytes:
    """Return bytes 6 to 26 of a page with another position.

    A checksum is linear: it changes by that of the difference.
    """
    head = file.at(place, 27 + 255)
    size = 27 + head[26] + sum(head[27 : 27 + head[26]])
    right = position.to_bytes(8, "little", signed=True)
    difference = bytes(a ^ b for a, b in zip(head[6:14], right, strict=True))
    change = _checksum(difference + bytes(size - 14))
    checksum = int.from_bytes(head[22:26], "little") ^ change
    return right + head[14:22] + checksum.to_bytes(4, "little")


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (_POLYNOMIAL if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return table


_TABLE = _table()


def _checksum(data: bytes) -> int:
    """Return the checksum of OGG."""
    value = 0
    for byte in data:
        value = ((value << 8) & 0xFFFFFFFF) ^ _TABLE[(value >> 24) ^ byte]
    return value
