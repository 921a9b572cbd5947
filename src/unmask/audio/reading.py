"""Read sound files: whole, in part, or block by block."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from unmask.audio import media
from unmask.audio.formats import BLOCK, SUFFIXES, AudioInfo, check_finite, truncated
from unmask.errors import AudioFileError, ConfigError

#: libsndfile's length of a FLAC file that does not tell is larger than this.
_UNKNOWN = 1 << 62


def info(path: str | Path, *, stream: int = 0) -> AudioInfo:
    """Describe a sound file.

    Media containers do not tell exactly how many samples a decoder will give, so such a file is
    decoded once and counted.

    Raises
    ------
    AudioFileError
        The file is missing, empty, without samples, no sound, or truncated.
    MissingExtraError
        The file needs PyAV.
    """
    path = _existing(path)
    source = _source(path)
    if source is media.blocks:
        return media.info(path, stream)
    n_samples = None
    if source is _guessed_blocks:
        n_samples = sum(part.shape[-1] for _, part in source(path, BLOCK, 0.0, None, stream))
    with _opened(path, stream) as file:
        return AudioInfo(
            path,
            file.samplerate,
            file.channels,
            n_samples or file.frames,
            file.format,
            file.subtype,
        )


def read(
    path: str | Path, *, start_s: float = 0.0, stop_s: float | None = None, stream: int = 0
) -> tuple[NDArray[Any], int]:
    """Read a sound file, or the part of it from `start_s` to `stop_s` seconds.

    Parameters
    ----------
    path
        WAV, FLAC, OGG, MP3 and relatives; anything else (m4a, mp4, video) needs ``unmask[media]``.
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
    path: str | Path,
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
    path: str | Path, block: int, start_s: float, stop_s: float | None, stream: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Blocks with their sample rate, checked for NaN."""
    if block < 1:
        raise ConfigError(f"block: {block} samples, should be 1 or more")
    if not 0 <= start_s < (np.inf if stop_s is None else stop_s):
        raise ConfigError(f"start_s, stop_s: {start_s}, {stop_s}, should be 0 <= start_s < stop_s")
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


def _source(path: Path) -> Callable[..., Iterator[tuple[int, NDArray[Any]]]]:
    """Return what yields the blocks of a file."""
    if path.suffix.lower() not in SUFFIXES:
        return media.blocks
    if not _guesses_length(path):
        return _native_blocks
    return media.blocks if media.is_installed() else _guessed_blocks


def _guesses_length(path: Path) -> bool:
    """Tell whether a file is an MP3 without the header that holds its length.

    libsndfile then guesses from the size of the file and the bit rate at its beginning, and never
    reads beyond its guess.
    """
    with path.open("rb") as file:
        head = file.read(10)
        start = 0
        if head[:3] == b"ID3":
            sizes = zip(head[6:10], (21, 14, 7, 0), strict=True)
            start = 10 + sum((byte & 127) << shift for byte, shift in sizes)
        file.seek(start)
        first = file.read(4096)
    is_frame = len(first) > 1 and first[0] == 0xFF and first[1] & 0xE0 == 0xE0
    return is_frame and not any(mark in first for mark in (b"Xing", b"Info", b"VBRI"))


def _guessed_blocks(
    path: Path, block: int, start_s: float, stop_s: float | None, stream: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Blocks of a file whose length is a guess: what comes before its end is all there is."""
    with _opened(path, stream) as file:
        rate, position = file.samplerate, 0
        start = round(start_s * rate)
        stop = file.frames if stop_s is None else min(round(stop_s * rate), file.frames)
        while position < stop:
            samples = file.read(min(block, stop - position), dtype="float32", always_2d=True)
            if not len(samples):
                return
            kept = samples[max(0, start - position) :]
            position += len(samples)
            if len(kept):
                yield rate, np.ascontiguousarray(kept.T)
        if stop == file.frames:
            raise AudioFileError(
                f"{path}: does not tell its length and may be longer than libsndfile reads; "
                'pip install "unmask[media]" or convert it to WAV'
            )


def _native_blocks(
    path: Path, block: int, start_s: float, stop_s: float | None, stream: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    with _opened(path, stream) as file:
        rate, end = file.samplerate, file.frames
        dtype = "float64" if file.subtype in {"PCM_32", "DOUBLE"} else "float32"
        position = min(round(start_s * rate), end)
        stop = end if stop_s is None else min(round(stop_s * rate), end)
        file.seek(position)
        while position < stop:
            samples = file.read(min(block, stop - position), dtype=dtype, always_2d=True)
            if not len(samples):
                break
            position += len(samples)
            yield rate, np.ascontiguousarray(samples.T)
        if position < stop:
            raise truncated(path, f"after {position} samples, its header promises {end}")


@contextmanager
def _opened(path: Path, stream: int) -> Iterator[Any]:
    """Open a file in soundfile; every complaint of libsndfile becomes one line."""
    import soundfile

    if stream:
        raise ConfigError(f"{path}: has one audio stream, stream {stream} was asked for; use 0")
    if missing := _missing_bytes(path):
        raise truncated(path, f"{missing} bytes before its header says")
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames == 0:
                raise AudioFileError(f"{path}: has 0 samples; record or export it again")
            if file.frames >= _UNKNOWN:
                raise AudioFileError(
                    f"{path}: does not tell its length, it was written to a pipe; "
                    "convert it to WAV or encode it again to a file"
                )
            yield file
    except soundfile.LibsndfileError as error:
        raise AudioFileError(
            f"{path}: is damaged, truncated or no {path.suffix} file, libsndfile says "
            f"{error.error_string!r}; copy it again or convert it to WAV"
        ) from error


def _missing_bytes(path: Path) -> int:
    """Bytes that a WAV, AIFF or OGG file promises and lacks; libsndfile does not mind."""
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(12)[:4]
        if magic in {b"RIFF", b"RF64", b"RIFX", b"FORM"}:
            return _missing_in_chunks(file, size, "<" if magic in {b"RIFF", b"RF64"} else ">")
        if magic != b"OggS":
            return 0
        file.seek(max(0, size - 2 * 65307))  # The largest page has 65307 bytes.
        tail = file.read()
    page = tail[tail.rfind(b"OggS\0") :]
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    whole = 27 + len(segments) + sum(segments) if segments else 28
    return max(0, whole - len(page))


def _missing_in_chunks(file: BinaryIO, size: int, order: str) -> int:
    wide = 0
    while len(header := file.read(8)) == 8:
        name, length = struct.unpack(f"{order}4sI", header)
        start = file.tell()
        if name in {b"data", b"SSND"}:
            # Writers to a pipe do not know the length and put a number near 2**31 or 2**32.
            length = wide if length >= 0x7FFFF000 else length
            return max(0, start + length - size)
        if name == b"ds64":
            wide = struct.unpack("<Q", file.read(16)[8:])[0]
        file.seek(start + length + length % 2)
    return 0
