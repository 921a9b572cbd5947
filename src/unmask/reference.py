"""Written stems against true ones, beside the best that masks of the model's family could do."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unmask._arrays import Array
from unmask.engine.model import Model
from unmask.layout import Job
from unmask.metrics import RunningScores
from unmask.mixtures import Sources
from unmask.oracle import ideal_piece, is_audible
from unmask.stems import canonical, find_stems


@dataclass(frozen=True)
class Score:
    """SI-SDR of one stem in dB; NaN if the stem is missing in the reference, or silent."""

    track: str
    stem: str
    mixture: float
    """What doing nothing scores."""
    estimate: float
    improvement: float
    oracle: float
    """Ideal masks of the model's family on the model's front-end."""
    missing: bool
    """Whether the reference has no such stem."""


def score(job: Job, model: Model, folder: str | Path) -> list[Score]:
    """Return the scores of the stems that were written for a recording.

    Parameters
    ----------
    job : Job
        Done, by :func:`unmask.separate.separate_files`.
    model : Model
        The one that did it.
    folder : path
        Holds one file per true stem, by name; or a folder named as the recording that does.

    Raises
    ------
    AudioFileError, SampleRateError, ShapeError
        If there are no stems, or they are not of the recording's rate, channels and length.
    """
    own = Path(folder) / job.track
    truth = find_stems(own if own.is_dir() else folder)
    estimates = {canonical(stem): path for stem, path in job.targets.items()}
    known = [name for name in truth if name in estimates]
    files = {f"target {name}": path for name, path in truth.items()}
    files |= {f"estimate {name}": estimates[name] for name in known}
    sums = _Sums(Sources({"mixture": Path(job.source)} | files), len(truth))
    sums.add(model, [list(truth).index(name) for name in known])
    nan = float("nan")
    scores = []
    for stem in job.targets:
        if (name := canonical(stem)) not in known:
            scores.append(Score(job.track, stem, nan, nan, nan, nan, missing=True))
            continue
        before, after, best = (
            float(one.si_sdr[known.index(name)])
            for one in (sums.mixture, sums.estimate, sums.oracle)
        )
        scores.append(Score(job.track, stem, before, after, after - before, best, missing=False))
    return scores


class _Sums:
    """The sums of which scores are made, over pieces of a recording."""

    def __init__(self, sources: Sources, n_stems: int) -> None:
        self.sources, self.n_stems = sources, n_stems
        self.mixture, self.estimate, self.oracle = (RunningScores() for _ in range(3))

    def add(self, model: Model, places: list[int]) -> None:
        """Add all of it; `places` among the targets are those that have an estimate."""
        rate = self.sources.sample_rate
        stft, family = model.stft_at(rate), model.family_at(rate)
        has_rest = self._leaves_something()
        spans = stft.pieces(self.sources.n_samples, context=max(family.context))
        for _, inner, rows in self.sources.pieces(spans):
            mixture, targets, estimates = self._parts(rows)
            rest = (mixture - targets.sum(axis=0))[None]
            every = np.concatenate([targets, rest]) if has_rest else targets
            ideal = ideal_piece(family, stft, every, mixture)[places]
            truth = targets[places][..., inner]
            self.mixture.add(np.broadcast_to(mixture[..., inner], truth.shape), truth)
            self.estimate.add(estimates[..., inner], truth)
            self.oracle.add(ideal[..., inner], truth)

    def _parts(self, rows: Array) -> tuple[Array, Array, Array]:
        return rows[0], rows[1 : 1 + self.n_stems], rows[1 + self.n_stems :]

    def _leaves_something(self) -> bool:
        """Tell whether the mixture holds more than its stems."""
        peaks = np.zeros(2)
        for block in self.sources.blocks():
            mixture, targets, _ = self._parts(block)
            rest = np.abs(mixture - targets.sum(axis=0)).max()
            peaks = np.maximum(peaks, (rest, np.abs(mixture).max()))
        return is_audible(*peaks)
