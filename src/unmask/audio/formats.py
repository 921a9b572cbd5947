"""What kinds of sound files there are, what a file holds, and where files are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unmask.errors import AudioFileError, listed

#: suffix -> format and subtype that are written when none is asked for.
WRITABLE = {
    ".aif": ("AIFF", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".au": ("AU", "PCM_16"),
    ".caf": ("CAF", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".oga": ("OGG", "VORBIS"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".rf64": ("RF64", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
    ".wav": ("WAV", "PCM_16"),
    ".wave": ("WAV", "PCM_16"),
}
#: Suffixes that soundfile reads; every other file goes to PyAV.
SUFFIXES = frozenset(WRITABLE) | {".aifc", ".mp2", ".snd", ".sph", ".voc"}
#: Suffixes that `find` takes for audio besides those, if the file is read through PyAV.
MEDIA_SUFFIXES = frozenset(
    {".aac", ".ac3", ".amr", ".ape", ".avi", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov"}
    | {".mp4", ".mpg", ".webm", ".wma", ".wmv", ".wv"}
)
#: Samples in a block, unless asked otherwise.
BLOCK = 1 << 16


def native(path: Path) -> Path | bytes:
    """Return what libsndfile opens: bytes where names are bytes, which need not be text."""
    return os.fsencode(path) if os.name == "posix" else path


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds; `n_samples` (per channel) is exactly what `read` gives."""

    path: Path
    sample_rate: int
    n_channels: int
    n_samples: int
    format: str
    """libsndfile's name (WAV, WAVEX, FLAC, OGG, MP3, …) or FFmpeg's name of the container."""
    subtype: str
    """libsndfile's name (PCM_16, FLOAT, VORBIS, …) or FFmpeg's name of the codec."""
    n_streams: int = 1
    """Audio streams in the file; `stream` of `read` chooses one."""
    depth: str = ""
    """libsndfile's subtype that holds its samples, where `subtype` is a lossless codec's name."""
    starts_s: float = 0.0
    """Seconds after the first picture (or other sound) of a video at which its sound starts."""
    remarks: str = ""
    """What is odd about the length of the file and does not keep it from being read."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate


class Place(NamedTuple):
    """Where sound is on disk: whatever reads a path reads a place."""

    path: Path
    stream: int = 0
    """Which audio stream of the file."""

    def __str__(self) -> str:
        """Return what messages call it."""
        return f"{self.path}, stream {self.stream}" if self.stream else str(self.path)


def placed(path: str | Path | Place, stream: int = 0) -> Place:
    """Return the place that a path, with a stream, or a place says."""
    return path if isinstance(path, Place) else Place(Path(path), stream)


def find(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """List the sound files that `paths` name.

    Folders are searched with everything below them, sorted by name; hidden files and folders and
    unknown suffixes are left out. Files are taken as they are named, so that a wrong one gets its
    own error when it is read. A file that is named twice comes once.

    Raises
    ------
    AudioFileError
        A folder has no sound file.
    """
    named = [paths] if isinstance(paths, str | Path) else paths
    found: dict[Path, None] = {}
    for path in map(Path, named):
        found |= dict.fromkeys(_files_below(path) if path.is_dir() else [path])
    return list(found)


def _files_below(folder: Path) -> list[Path]:
    known = SUFFIXES | MEDIA_SUFFIXES
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in known
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        raise AudioFileError(f"{folder}: no sound file in this folder; known are {listed(known)}")
    return files


def check_finite(x: NDArray[Any], name: str | Path, position: int, rate: int) -> None:
    """Refuse NaN and infinity in a block (channel, sample) that starts at sample `position`.

    Raises
    ------
    AudioFileError
        If there is one.
    """
    if np.isfinite(x).all():
        return
    sample, channel = np.argwhere(~np.isfinite(x).T)[0]
    place = position + sample
    raise AudioFileError(
        f"{name}: sample {place} ({place / rate:.3f} s) of channel {channel} is "
        f"{x[channel, sample]}, should be a finite number; cut it out or export the file again"
    )
