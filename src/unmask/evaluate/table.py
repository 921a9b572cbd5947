"""Scores of many systems, tracks, stems and metrics; as rows in files, and in one number each."""

import csv
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unmask.errors import ConfigError
from unmask.evaluate.scoring import unit
from unmask.files import replacing, staged, writing
from unmask.metrics.summary import Statistic, Summary, summary

_Reals = NDArray[np.float64]

#: Names of the columns in the long form, one row a score.
COLUMNS = ("track", "target", "metric", "score", "time", "method")

#: name -> statistic over the frames of a track, then over tracks.
AGGREGATIONS: Mapping[str, tuple[Statistic, Statistic]] = {
    "median": ("median", "median"),
    "mean": ("mean", "mean"),
}


class Key(NamedTuple):
    """What a score is of."""

    method: str
    track: str
    target: str
    metric: str


class Series(NamedTuple):
    """Scores of one track: one a frame, or a single one whose time is NaN."""

    time: _Reals
    """Start of each frame in seconds: (frame,)."""
    score: _Reals
    """NaN where there is none: (frame,)."""


Table = Mapping[Key, Series]


class Aggregate(NamedTuple):
    """One number for all tracks of a system."""

    method: str
    target: str
    metric: str
    value: float
    """NaN if no track has a score."""
    low: float
    high: float
    """Bounds of the 95 % confidence interval over tracks; NaN with fewer than two tracks."""
    n_tracks: int
    """Tracks that count."""
    n_tracks_nan: int
    """Tracks without any score, left out."""
    n_frames: int
    """Frames that count; the number of tracks for a metric of whole tracks."""
    n_frames_nan: int
    """Frames without a score, left out; those of tracks that are left out too."""
    n_inf: int
    """Infinite scores among the frames that count."""


def select(table: Table, *, metrics: Iterable[str] = (), targets: Iterable[str] = ()) -> Table:
    """Keep the rows of these metrics and targets; all of them where none are named.

    Raises
    ------
    ConfigError
        If the table lacks one of them.
    """
    for what, names in (("metric", set(metrics)), ("target", set(targets))):
        there = dict.fromkeys(getattr(key, what) for key in table)
        if unknown := sorted(names - there.keys()):
            raise ConfigError(
                f"no {what} {unknown[0]!r} in the results; there are {', '.join(there)}"
            )
        if names:
            table = {key: series for key, series in table.items() if getattr(key, what) in names}
    return table


def stems_of(table: Table) -> dict[str, set[str]]:
    """Return the stems that every system was scored on."""
    found: dict[str, set[str]] = {}
    for key in table:
        found.setdefault(key.method, set()).add(key.target)
    return found


def panels(
    table: Table, *, frames: Statistic = "median"
) -> dict[str, dict[str, dict[str, _Reals]]]:
    """Return what box plots show: metric and unit -> method -> target -> scores of the tracks."""
    found: dict[str, dict[str, dict[str, _Reals]]] = {}
    for (method, target, metric), tracks in per_track(table, frames=frames).items():
        label = f"{metric} ({unit(metric)})" if unit(metric) else metric
        values = np.array([one.value for one in tracks.values()])
        found.setdefault(label, {}).setdefault(method, {})[target] = values
    return found


def per_track(table: Table, *, frames: Statistic) -> dict[tuple[str, str, str], dict[str, Summary]]:
    """Aggregate over frames: (method, target, metric) -> track -> summary."""
    found: dict[tuple[str, str, str], dict[str, Summary]] = {}
    for key, series in table.items():
        group = found.setdefault((key.method, key.target, key.metric), {})
        group[key.track] = summary(series.score, statistic=frames)
    return found


