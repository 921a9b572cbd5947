"""Read sound files: whole, in part, or block by block."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.audio import media
from unmask.audio.formats import (
    BLOCK,
    SUFFIXES,
    AudioInfo,
    Place,
    check_finite,
    native,
    placed,
)
from unmask.audio.lengths import Extent, Part, View, measure
from unmask.audio.lengths.parts import truncated
from unmask.errors import AudioFileError, ConfigError

#: libsndfile's length of a file that does not tell is larger than this.
_UNKNOWN = 1 << 62


def info(path: str | Path | Place, *, stream: int = 0) -> AudioInfo:
    """Describe a sound file.

    Media containers do not tell exactly how many samples a decoder will give, so a file that is
    read through PyAV is decoded once and counted.

    Raises
    ------
    AudioFileError
        The file is missing, empty, without samples, no sound, or truncated.
    MissingExtraError
        The file needs PyAV.
    """
    path, stream = placed(path, stream)
    path = _existing(path)
    extent = _extent(path)
    remarks = "; ".join(extent.remarks)
    if not extent.parts:
        return replace(media.info(path, stream), remarks=remarks)
    n_samples, form = 0, None
    for part in extent.parts:
        with _opened(path, part, stream, form) as file:
            form = file.samplerate, file.channels
            n_samples += file.frames
            kind, subtype = file.format, file.subtype
    rate, n_channels = form or (0, 0)
    return AudioInfo(
        path, rate, n_channels, n_samples, kind, subtype, remarks="; ".join(extent.remarks)
    )


def read(
    path: str | Path | Place,
    *,
    start_s: float = 0.0,
    stop_s: float | None = None,
    stream: int = 0,
) -> tuple[NDArray[Any], int]:
    """Read a sound file, or the part of it from `start_s` to `stop_s` seconds.

    Parameters
    ----------
    path
        WAV, FLAC, OGG, MP3 and relatives, whatever their suffix; anything else (m4a, mp4, video)
        needs ``unmask[media]``.
    start_s, stop_s
        The part to read, rounded to whole samples; what lies beyond the end is not there.
    stream
        Which audio stream of a file that has several (stem.mp4).

    Returns
    -------
    waveform, sample_rate
        (channel, sample), float32 (float64 for PCM_32 and DOUBLE), full scale 1; and Hz.

    Raises
    ------
    AudioFileError
        As `info`; or a sample is NaN or infinite; or nothing lies between `start_s` and `stop_s`.
    """
    rates, blocks = zip(*_decoded(path, BLOCK, start_s, stop_s, stream), strict=True)
    return np.concatenate(blocks, axis=-1), rates[0]


def read_blocks(
    path: str | Path | Place,
    *,
    block: int = BLOCK,
    start_s: float = 0.0,
    stop_s: float | None = None,
    stream: int = 0,
) -> Iterator[NDArray[Any]]:
    """`read` for files of any length: blocks of `block` samples (the last may be shorter).

    The memory in use does not grow with the file. The errors are those of `read`; they are raised
    when the block is reached that has them.
    """
    for _, samples in _decoded(path, block, start_s, stop_s, stream):
        yield samples


def _existing(path: str | Path) -> Path:
    path = Path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        raise AudioFileError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read: {error.strerror}; check the name") from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioFileError(f"{path}: is a folder, should be a sound file; name the files in it")
    if not stat.S_ISREG(status.st_mode):
        raise AudioFileError(f"{path}: is a pipe or device, should be a file; save it to one first")
    if status.st_size == 0:
        raise AudioFileError(f"{path}: is empty (0 bytes); download or record it again")
    if not os.access(path, os.R_OK):
        raise AudioFileError(f"{path}: cannot be read: no permission; change its mode")
    return path


def _decoded(
    path: str | Path | Place, block: int, start_s: float, stop_s: float | None, stream: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Blocks with their sample rate, checked for NaN."""
    if block < 1:
        raise ConfigError(f"block: {block} samples, should be 1 or more")
    if not 0 <= start_s < (np.inf if stop_s is None else stop_s):
        raise ConfigError(f"start_s, stop_s: {start_s}, {stop_s}, should be 0 <= start_s < stop_s")
    path, stream = placed(path, stream)
    path = _existing(path)
    position = 0
    for rate, samples in _source(path)(path, block, start_s, stop_s, stream):
        check_finite(samples, path, position + round(start_s * rate), rate)
        position += samples.shape[-1]
        yield rate, samples
    if not position:
        until = "its end" if stop_s is None else f"{stop_s:g} s"
        raise AudioFileError(
            f"{path}: has no samples between {start_s:g} s and {until}; it is shorter"
        )


