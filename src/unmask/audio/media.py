"""Read sound through PyAV (FFmpeg): m4a, mp4, video, files of several streams, odd MP3."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.audio.formats import AudioInfo
from unmask.audio.lengths.parts import truncated
from unmask.errors import AudioFileError, MissingExtraError

#: Containers whose lengths are counts; those of others are FFmpeg's estimates from a bit rate.
_PROMISING = {
    "aiff",
    "ape",
    "asf",
    "avi",
    "caf",
    "flac",
    "matroska",
    "mov",
    "tta",
    "w64",
    "wav",
    "wv",
}
_TIME = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


def is_installed() -> bool:
    """Tell whether PyAV is there."""
    return find_spec("av") is not None


def opens(path: Path) -> bool:
    """Tell whether PyAV is there and finds sound in a file."""
    if not is_installed():
        return False
    try:
        with _container(path, 0):
            return True
    except AudioFileError:
        return False


def tags(path: Path) -> dict[str, str]:
    """Return the tags of a file and of its first sound; none if it cannot be read."""
    if not is_installed():
        return {}
    try:
        with _container(path, 0) as (container, source):
            return {**container.metadata, **source.metadata}
    except AudioFileError:
        return {}


def _starts_s(container: Any, source: Any) -> float:
    """Return how long after the first stream of a container one of its streams starts."""
    if source.start_time is None or container.start_time is None:
        return 0.0
    seconds = float(source.start_time * source.time_base - Fraction(container.start_time, 10**6))
    return max(0.0, round(seconds, 6))


def _depth(source: Any) -> str:
    """Return libsndfile's subtype that holds what a lossless codec decodes to; float32 at most."""
    context = source.codec_context
    if not getattr(context.codec, "lossless", False):
        return ""
    name = context.format.name.rstrip("p")
    return {"s32": "PCM_24", "flt": "FLOAT", "dbl": "FLOAT"}.get(name, "PCM_16")


@contextmanager
def _container(path: Path, stream: int) -> Iterator[tuple[Any, Any]]:
    """Open a file in PyAV and choose one of its audio streams."""
    try:
        import av
    except ImportError:
        raise MissingExtraError(
            f"{path}: {path.suffix or 'such'} files are read through PyAV, which is not installed; "
            'pip install "unmask[media]"'
        ) from None
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            streams = container.streams.audio
            if not 0 <= stream < len(streams):
                raise AudioFileError(
                    f"{path}: has {len(streams)} audio streams, number {stream} was asked for "
                    "(the first is 0); choose another stream or file"
                )
            context = streams[stream].codec_context
            if context is None or not context.sample_rate:
                raise AudioFileError(
                    f"{path}: is damaged or in a format that FFmpeg does not know; "
                    "copy it again or convert it to WAV"
                )
            yield container, streams[stream]
    except UnicodeEncodeError:
        raise AudioFileError(
            f"{path}: FFmpeg opens no name that is no text in this locale; rename it"
        ) from None
    except av.FFmpegError as error:
        raise AudioFileError(
            f"{path}: is damaged, truncated or no sound, FFmpeg says {error.strerror!r}; "
            "copy it again or convert it to WAV"
        ) from error


def info(path: Path, stream: int) -> AudioInfo:
    """Describe an audio stream; decodes it to count its samples.

    Raises
    ------
    AudioFileError
        If there is no such stream, or nothing in it.
    """
    with _container(path, stream) as (container, source):
        n_samples = sum(frame.shape[-1] for frame in _frames(path, container, source))
        if not n_samples:
            raise AudioFileError(f"{path}: has 0 samples; record or export it again")
        return AudioInfo(
            path,
            source.codec_context.sample_rate,
            source.codec_context.channels,
            n_samples,
            container.format.name,
            source.codec_context.name,
            len(container.streams.audio),
            depth=_depth(source),
            starts_s=_starts_s(container, source),
        )


def _frames(path: Path, container: Any, source: Any) -> Iterator[NDArray[Any]]:
    """Every frame as float32 (channel, sample)."""
    import av

    converter = av.AudioResampler(format="fltp")
    rate, n_channels = source.codec_context.sample_rate, source.codec_context.channels
    n_samples = 0
    for frame in container.decode(source):
        found = (frame.sample_rate, frame.layout.nb_channels)
        if found != (rate, n_channels):
            raise AudioFileError(
                f"{path}: changes from {n_channels} channels at {rate} Hz to {found[1]} at "
                f"{found[0]} Hz after {n_samples / rate:.3f} s; convert it to WAV"
            )
        n_samples += frame.samples
        yield from (part.to_ndarray() for part in converter.resample(frame))
    promised_s = _promised_s(container, source)
    if n_samples / rate < promised_s - 0.5:  # Encoder delay and padding are below that.
        raise truncated(path, f"after {n_samples / rate:.1f} s of {promised_s:.1f} s")


def _promised_s(container: Any, source: Any) -> float:
    """Return the seconds of sound that a container holds for certain; 0 where FFmpeg estimates."""
    if not _PROMISING & set(container.format.name.split(",")):
        return 0.0
    if source.duration is not None:
        return float(source.duration * source.time_base)
    if tag := _TIME.fullmatch(source.metadata.get("DURATION", "")):  # of a track of Matroska
        hours, minutes, seconds = map(float, tag.groups())
        return 3600 * hours + 60 * minutes + seconds
    alone = len(container.streams) == 1 and container.duration is not None
    return float(container.duration / 1e6) if alone else 0.0


def blocks(
    path: Path, block: int, start_s: float, stop_s: float | None, stream: int
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Sample rate and samples (channel, sample), `block` at a time."""
    held: list[NDArray[Any]] = []
    n_held = position = 0
    with _container(path, stream) as (container, source):
        rate = source.codec_context.sample_rate
        start = round(start_s * rate)
        stop = sys.maxsize if stop_s is None else round(stop_s * rate)
        for frame in _frames(path, container, source):
            part = frame[:, max(0, start - position) : max(0, stop - position)]
            position += frame.shape[-1]
            if part.shape[-1]:  # A view of nothing would keep its frame in memory.
                held.append(part)
            n_held += part.shape[-1]
            while n_held >= block:
                joined = np.concatenate(held, axis=-1)
                yield rate, joined[:, :block]
                held, n_held = [joined[:, block:]], n_held - block
            if position >= stop:
                break
    if n_held:
        yield rate, np.concatenate(held, axis=-1)
