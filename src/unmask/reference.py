"""Written stems against true ones, beside the best that masks of the model's family could do."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unmask._arrays import Array
from unmask.engine.model import Model
from unmask.folding import Folding, Rows, add_up, check, match
from unmask.layout import Job
from unmask.metrics import RunningScores
from unmask.mixtures import Sources
from unmask.oracle import ideal_piece, is_audible
from unmask.order import best_order_of_files
from unmask.stems import find_stems

#: What is scored, each of the whole recording, all channels together.
METRICS = ("SDR", "SI-SDR")

__all__ = [
    "METRICS",
    "Score",
    "compared",
    "score",
]


@dataclass(frozen=True)
class Score:
    """One metric of one stem in dB; NaN if the stem is missing in the reference, or silent."""

    track: str
    stem: str
    metric: str
    """One of :data:`METRICS`."""
    mixture: float
    """What doing nothing scores."""
    estimate: float
    improvement: float
    oracle: float
    """Ideal masks of the model's family on the model's front-end."""
    missing: bool
    """Whether the reference has no such stem."""


def compared(
    job: Job, model: Model, folder: str | Path, fold: Mapping[str, str] | None = None
) -> Folding:
    """Return which stems of a recording, written or not, are compared with which true ones.

    Raises
    ------
    AudioFileError
        If there are no true stems.
    ConfigError
        If `fold` names what is not there.
    """
    true, names = find_stems(_own(job, folder)), _names(job, model)
    check(fold or {}, names, true)
    return match(
        names, true, asked=fold, residual=model.residual if model.residual in names else None
    )


def score(
    job: Job, model: Model, folder: str | Path, *, fold: Mapping[str, str] | None = None
) -> list[Score]:
    """Return the scores of the stems that were written for a recording, in constant memory.

    Parameters
    ----------
    job : Job
        Done, by :func:`unmask.separate.separate_files`.
    model : Model
        The one that did it.
    folder : path
        Holds one file per true stem, by name; or a folder named as the recording that does.
    fold : mapping of str to str
        Part -> the stem that it is added to, on both sides; see :mod:`unmask.folding`.

    Returns
    -------
    list of Score
        Of every stem that was written, or of the sum of those that are compared as one.

    Raises
    ------
    AudioFileError, SampleRateError, ShapeError
        If there are no stems, or they are not of the recording's rate, channels and length.
    ConfigError
        If `fold` names what is not there.
    """
    folding = compared(job, model, folder, fold)
    rows = {
        name: row
        for name, row in folding.estimates.items()
        if name in folding.targets and all(stem in job.targets for stem in row)
    }
    true = find_stems(_own(job, folder))
    folding = _in_order(job, folding, rows, true)
    found = _Sums(job, true, folding, rows).scores(model) if rows else {}
    scores = []
    for name, row in folding.estimates.items():
        if called := [stem for stem in row if stem in job.targets]:
            stem = called[0] if len(row) == 1 else name
            scores += [_score(job.track, stem, metric, found.get(name)) for metric in METRICS]
    return scores


def _in_order(job: Job, folding: Folding, rows: Rows, true: Mapping[str, Path]) -> Folding:
    """Return it with the true talkers, who are in no order, where their estimates fit best."""
    files = {name: [job.targets[stem] for stem in row] for name, row in rows.items()}
    truth = {name: [true[stem] for stem in folding.targets[name]] for name in rows}
    order = {estimate: name for name, estimate in best_order_of_files(files, truth).items()}
    targets = {name: folding.targets[order.get(name, name)] for name in folding.targets}
    return replace(folding, targets=targets)


def _own(job: Job, folder: str | Path) -> Path:
    own = Path(folder) / job.track
    return own if own.is_dir() else Path(folder)


def _names(job: Job, model: Model) -> list[str]:
    """Return the stems that were written, and those of the model that were not."""
    within = {part for row in job.rows.values() for part in row}
    return [*job.targets, *(stem for stem in model.stems if stem not in within)]


def _score(
    track: str, stem: str, metric: str, found: Mapping[str, tuple[float, float, float]] | None
) -> Score:
    mixture, estimate, oracle = (math.nan,) * 3 if found is None else found[metric]
    improvement = estimate - mixture
    return Score(track, stem, metric, mixture, estimate, improvement, oracle, found is None)


class _Sums:
    """What is read of a recording, and the sums of which its scores are made."""

    def __init__(self, job: Job, true: Mapping[str, Path], folding: Folding, rows: Rows) -> None:
        self.folding, self.rows = folding, rows
        self.true = {f"true {name}": path for name, path in true.items()}
        self.written = {stem: job.targets[stem] for row in rows.values() for stem in row}
        self.sources = Sources({"mixture": job.source} | self.true | self.written)

    def scores(self, model: Model) -> dict[str, dict[str, tuple[float, float, float]]]:
        """Return source -> metric -> the scores of mixture, estimate and oracle."""
        rate = self.sources.sample_rate
        stft, family = model.stft_at(rate), model.family_at(rate)
        sums = [RunningScores() for _ in range(3)]
        spans = stft.pieces(self.sources.n_samples, context=max(family.context))
        places = [list(self.folding.targets).index(name) for name in self.rows]
        with_rest = self._has_rest()
        for _, inner, waves in self.sources.pieces(spans):
            mixture, estimates, truth, known = self._split(waves, with_rest)
            best = ideal_piece(family, stft, known, mixture)[places]
            scored = np.broadcast_to(mixture, estimates.shape), estimates, best
            for total, wave in zip(sums, scored, strict=True):
                total.add(wave[..., inner], truth[places][..., inner])
        return {
            name: {
                metric: (float(before[k]), float(after[k]), float(ideally[k]))
                for metric, (before, after, ideally) in {
                    "SDR": [total.sdr for total in sums],
                    "SI-SDR": [total.si_sdr for total in sums],
                }.items()
            }
            for k, name in enumerate(self.rows)
        }

    def _split(self, waves: Array, with_rest: bool) -> tuple[Array, Array, Array, Array]:
        """Return mixture, estimates, true sources, and those with what they leave of it."""
        named = dict(zip(self.sources.names, waves, strict=True))
        mixture = named["mixture"]
        true = {name.removeprefix("true "): named[name] for name in self.true}
        truth = np.stack(list(add_up(self.folding.targets, true).values()))
        estimates = np.stack(list(add_up(self.rows, named).values()))
        rest = [mixture - truth.sum(axis=0)] if with_rest else []
        return mixture, estimates, truth, np.stack([*truth, *rest])

    def _has_rest(self) -> bool:
        """Tell whether the true stems leave something of the mixture that counts as a source."""
        n_true, rest, loudest = len(self.true), 0.0, 0.0
        for block in self.sources.blocks():
            left = block[0] - block[1 : 1 + n_true].sum(axis=0)
            rest = max(rest, float(np.abs(left).max(initial=0)))
            loudest = max(loudest, float(np.abs(block[0]).max(initial=0)))
        return is_audible(rest, loudest)


def __dir__() -> list[str]:
    return __all__
