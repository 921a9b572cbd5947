"""Put sound into a video: the picture is copied, not encoded again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from unmask.audio.formats import native
from unmask.audio.media import is_installed
from unmask.errors import AudioFileError, MissingExtraError

#: Samples that are encoded at a time.
_BLOCK = 4096
#: FFmpeg's name of a codec -> of its encoder, where it is another.
_ENCODERS = {"opus": "libopus", "vorbis": "libvorbis", "mp3": "libmp3lame"}
#: Bits a second of a channel, at least: what was separated is encoded a second time.
_LEAST_BITS = 96_000


def check_video(path: Path) -> None:
    """Refuse what has no moving picture.

    Raises
    ------
    AudioFileError
        If it has none, or cannot be read.
    MissingExtraError
        If PyAV is not installed.
    """
    with _opened(path) as video:
        if not _pictures(video):
            raise AudioFileError(
                f"{path}: is no video, expected one to put sound into; leave out --into-video"
            )


def replace_sound(
    video: Path, sound: Path, out: Path, *, name: Path, done: Callable[[int], None]
) -> tuple[str, ...]:
    """Write a copy of a video with another sound; return what the copy has not got.

    Packets of pictures and subtitles are copied. The sound begins when the old one begins, and is
    encoded as the old one, if there is an encoder, else as is usual in such files.

    Parameters
    ----------
    video : Path
        What is copied; its first sound is replaced, others are left out.
    sound : Path
        A sound file that soundfile reads: the rate, channels and samples of that sound.
    out : Path
        Where it goes.
    name : Path
        What errors call it.
    done : callable
        Is told how many samples were encoded.

    Raises
    ------
    AudioFileError
        If FFmpeg cannot read `video`, or write such a file.
    """
    import av

    try:
        return _copied(video, sound, out, done, subtitles=True)
    except (av.FFmpegError, ValueError):  # the container may have none of this kind
        out.unlink(missing_ok=True)
    try:
        return ("subtitles", *_copied(video, sound, out, done, subtitles=False))
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioFileError(
            f"{name}: cannot be written as {name.suffix} with the picture of {video}, FFmpeg says "
            f"{reason!r}; write .mkv, which holds most"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not is_installed():
        raise MissingExtraError(
            f"{path}: video is read through PyAV, which is not installed; "
            'pip install "unmask[media]"'
        )
    import av

    try:
        container = av.open(f"file:{path}", metadata_errors="replace")
    except av.FFmpegError as error:
        raise AudioFileError(
            f"{path}: cannot be read as video, FFmpeg says {error.strerror!r}; check the file"
        ) from error
    with container:
        yield container


def _pictures(container: Any) -> list[Any]:
    """Return the streams of pictures that move: covers of albums do not."""
    return [
        stream
        for stream in container.streams.video
        if not stream.disposition & type(stream.disposition).attached_pic
    ]


def _copied(
    video: Path, sound: Path, out: Path, done: Callable[[int], None], *, subtitles: bool
) -> tuple[str, ...]:
    with _opened(video) as source, _created(out, source) as target:
        old = source.streams.audio[0]
        kept = [*source.streams.video, *(source.streams.subtitles if subtitles else ())]
        copies = {stream.index: _copy_of(stream, target) for stream in kept}
        new = _sound_like(old, target)
        target.metadata.update(source.metadata)
        if hasattr(source, "chapters") and hasattr(target, "set_chapters"):
            target.set_chapters(source.chapters())
        encoded = _encoded(sound, new, _starts(video), done)
        ahead = next(encoded, None)
        for packet in source.demux(kept):
            if packet.dts is None:  # the end
                continue
            seconds = packet.dts * packet.time_base
            while ahead is not None and ahead.dts * ahead.time_base <= seconds:
                target.mux(ahead)
                ahead = next(encoded, None)
            packet.stream = copies[packet.stream.index]
            target.mux(packet)
        while ahead is not None:
            target.mux(ahead)
            ahead = next(encoded, None)
        known = {old.index, *copies, *(stream.index for stream in source.streams.subtitles)}
        rest = [stream for stream in source.streams if stream.index not in known]
        return tuple(f"stream {stream.index} ({stream.type})" for stream in rest)


def _created(out: Path, source: Any) -> Any:
    """Open a file to write; times in MP4 are exact to the sample."""
    import av

    is_mp4 = out.suffix.lower() in {".mp4", ".m4v", ".mov"}
    rate = source.streams.audio[0].codec_context.sample_rate
    return av.open(f"file:{out}", "w", options={"movie_timescale": str(rate)} if is_mp4 else {})


def _copy_of(stream: Any, target: Any) -> Any:
    add = getattr(target, "add_stream_from_template", None)
    copy = add(stream) if add else target.add_stream(template=stream)
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy


def _sound_like(old: Any, target: Any) -> Any:
    """Add a stream of sound like another, as far as it can be encoded."""
    import av

    context = old.codec_context
    own = getattr(context.codec, "canonical_name", context.name)
    name = _ENCODERS.get(own, own)
    usual = getattr(target, "default_audio_codec", "aac")
    for codec in (name, _ENCODERS.get(usual, usual)):
        try:
            found = av.Codec(codec, "w")
            break
        except ValueError:  # no such encoder
            continue
    new = target.add_stream(codec, rate=context.sample_rate)
    new.codec_context.layout = context.layout
    formats = [form.name for form in found.audio_formats or ()]
    if formats:
        kind = context.format.name
        new.codec_context.format = kind if kind in formats else formats[0]
    if not getattr(found, "lossless", False):
        new.codec_context.bit_rate = max(context.bit_rate or 0, _LEAST_BITS * context.channels)
    new.metadata.update(old.metadata)
    return new


def _starts(video: Path) -> Fraction:
    """Return the time of the first sample that a decoder gives, in seconds."""
    with _opened(video) as source:
        first = next(source.decode(audio=0))
        return Fraction(first.pts or 0) * Fraction(first.time_base)


def _encoded(
    sound: Path, stream: Any, start_s: Fraction, done: Callable[[int], None]
) -> Iterator[Any]:
    """Yield the packets of a sound file."""
    import av
    import soundfile

    rate = stream.codec_context.sample_rate
    pts = round(start_s * rate)
    resampler = av.AudioResampler(
        stream.codec_context.format, stream.codec_context.layout, rate,
        frame_size=stream.codec_context.frame_size or None,
    )  # fmt: skip
    with soundfile.SoundFile(native(sound)) as file:
        for block in file.blocks(_BLOCK, dtype="float32", always_2d=True):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block.T),
                format="fltp",
                layout=stream.codec_context.layout.name,
            )
            frame.sample_rate, frame.pts, frame.time_base = rate, pts, Fraction(1, rate)
            pts += len(block)
            for ready in resampler.resample(frame):
                yield from stream.encode(ready)
            done(file.tell())
        for ready in resampler.resample(None):
            yield from stream.encode(ready)
    yield from stream.encode(None)
