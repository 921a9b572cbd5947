"""The gap report: how far a separator is from what its masks could do, and what the rest is.

For every stem, over the whole band and per octave, the SDR of

* the mixture, taken as the estimate;
* the separator's estimate;
* the estimate's magnitude with the mixture's phase, and with the true phase;
* the true magnitude with the estimate's phase;
* the oracle of the separator's mask family on its own front-end;
* the oracle of the unbounded complex mask, which only rounding limits.

What true phase gains is what wrong phase costs, and likewise for magnitude; what the family's
oracle lacks is what no training can win.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from unmask import audio, masks
from unmask._arrays import Array
from unmask.engine.model import Model
from unmask.engine.stream import Streamer
from unmask.evaluate.pairing import Track, check_agree
from unmask.folding import Folding, add_up, match_model
from unmask.frontends import STFT
from unmask.masks import Family
from unmask.metrics import RunningScores
from unmask.mixtures import Sources, cut, own_frames
from unmask.octaves import decibels, in_bands, octave_bands, power
from unmask.order import best_order

__all__ = [
    "CASES",
    "Breakdown",
    "Cell",
    "Separator",
    "breakdown",
    "gap",
    "gap_of_files",
]

#: The rows of a report, in the order of the module's docstring.
CASES = (
    "mixture",
    "model",
    "model magnitude, mixture phase",
    "model magnitude, true phase",
    "true magnitude, model phase",
    "family oracle",
    "unbounded oracle",
)


_Progress = Callable[[float], None]


class Separator(Protocol):
    """A model as the report needs it: :class:`unmask.Model` is one."""

    stems: tuple[str, ...]
    residual: str
    sample_rate: int

    def family_at(self, sample_rate: int) -> Family:
        """Return the family of its masks at that rate."""

    def stft_at(self, sample_rate: int) -> STFT:
        """Return the transform whose bins its masks are for."""

    def separate(self, mixture: Array, sample_rate: int, *, residual: bool) -> dict[str, Array]:
        """Return the stems of a recording."""


@dataclass(frozen=True)
class Cell:
    """One cell of the report."""

    stem: str
    case: str
    """One of :data:`CASES`."""
    low_hz: float
    high_hz: float
    """The band; from 0 to half the sample rate for the whole."""
    sdr: float
    """In dB, all channels together; NaN where the target is silent."""


class Breakdown(NamedTuple):
    """Where the decibels of one stem and band went."""

    gained: float
    """SDR of the model over that of the mixture."""
    share: float
    """Part of the way from the mixture to the family's oracle, 1 is all of it."""
    to_magnitude: float
    """What the true magnitude would add."""
    to_phase: float
    """What the true phase would add."""
    to_family: float
    """From the model to the oracle of its family: what training could win at the most."""
    beyond: float
    """From that oracle to the unbounded one: what only another family can win."""


def gap(
    model: Separator,
    stems: Mapping[str, Array] | Mapping[str, Path],
    sample_rate: int | None = None,
    *,
    octaves: bool = True,
    fold: Mapping[str, str] | None = None,
) -> Iterator[Cell]:
    """Yield the scores of a model, of its oracles and of their mixtures on ``sum(stems)``.

    Memory does not grow with the recording, if the separator is a loaded model.

    Parameters
    ----------
    model : Model
        Or anything that separates and says its front-end and mask family.
    stems : mapping of str to array [shape=(channel, sample)], real, or path
        The truth, all of it, by name. Those that the model names are scored; all that it does not
        name is its residual's, or part of a stem of it (:mod:`unmask.folding`).
    sample_rate : int
        In Hz; files say it themselves.
    octaves : bool
        Also score per octave band, from 62.5 Hz on.
    fold : mapping of str to str
        Part -> the source that it is added to, on both sides.

    Yields
    ------
    Cell

    Raises
    ------
    ConfigError
        If no stem is one of the model's, or `fold` names what is not there.
    """
    sources = Sources(stems, sample_rate)
    folding, rate = match_model(model, sources.names, asked=fold), sources.sample_rate
    report = _Report(
        list(folding.targets),
        folding.common,
        stft=model.stft_at(rate),
        family=model.family_at(rate),
        n_samples=sources.n_samples,
        sample_rate=rate,
    )
    n = len(folding.targets)
    pairs = ((rows[n:], rows[report.places]) for rows in _separated(model, sources, folding))
    order = best_order(folding.common, pairs)
    rows = _separated(model, sources, folding)
    ordered = (np.concatenate([block[:n], block[n:][order]]) for block in rows)
    yield from report.of(ordered, octaves=octaves)


