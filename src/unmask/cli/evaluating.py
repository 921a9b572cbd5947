"""``unmask evaluate`` and ``unmask scores``: measure collections, put results side by side."""

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask.cli import executing, folding, show
from unmask.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from unmask.evaluate import Aggregate, Comparison, Files, Result, Table

_REPORT: Sequence[Callable[[Any], Any]] = (
    click.option(
        "--aggregate",
        type=click.Choice(["median", "mean", "both"]),
        default="median",
        help="Over the frames of a track, then over tracks.",
    ),
    click.option(
        "--plot",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=show.figure,
        metavar="FILE",
        help="Also draw box plots over tracks (median or mean over frames): .png, .svg or .pdf.",
    ),
    show.json_option,
)


def _with_report(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_REPORT):
        command = option(command)
    return command


#: Metric -> the library that it needs, of the extra "speech".
_LIBRARIES = {
    **dict.fromkeys(("pesq", "pesq_nb", "composite"), "pesq"),
    **dict.fromkeys(("stoi", "estoi"), "pystoi"),
}


def _check_installed(metrics: Sequence[str]) -> None:
    """Refuse metrics whose library is missing, before anything is scored."""
    for name in metrics:
        library = _LIBRARIES.get(name, "sys")
        if find_spec(library) is None:
            raise MissingExtraError(
                f'metric {name}: {library} is not installed; pip install "unmask[speech]"'
            )


@click.command()
@click.argument("estimates", type=click.Path())
@click.argument("targets", type=click.Path())
@click.option(
    "-o",
    "--out",
    type=click.Path(),
    help="Folder for one JSON file a track and scores.csv; its name is the system's. Finished "
    "tracks in it are not scored again.  [default: scores/NAME OF ESTIMATES]",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="May be repeated; a wrong name lists them.  [default: sdr, si_sdr, "
    "and bsseval if there are several stems]",
)
@click.option(
    "--stems",
    callback=show.split,
    metavar="NAMES",
    help="Score only these, as vocals,drums; other targets still count as interferers.",
)
@folding.fold_option
@click.option(
    "--files",
    type=click.Choice(["auto", "stems", "tracks"]),
    default="auto",
    help="What files are: stems of the track that their folder is, or a track each.  [default: by "
    "their names]",
)
@click.option("--stem", default="speech", help="Name of the stem where a file is a track.")
@click.option("--allow-missing", is_flag=True, help="Leave out tracks that only one side has.")
@click.option("--window", default=1.0, help="Window of BSSEval in seconds.")
@click.option("--hop", default=1.0, help="Step between windows in seconds.")
@click.option("--regularisation", default=0.0, help="Of BSSEval; 1e-7 for lossy stems.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Tracks at a time.  [default: cores]")
@executing.cluster_option
@click.option("--museval", is_flag=True, help="Write NaN as museval does, which is no JSON.")
@_with_report
@show.quiet_option
def evaluate(
    estimates: str,
    targets: str,
    out: str | None,
    metrics: tuple[str, ...],
    stems: Sequence[str],
    fold: dict[str, str],
    files: "Files",
    stem: str,
    allow_missing: bool,
    window: float,
    hop: float,
    regularisation: float,
    jobs: int | None,
    cluster: str | None,
    museval: bool,
    aggregate: str,
    plot: Path | None,
    json_file: str | None,
    quiet: bool,
) -> None:
    """Score separated recordings against the true ones.

    Both folders hold TRACK/STEM.wav at any depth, TRACK.stem.mp4, STEM/TRACK.wav as LibriMix, the
    stems of one track, or (speech) one file a track. Files are paired by name, but talkers
    (speaker1, s1, ...) as they fit best; mixtures are left out; rates and lengths must agree.

    \b
    Examples:
      unmask evaluate separated/mine musdb18hq/test
      unmask evaluate denoised clean --metric si_sdr --metric pesq
      unmask evaluate separated/mine musdb18hq/test --stems vocals --plot vocals.png
      unmask evaluate separated/five_stems musdb18hq/test --fold harp=other
      unmask evaluate separated/two-speakers Libri2Mix/wav8k/min/test
      unmask evaluate s3://bucket/stems s3://bucket/test --cluster 10.0.0.1:6379
    """
    from unmask import evaluate as evaluation
    from unmask.workers import n_processors

    _check_installed(metrics)
    how = evaluation.Pairing(
        files=files, stem=stem, stems=tuple(stems) or None, fold=fold, allow_missing=allow_missing
    )
    executor = executing.executor(jobs or n_processors(), cluster, jobs_asked=jobs)
    with executing.stand_ins() as stand_ins:
        sides = stand_ins.source(estimates), stand_ins.source(targets)
        folder = _folder(out, sides[0])
        pairs = evaluation.pair(*sides, how=how)
        settings = evaluation.Settings(
            metrics=metrics or evaluation.default_metrics(pairs.tracks),
            window_s=window,
            hop_s=hop,
            regularisation=regularisation,
        )
        urls = stand_ins.of(path for track in pairs.tracks for path in track.files)
        results = evaluation.evaluate(
            pairs.tracks,
            out=folder,
            settings=settings,
            executor=executor,
            museval=museval,
            urls=urls,
        )
        found = _found(results, folder, len(pairs.tracks), quiet=quiet)
    table = {key: value for name in sorted(found) for key, value in found[name].table.items()}
    _report(table, aggregate, plot, json_file)
    folding.say(pairs.folded)
    _say_about([found[name] for name in sorted(found)], pairs.skipped)
    show.say(f"scores of each track and frame: {folder}")


