"""The scores of one track, by metrics that are chosen by name."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unmask import audio, metrics
from unmask.errors import (
    ConfigError,
    MissingExtraError,
    SampleRateError,
    UnmaskError,
    one_line,
)
from unmask.evaluate.pairing import Track

_Waves = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured.

    Raises
    ------
    ConfigError
        If there is no metric of a name, or none is named.
    """

    metrics: tuple[str, ...] = ("bsseval", "sdr", "si_sdr")
    """Names out of `METRICS`."""
    window_s: float = 1.0
    """Length of the windows that BSSEval scores, in seconds."""
    hop_s: float = 1.0
    """Step between windows, in seconds."""
    regularisation: float = 0.0
    """Of BSSEval's filters; 0 is museval's definition (`unmask.metrics.bss_eval`)."""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.metrics if name not in METRICS]:
            raise ConfigError(f"no metric named {unknown[0]!r}; there are {', '.join(METRICS)}")
        if not self.metrics:
            raise ConfigError(f"metrics: none, expected some of {', '.join(METRICS)}")


#: Takes estimates and targets (source, channel, sample), the sample rate in Hz and the settings,
#: returns for each column of the metric an array (source,), or (source, frame).
Score = Callable[[_Waves, _Waves, int, Settings], Sequence[_Waves]]


@dataclass(frozen=True)
class Metric:
    """A way to score estimates."""

    columns: tuple[str, ...]
    """What the scores are called in tables and files."""
    score: Score
    unit: str = "dB"


def _bsseval(
    estimates: _Waves, targets: _Waves, sample_rate: int, settings: Settings
) -> Sequence[_Waves]:
    scores = metrics.bss_eval(
        estimates,
        targets,
        sample_rate=sample_rate,
        window_s=settings.window_s,
        hop_s=settings.hop_s,
        regularisation=settings.regularisation,
    )
    return scores.sdr, scores.isr, scores.sir, scores.sar


def _each(score: Callable[[_Waves, _Waves, int], Any]) -> Score:
    """Score source by source, which takes less memory than all at once; mean over channels."""

    def scores(
        estimates: _Waves, targets: _Waves, sample_rate: int, _: Settings
    ) -> Sequence[_Waves]:
        pairs = zip(estimates, targets, strict=True)
        found = (score(*pair, sample_rate) for pair in pairs)
        columns = zip(*(one if isinstance(one, tuple) else (one,) for one in found), strict=True)
        return [np.array([np.mean(one) for one in column]) for column in columns]

    return scores


def _log_wmse(
    estimates: _Waves, targets: _Waves, sample_rate: int, _: Settings
) -> Sequence[_Waves]:
    """Of all sources against the level of their sum."""
    if len(targets) < 2:
        raise ConfigError("needs the mixture, hence all its sources, got 1; choose another metric")
    mixture = np.broadcast_to(targets.sum(axis=0), targets.shape)
    return (metrics.log_wmse(estimates, targets, mixture=mixture, sample_rate=sample_rate),)


#: name -> metric. A new metric is one entry here.
METRICS: Mapping[str, Metric] = {
    "bsseval": Metric(("SDR", "ISR", "SIR", "SAR"), _bsseval),
    "sdr": Metric(("uSDR",), _each(lambda e, t, _: metrics.sdr(e, t))),
    "si_sdr": Metric(("SI-SDR",), _each(lambda e, t, _: metrics.si_sdr(e, t))),
    "si_sir": Metric(("SI-SIR",), lambda e, t, *_: (metrics.si_sir(e, t),)),
    "si_sar": Metric(("SI-SAR",), lambda e, t, *_: (metrics.si_sar(e, t),)),
    "log_wmse": Metric(("log-WMSE",), _log_wmse, unit=""),
    "stft_distance": Metric(
        ("STFT distance",), _each(lambda e, t, _: metrics.stft_distance(e, t)), unit=""
    ),
    "bleed": Metric(
        ("bleedless", "fullness"),
        _each(lambda e, t, rate: metrics.bleed(e, t, sample_rate=rate)),
        unit="",
    ),
    "pesq": Metric(
        ("PESQ",), _each(lambda e, t, rate: metrics.pesq(e, t, sample_rate=rate)), unit=""
    ),
    "pesq_nb": Metric(
        ("PESQ-NB",),
        _each(lambda e, t, rate: metrics.pesq(e, t, sample_rate=rate, mode="nb")),
        unit="",
    ),
    "stoi": Metric(
        ("STOI",), _each(lambda e, t, rate: metrics.stoi(e, t, sample_rate=rate)), unit=""
    ),
    "estoi": Metric(
        ("ESTOI",),
        _each(lambda e, t, rate: metrics.stoi(e, t, sample_rate=rate, extended=True)),
        unit="",
    ),
    "segmental_snr": Metric(
        ("SSNR",), _each(lambda e, t, rate: metrics.segmental_snr(e, t, sample_rate=rate))
    ),
    "composite": Metric(
        ("CSIG", "CBAK", "COVL"),
        _each(lambda e, t, rate: metrics.composite(e, t, sample_rate=rate)),
        unit="",
    ),
}


