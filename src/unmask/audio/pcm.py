"""Sound in a pipe: raw PCM of every usual encoding, and WAV whose length nobody knows yet.

Soundfile waits for whole blocks and must seek, or trust the length in a header; a live stream can
offer neither. So samples are decoded here, and only what the head of a WAV says is libsndfile's.
"""

from __future__ import annotations

import io
import os
import select
import struct
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unmask.errors import AudioFileError

#: Writers to a pipe do not know the length and put 0 or a number near 2**31 or 2**32.
_UNKNOWN_FROM = 0x7FFFF000
_UNKNOWN = 0xFFFFFFFF
#: The longest description of a format in use has 40 bytes.
_LONGEST_FORMAT = 1 << 10
_PIECE = 1 << 16


@dataclass(frozen=True)
class Encoding:
    """How samples are stored, interleaved: made by `ENCODINGS`."""

    name: str
    """FFmpeg's name."""
    n_bytes: int
    """Bytes of one sample of one channel."""
    dtype: np.dtype[Any]
    """What holds a sample; 24 bits are the upper three bytes of 32."""

    def decode(self, data: bytes, n_channels: int) -> NDArray[np.float32]:
        """Return whole sample frames as (channel, sample), full scale 1.

        Exact up to 24 bits and for 32-bit floating point; the rest is rounded to float32, and what
        is beyond its range becomes infinite.
        """
        if self.n_bytes == 3:
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, self._upper] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            values = wide.view(self.dtype)
        else:
            values = np.frombuffer(data, self.dtype)
        with np.errstate(over="ignore"):
            samples = values.reshape(-1, n_channels).T.astype(np.float32)
        if self.dtype.kind == "f":
            return samples
        full = np.float32(2.0 ** (8 * self.dtype.itemsize - 1))
        return samples / full - np.float32(self.dtype.kind == "u")

    def encode(self, waveform: NDArray[Any]) -> tuple[bytes, int]:
        """Return `waveform` (channel, sample) as bytes, and how many samples were clipped.

        An integer is the whole number nearest to ``x * 2**(bits - 1)``, without dither; what is
        beyond full scale is clamped and counted. Floating point is stored as it is.
        """
        frames = np.ascontiguousarray(waveform.T)
        if self.dtype.kind == "f":
            return frames.astype(self.dtype).tobytes(), 0
        clipped = int(np.count_nonzero(np.abs(frames) > 1))
        top = 2.0 ** (8 * self.n_bytes - 1)
        # single precision holds 16 bits and more
        precise = frames if self.n_bytes <= 2 else frames.astype(np.float64)
        whole = np.clip(np.rint(precise * precise.dtype.type(top)), -top, top - 1)
        if self.dtype.kind == "u":
            whole += top
        if self.n_bytes != 3:
            return whole.astype(self.dtype).tobytes(), clipped
        wide = (256 * whole).astype(self.dtype).reshape(-1, 1).view(np.uint8)
        return wide[:, self._upper].tobytes(), clipped

    @property
    def _upper(self) -> slice:
        """Where the three bytes of a 24-bit sample are in four."""
        return slice(0, 3) if self.name.endswith("be") else slice(1, 4)