def _extent(path: Path) -> Extent:
    """Walk through a file, once while it stays as it is."""
    status = path.stat()
    return _measured(path, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=16)
def _measured(path: Path, _: tuple[int, ...]) -> Extent:
    """Keep the parts if libsndfile reads them all; where it does not, FFmpeg may."""
    import soundfile

    extent = measure(path, known=path.suffix.lower() in SUFFIXES)
    try:
        for part in extent.parts:
            with _file(path, part) as file:
                if part.n_samples not in {None, file.frames}:  # it guesses
                    return replace(extent, parts=())
    except soundfile.LibsndfileError:
        return replace(extent, parts=()) if media.opens(path) else extent
    return extent


def _source(path: Path) -> Callable[..., Iterator[tuple[int, NDArray[Any]]]]:
    """Return what yields the blocks of a file."""
    return _native_blocks if _extent(path).parts else media.blocks


@contextmanager
def _file(path: Path, part: Part) -> Iterator[Any]:
    """Open a part of a file in soundfile."""
    import soundfile

    if part == Part(0, path.stat().st_size, n_samples=part.n_samples):
        with soundfile.SoundFile(native(path)) as file:
            yield file
        return
    with View(path, part) as view, soundfile.SoundFile(view) as file:
        yield file


def _native_blocks(
    path: Path, block: int, start_s: float, stop_s: float | None, stream: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Blocks of one part after the other; they are filled across their borders."""
    pieces = _native_pieces(path, block, start_s, stop_s, stream)
    if len(_extent(path).parts) == 1:
        yield from pieces
        return
    held: list[NDArray[Any]] = []
    rate = n_held = 0
    for rate, piece in pieces:
        held.append(piece)
        n_held += piece.shape[-1]
        if n_held >= block:
            joined = np.concatenate(held, axis=-1)
            yield rate, joined[:, :block]
            held, n_held = [joined[:, block:]], n_held - block
    if n_held:
        yield rate, np.concatenate(held, axis=-1)


def _native_pieces(
    path: Path, block: int, start_s: float, stop_s: float | None, stream: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    end, form = 0, None
    for part in _extent(path).parts:
        with _opened(path, part, stream, form) as file:
            form = file.samplerate, file.channels
            rate, first, end = file.samplerate, end, end + file.frames
            start = max(0, round(start_s * rate) - first)
            stop = file.frames if stop_s is None else min(round(stop_s * rate) - first, file.frames)
            if start < stop:
                for samples in _read(path, file, start, stop, block):
                    yield rate, samples


def _read(path: Path, file: Any, start: int, stop: int, block: int) -> Iterator[NDArray[Any]]:
    """Yield samples from `start` to `stop` of an opened file; all that it promises must come."""
    dtype = "float64" if file.subtype in {"PCM_32", "DOUBLE"} else "float32"
    position = start
    if start and file.seekable():
        file.seek(start)
    elif start:  # some codecs only go forward
        for _ in _read(path, file, 0, start, BLOCK):
            pass
    while position < stop:
        samples = file.read(min(block, stop - position), dtype=dtype, always_2d=True)
        if not len(samples):
            raise truncated(path, f"after {position} samples, its header promises {file.frames}")
        position += len(samples)
        yield np.ascontiguousarray(samples.T)


@contextmanager
def _opened(path: Path, part: Part, stream: int, form: tuple[int, int] | None) -> Iterator[Any]:
    """Open a part in soundfile; every complaint of libsndfile becomes one line.

    Its rate and channels must be `form`, those of the part before it.
    """
    import soundfile

    if stream:
        raise ConfigError(f"{path}: has one audio stream, stream {stream} was asked for; use 0")
    try:
        with _file(path, part) as file:
            _check(path, file, form)
            yield file
    except soundfile.LibsndfileError as error:
        raise AudioFileError(
            f"{path}: is damaged, truncated or no {path.suffix} file, libsndfile says "
            f"{error.error_string!r}; copy it again or convert it to WAV"
        ) from error


def _check(path: Path, file: Any, form: tuple[int, int] | None) -> None:
    if file.frames == 0:
        raise AudioFileError(f"{path}: has 0 samples; record or export it again")
    if file.frames >= _UNKNOWN:
        raise AudioFileError(
            f"{path}: does not tell its length and has no whole frame at its end; "
            "convert it to WAV or encode it again"
        )
    if form and form != (file.samplerate, file.channels):
        raise AudioFileError(
            f"{path}: changes from {form[1]} channels at {form[0]} Hz to {file.channels} at "
            f"{file.samplerate} Hz, two recordings were joined; split it"
        )
