"""Written stems against true ones, beside the best that masks of the model's family could do."""

from dataclasses import dataclass
from pathlib import Path

from unmask import audio, metrics
from unmask.engine.model import Model
from unmask.layout import Job
from unmask.oracle import Oracle
from unmask.stems import canonical, read_stems

__all__ = [
    "Score",
    "score",
]


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
    truth, sample_rate = read_stems(own if own.is_dir() else folder)
    mixture, _ = audio.read(job.source)
    stft = model.stft_at(sample_rate)
    oracle = Oracle(truth, sample_rate, model.family_at(sample_rate), stft)
    ideal = oracle.separate(mixture, sample_rate)
    scores = []
    for stem, path in job.targets.items():
        name = canonical(stem)
        if name not in truth:
            nan = float("nan")
            scores.append(Score(job.track, stem, nan, nan, nan, nan, missing=True))
            continue
        estimate, _ = audio.read(path)
        before, after, best = (
            float(metrics.si_sdr(x, truth[name])) for x in (mixture, estimate, ideal[name])
        )
        scores.append(Score(job.track, stem, before, after, after - before, best, missing=False))
    return scores


def __dir__() -> list[str]:
    return __all__