def gap_of_files(
    track: Track,
    *,
    stft: STFT,
    family: str | Family = "complex",
    octaves: bool = True,
    progress: _Progress | None = None,
) -> Iterator[Cell]:
    """Yield the same scores for estimates that any separator wrote; memory does not grow.

    Parameters
    ----------
    track : Track
        Estimates, and all targets that the mixture is the sum of, as
        :func:`unmask.evaluate.pair` finds them (``how=Pairing(allow_other_stems=True)``).
    stft : STFT
        What magnitudes and phases are taken from, and the oracles work on.
    family : str or Family
        What the separator's masks are, for the family's oracle; unbounded and complex for
        separators that need none.
    octaves : bool
        Also score per octave band.
    progress : callable, optional
        Is told the share that is done.

    Yields
    ------
    Cell

    Raises
    ------
    AudioFileError, SampleRateError, ShapeError
        If files cannot be read or do not agree.
    ConfigError
        If there is no such family.
    """
    check_agree(track)
    track = track.in_order()
    sides = (track.targets, track.estimates)
    targets, estimates = ({k: audio.SumOnDisk(side[k]) for k in side} for side in sides)
    first = next(iter(targets.values()))
    if isinstance(family, str):
        family = masks.get(family, sample_rate=first.sample_rate)
    report = _Report(
        list(targets),
        list(estimates),
        stft=stft,
        family=family,
        n_samples=first.shape[1],
        sample_rate=first.sample_rate,
    )
    signals = (signal.blocks() for signal in (*targets.values(), *estimates.values()))
    rows = map(np.stack, zip(*signals, strict=True))
    yield from report.of(rows, octaves=octaves, progress=progress)


def _separated(model: Separator, sources: Sources, folding: Folding) -> Iterator[Array]:
    """Yield the named targets, then the estimates, in blocks (row, channel, sample)."""

    def truth(block: Array) -> Array:
        named = dict(zip(sources.names, block, strict=True))
        return np.stack(list(add_up(folding.targets, named).values()))

    def stacked(estimates: Mapping[str, Array]) -> Array:
        found = add_up(folding.estimates, estimates)
        return np.stack([found[name] for name in folding.common])

    if not isinstance(model, Model):
        targets = truth(np.concatenate(list(sources.blocks()), axis=-1))
        found = model.separate(targets.sum(axis=0), sources.sample_rate, residual=True)
        yield np.concatenate([targets, stacked(found)])
        return
    streamer = Streamer(
        model, sample_rate=sources.sample_rate, n_channels=sources.n_channels, residual=True
    )
    held = np.zeros((len(folding.targets), sources.n_channels, 0), np.float32)
    for block in sources.blocks():
        targets = truth(block)
        held = np.concatenate([held, targets], axis=-1)
        ready = stacked(streamer.process(targets.sum(axis=0)))
        n = ready.shape[-1]
        yield np.concatenate([held[..., :n], ready])
        held = held[..., n:]
    yield np.concatenate([held, stacked(streamer.flush())])


