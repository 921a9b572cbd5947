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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from unmask import masks
from unmask._arrays import Array
from unmask.engine.model import Model
from unmask.engine.stream import Streamer
from unmask.folding import add_up, match_model
from unmask.frontends import STFT
from unmask.masks import Family
from unmask.metrics import RunningScores
from unmask.mixtures import Sources, cut, own_frames
from unmask.octaves import decibels, in_bands, octave_bands, power

__all__ = [
    "CASES",
    "Breakdown",
    "Cell",
    "Separator",
    "breakdown",
    "gap",
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
    report = _Report(model, sources, fold)
    for outer, inner, rows in cut(report.rows(), report.spans()):
        report.add(rows, outer, inner)
    bands = list(octave_bands(sources.sample_rate)) if octaves else []
    yield from report.cells(bands)


class _Report:
    """The sums of which a report is made, over pieces of a recording."""

    def __init__(
        self, model: Separator, sources: Sources, fold: Mapping[str, str] | None = None
    ) -> None:
        self.model, self.sources = model, sources
        rate = sources.sample_rate
        self.stft, self.family = model.stft_at(rate), model.family_at(rate)
        self.folding = match_model(model, sources.names, asked=fold)
        self.targets, self.scored = list(self.folding.targets), self.folding.common
        self.places = [self.targets.index(name) for name in self.scored]
        self.whole = {case: RunningScores() for case in CASES}
        self.energy = np.zeros((len(self.scored), self.stft.n_freq))
        self.error = {case: np.zeros_like(self.energy) for case in CASES}

    def spans(self) -> Iterator[tuple[slice, slice]]:
        """Yield pieces with room for frames that are made, and then analysed again."""
        context = self.stft.overlap + max(self.family.context)
        return self.stft.pieces(self.sources.n_samples, context=context)

    def rows(self) -> Iterator[Array]:
        """Yield the named targets, then the estimates, in blocks (row, channel, sample)."""
        if not isinstance(self.model, Model):
            targets = self._targets(np.concatenate(list(self.sources.blocks()), axis=-1))
            found = self.model.separate(
                targets.sum(axis=0), self.sources.sample_rate, residual=True
            )
            yield np.concatenate([targets, self._stacked(found)])
            return
        streamer = Streamer(
            self.model,
            sample_rate=self.sources.sample_rate,
            n_channels=self.sources.n_channels,
            residual=True,
        )
        held = np.zeros((len(self.targets), self.sources.n_channels, 0), np.float32)
        for block in self.sources.blocks():
            targets = self._targets(block)
            held = np.concatenate([held, targets], axis=-1)
            ready = self._stacked(streamer.process(targets.sum(axis=0)))
            n = ready.shape[-1]
            yield np.concatenate([held[..., :n], ready])
            held = held[..., n:]
        yield np.concatenate([held, self._stacked(streamer.flush())])

    def _targets(self, block: Array) -> Array:
        named = dict(zip(self.sources.names, block, strict=True))
        return np.stack(list(add_up(self.folding.targets, named).values()))

    def _stacked(self, estimates: Mapping[str, Array]) -> Array:
        found = add_up(self.folding.estimates, estimates)
        return np.stack([found[name] for name in self.scored])

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
        rate = self.sources.sample_rate
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