def _folder(out: str | None, estimates: Path) -> Path:
    """Return where scores go: they are small, and always here."""
    from unmask.remote import is_url

    if out is not None and is_url(out):
        raise ConfigError(f"-o: {out} is elsewhere, scores are written here; name a folder")
    return Path(out) if out else Path("scores") / estimates.resolve().name


def _found(
    results: "Iterable[Result]", out: Path, n_tracks: int, *, quiet: bool
) -> "dict[str, Result]":
    """Return what comes of all tracks, written to files as it does."""
    from unmask import evaluate as evaluation

    found = {}
    with evaluation.rows_file(out, n_tracks=n_tracks) as write_rows:
        with show.steps(n_tracks, quiet=quiet) as advance:
            advance("")
            for result in results:
                found[result.track] = result
                advance(result.track)
        write_rows({k: v for name in sorted(found) for k, v in found[name].table.items()})
    return found


def _say_about(results: "Sequence[Result]", skipped: Sequence[str]) -> None:
    """Tell on standard error what the numbers do not."""
    warned: dict[str, list[tuple[str, str]]] = {}
    for track, _, sentences, _ in results:
        for sentence in sentences:
            warned.setdefault(sentence.partition(":")[0], []).append((track, sentence))
    for (track, sentence), *more in warned.values():
        others = f" (and {len(more)} other tracks)" if more else ""
        show.warn(f"{track}{others}: {sentence}")
    if skipped:
        show.note(f"left out, as only one side has them: {', '.join(skipped)}")
    if n_reused := sum(one.reused for one in results):
        show.note(f"{n_reused} of {len(results)} tracks were finished before")


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--metrics", callback=show.split, metavar="NAMES", help="Only these, as SDR,SIR.")
@click.option("--stems", callback=show.split, metavar="NAMES", help="Only these, as vocals,drums.")
@click.option("--compare", is_flag=True, help="Test the first system against each of the others.")
@_with_report
def scores(
    results: Sequence[Path],
    metrics: Sequence[str],
    stems: Sequence[str],
    compare: bool,
    aggregate: str,
    plot: Path | None,
    json_file: str | None,
) -> None:
    """Put the results of systems side by side.

    RESULTS are folders or .zip files with one museval JSON file a track, made by this program or
    any other; a system goes by the name of its folder. Scores cannot be added up as stems can:
    where "other" holds the guitar for one system and not for another, a line says so.

    \b
    Examples:
      unmask scores scores/mine published/TAK2.zip published/UHL2 --metrics SDR
      unmask scores scores/mine scores/before --compare --stems vocals
      unmask scores scores/* --plot figure.svg
    """
    from unmask.evaluate import read_systems, select, stems_of
    from unmask.folding import unlike

    if compare and len(results) < 2:
        raise click.UsageError("--compare needs the results of two systems or more")
    table = read_systems(results)
    folding.say(unlike(stems_of(table)))
    _report(
        select(table, metrics=metrics, targets=stems), aggregate, plot, json_file, compared=compare
    )