def default_metrics(tracks: Iterable[Track]) -> tuple[str, ...]:
    """Return what is measured unless asked: BSSEval too where there are sources to be confused."""
    several = any(len(track.targets) > 1 for track in tracks)
    return ("bsseval", "sdr", "si_sdr") if several else ("sdr", "si_sdr")


class Scores(NamedTuple):
    """What was found in one track."""

    values: dict[str, dict[str, _Waves]]
    """Stem -> column -> score, () for the whole track or (frame,)."""
    warnings: list[str]
    """What the metrics had to say about the numbers, each sentence once."""


def score(track: Track, settings: Settings) -> Scores:
    """Score the estimates of a track, which is read as a whole, against its targets.

    Interferers are all targets, with or without an estimate. As in museval, accompaniment is the
    sum of other stems, hence it and the vocals are scored as a recording of two sources.

    Raises
    ------
    UnmaskError
        If files cannot be read or do not agree, or a metric does not take such sound.
    """
    values: dict[str, dict[str, _Waves]] = {stem: {} for stem in track.estimates}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for stems, scored in _scenarios(track):
            for column, stem, found in _scored(track, stems, scored, settings):
                values[stem][column] = found
    return Scores(values, list(dict.fromkeys(str(warning.message) for warning in caught)))


def _scenarios(track: Track) -> Iterator[tuple[list[str], list[str]]]:
    """Stems that are sources of one mixture, and those of them that are scored so."""
    stems, duo = list(track.targets), ["vocals", "accompaniment"]
    scenarios = [(stems, stems)]
    if len(stems) > 2 and set(duo) <= set(stems):
        parts = [stem for stem in stems if stem != "accompaniment"]
        scenarios = [(parts, [stem for stem in parts if stem != "vocals"]), (duo, duo)]
    for sources, scored in scenarios:
        if wanted := [stem for stem in scored if stem in track.estimates]:
            yield sources, wanted


def _scored(
    track: Track, stems: list[str], scored: list[str], settings: Settings
) -> Iterator[tuple[str, str, _Waves]]:
    targets, sample_rate = _read([track.targets[stem] for stem in stems])
    # No score of a source depends on another's estimate: where there is none, the target stands in.
    guesses = {**track.targets, **track.estimates}
    estimates, _ = _read([guesses[stem] for stem in stems])
    for name in settings.metrics:
        metric = METRICS[name]
        try:
            columns = metric.score(estimates, targets, sample_rate, settings)
        except (ConfigError, SampleRateError, MissingExtraError) as error:
            error.add_note(f"track {track.name}, metric {name}")
            raise
        except (
            UnmaskError,
            ValueError,
            ArithmeticError,
            MemoryError,
        ) as error:  # of this track alone
            warnings.warn(f"{name}: not defined here: {one_line(error)}", stacklevel=1)
            columns = [np.full(len(stems), np.nan)] * len(metric.columns)
        for column, found in zip(metric.columns, columns, strict=True):
            for stem in scored:
                yield column, stem, np.asarray(found[stems.index(stem)], dtype=np.float64)


def _read(stems: list[tuple[Path, ...]]) -> tuple[_Waves, int]:
    """Return sums of files as one array (source, channel, sample), without a second copy."""
    first, sample_rate = _read_sum(stems[0])
    waves = np.empty((len(stems), *first.shape), first.dtype)
    waves[0] = first
    for k, files in enumerate(stems[1:], start=1):
        waves[k], _ = _read_sum(files)
    return waves, sample_rate


def _read_sum(files: tuple[Path, ...]) -> tuple[_Waves, int]:
    total, sample_rate = audio.read(files[0])
    for path in files[1:]:
        total += audio.read(path)[0]
    return total, sample_rate


def unit(column: str) -> str:
    """Return the unit of a column of `METRICS`; empty if it has none or is not known."""
    return next((metric.unit for metric in METRICS.values() if column in metric.columns), "")
