"""MP3 and its elders: frames that say how long they are, so that they can be counted."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from unmask.audio.lengths.parts import Bytes, Found, Part, truncated

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
#: kbit/s by layer and whether it is version 1.
_KBITS = {
    (3, True): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (2, True): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, True): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (3, False): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, False): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (1, False): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HEAD = re.compile(rb"\xff[\xe2-\xe7\xf2-\xff][\x10-\xeb]")
_MARKS = (b"Xing", b"Info", b"VBRI")
_PIECE = 1 << 20
#: Places that look like a frame and are none; more than these are no recording.
_MOST_TRIES = 10_000


class _Kind(NamedTuple):
    """What does not change from frame to frame."""

    version: int
    layer: int
    """3 for layer I, 1 for layer III."""
    rate: int
    """Index of the sample rate."""

    @property
    def n_samples(self) -> int:
        """Samples of a frame."""
        return {3: 384, 2: 1152, 1: 1152 if self.version == 3 else 576}[self.layer]


class _Tag(NamedTuple):
    """What a frame without sound says of those that follow."""

    n_frames: int
    """0 if it does not say."""
    n_bytes: int
    field: int | None
    """Where the frames are written, if the decoder believes it."""


def _kind(head: bytes) -> _Kind:
    return _Kind(head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 2 & 3)


@cache
def _lengths(kind: _Kind) -> dict[bytes, int]:
    """Bytes of a frame by the first three of its header."""
    found = {}
    rate = _RATES[kind.version][kind.rate]
    for protected in (0, 1):
        second = 0xE0 | kind.version << 3 | kind.layer << 1 | protected
        for index, kbits in enumerate(_KBITS[kind.layer, kind.version == 3], 1):
            for padding, private in ((0, 0), (0, 1), (1, 0), (1, 1)):
                third = index << 4 | kind.rate << 2 | padding << 1 | private
                n_slots = kind.n_samples // (32 if kind.layer == 3 else 8) * kbits * 1000 // rate
                length = (n_slots + padding) * (4 if kind.layer == 3 else 1)
                found[bytes((0xFF, second, third))] = length
    return found


def mpeg(file: Bytes, start: int) -> Found | None:
    """Walk through the frames of one recording; None if there are none.

    The recording ends where a frame holds the length of the next one (a header of LAME's or
    FFmpeg's), where the frames that such a header counts are over, or where there is no frame.
    """
    first = find_frame(file, start)
    if first is None:
        return None
    head = file.at(first, 4)
    lengths = _lengths(_kind(head))
    tag = _tag(file, first)
    sound = first + lengths[head[:3]] if tag else first
    n_frames, stop = _count(file, sound, lengths)
    remark = f"{first - start} bytes from byte {start} on are no sound" if first > start else ""
    if tag and tag.n_frames:
        whole = 0 < tag.n_bytes <= stop - first + 256  # some count the tags behind it
        if n_frames > tag.n_frames + 1 and not whole:  # another recording follows
            n_frames, stop = _count(file, sound, lengths, tag.n_frames)
        partial = lengths.get(file.at(stop, 3), 0) > file.size - stop
        if n_frames < tag.n_frames - (not partial) and not whole:  # some count the header, too
            where = f"after {n_frames} frames, its header promises {tag.n_frames}"
            raise truncated(file.path, where)
        if n_frames not in {tag.n_frames, tag.n_frames - 1}:
            remark = f"says {tag.n_frames} frames in its header, {n_frames} are there"
    return Found(_part(file, first, sound, stop, n_frames, tag), stop, remark=remark)


def _part(file: Bytes, first: int, sound: int, stop: int, n_frames: int, tag: _Tag | None) -> Part:
    """Give the decoder the count."""
    head = file.at(sound, 4)
    if tag and tag.field and tag.n_frames:
        right = tag.n_frames == n_frames
        patch = (tag.field, n_frames.to_bytes(4, "big"))
        return Part(first, stop, () if right else (patch,))
    if _kind(head).layer == 1:
        return Part(sound, stop, head=_made_header(head, n_frames, stop - sound))
    return Part(sound, stop, n_samples=n_frames * _kind(head).n_samples)


def _count(
    file: Bytes, place: int, lengths: dict[bytes, int], most: int | None = None
) -> tuple[int, int]:
    """Return how many frames there are from `place` on, `most` at most, and where they end."""
    n_frames, ended = 0, False
    while not ended and n_frames != most:
        counted, place, ended = _walk(file, place, lengths, most and most - n_frames)
        n_frames += counted
    return n_frames, place


def find_frame(file: Bytes, place: int) -> int | None:
    """Return where the first frame starts that two others follow, or the end of the file."""
    for _ in range(_MOST_TRIES):
        found = file.find(_HEAD, place)
        if found is None:
            return None
        if _is_frame(file, found):
            return found
        place = found + 1
    return None


def _is_frame(file: Bytes, place: int) -> bool:
    head = file.at(place, 3)
    if head[1] >> 3 & 3 == 1 or head[1] >> 1 & 3 == 0 or head[2] >> 2 & 3 == 3:
        return False
    lengths = _lengths(_kind(head))
    for _ in range(3):
        length = lengths.get(file.at(place, 3))
        if length is None:
            return False
        place += length
        if place > file.size:
            return False
        if place == file.size or file.at(place, 3) in {b"TAG", b"ID3", b"APE"}:
            return True
    return True


def _walk(
    file: Bytes, place: int, lengths: dict[bytes, int], most: int | None
) -> tuple[int, int, bool]:
    """Count whole frames in a piece of the file.

    Returns
    -------
    n_frames, place, ended
        Frames, where the next one starts, and whether the recording ends there.
    """
    data = file.at(place, _PIECE)
    marks = [found.start() for mark in _MARKS if mark in data for found in re.finditer(mark, data)]
    at, starts, n_bytes = 0, [], len(data)
    while (length := lengths.get(data[at : at + 3])) is not None and at + length <= n_bytes:
        starts.append(at)
        at += length
        if len(starts) == most:
            break
    known = set(starts)
    for mark in sorted(marks):
        for at_mark in known & {mark - offset for offset in (36, 21, 13)}:
            if _tag(file, place + at_mark):
                return starts.index(at_mark), place + at_mark, True
    is_last = place + n_bytes >= file.size
    is_broken = lengths.get(data[at : at + 3]) is None and at + 3 <= n_bytes
    return len(starts), place + at, is_last or is_broken or not starts


def _tag(file: Bytes, place: int) -> _Tag | None:
    """Return what a frame says of those that follow, None if it holds sound."""
    frame = file.at(place, 60)
    if frame[36:40] == b"VBRI":
        n_bytes, n_frames = (int.from_bytes(frame[at : at + 4], "big") for at in (46, 50))
        return _Tag(n_frames, n_bytes, None)
    at = 4 + _n_side(frame) if len(frame) == 60 else 0
    if frame[at : at + 4] not in {b"Xing", b"Info"}:
        return None
    flags = frame[at + 7]
    n_frames = int.from_bytes(frame[at + 8 : at + 12], "big") if flags & 1 else 0
    n_bytes = int.from_bytes(frame[at + 12 : at + 16], "big") if flags & 3 == 3 else 0
    return _Tag(n_frames, n_bytes, place + at + 8)


def _n_side(head: bytes) -> int:
    """Return the bytes between the header of a frame and a tag."""
    is_mono = head[3] >> 6 == 3
    if head[1] >> 3 & 3 == 3:
        return 17 if is_mono else 32
    return 9 if is_mono else 17


def _made_header(head: bytes, n_frames: int, n_bytes: int) -> bytes:
    """Make the frame that says how many frames of layer III follow."""
    lengths = _lengths(_kind(head))
    start = bytes((head[0], head[1] | 1, 0x90 | head[2] & 0x0C, head[3]))
    counts = n_frames.to_bytes(4, "big") + (n_bytes & 0xFFFFFFFF).to_bytes(4, "big")
    frame = start + bytes(_n_side(head)) + b"Info" + (3).to_bytes(4, "big") + counts
    return frame.ljust(lengths[start[:3]], b"\0")