def _encoding(name: str) -> Encoding:
    bits = int(name[1:].rstrip("lbe"))
    order = ">" if name.endswith("be") else "<"
    kind = {"s": "i"}.get(name[0], name[0])
    return Encoding(name, bits // 8, np.dtype(f"{order}{kind}{4 if bits == 24 else bits // 8}"))


#: Encodings by FFmpeg's names.
ENCODINGS = {
    name: _encoding(name)
    for name in (
        *("u8", "s16le", "s24le", "s32le", "f32le", "f64le"),
        *("s16be", "s24be", "s32be", "f32be", "f64be"),
    )
}
_OF_SUBTYPE = {
    "PCM_U8": "u8",
    "PCM_16": "s16le",
    "PCM_24": "s24le",
    "PCM_32": "s32le",
    "FLOAT": "f32le",
    "DOUBLE": "f64le",
}


class Source(Protocol):
    """A binary file that gives what it has: a buffered file or pipe."""

    def read1(self, size: int, /) -> bytes:
        """Return up to `size` bytes as soon as there are any; none at the end."""


class Patient:
    """A source that waits where a non-blocking one has nothing yet, which is not its end."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read1(self, size: int, /) -> bytes:
        """Return up to `size` bytes as soon as there are any; none at the end."""
        data = self._source.read1(size)
        if not data and (pipe := non_blocking(self._source)) is not None:
            select.select([pipe], [], [])
            data = self._source.read1(size)
        return data or b""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end."""
        found = bytearray()
        while len(found) < size and (data := self.read1(size - len(found))):
            found += data
        return bytes(found)


def non_blocking(file: Any) -> int | None:
    """Return the descriptor of a file that does not wait, None if it does."""
    try:
        descriptor: int = file.fileno()
        return None if os.get_blocking(descriptor) else descriptor
    except (AttributeError, OSError):  # no file of the system, or a system without such
        return None


@dataclass(frozen=True)
class PipeFormat:
    """What a pipe carries."""

    sample_rate: int
    """Hz."""
    n_channels: int
    encoding: Encoding
    n_bytes: int | None = None
    """Bytes of all samples; None if they go on until the pipe ends."""
    head: bytes = b""
    """What stands before the samples where the same format goes out; none for raw PCM."""


def read_wav_head(source: Source, *, subject: str = "standard input") -> PipeFormat:
    """Read the head of a WAV stream; the next byte of `source` is the first of the samples.

    Parameters
    ----------
    source : binary file
        Read from its place on, never sought in.
    subject : str
        What errors name.

    Raises
    ------
    AudioFileError
        If it is no WAV, ends in its head, or holds samples that are in none of `ENCODINGS`.
    """
    patient = Patient(source)
    magic = patient.read(12)
    if magic[:4] != b"RIFF" or magic[8:] != b"WAVE":
        found = "is empty" if not magic else f"starts with {magic[:4]!r}"
        raise AudioFileError(
            f"{subject}: {found}, expected WAV (RIFF); convert it, or name the format of raw PCM"
        )
    description = b""
    name, length = _chunk(patient, subject)
    while name != b"data":
        if name == b"fmt " and length <= _LONGEST_FORMAT:
            description = _read(patient, length + length % 2, subject)
        else:
            for start in range(0, length + length % 2, _PIECE):
                _read(patient, min(_PIECE, length + length % 2 - start), subject)
        name, length = _chunk(patient, subject)
    n_bytes = length if 0 < length < _UNKNOWN_FROM else None
    return PipeFormat(*_described(description, subject), n_bytes, _head(description, n_bytes))


def _chunk(source: Patient, subject: str) -> tuple[bytes, int]:
    name, length = struct.unpack("<4sI", _read(source, 8, subject))
    return name, length


def _read(source: Patient, n_bytes: int, subject: str) -> bytes:
    data = source.read(n_bytes)
    if len(data) < n_bytes:
        raise AudioFileError(f"{subject}: ends in the head of a WAV file; check what writes it")
    return data


def _head(description: bytes, n_bytes: int | None) -> bytes:
    n_other = 20 + len(description) + (n_bytes or 0) % 2  # the samples of a chunk are padded
    riff, data = (_UNKNOWN, _UNKNOWN) if n_bytes is None else (n_other + n_bytes, n_bytes)
    return b"".join(
        [
            struct.pack("<4sI4s4sI", b"RIFF", riff, b"WAVE", b"fmt ", len(description)),
            description,
            struct.pack("<4sI", b"data", data),
        ]
    )


def _described(description: bytes, subject: str) -> tuple[int, int, Encoding]:
    """Return rate, channels and encoding that libsndfile reads from a chunk ``fmt``."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(_head(description, 0))) as file:
            subtype = file.subtype
            found = file.samplerate, file.channels
    except soundfile.LibsndfileError as error:
        raise AudioFileError(
            f"{subject}: has a head that libsndfile refuses: {error.error_string!r}; "
            "check what writes it"
        ) from error
    if subtype not in _OF_SUBTYPE:
        raise AudioFileError(
            f"{subject}: holds {subtype}, expected one of {' '.join(_OF_SUBTYPE)}; convert it"
        )
    return *found, ENCODINGS[_OF_SUBTYPE[subtype]]
