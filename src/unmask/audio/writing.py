"""Write sound files: whole or not at all, and no clipping without a word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.audio.formats import BLOCK, WRITABLE, check_finite
from unmask.errors import AudioFileError, ConfigError, SampleRateError, ShapeError, listed
from unmask.files import staged

#: Bits below the sign bit of the integer subtypes.
_BITS = {"PCM_S8": 7, "PCM_U8": 7, "PCM_16": 15, "PCM_24": 23, "PCM_32": 31}
#: Subtypes that keep samples apart; the others are written only in formats that have no such.
_EXACT = {*_BITS, "FLOAT", "DOUBLE", "ULAW", "ALAW"}
_LOSSY = {"OGG", "MP3"}
_FLOATS = (np.dtype("float32"), np.dtype("float64"))
#: Bytes after which the 32-bit lengths in the header overflow, and the formats that have them.
_LIMIT = (1 << 32) - (1 << 20)
_LIMITED = {"AIFF", "AU", "WAV", "WAVEX"}
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


class Writer:
    """Write a sound file block by block; the file appears whole or not at all.

    Samples go to a hidden name in the same folder, which becomes `path` when the ``with`` block
    ends without an exception and is removed otherwise, `KeyboardInterrupt` included. A file that
    was there before stays untouched until then. The same samples give the same bytes, whenever they
    are written.

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
    ) -> None:
        self.path = Path(path)
        self.name = name or self.path
        if sample_rate != int(sample_rate) or sample_rate < 1:
            raise SampleRateError(
                f"{self.name}: {sample_rate} Hz, should be a whole number above 0"
            )
        self.sample_rate = int(sample_rate)
        self.n_channels = n_channels
        self.format, self.subtype = _writable(self.path, format, subtype, name=self.name)
        self._n_samples = 0
        self._clipped = 0
        self._peak = 0.0

    @property
    def report(self) -> WriteReport:
        """What was written so far."""
        return WriteReport(self.path, self._n_samples, self._clipped, self._peak)

    def __enter__(self) -> Self:
        import soundfile

        with ExitStack() as stack:
            self._part = stack.enter_context(staged(self.path))
            try:
                self._file = soundfile.SoundFile(
                    self._part,
                    "w",
                    self.sample_rate,
                    self.n_channels,
                    self.subtype,
                    format=self.format,
                )
            except soundfile.LibsndfileError as error:
                raise AudioFileError(
                    f"{self.name}: {self.format} cannot hold {self.n_channels} channels of "
                    f"{self.subtype} at {self.sample_rate} Hz; write .wav instead"
                ) from error
            stack.push(self._close)
            self._stack = stack.pop_all()
        return self

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
        stored, clipped = _quantized(x, self.subtype)
        with _storing(self.name):
            self._file.write(np.ascontiguousarray(stored.T))
        if self.format in _LIMITED and self._part.stat().st_size > _LIMIT:
            raise AudioFileError(f"{self.name}: {self.format} ends at 4 GiB; write .w64 or .flac")
        self._clipped += clipped
        self._n_samples += x.shape[-1]


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


def round_together(stems: ArrayLike, subtype: str) -> NDArray[Any]:
    """Round `stems` (source, channel, sample) to an integer `subtype` so that their sum stays.

    Each stem takes over the rounding error of the one before it: a stem is off by at most one unit
    of the last bit, and their sum by half a unit, whatever the number of stems (rounded one by one,
    the sum of n stems would be off by up to n/2). Written by `write`, these values do not change.
    For subtypes that are not integers the stems come back as they are.
    """
    x = np.asarray(stems)
    if subtype not in _BITS:
        return x
    scale = 2.0 ** _BITS[subtype]
    rounded, carry = np.empty_like(x), np.zeros(x.shape[1:])
    for source, stem in enumerate(x):
        wanted = stem * scale + carry
        rounded[source] = np.rint(wanted) / scale
        carry = wanted - np.rint(wanted)
    return rounded


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

    The chunk begins with its name, its length and a version, four bytes each; then comes the time.
    Chunks before it, the format and the number of samples, end within the first 128 bytes.
    """
    with path.open("r+b") as file:
        file.seek(file.read(128).index(b"PEAK") + 12)
        file.write(bytes(4))


@contextmanager
def _storing(name: str | Path) -> Iterator[None]:
    import soundfile

    try:
        yield
    except soundfile.LibsndfileError as error:
        raise AudioFileError(
            f"{name}: cannot be written, libsndfile says {error.error_string!r}; is the disk full?"
        ) from error


def _quantized(x: NDArray[Any], subtype: str) -> tuple[NDArray[Any], int]:
    """Values that libsndfile stores without rounding them, and how many were beyond full scale."""
    if subtype in {"FLOAT", "DOUBLE"}:
        return x, 0
    clipped = int(np.count_nonzero(np.abs(x) > 1))
    if subtype not in _BITS:
        return np.clip(x, -1, 1), clipped
    bits = _BITS[subtype]
    word, width = ("int16", 15) if bits <= 15 else ("int32", 31)
    top = 2.0**bits
    whole = np.clip(np.rint(x.astype(np.float64) * top), -top, top - 1)
    return (whole * 2.0 ** (width - bits)).astype(word), clipped
