"""Mixtures of known sources: their sum, and a stretch of them."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from unmask import audio
from unmask._arrays import Array, namespace
from unmask.errors import ConfigError, SampleRateError, ShapeError

__all__ = [
    "Sources",
    "cut",
    "own_frames",
    "stretch",
    "sum_of",
]

_BLOCK = 1 << 16


class Sources:
    """The known sources of a recording, of which no more than a piece need be in memory.

    Parameters
    ----------
    stems : mapping of str to array [shape=(channel, sample)] or path
        The truth, all of it: arrays, or sound files, which are read anew for every pass.
    sample_rate : int, optional
        In Hz; files say it themselves.
    start_s, duration_s : float
        The stretch of them that counts; see :func:`stretch`.

    Attributes
    ----------
    names : tuple of str
    sample_rate : int
    n_channels, n_samples : int

    Raises
    ------
    AudioFileError, SampleRateError, ShapeError
        If files cannot be read, or the stems do not agree; the message names the two.
    ConfigError
        If nothing of them lies in the stretch.
    """

    def __init__(
        self,
        stems: Mapping[str, Array] | Mapping[str, Path],
        sample_rate: int | None = None,
        *,
        start_s: float = 0.0,
        duration_s: float | None = None,
    ) -> None:
        self._stems = dict(stems)
        self.names = tuple(stems)
        shapes = {name: self._shape(stem) for name, stem in self._stems.items()}
        first, (self.n_channels, self.n_samples, rate) = next(iter(shapes.items()))
        for name, (n_channels, n_samples, own) in shapes.items():
            self._check(name, (n_channels, n_samples, own), first, (*shapes[first][:2], rate))
        self.sample_rate = int(rate if sample_rate is None else sample_rate)
        self._span = slice(0, self.n_samples)
        if start_s or duration_s is not None:
            subject = getattr(self._stems[first], "parent", "stems")
            self._span = stretch(
                self.n_samples, self.sample_rate, start_s, duration_s, subject=subject
            )
        self.n_samples = self._span.stop - self._span.start
        self._indexed: list[Any] | None = None

    @staticmethod
    def _shape(stem: Array | Path) -> tuple[int, int, int]:
        if isinstance(stem, Path):
            found = audio.info(stem)
            return found.n_channels, found.n_samples, found.sample_rate
        return stem.shape[0], stem.shape[1], 0

    def _check(
        self, name: str, own: tuple[int, int, int], first: str, its: tuple[int, int, int]
    ) -> None:
        stem, other = self._stems[name], self._stems[first]
        called = stem if isinstance(stem, Path) else f"stem {name!r}"
        beside = other.name if isinstance(other, Path) else repr(first)
        if own[2] != its[2]:
            raise SampleRateError(
                f"{called}: sample rate is {own[2]} Hz, {beside} has {its[2]} Hz; resample one"
            )
        if own[:2] != its[:2]:
            raise ShapeError(
                f"{called}: {own[0]} channels of {own[1]} samples, {beside} has {its[0]} of "
                f"{its[1]}; stems must be aligned and equally long"
            )

    def blocks(self) -> Iterator[Array]:
        """Yield all of them in blocks (source, channel, sample), from the beginning."""
        parts = zip(*(self._parts(stem) for stem in self._stems.values()), strict=True)
        for block in parts:
            yield namespace(*block).stack(block)

    def samples(self, span: slice) -> Array:
        """Return a piece of all of them (source, channel, sample), no longer than they are."""
        if self._indexed is None:
            self._indexed = [
                audio.OnDisk(stem) if isinstance(stem, Path) else stem
                for stem in self._stems.values()
            ]
        first, last, _ = span.indices(self.n_samples)
        shift = self._span.start
        parts = [signal[:, shift + first : shift + last] for signal in self._indexed]
        return namespace(*parts).stack(parts)

    def _parts(self, stem: Array | Path) -> Iterator[Array]:
        start, stop = self._span.start, self._span.stop
        if isinstance(stem, Path):
            start_s, stop_s = (sample / self.sample_rate for sample in (start, stop))
            return audio.read_blocks(stem, block=_BLOCK, start_s=start_s, stop_s=stop_s)
        return (stem[:, k : min(stop, k + _BLOCK)] for k in range(start, stop, _BLOCK))

    def pieces(self, spans: Iterable[tuple[slice, slice]]) -> Iterator[tuple[slice, slice, Array]]:
        """Yield spans of a front-end's ``pieces`` with the samples (source, channel, sample)."""
        return cut(self.blocks(), spans)


def cut(
    blocks: Iterator[Array], spans: Iterable[tuple[slice, slice]]
) -> Iterator[tuple[slice, slice, Array]]:
    """Yield spans of a front-end's ``pieces`` with their samples, of a signal in blocks.

    Parameters
    ----------
    blocks : iterator of array [shape=(..., sample)]
        They follow one another.
    spans : iterable of (slice, slice)
        In their order.

    Raises
    ------
    ShapeError
        If the signal ends before the spans do.
    """
    first, held = 0, next(blocks)
    for outer, inner in spans:
        held, first = held[..., outer.start - first :], outer.start
        while (n_missing := outer.stop - first - held.shape[-1]) > 0:
            if (block := next(blocks, None)) is None:
                raise ShapeError(f"signal: ends {n_missing} samples early; make the file again")
            held = namespace(held).concat([held, block], axis=-1)
        yield outer, inner, held[..., : outer.stop - first]


def own_frames(inner: slice, hop: int) -> slice:
    """Return the frames of a piece that no other piece of a front-end's ``pieces`` has.

    Parameters
    ----------
    inner : slice
        The samples of the piece to keep.
    hop : int
        Step between frames in samples.
    """
    return slice(inner.start // hop, -(-inner.stop // hop))


def sum_of(stems: Mapping[str, Array]) -> Array:
    """Return the mixture ``sum(stems)``, shape (channel, sample)."""
    waveforms = list(stems.values())
    return namespace(*waveforms).sum(namespace(*waveforms).stack(waveforms), axis=0)


def stretch(
    n_samples: int,
    sample_rate: int,
    start_s: float,
    duration_s: float | None,
    *,
    subject: object = "recording",
) -> slice:
    """Return the samples of a stretch of a recording, as many as there are.

    Parameters
    ----------
    n_samples : int
        Of the recording.
    sample_rate : int
        In Hz.
    start_s, duration_s : float
        In seconds, rounded to whole samples; to the end when `duration_s` is None.
    subject
        What the recording is called in the message.

    Raises
    ------
    ConfigError
        If nothing of the recording lies there.

    Examples
    --------
    >>> stretch(8000, 1000, 2.5, 2.0), stretch(8000, 1000, 7, None)
    (slice(2500, 4500, None), slice(7000, 8000, None))
    """
    length_s = n_samples / sample_rate
    if not 0 <= start_s < length_s or not (duration_s is None or duration_s > 0):
        raise ConfigError(
            f"{subject}: start {start_s:g} s, duration {duration_s} s, expected a stretch of the "
            f"recording, which is {length_s:.1f} s long"
        )
    end_s = length_s if duration_s is None else start_s + duration_s
    return slice(round(start_s * sample_rate), min(n_samples, round(end_s * sample_rate)))


def __dir__() -> list[str]:
    return __all__