def _report(
    table: "Table",
    aggregate: str,
    plot: Path | None,
    json_file: str | None,
    *,
    compared: bool = False,
) -> None:
    """Print, draw and write what a table says."""
    from unmask.evaluate import AGGREGATIONS, compare, panels
    from unmask.evaluate import aggregate as aggregated

    said: dict[str, Any] = {}
    first, *others = dict.fromkeys(key.method for key in table)
    for how in AGGREGATIONS if aggregate == "both" else (aggregate,):
        rows = aggregated(table, how)
        _print_aggregates(rows, how)
        pairs = [row for b in others for row in compare(table, first, b, how)] if compared else []
        if pairs:
            _print_comparisons(pairs, how)
        said[how] = {
            "over_frames": AGGREGATIONS[how][0],
            "over_tracks": AGGREGATIONS[how][1],
            "scores": [row._asdict() for row in rows],
            "comparisons": [row._asdict() for row in pairs],
        }
    show.write_json(json_file, said)
    if plot:
        from unmask.plots import box_plots, write_figure

        frames, _ = AGGREGATIONS["mean" if aggregate == "mean" else "median"]
        write_figure(plot, box_plots(panels(table, frames=frames)))


def _print_aggregates(rows: "Sequence[Aggregate]", how: str) -> None:
    from unmask.evaluate import AGGREGATIONS

    frames, tracks = AGGREGATIONS[how]
    metrics = dict.fromkeys(row.metric for row in rows)
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        line = lines.setdefault((row.target, row.method), dict.fromkeys(metrics, ""))
        line |= {"stem": row.target, "system": row.method, row.metric: _score(row)}
        line["tracks"] = max(line.get("tracks", 0), row.n_tracks)
    columns = {"stem": "stem", "system": "system", **{name: name for name in metrics}}
    title = (
        f"{tracks} over tracks of the {frames} over frames, and its 95 % bootstrap interval over "
        "tracks"
    )
    show.table(list(lines.values()), columns | {"tracks": "tracks"}, title=title, n_keys=2)
    for row in rows:
        if counts := _odd(row):
            show.say(f"{row.target}, {row.method}: {row.metric} {counts}")


def _score(row: "Aggregate") -> str:
    """Return a score and its interval; one track has none."""
    interval = f" [{row.low:.2f}, {row.high:.2f}]" if row.low == row.low else ""
    return "undefined" if row.value != row.value else f"{row.value:.2f}{interval}"


def _odd(row: "Aggregate") -> str:
    """Return what a score leaves out, in words."""
    n_tracks, n_frames = row.n_tracks + row.n_tracks_nan, row.n_frames + row.n_frames_nan
    counts = {
        f"is undefined in {row.n_tracks_nan} of {n_tracks} tracks": row.n_tracks_nan,
        f"is undefined in {row.n_frames_nan} of {n_frames} frames": row.n_frames_nan,
        f"is infinite in {row.n_inf} frames": row.n_inf,
    }
    return ", ".join(words for words, count in counts.items() if count)


def _print_comparisons(rows: "Sequence[Comparison]", how: str) -> None:
    from unmask.evaluate import AGGREGATIONS

    frames, tracks = AGGREGATIONS[how]
    columns = {
        "metric": "metric",
        "target": "stem",
        "b": "minus",
        "difference": "difference",
        "low": "from",
        "high": "to",
        "p": "Wilcoxon p",
        "rank_biserial": "rank-biserial r",
        "cohens_dz": "Cohen's dz",
        "n_pairs": "tracks",
        "n_left_out": "left out",
    }
    title = (
        f"{rows[0].a} minus others: {tracks} over tracks of the difference between {frames}s over "
        "frames; from, to: 95 % "
        f"bootstrap interval; p two-sided, not corrected for {len(rows)} tests"
    )
    printed = [row._asdict() | {"p": f"{row.p:.2g}"} for row in rows]
    show.table(printed, columns, title=title, n_keys=3)
