"""Write sound files: whole or not at all, and no clipping without a word."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.audio.formats import BLOCK, WRITABLE, AudioInfo, check_finite, native
from unmask.audio.lengths.chunks import chunks
from unmask.audio.lengths.parts import Bytes
from unmask.audio.notes import Notes, finish, read_notes, set_tags
from unmask.audio.rounding import BITS, quantized
from unmask.errors import AudioFileError, ConfigError, SampleRateError, ShapeError, listed
from unmask.files import staged

#: Subtypes that keep samples apart; the others are written only in formats that have no such.
_EXACT = {*BITS, "FLOAT", "DOUBLE", "ULAW", "ALAW"}
_LOSSY = {"OGG", "MP3"}
_FLOATS = (np.dtype("float32"), np.dtype("float64"))
#: Bytes after which the 32-bit lengths in the header overflow, and the formats that have them.
_LIMIT = (1 << 32) - (1 << 20)
_LIMITED = {"AIFF", "AU", "WAV", "WAVEX"}
#: Bytes of a sample, about; subtypes that are not here take less than two.
_BYTES = {"PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8, "PCM_16": 2}
#: Formats into which libsndfile writes a PEAK chunk if samples are of floating point.
_TIMED = {"AIFF", "WAV", "WAVEX"}


@dataclass(frozen=True)
class WriteReport:
    """What was written, and what had to be clamped to fit."""

    path: Path
    n_samples: int
    """Samples per channel."""
    clipped: int
    """Samples beyond full scale, over all channels; 0 in FLOAT and DOUBLE, which hold them."""
    peak: float
    """Largest magnitude that was to be written; 1 is full scale."""
    lost: tuple[str, ...] = ()
    """Tags and other notes of the original that the format cannot hold."""


class Writer:
    """Write a sound file block by block; the file appears whole or not at all.

    Samples go to a hidden name in the same folder, which becomes `path` when the ``with`` block
    ends without an exception and is removed otherwise, `KeyboardInterrupt` included. A file that
    was there before stays untouched until then. The same samples give the same bytes, whenever they
    are written. A WAV that grows beyond 4 GiB becomes RF64, which is WAV with long lengths.

    Parameters
    ----------
    path
        The file to write; its folder must exist.
    sample_rate
        In Hz.
    n_channels
        Rows of every block.
    subtype
        Sample format, such as PCM_16, PCM_24, FLOAT; default: 16-bit integers, or what the format
        has. `fitting_subtype` finds one for a file that was read.
    format
        libsndfile's name of the format; default: what the suffix says.
    name
        What errors call the file; default: `path`.
    like
        The recording that it is made of: its tags, channel mask and Broadcast WAV time are kept as
        far as the format holds them, and its sample format is the default.
    start
        Sample of `like` with which the file begins.
    n_samples
        How many samples will come, if known: what does not fit is refused at once.

    Raises
    ------
    FileError
        The file cannot be written there.
    AudioFileError
        The format cannot hold it, nothing was written, or a sample is NaN or infinite.
    ConfigError, SampleRateError, ShapeError, listed
        The format has no such subtype, the rate is impossible, or blocks have another form.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate: int,
        n_channels: int,
        *,
        subtype: str | None = None,
        format: str | None = None,
        name: str | Path | None = None,
        like: AudioInfo | None = None,
        start: int = 0,
        n_samples: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.name = name or self.path
        if sample_rate != int(sample_rate) or sample_rate < 1:
            raise SampleRateError(
                f"{self.name}: {sample_rate} Hz, should be a whole number above 0"
            )
        self.sample_rate = int(sample_rate)
        self.n_channels = n_channels
        self._notes = read_notes(like.path, start=start) if like else Notes()
        if like and not subtype and not format:
            subtype = fitting_subtype(self.path, like.depth or like.subtype)
        self.format, self.subtype = _writable(self.path, format, subtype, name=self.name)
        if self.format == "WAV" and not format and self._notes.mask is not None:
            self.format = "WAVEX"
        self._lost: tuple[str, ...] = ()
        self._check_size(n_samples or 0)
        self._n_samples = 0
        self._clipped = 0
        self._peak = 0.0

    @property
    def report(self) -> WriteReport:
        """What was written so far."""
        return WriteReport(self.path, self._n_samples, self._clipped, self._peak, self._lost)

    def _check_size(self, n_samples: int) -> None:
        """Choose RF64 or refuse if so many samples are more than 32 bits can count."""
        n_bytes = n_samples * self.n_channels * _BYTES.get(self.subtype, 1)
        if self.format not in _LIMITED or n_bytes <= _LIMIT:
            return
        if not self.format.startswith("WAV"):
            raise AudioFileError(
                f"{self.name}: {self.format} ends at 4 GiB; write .wav, .w64 or .flac"
            )
        self.format = "RF64"

    def __enter__(self) -> Self:
        import soundfile

        with ExitStack() as stack:
            self._part = stack.enter_context(staged(self.path))
            try:
                self._open()
            except soundfile.LibsndfileError as error:
                raise AudioFileError(
                    f"{self.name}: {self.format} cannot hold {self.n_channels} channels of "
                    f"{self.subtype} at {self.sample_rate} Hz; write .wav instead"
                ) from error
            stack.push(self._close)
            self._stack = stack.pop_all()
        return self

    def _open(self) -> None:
        import soundfile

        self._file = soundfile.SoundFile(
            native(self._part),
            "w",
            self.sample_rate,
            self.n_channels,
            self.subtype,
            format=self.format,
        )
        set_tags(self._file, self._notes.tags)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def _close(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the hidden file; what has no samples is no sound."""
        with _storing(self.name):
            self._file.close()
        if kind is None and not self._n_samples:
            raise AudioFileError(f"{self.name}: 0 samples to write, should be 1 or more")
        if kind is None and self.format in _TIMED and self.subtype in {"FLOAT", "DOUBLE"}:
            _stop_clock(self._part)
        if kind is None and self._notes != Notes():
            self._lost = finish(self._part, self._notes)

    def write(self, samples: ArrayLike) -> None:
        """Append `samples` (channel, sample) of floating point; clamp them and count if need be.

        Raises
        ------
        ShapeError
            If `samples` have another form.
        AudioFileError
            If one is NaN or infinite, or the file is full.
        """
        x = np.asarray(samples)
        if x.ndim != 2 or x.shape[0] != self.n_channels or x.dtype not in _FLOATS:
            raise ShapeError(
                f"samples: {x.dtype} {x.shape} for {self.name}, "
                f"should be float32 or float64 ({self.n_channels}, n)"
            )
        for start in range(0, x.shape[-1], BLOCK):
            self._write_block(x[:, start : start + BLOCK])

    def _write_block(self, x: NDArray[Any]) -> None:
        check_finite(x, self.name, self._n_samples, self.sample_rate)
        self._peak = max(self._peak, float(np.max(np.abs(x))))
        stored, clipped = quantized(x, self.subtype)
        with _storing(self.name):
            self._file.write(np.ascontiguousarray(stored.T))
        if self.format in _LIMITED and self._part.stat().st_size > _LIMIT:
            self._grow()
        self._clipped += clipped
        self._n_samples += x.shape[-1]

    def _grow(self) -> None:
        """Go on as RF64, which takes a copy of what was written."""
        import soundfile

        with _storing(self.name):
            self._file.close()
        self._check_size(2 * _LIMIT)  # refuses what is no WAV
        short = self._part.with_name(f"{self._part.stem}-short{self._part.suffix}")
        dtype = "float64" if self.subtype in {"FLOAT", "DOUBLE"} else "int32"
        try:
            os.replace(self._part, short)
            with _storing(self.name), soundfile.SoundFile(native(short)) as file:
                self._open()
                for block in file.blocks(BLOCK, dtype=dtype):
                    self._file.write(block)
        finally:
            short.unlink(missing_ok=True)


def write(
    path: str | Path,
    waveform: ArrayLike,
    sample_rate: int,
    *,
    subtype: str | None = None,
    format: str | None = None,
) -> WriteReport:
    """Write `waveform` (channel, sample) to a sound file; options and errors as `Writer`.

    Examples
    --------
    >>> import numpy as np, tempfile, unmask.audio
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = unmask.audio.write(f"{folder}/loud.wav", np.array([[0.5, -2.0]]), 48000)
    >>> report.clipped, report.peak
    (1, 2.0)
    """
    x = np.asarray(waveform)
    n_channels = x.shape[0] if x.ndim == 2 else 0
    with Writer(path, sample_rate, n_channels or 1, subtype=subtype, format=format) as writer:
        writer.write(x)
    return writer.report


def fitting_subtype(path: str | Path, subtype: str) -> str:
    """Give the subtype nearest to `subtype` that a file of the suffix of `path` can hold.

    The same where possible; 24-bit integers for what has more than 16 bits; else the default.

    >>> fitting_subtype("stem.flac", "FLOAT"), fitting_subtype("stem.wav", "VORBIS")
    ('PCM_24', 'PCM_16')
    """
    import soundfile

    kind, default = _writable(Path(path), None, None, name=path)
    known = _EXACT & set(soundfile.available_subtypes(kind))
    deep = {"PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
    wanted = [subtype, "PCM_24"] if subtype in deep else [subtype]
    return next((name for name in wanted if name in known), default)


def _writable(
    path: Path, format: str | None, subtype: str | None, *, name: str | Path
) -> tuple[str, str]:
    """Format and subtype to write: what was asked for, else what the suffix says."""
    import soundfile

    usual, default = WRITABLE.get(path.suffix.lower(), (None, "PCM_16"))
    kind = format or usual
    if kind is None:
        raise AudioFileError(
            f"{name}: no format that can be written has the suffix {path.suffix!r}; "
            f"use one of {listed(WRITABLE)}"
        )
    chosen = subtype or (default if kind == usual else "PCM_16")
    known = set(soundfile.available_subtypes(kind))
    known &= known if kind in _LOSSY else _EXACT
    if chosen not in known:
        raise ConfigError(f"{name}: {kind} cannot hold {chosen}; it can hold {listed(known)}")
    return kind, chosen


def _stop_clock(path: Path) -> None:
    """Zero the time of writing in the PEAK chunk.

    The chunk begins with a version of four bytes; then comes the time.
    """
    with path.open("r+b") as stream:
        file = Bytes(path, stream)
        order = ">" if file.at(0, 4) == b"FORM" else "<"
        peak = next(chunk for chunk in chunks(file, 12, order) if chunk.name == b"PEAK")
        stream.seek(peak.start + 4)
        stream.write(bytes(4))


@contextmanager
def _storing(name: str | Path) -> Iterator[None]:
    import soundfile

    try:
        yield
    except soundfile.LibsndfileError as error:
        raise AudioFileError(
            f"{name}: cannot be written, libsndfile says {error.error_string!r}; is the disk full?"
        ) from error