def aggregate(
    table: Table, how: str = "median", *, n_resamples: int = 2000, seed: int = 0
) -> list[Aggregate]:
    """Aggregate over frames, then over tracks, leaving out what is NaN and counting it.

    Parameters
    ----------
    table : mapping of Key to Series
    how : str
        One of `AGGREGATIONS`. The median of medians is museval's; the mean over tracks of a metric
        of whole tracks is that of the MDX challenges.
    n_resamples, seed
        Of the bootstrap that gives the confidence intervals (`interval`).

    Returns
    -------
    list of Aggregate
        Metric by metric, target by target, method by method, in the order of the table.

    Raises
    ------
    ConfigError
        If there is no such aggregation.
    """
    if how not in AGGREGATIONS:
        raise ConfigError(f"no aggregation {how!r}; there are {', '.join(AGGREGATIONS)}")
    frames, tracks = AGGREGATIONS[how]
    rows = []
    for group, found in per_track(table, frames=frames).items():
        values = np.array([found[track].value for track in sorted(found)])
        total = summary(values, statistic=tracks)
        low, high = interval(values, tracks, n_resamples=n_resamples, seed=seed)
        n_frames, n_nan, n_inf = (
            sum(getattr(one, count) for one in found.values()) for count in ("n", "n_nan", "n_inf")
        )
        rows.append(
            Aggregate(*group, total.value, low, high, total.n, total.n_nan, n_frames, n_nan, n_inf)
        )
    metrics, targets = (
        list(dict.fromkeys(names))
        for names in ((row.metric for row in rows), (row.target for row in rows))
    )
    return sorted(rows, key=lambda row: (metrics.index(row.metric), targets.index(row.target)))


def interval(
    values: _Reals, statistic: Statistic, *, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % confidence interval of a statistic over tracks: percentile bootstrap, NaN left out.

    The tracks are drawn with replacement `n_resamples` times; the bounds are the 2.5th and 97.5th
    percentile of the statistic. It says how much the number depends on the choice of tracks, and is
    too narrow for fewer than about twenty of them. NaN, NaN for fewer than two (Efron & Tibshirani,
    "An introduction to the bootstrap", 1993, chapter 13).
    """
    values = values[~np.isnan(values)]
    if values.size < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).choice(values, (n_resamples, values.size))
    with np.errstate(invalid="ignore"):  # inf - inf
        found = getattr(np, statistic)(drawn, axis=-1)
        low, high = np.quantile(found, (0.025, 0.975), method="inverted_cdf")
    return float(low), float(high)


def rows(table: Table) -> Iterator[tuple[str, str, str, float, float, str]]:
    """Long form: a row of `COLUMNS` for each score, in the order of the table."""
    for key, series in table.items():
        for time, score in zip(series.time.tolist(), series.score.tolist(), strict=True):
            yield key.track, key.target, key.metric, score, time, key.method


# Of a disk, so that it is not full when all tracks are scored; a row takes about a hundredth.
_BYTES_A_TRACK = 4096


@contextmanager
def rows_file(folder: str | Path, *, n_tracks: int) -> Iterator[Callable[[Table], None]]:
    """Take room for the rows of tracks that are yet to be scored; give what writes them.

    Rows become ``scores.csv`` and, if pyarrow is installed, ``scores.parquet``. NaN is an empty
    cell in CSV and null in Parquet; the time of a metric of whole tracks too.

    Raises
    ------
    FileError
        If they cannot be written, for want of room above all.
    """
    path = Path(folder) / "scores.csv"
    with staged(path) as partial:
        with writing(path):
            partial.write_bytes(bytes(n_tracks * _BYTES_A_TRACK))

        def write(table: Table) -> None:
            with writing(path), partial.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                for row in rows(table):
                    writer.writerow(["" if cell != cell else cell for cell in row])
            _write_parquet(list(rows(table)), path.with_suffix(".parquet"))

        yield write


def write_rows(table: Table, folder: str | Path) -> None:
    """Write all rows; see `rows_file`."""
    with rows_file(folder, n_tracks=0) as write:
        write(table)


def _write_parquet(found: Iterable[tuple[object, ...]], path: Path) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        return
    arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    columns = zip(*found, strict=True)
    arrays = [arrow.array(column, from_pandas=True) for column in columns]
    with replacing(path) as partial:
        parquet.write_table(arrow.table(arrays, names=list(COLUMNS)), partial)
