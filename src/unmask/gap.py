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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from unmask._arrays import Array
from unmask.frontends import STFT
from unmask.masks import Family
from unmask.metrics import sdr
from unmask.mixtures import named_sources, sum_of
from unmask.octaves import band_sdr, octave_bands
from unmask.oracle import Oracle

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
    model: Separator, stems: Mapping[str, Array], sample_rate: int, *, octaves: bool = True
) -> Iterator[Cell]:
    """Yield the scores of a model, of its oracles and of their mixtures on ``sum(stems)``.

    Parameters
    ----------
    model : Model
        Or anything that separates and says its front-end and mask family.
    stems : mapping of str to array [shape=(channel, sample)], real
        The truth, all of it, by name. Those that the model names are scored; if it names one and
        its residual is not among `stems`, all others together are the residual.
    sample_rate : int
        In Hz.
    octaves : bool
        Also score per octave band, from 62.5 Hz on.

    Yields
    ------
    Cell

    Raises
    ------
    ConfigError
        If no stem is one of the model's.
    """
    mixture = sum_of(stems)
    stft = model.stft_at(sample_rate)
    targets = named_sources(model, stems)
    estimates = model.separate(mixture, sample_rate, residual=True)
    best = Oracle(targets, sample_rate, model.family_at(sample_rate), stft).separate(
        mixture, sample_rate
    )
    exact = Oracle(targets, sample_rate, "complex", stft).separate(mixture, sample_rate)
    bands = list(octave_bands(sample_rate)) if octaves else []
    for name in (name for name in targets if name in estimates):
        target, estimate = targets[name], estimates[name]
        signals = (
            mixture,
            estimate,
            _combine(stft, magnitude=estimate, phase=mixture),
            _combine(stft, magnitude=estimate, phase=target),
            _combine(stft, magnitude=target, phase=estimate),
            best[name],
            exact[name],
        )
        for case, signal in zip(CASES, signals, strict=True):
            yield Cell(name, case, 0.0, sample_rate / 2, float(sdr(signal, target)))
            scores = band_sdr(stft, signal, target, sample_rate, bands)
            for (low, high), score in zip(bands, scores, strict=True):
                yield Cell(name, case, low, high, score)


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


def _combine(stft: STFT, *, magnitude: Array, phase: Array) -> Array:
    """Return the waveform with the magnitudes of one spectrum and the phases of another."""
    parts = []
    for outer, inner in stft.pieces(magnitude.shape[-1]):
        size = np.abs(stft.analyze(magnitude[:, outer]))
        turn = np.exp(1j * np.angle(stft.analyze(phase[:, outer]))).astype(np.complex64)
        parts.append(stft.synthesize(size * turn, outer.stop - outer.start)[:, inner])
    return np.concatenate(parts, axis=-1)
