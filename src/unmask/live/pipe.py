"""A stream from one binary file to another."""

import select
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from unmask._arrays import Array
from unmask.audio.pcm import Patient, PipeFormat, Source, non_blocking
from unmask.live.tap import Tap

_PIECE = 1 << 16


class Ending(NamedTuple):
    """What was odd about the end of a source, in bytes."""

    n_stray: int
    """Less than one sample of all channels, dropped."""
    n_missing: int
    """Promised by the head and not there."""


def relay(source: Source, sink: BinaryIO, tap: Tap, form: PipeFormat, *, block: int) -> Ending:
    """Separate `source` into `sink` until its end, in as many samples as came in.

    Waits for `block` samples of every channel and takes what else is there in whole blocks: a slow
    source is answered at once, a fast one in large steps. Every answer is flushed.

    Parameters
    ----------
    source, sink : binary files
        `source` stands at its first sample; `sink` gets the head, too.
    tap : Tap
        Of a stream with the rate and channels of `form`; counts what is clipped, too.
    form : PipeFormat
        Of both.
    block : int >= 1
        Samples.

    Raises
    ------
    SignalError
        If `tap` refuses samples that are NaN or infinite, and there are any.
    BrokenPipeError
        If nobody reads `sink` any more.
    """
    frame = form.n_channels * form.encoding.n_bytes
    n_stray = n_read = 0
    source = Patient(source)
    _write(sink, form.head)
    for data in _pieces(source, frame * block, form.n_bytes):
        n_read += len(data)
        n_stray = len(data) % frame
        samples = form.encoding.decode(data[: len(data) - n_stray], form.n_channels)
        _put(sink, tap, form, tap.process(samples))
    _put(sink, tap, form, tap.flush())
    if form.n_bytes is None:
        return Ending(n_stray, 0)
    _write(sink, bytes(form.n_bytes % 2))  # a chunk is padded
    while source.read1(_PIECE):
        pass  # What stands behind the samples: who writes it should not find a broken pipe.
    return Ending(n_stray, form.n_bytes - n_read)


def _put(sink: BinaryIO, tap: Tap, form: PipeFormat, samples: Array) -> None:
    data, n_clipped = form.encoding.encode(samples)
    tap.n_clipped += n_clipped
    if data:
        _write(sink, data)


def _write(sink: BinaryIO, data: bytes) -> None:
    """Write and flush; wait where a non-blocking sink is full."""
    left = memoryview(data)
    while True:
        try:
            sink.write(left)
            left = left[len(left) :]
            sink.flush()
            return
        except BlockingIOError as error:
            left = left[error.characters_written :]
            if (pipe := non_blocking(sink)) is None:
                raise
            select.select([], [pipe], [])


def _pieces(source: Source, unit: int, n_bytes: int | None) -> Iterator[bytes]:
    """Yield what comes in multiples of `unit` bytes as soon as they are whole; then the rest."""
    held = bytearray()
    n_left = float("inf") if n_bytes is None else n_bytes
    while n_left and (data := source.read1(int(min(_PIECE, n_left)))):
        n_left -= len(data)
        held += data
        if n_whole := len(held) // unit * unit:
            yield bytes(held[:n_whole])
            del held[:n_whole]
    if held:
        yield bytes(held)
