"""What a report shows of an excerpt: versions of every stem, their scores, where decibels go."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from unmask._arrays import Array
from unmask.folding import Folding, add_up, match_model
from unmask.frontends import STFT
from unmask.gap import Cell, gap
from unmask.masks import Family
from unmask.metrics import sdr, si_sdr
from unmask.oracle import Oracle
from unmask.report.excerpts import REST, Excerpt

#: Estimates of residuals this far below the mixture are nothing that one would listen to.
_SILENCE_DB = -60.0
METRICS = {"SDR": sdr, "SI-SDR": si_sdr}


@dataclass(frozen=True)
class Version:
    """One sound to listen to."""

    kind: str
    """``"mixture"``, ``"estimate"``, ``"target"``, ``"oracle"``, ``"difference"`` or a name."""
    label: str
    """What it is called on its button."""
    waveform: Array
    """(channel, sample)."""
    about: str = ""
    """What it is, in a sentence."""
    difference_of: tuple[str, str] | None = None
    """Kinds of which it is the first less the second."""
    is_masked: bool = False
    """Whether it can be looked at as a masked mixture."""


@dataclass(frozen=True)
class Stem:
    """One source, in several versions."""

    name: str
    versions: tuple[Version, ...]
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Kind of version -> metric -> dB, where the truth is known; NaN where it is silent."""


@dataclass(frozen=True)
class Recording:
    """All that is shown of a recording."""

    name: str
    note: str
    sample_rate: int
    start_s: float
    stems: tuple[Stem, ...]
    gap: tuple[Cell, ...] = ()
    """Of :func:`unmask.gap.gap`, where the truth is known."""

    @property
    def mixture(self) -> Array:
        """The first version of the first stem: what all others are compared with."""
        return self.stems[0].versions[0].waveform


class _Known:
    """An excerpt behind the call of a model, so that what measures models measures it."""

    def __init__(self, excerpt: Excerpt) -> None:
        self._excerpt = excerpt
        self.sample_rate, self.residual = excerpt.sample_rate, excerpt.residual
        self.stems = tuple(name for name in excerpt.estimates if name != excerpt.residual)

    def stft_at(self, sample_rate: int) -> STFT:
        """Return the front-end, which is made for the rate that there is."""
        return self._excerpt.stft

    def family_at(self, sample_rate: int) -> Family:
        """Return the family of masks."""
        return self._excerpt.family

    def separate(self, mixture: Array, sample_rate: int, *, residual: bool) -> dict[str, Array]:
        """Return the estimates that there are, and what they leave of the mixture."""
        made = {name: self._excerpt.estimates[name] for name in self.stems}
        return {**made, self.residual: self._excerpt.mixture - sum(made.values())}


def contents(excerpt: Excerpt, fold: Mapping[str, str] | None = None) -> Recording:
    """Return what there is to hear, see and read of an excerpt.

    Parameters
    ----------
    excerpt : Excerpt
    fold : mapping of str to str
        Part -> the source that it is added to, on both sides; see :mod:`unmask.folding`.

    Raises
    ------
    ConfigError
        If no true stem is one of the estimates, or `fold` names what is not there.
    """
    truth = excerpt.complete_truth if excerpt.truth else {}
    stems = _compared(excerpt, truth, fold) if truth else _alone(excerpt)
    shown = tuple(stems)
    cells = gap(_Known(excerpt), truth, excerpt.sample_rate, fold=fold) if truth else ()
    names = {stem.name for stem in shown}
    stop_s = excerpt.start_s + excerpt.mixture.shape[-1] / excerpt.sample_rate
    return Recording(
        name=excerpt.name,
        note=f"{_clock(excerpt.start_s)} to {_clock(stop_s)} of {_clock(excerpt.whole_s)}, "
        f"separated by {excerpt.separator}",
        sample_rate=excerpt.sample_rate,
        start_s=excerpt.start_s,
        stems=shown,
        gap=tuple(cell for cell in cells if cell.stem in names),
    )


def _clock(seconds: float) -> str:
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def _alone(excerpt: Excerpt) -> Iterator[Stem]:
    """Yield the stems of a recording whose truth is not known."""
    for name, estimate in excerpt.estimates.items():
        if name == excerpt.residual and _is_silent(estimate, excerpt.mixture):
            continue
        yield Stem(
            name,
            (
                _mixture(excerpt),
                _estimate(excerpt, name, estimate),
                Version(
                    "difference", "taken out", excerpt.mixture - estimate,
                    f"the mixture less the estimate: what was taken out to leave {name}",
                    ("mixture", "estimate"),
                ),
            ),
        )  # fmt: skip


def _is_silent(x: Array, mixture: Array) -> bool:
    return float(np.vdot(x, x)) <= 10 ** (_SILENCE_DB / 10) * float(np.vdot(mixture, mixture))


def _mixture(excerpt: Excerpt) -> Version:
    return Version("mixture", "mixture", excerpt.mixture, "what was separated")


def _estimate(excerpt: Excerpt, name: str, waveform: Array) -> Version:
    about = f"{name} as {excerpt.separator} hears it"
    return Version("estimate", "estimate", waveform, about, is_masked=True)


def _compared(
    excerpt: Excerpt, truth: Mapping[str, Array], fold: Mapping[str, str] | None
) -> Iterator[Stem]:
    """Yield the stems that both sides have."""
    separator = _Known(excerpt)
    folding = match_model(separator, truth, asked=fold)
    every = separator.separate(excerpt.mixture, excerpt.sample_rate, residual=True)
    estimates = add_up(folding.estimates, every)
    targets = add_up(folding.targets, truth)
    best = Oracle(targets, excerpt.sample_rate, excerpt.family, excerpt.stft).separate(
        excerpt.mixture, excerpt.sample_rate
    )
    for name in _shown(excerpt, folding):
        versions = (
            _mixture(excerpt),
            _estimate(excerpt, name, estimates[name]),
            Version("target", "target", targets[name], f"the true {name}", is_masked=True),
            Version(
                "oracle", "oracle", best[name],
                f"the best that masks of the family {excerpt.family.name} could do, "
                "made with the truth",
                is_masked=True,
            ),
            Version(
                "difference", "error", estimates[name] - targets[name],
                "the estimate less the target: all that is wrong with it",
                ("estimate", "target"),
            ),
        )  # fmt: skip
        yield Stem(name, versions, _scores(versions))


def _shown(excerpt: Excerpt, folding: Folding) -> list[str]:
    """Return what is compared, but for a rest that nobody named."""
    rest = {name for name, row in folding.targets.items() if set(row) == {REST}}
    return [name for name in folding.common if name not in rest]


def _scores(versions: tuple[Version, ...]) -> dict[str, dict[str, float]]:
    by_kind = {version.kind: version.waveform for version in versions}
    target = np.asarray(by_kind["target"], np.float64)
    if not target.any():
        return {kind: dict.fromkeys(METRICS, math.nan) for kind in ("mixture", "estimate")}
    return {
        kind: {
            name: float(metric(np.asarray(by_kind[kind], np.float64), target))
            for name, metric in METRICS.items()
        }
        for kind in ("mixture", "estimate", "oracle")
    }
