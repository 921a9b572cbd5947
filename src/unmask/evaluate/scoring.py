"""The scores of one track, by metrics that are chosen by name."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from unmask.metrics.bsseval import of_signals

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


@dataclass(frozen=True)
class Sound:
    """The estimates and targets of a track: files, of which no more than is needed is read."""

    estimates: Sequence[audio.SumOnDisk]
    targets: Sequence[audio.SumOnDisk]

    @classmethod
    def of(
        cls, estimates: Iterable[Sequence[audio.Place]], targets: Iterable[Sequence[audio.Place]]
    ) -> "Sound":
        """Return what is in files, of which every source is the sum of one or more."""
        return cls([audio.SumOnDisk(x) for x in estimates], [audio.SumOnDisk(x) for x in targets])

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return self.targets[0].sample_rate

    @cached_property
    def running(self) -> metrics.RunningScores:
        """Ratios of energies of all sources, of one pass over the files."""
        sums = metrics.RunningScores()
        files = [signal.blocks() for signal in (*self.estimates, *self.targets)]
        for blocks in zip(*files, strict=True):
            both = np.stack(blocks)
            sums.add(*np.split(both, 2))
        return sums

    def pairs(self) -> Iterator[tuple[_Waves, _Waves]]:
        """Yield the estimate and the target (channel, sample) of every source, as a whole."""
        for estimate, target in zip(self.estimates, self.targets, strict=True):
            yield estimate.whole(), target.whole()

    def whole(self) -> tuple[_Waves, _Waves]:
        """Return estimates and targets (source, channel, sample)."""
        return (
            np.stack([signal.whole() for signal in self.estimates]),
            np.stack([signal.whole() for signal in self.targets]),
        )


#: Takes the sound of a track and the settings, returns for each column of the metric an array
#: (source,), or (source, frame).
Score = Callable[[Sound, Settings], Sequence[_Waves]]


@dataclass(frozen=True)
class Metric:
    """A way to score estimates."""

    columns: tuple[str, ...]
    """What the scores are called in tables and files."""
    score: Score
    unit: str = "dB"


def _bsseval(sound: Sound, settings: Settings) -> Sequence[_Waves]:
    scores = of_signals(
        sound.estimates,
        sound.targets,
        sample_rate=sound.sample_rate,
        window_s=settings.window_s,
        hop_s=settings.hop_s,
        regularisation=settings.regularisation,
    )
    return scores.sdr, scores.isr, scores.sir, scores.sar


def _each(score: Callable[[_Waves, _Waves, int], Any]) -> Score:
    """Score source by source, which takes less memory than all at once; mean over channels."""

    def scores(sound: Sound, _: Settings) -> Sequence[_Waves]:
        found = (score(*pair, sound.sample_rate) for pair in sound.pairs())
        columns = zip(*(one if isinstance(one, tuple) else (one,) for one in found), strict=True)
        return [np.array([np.mean(one) for one in column]) for column in columns]

    return scores


def _log_wmse(sound: Sound, _: Settings) -> Sequence[_Waves]:
    """Of all sources against the level of their sum."""
    if len(sound.targets) < 2:
        raise ConfigError("needs the mixture, hence all its sources, got 1; choose another metric")
    estimates, targets = sound.whole()
    mixture = np.broadcast_to(targets.sum(axis=0), targets.shape)
    return (metrics.log_wmse(estimates, targets, mixture=mixture, sample_rate=sound.sample_rate),)


#: name -> metric. A new metric is one entry here.
METRICS: Mapping[str, Metric] = {
    "bsseval": Metric(("SDR", "ISR", "SIR", "SAR"), _bsseval),
    "sdr": Metric(("uSDR",), lambda sound, _: (sound.running.sdr,)),
    "si_sdr": Metric(("SI-SDR",), lambda sound, _: (sound.running.si_sdr,)),
    "si_sir": Metric(("SI-SIR",), lambda sound, _: (metrics.si_sir(*sound.whole()),)),
    "si_sar": Metric(("SI-SAR",), lambda sound, _: (metrics.si_sar(*sound.whole()),)),
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
    """Score the estimates of a track against its targets.

    BSSEval, SDR and SI-SDR are worked out in blocks, however long the track is; the other metrics
    read two stems as a whole (SI-SIR, SI-SAR and log-WMSE all of them).

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
    # No score of a source depends on another's estimate: where there is none, the target stands in.
    guesses = {**track.targets, **track.estimates}
    sound = Sound.of([guesses[stem] for stem in stems], [track.targets[stem] for stem in stems])
    for name in settings.metrics:
        metric = METRICS[name]
        try:
            columns = metric.score(sound, settings)
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


def unit(column: str) -> str:
    """Return the unit of a column of `METRICS`; empty if it has none or is not known."""
    return next((metric.unit for metric in METRICS.values() if column in metric.columns), "")
