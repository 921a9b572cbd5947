"""What is in a file: which container, how many recordings, and what is left over."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

from unmask.audio.lengths import chunks, flac, mp4, mpeg, ogg, plain
from unmask.audio.lengths.parts import MOST_CHUNKS, Bytes, Extent, Found, Part
from unmask.errors import AudioFileError

_Walk = Callable[[Bytes, int], Found | None]
#: Containers that libsndfile reads, by how they begin.
_WALKS: tuple[tuple[re.Pattern[bytes], _Walk], ...] = (
    (re.compile(rb"(RIFF|RF64|BW64)....WAVE|RIFX....WAVE", re.S), chunks.riff),
    (re.compile(rb"FORM....AIF[FC]", re.S), chunks.aiff),
    (re.compile(rb"riff.{20}", re.S), chunks.w64),
    (re.compile(rb"caff"), chunks.caf),
    (re.compile(rb"fLaC"), flac.flac),
    (re.compile(rb"OggS"), ogg.ogg),
    (re.compile(rb"\.snd|dns\."), plain.au),
    (re.compile(rb"NIST_1A"), plain.nist),
    (re.compile(rb"Creative Voice File"), plain.voc),
    (re.compile(rb"\xff[\xe2-\xe7\xf2-\xff]"), mpeg.mpeg),
)
#: Containers that only FFmpeg reads.
_MEDIA = re.compile(
    rb"....(ftyp|moov|mdat|wide|free|skip)|\x1aE\xdf\xa3|0&\xb2u\x8ef\xcf\x11|RIFF....AVI |#!AMR"
    rb"|\xff[\xf0\xf1\xf8\xf9]|\x0bw|wvpk|MAC |FLV|\0\0\1\xba|TTA1|tBaK|MPCK|MP\+",
    re.S,
)
_OTHER = re.compile(rb"[^\0]")
#: Seconds of sound that may be unaccounted for.
_TOLERATED_S = 0.5


def measure(path: Path, *, known: bool) -> Extent:
    """Walk through a file and say where its sound is.

    Parameters
    ----------
    path
        An existing file.
    known
        Its name is one of a file that libsndfile reads, which counts if its content says nothing.

    Raises
    ------
    AudioFileError
        The file ends before its header says, has sound behind the end that its header tells, or
        is damaged.
    """
    with path.open("rb", buffering=0) as stream:
        file = Bytes(path, stream)
        start = _behind_tags(file, 0)
        beginning = file.at(start, 24)
        walk = next((walk for magic, walk in _WALKS if magic.match(beginning)), None)
        if walk is None and (_MEDIA.match(beginning) or not known):
            return Extent(remarks=mp4.check(file, start))
        try:
            return _measured(file, start, walk or mpeg.mpeg)
        except struct.error:
            raise file.damaged("it ends within a chunk") from None


def _measured(file: Bytes, start: int, walk: _Walk) -> Extent:
    """Walk from recording to recording."""
    everything = Part(0, file.size)
    parts: list[Part] = []
    remarks: list[str] = []
    while found := walk(file, start):
        parts.append(found.part)
        remarks += [found.remark] if found.remark else []
        start = _behind_tags(file, found.end)
        following = _following(file, start, walk)
        if following is None:
            remarks += _left_over(file, start, found)
            break
        start, walk = following
        if len(parts) > MOST_CHUNKS:
            raise file.damaged(f"it has more than {MOST_CHUNKS} recordings")
    else:
        if not parts:  # libsndfile knows better, or says what it is
            return Extent() if walk is plain.voc else Extent((everything,))
    if len(parts) > 1:
        remarks.append(f"{len(parts)} recordings were joined, they are read one after the other")
    is_plain = len(parts) == 1 and not parts[0].patches and not parts[0].head
    if is_plain and walk is not plain.nist:
        parts = [Part(0, file.size, n_samples=parts[0].n_samples)]
    return Extent(tuple(parts), tuple(remarks))


def _following(file: Bytes, start: int, walk: _Walk) -> tuple[int, _Walk] | None:
    """Return where another recording starts and what it is, None if there is none."""
    beginning = file.at(start, 24)
    for magic, other in _WALKS:
        if other is not mpeg.mpeg and magic.match(beginning):
            return start, other
    if walk is mpeg.mpeg and mpeg.find_frame(file, start) is not None:
        return start, walk
    if walk is ogg.ogg and (place := file.find(b"OggS\0", start)) is not None:
        return place, walk
    return None


def _left_over(file: Bytes, start: int, found: Found) -> list[str]:
    n_bytes = file.size - start
    if n_bytes <= 0:
        return []
    if found.bytes_per_s and n_bytes >= _TOLERATED_S * found.bytes_per_s:
        raise AudioFileError(
            f"{file.path}: has {n_bytes} bytes ({n_bytes / found.bytes_per_s:.1f} s) behind the "
            "end that its header tells; if they are sound, repair the header, else cut them off"
        )
    return [f"{n_bytes} bytes at its end are no sound and no tag"]


def _behind_tags(file: Bytes, place: int) -> int:
    """Return where what is no tag and no zero starts."""
    for _ in range(MOST_CHUNKS):
        length = _tag_length(file, place)
        if not length:
            break
        place += length
    if place and file.at(place, 1) == b"\0":
        return file.find(_OTHER, place) or file.size
    return min(place, file.size)


def _tag_length(file: Bytes, place: int) -> int:
    """Return the length of the tag at a place: ID3 of either version, APE or Lyrics3."""
    head = file.at(place, 32)
    if head[:3] == b"ID3" and len(head) >= 10:
        sizes = zip(head[6:10], (21, 14, 7, 0), strict=True)
        return 10 + sum((byte & 127) << shift for byte, shift in sizes) + 10 * (head[5] >> 4 & 1)
    if head[:8] == b"APETAGEX" and len(head) == 32:
        return 32 + int.from_bytes(head[12:16], "little") * (head[23] >> 5 & 1)
    if head[:3] == b"TAG":
        return 227 if head[:4] == b"TAG+" else 128
    if head[:11] == b"LYRICSBEGIN":
        end = file.find(re.compile(rb"LYRICS200|LYRICSEND"), place)
        return 0 if end is None else end + 9 - place
    return 0
