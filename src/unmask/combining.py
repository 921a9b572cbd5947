"""Stems of two separators made one: magnitude with phase of the other, lows and highs, means.

What is combined is spectra; memory does not grow with the recording.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from unmask import audio
from unmask._arrays import Array, namespace, safe_divide
from unmask.errors import ConfigError
from unmask.evaluate.pairing import Track, check_agree
from unmask.files import make_folder
from unmask.frontends import STFT
from unmask.metrics import RunningScores
from unmask.mixtures import cut

__all__ = [
    "Gain",
    "Way",
    "combine",
    "combine_files",
]


@dataclass(frozen=True, kw_only=True)
class Way:
    """How two spectra become one.

    Raises
    ------
    ConfigError
        If `low_hz` is not below `high_hz`, or `weight` not from 0 to 1.
    """

    kind: Literal["phase", "split", "mean"]
    """``"phase"``: the first, with the second's phase between two frequencies; ``"split"``: the
    first below a frequency, the second above; ``"mean"``: both, weighted."""
    low_hz: float = 0.0
    """Where the phase fix begins, or the split is."""
    high_hz: float = math.inf
    """Where the phase fix ends."""
    weight: float = 0.5
    """Of the first, in the mean."""

    def __post_init__(self) -> None:
        if not 0 <= self.low_hz < self.high_hz:
            raise ConfigError(
                f"combine: from {self.low_hz:g} to {self.high_hz:g} Hz, expected 0 <= low < high"
            )
        if not 0 <= self.weight <= 1:
            raise ConfigError(f"combine: weight {self.weight:g}, expected 0 to 1")


def combine(first: Array, second: Array, way: Way, *, stft: STFT, sample_rate: int) -> Array:
    """Return one spectrum of two.

    Parameters
    ----------
    first, second : array [shape=(..., freq, frame)], complex
        Spectra of the same source by two separators.
    way : Way
    stft : STFT
        That made them.
    sample_rate : int
        In Hz.

    Returns
    -------
    array [shape of `first`]
        A bin where the second is silent keeps the phase of the first.
    """
    xp = namespace(first, second)
    if way.kind == "mean":
        return way.weight * first + (1 - way.weight) * second
    hz = stft.frequencies(sample_rate)[:, None]
    place = xp.asarray((hz >= way.low_hz) & (hz < way.high_hz))
    if way.kind == "split":
        return xp.where(place, second, first)
    size = xp.abs(second)
    turned = second * safe_divide(xp.abs(first), size, fill=0.0)
    return xp.where(place & (size > 0), turned, first)


@dataclass(frozen=True)
class Gain:
    """What combining did to one stem, against the truth; SDR in dB of all channels together."""

    track: str
    stem: str
    first: float
    second: float
    combined: float

    @property
    def gain(self) -> float:
        """Over the better of the two, in dB."""
        return self.combined - max(self.first, self.second)


def combine_files(
    track: Track,
    way: Way,
    folder: str | Path,
    *,
    stft: STFT | None = None,
    truth: Mapping[str, tuple[audio.Place, ...]] | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[list[Path], list[Gain]]:
    """Write the combined stems of a track, in the format of the first's, and score them.

    Parameters
    ----------
    track : Track
        Two separators' stems as :func:`unmask.evaluate.pair` finds them: the first's are the
        estimates, the second's the targets.
    way : Way
    folder : path
        Where ``STEM.wav`` goes; it is made.
    stft : STFT, optional
        What is combined.
    truth : mapping of str to tuple of Place, optional
        Stem -> files that it is the sum of; stems that it lacks are not scored.
    progress : callable, optional
        Is told the share that is done.

    Returns
    -------
    list of path, list of Gain
        The files, and the scores.

    Raises
    ------
    AudioFileError, FileError, SampleRateError, ShapeError
        If files cannot be read or written, or do not agree.
    """
    scored = {stem: truth[stem] for stem in track.estimates if truth and stem in truth}
    check_agree(track._replace(targets={**track.targets, **_named_truth(scored)}))
    stft, folder, n_done = stft or STFT(), make_folder(folder), 0
    like = audio.info(next(iter(track.estimates.values()))[0])
    sums = {stem: [RunningScores() for _ in range(3)] for stem in scored}
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                audio.Writer(folder / f"{stem}.wav", like.sample_rate, like.n_channels, like=like)
            )
            for stem in track.estimates
        ]
        for both, made, true in _pieces(track, way, stft, like, scored):
            for writer, one in zip(writers, made, strict=True):
                writer.write(one)
            for (stem, three), target in zip(sums.items(), true, strict=True):
                k = list(track.estimates).index(stem)
                for total, one in zip(three, (*both[:, k], made[k]), strict=True):
                    total.add(one[None], target[None])
            n_done += made.shape[-1]
            if progress:
                progress(n_done / like.n_samples)
    gains = [
        Gain(track.name, stem, *(float(total.sdr[0]) for total in three))
        for stem, three in sums.items()
    ]
    return [writer.path for writer in writers], gains


def _named_truth(
    truth: Mapping[str, tuple[audio.Place, ...]],
) -> dict[str, tuple[audio.Place, ...]]:
    return {f"truth of {stem}": paths for stem, paths in truth.items()}


def _pieces(
    track: Track,
    way: Way,
    stft: STFT,
    like: audio.AudioInfo,
    truth: Mapping[str, tuple[audio.Place, ...]],
) -> Iterator[tuple[Array, Array, Array]]:
    """Yield both inputs (separator, stem, channel, sample), what is made of them, the truth."""
    stems = list(track.estimates)
    files = [track.estimates[stem] for stem in stems] + [track.targets[stem] for stem in stems]
    signals = [audio.SumOnDisk(paths).blocks() for paths in (*files, *truth.values())]
    blocks = map(np.stack, zip(*signals, strict=True))
    for outer, inner, rows in cut(blocks, stft.pieces(like.n_samples)):
        both = rows[: 2 * len(stems)].reshape(2, len(stems), *rows.shape[1:])
        first, second = stft.analyze(both)
        made = combine(first, second, way, stft=stft, sample_rate=like.sample_rate)
        wave = stft.synthesize(made, outer.stop - outer.start)
        yield both[..., inner], wave[..., inner], rows[2 * len(stems) :, ..., inner]


def __dir__() -> list[str]:
    return __all__
