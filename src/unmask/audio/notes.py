"""What stands beside the sound in a file: tags, a Broadcast WAV's time, places of loudspeakers."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unmask.audio import media
from unmask.audio.formats import native
from unmask.audio.lengths.chunks import chunks
from unmask.audio.lengths.parts import Bytes

_TAGS = (
    *("title", "artist", "album", "comment", "copyright"),
    *("date", "license", "tracknumber", "genre"),
)
#: FFmpeg's name of a tag, where it is another.
_FFMPEG = {"track": "tracknumber"}
#: Chunks of WAV that are true of a recording of the same length, too.
_TIMELESS = (b"bext",)
_TIMED = (b"iXML", b"cue ", b"smpl")
#: Bytes of all chunks that are kept.
_MOST = 1 << 19
_EXTENSIBLE = b"\xfe\xff"
#: Masks that go without saying.
_USUAL = {1: 4, 2: 3}


@dataclass(frozen=True)
class Notes:
    """What can be handed on from a recording to what was made of it."""

    tags: dict[str, str] = field(default_factory=dict)
    """By libsndfile's names."""
    mask: int | None = None
    """Places of the channels, as WAVE_FORMAT_EXTENSIBLE has them, if they are not the usual."""
    chunks: dict[bytes, bytes] = field(default_factory=dict)
    """Of WAV, by name: Broadcast WAV, iXML, cues, loops."""


def read_notes(path: Path, *, start: int = 0) -> Notes:
    """Return what stands beside the sound of a file that can be read.

    Parameters
    ----------
    path
        The file.
    start
        First sample that is taken over: the time of a Broadcast WAV moves; cues, which would
        stand elsewhere, and iXML, which has a time of its own, stay behind.
    """
    import soundfile

    try:
        with soundfile.SoundFile(native(path)) as file:
            found = file.copy_metadata()
    except soundfile.LibsndfileError:
        found = media.tags(path)
    found = {_FFMPEG.get(name.lower(), name.lower()): value for name, value in found.items()}
    tags = {name: found[name] for name in _TAGS if found.get(name)}
    with path.open("rb") as stream:
        file = Bytes(path, stream)
        if file.at(0, 4) not in {b"RIFF", b"RF64", b"BW64"} or file.at(8, 4) != b"WAVE":
            return Notes(tags)
        mask, kept = _read_chunks(file)
    kept = {name: data for name, data in kept.items() if not start or name in _TIMELESS}
    if b"bext" in kept:
        kept[b"bext"] = _of_stem(kept[b"bext"], start)
    return Notes(tags, mask, kept)


def _read_chunks(file: Bytes) -> tuple[int | None, dict[bytes, bytes]]:
    mask, kept, n_bytes = None, {}, 0
    place = 12
    while (chunk := next(chunks(file, place, "<"), None)) is not None:
        length = chunk.length
        if chunk.name == b"fmt ":
            mask = _mask(file.at(chunk.start, 40))
        if chunk.name in _TIMELESS + _TIMED and n_bytes + length <= _MOST:
            kept[chunk.name] = file.at(chunk.start, length)
            n_bytes += length
        if chunk.name == b"data" and length == 0xFFFFFFFF:
            length = struct.unpack("<Q", file.at(28, 8))[0] if file.at(12, 4) == b"ds64" else 0
        place = chunk.start + length + length % 2
    return mask, kept


def _mask(description: bytes) -> int | None:
    if description[:2] != _EXTENSIBLE or len(description) < 24:
        return None
    n_channels, mask = struct.unpack("<H16xI", description[2:24])
    return None if _USUAL.get(n_channels) == mask else mask


def _of_stem(bext: bytes, start: int) -> bytes:
    """Move the time; what identifies the original sound or measures its loudness is taken out."""
    if len(bext) < 602:
        return bext
    time = struct.unpack("<Q", bext[338:346])[0] + start
    version = struct.unpack("<H", bext[346:348])[0]
    loudness = b"\xff\x7f" * 5 if version >= 2 else bext[412:422]
    return bext[:338] + struct.pack("<Q", time) + bext[346:348] + bytes(64) + loudness + bext[422:]


def set_tags(file: Any, tags: dict[str, str]) -> None:
    """Give tags to a file of soundfile that is being written, as far as its format has them."""
    import soundfile

    for name, value in tags.items():
        if file.format == "MP3" and not value.isascii():  # LAME would take it for Latin-1
            continue
        try:
            setattr(file, name, value)
        except soundfile.LibsndfileError:
            return


def finish(path: Path, notes: Notes) -> tuple[str, ...]:
    """Put the rest of `notes` into a file that was written; return what it cannot hold."""
    import soundfile

    with soundfile.SoundFile(native(path)) as file:
        found, kind = file.copy_metadata(), file.format
    lost = [name for name, value in notes.tags.items() if found.get(name) != value]
    names = [name.decode("latin-1").strip() for name in notes.chunks]
    if kind not in {"WAV", "WAVEX", "RF64"}:
        return (*lost, *names, *(["channel mask"] if notes.mask is not None else []))
    with path.open("r+b") as stream:
        head = stream.read(4096)
        at = head.index(b"fmt ") + 8
        if notes.mask is not None and head[at : at + 2] == _EXTENSIBLE:
            stream.seek(at + 20)
            stream.write(struct.pack("<I", notes.mask))
        end = stream.seek(0, 2)
        stream.write(bytes(end % 2))
        for name, data in notes.chunks.items():
            stream.write(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2))
        size = stream.tell() - 8
        stream.seek(20 if head[:4] == b"RF64" else 4)
        if notes.chunks:
            stream.write(struct.pack("<Q" if head[:4] == b"RF64" else "<I", size))
    return tuple(lost)