class _Report:
    """The sums of which a report is made, over pieces of a recording."""

    def __init__(
        self,
        targets: Sequence[str],
        scored: Sequence[str],
        *,
        stft: STFT,
        family: Family,
        n_samples: int,
        sample_rate: int,
    ) -> None:
        self.stft, self.family = stft, family
        self.n_samples, self.sample_rate = n_samples, sample_rate
        self.targets, self.scored = list(targets), list(scored)
        self.places = [self.targets.index(name) for name in self.scored]
        self.whole = {case: RunningScores() for case in CASES}
        self.energy = np.zeros((len(self.scored), self.stft.n_freq))
        self.error = {case: np.zeros_like(self.energy) for case in CASES}

    def of(
        self, blocks: Iterator[Array], *, octaves: bool, progress: _Progress | None = None
    ) -> Iterator[Cell]:
        """Yield the scores of targets, then estimates, in blocks (row, channel, sample)."""
        for outer, inner, rows in cut(blocks, self.spans()):
            self.add(rows, outer, inner)
            if progress:
                progress((outer.start + inner.stop) / self.n_samples)
        yield from self.cells(list(octave_bands(self.sample_rate)) if octaves else [])

    def spans(self) -> Iterator[tuple[slice, slice]]:
        """Yield pieces with room for frames that are made, and then analysed again."""
        context = self.stft.overlap + max(self.family.context)
        return self.stft.pieces(self.n_samples, context=context)

    def add(self, rows: Array, outer: slice, inner: slice) -> None:
        """Add a piece of targets and estimates (row, channel, sample)."""
        n, own, stft = len(self.targets), own_frames(inner, self.stft.hop), self.stft
        truth, mixture = rows[self.places], rows[:n].sum(axis=0)
        spectra = stft.analyze(np.concatenate([rows, mixture[None]]))
        target = spectra[self.places]
        self.energy += power(target[..., own])
        for case, made in self._spectra(spectra[:n], spectra[n:-1], spectra[-1]):
            wave = {"mixture": np.broadcast_to(mixture, truth.shape), "model": rows[n:]}.get(case)
            if wave is None:
                wave = stft.synthesize(made, outer.stop - outer.start)
                made = stft.analyze(wave)
            self.whole[case].add(wave[..., inner], truth[..., inner])
            self.error[case] += power(target[..., own] - made[..., own])

    def _spectra(
        self, targets: Array, estimates: Array, mixture: Array
    ) -> Iterator[tuple[str, Array]]:
        """Yield every case's spectra of what is scored (source, channel, freq, frame)."""
        true, size = targets[self.places], np.abs(estimates)
        yield CASES[0], np.broadcast_to(mixture, true.shape)
        yield CASES[1], estimates
        yield CASES[2], size * _phase(mixture)
        yield CASES[3], size * _phase(true)
        yield CASES[4], np.abs(true) * _phase(estimates)
        yield CASES[5], self._best(self.family, targets, mixture)
        yield CASES[6], self._best(masks.get("complex"), targets, mixture)

    def _best(self, family: Family, targets: Array, mixture: Array) -> Array:
        return family.apply(family.ideal(targets, mixture)[self.places], mixture)

    def cells(self, bands: Sequence[tuple[float, float]]) -> Iterator[Cell]:
        """Yield the scores, source by source and case by case."""
        rate = self.sample_rate
        hz = self.stft.frequencies(rate)
        for k, name in enumerate(self.scored):
            energy = in_bands(self.energy[k], hz, bands)
            for case in CASES:
                yield Cell(name, case, 0.0, rate / 2, float(self.whole[case].sdr[k]))
                error = in_bands(self.error[case][k], hz, bands)
                for (low, high), above, below in zip(bands, energy, error, strict=True):
                    yield Cell(name, case, low, high, decibels(above, below))


def breakdown(scores: Iterable[Cell]) -> dict[tuple[str, float, float], Breakdown]:
    """Return where the decibels went, by ``(stem, low_hz, high_hz)``, from the scores of `gap`."""
    cells: dict[tuple[str, float, float], dict[str, float]] = {}
    for score in scores:
        cells.setdefault((score.stem, score.low_hz, score.high_hz), {})[score.case] = score.sdr
    return {key: _breakdown(cell) for key, cell in cells.items()}


def _breakdown(sdr_of: Mapping[str, float]) -> Breakdown:
    start, model, best = (sdr_of[case] for case in ("mixture", "model", "family oracle"))
    return Breakdown(
        gained=model - start,
        share=(model - start) / (best - start) if best > start else math.nan,
        to_magnitude=sdr_of["true magnitude, model phase"] - model,
        to_phase=sdr_of["model magnitude, true phase"] - model,
        to_family=best - model,
        beyond=sdr_of["unbounded oracle"] - best,
    )


def _phase(spectrum: Array) -> Array:
    """Return numbers of magnitude 1 with the phases of a spectrum; 1 where it is 0."""
    size = np.abs(spectrum)
    return np.where(size > 0, spectrum, 1) / np.where(size > 0, size, 1)


def __dir__() -> list[str]:
    return __all__
