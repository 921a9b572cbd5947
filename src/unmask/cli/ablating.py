"""``unmask ablate``: every way to make masks smaller, and what it costs, on one recording."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask.cli import show
from unmask.files import write_text

if TYPE_CHECKING:
    from unmask.ablation import Grid
    from unmask.ablation.tables import Cells
    from unmask.frontends import STFT

_AXES = {
    "families": "Mask families, as ibm_argmax,irm1,psm,complex.",
    "bounds": "none; a number, the largest |M|; tanh or tanh:C, compressed per part.",
    "decimations": "Keep every so many bins, as 1,2,4,8.",
    "upsampled": "What is interpolated: mask,spectrum,centred_spectrum.",
    "spaces": "cartesian,polar.",
    "interpolations": "nearest,linear,cubic.",
    "alignments": "aligned,half_bin (as torch's interpolate).",
    "mixings": "The mixture: sum,mean of the sources.",
}


def _axes(command: Callable[..., None]) -> Callable[..., None]:
    for name, text in reversed(_AXES.items()):
        command = click.option(
            f"--{name}", callback=show.split, metavar="VALUES", help=text, show_default=False
        )(command)
    return command


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SOURCES..."
)
@_axes
@click.option(
    "--stfts",
    callback=show.split,
    metavar="N:HOP:WINDOW",
    help="Front-ends, as 1024:256,2048:512:sqrt_hann.  [default: 2048:512:hann]",
)
@click.option("--full", is_flag=True, help="All values of the axes that are not given.")
@click.option("--start", default=0.0, help="Where the stretch begins, in seconds.")
@click.option("--duration", default=30.0, help="Its length in seconds, as far as there is.")
@click.option("--sample-rate", type=click.IntRange(1), help="Resample to this, in Hz.")
@click.option("--mono", is_flag=True, help="Average the channels.")
@click.option(
    "--target",
    default="",
    show_default=False,
    metavar="STEM",
    help="Two sources: this one, and all others.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for ablation.csv, .md and .html and what need not be computed again.  "
    "[default: ablation/NAME]",
)
@click.option("-j", "--jobs", type=click.IntRange(1), help="Tasks at a time.  [default: cores]")
@show.json_option
@show.quiet_option
def ablate(paths: Sequence[Path], out: Path | None, **options: Any) -> None:
    """Show what ideal masks lose when they are bounded, thinned out and interpolated.

    SOURCES are a folder of stems, a .stem.mp4 file, or sound files, a source each; a single file is
    mixed with itself half its length later. Prints the table of Montesinos (2021), mean SDR over
    sources in dB, and which statements about masks hold in this recording. An axis takes several
    values, which commas separate; a second run computes only what is new.

    \b
    Examples:
      unmask ablate assets/music
      unmask ablate song/ --target vocals --bounds none,1,2,tanh --decimations 1,2,4,8
      unmask ablate voice.wav --mono --sample-rate 16384 --stfts 1022:256
      unmask ablate song/ --full --duration 10
    """
    from unmask import ablation
    from unmask.workers import n_processors

    name, files = ablation.find_material(paths)
    material = ablation.Material(
        name,
        files,
        start_s=options["start"],
        duration_s=options["duration"],
        sample_rate=options["sample_rate"],
        mono=options["mono"],
        target=options["target"],
    )
    grid = _grid(options)
    out = out or Path("ablation") / name
    cells = _run(
        material, grid, out, jobs=options["jobs"] or n_processors(), quiet=options["quiet"]
    )
    note = _note(material, options)
    _print(cells, note)
    _write(cells, out, title=f"Masks of {name}", note=note)
    show.write_json(options["json_file"], _document(cells, note))
    show.say(f"all rows: {out}/ablation.csv, .md, .html")


def _grid(options: dict[str, Any]) -> "Grid":
    """Return the grid of the options; an axis that is not given has the values of a default."""
    from dataclasses import fields, replace

    from unmask.ablation.grid import FULL, Grid

    grid = FULL if options["full"] else Grid()
    given: dict[str, Any] = {f.name: options[f.name] for f in fields(Grid) if options[f.name]}
    if "decimations" in given:
        given["decimations"] = [_whole(text, "decimations") for text in given["decimations"]]
    if "stfts" in given:
        given["stfts"] = [_stft(text) for text in given["stfts"]]
    for axis, old in (("bounds", "tanh"), ("alignments", "half-bin")):
        if axis in given:
            new = {"tanh": "tanh:0.1", "half-bin": "half_bin"}[old]
            given[axis] = [new if value == old else value for value in given[axis]]
    return replace(grid, **given)


def _whole(text: str, name: str) -> int:
    if not text.isdigit():
        raise click.BadParameter(f"{name}: {text!r} is no whole number")
    return int(text)


def _stft(text: str) -> "STFT":
    from unmask.frontends import STFT

    n_fft, _, rest = text.partition(":")
    hop, _, window = rest.partition(":")
    if not (n_fft.isdigit() and (hop or "1").isdigit()):
        raise click.BadParameter(f"stfts: {text!r} should be N:HOP or N:HOP:WINDOW, as 2048:512")
    return STFT(int(n_fft), int(hop) if hop else int(n_fft) // 4, window or "hann")


def _run(material: Any, grid: "Grid", out: Path, *, jobs: int, quiet: bool) -> "Cells":
    """Return the scores of all cells in their order; say how many were there already."""
    from unmask import ablation
    from unmask.ablation.run import tasks

    order = grid.cells()
    found: dict[Any, Any] = {}
    n_new = 0
    with show.steps(len(tasks(grid)), quiet=quiet) as advance:
        advance("")
        for done in ablation.ablate(material, grid, cache=out / "cache", jobs=jobs):
            found |= done.scores
            n_new += done.n_new
            advance(next(iter(done.scores)).family)
    if n_old := len(order) - n_new:
        show.note(f"{n_old} of {len(order)} combinations were computed before")
    return {cell: found[cell] for cell in order}


def _note(material: Any, options: dict[str, Any]) -> str:
    waves = material.load()
    n_channels, n_samples = waves.samples.shape[1:]
    start = options["start"]
    return (
        f"{', '.join(waves.names)}; {start:g} to {start + n_samples / waves.sample_rate:g} s, "
        f"{n_channels} channel{'s' * (n_channels > 1)}, {waves.sample_rate} Hz"
    )


def _print(cells: "Cells", note: str) -> None:
    from unmask.ablation.tables import COLUMNS, HEADS, blog_rows, level_rows, results
    from unmask.ablation.verdicts import verdicts

    show.say(note)
    names = {f"{a} {i}": f"{i}{'' if a == 'aligned' else ', half-bin'}" for a, i in COLUMNS}
    for found in results(cells):
        show.say(f"mixture: {found.mixing} of {found.n_sources} sources, {found.stft}")
        levels = level_rows(found)
        show.table(levels, {key: key for key in levels[0]}, title="all bins, SDR in dB")
        heads = {key: key for key in HEADS}
        for factor in sorted(factor for factor in found.values("decimation") if factor > 1):
            rows = blog_rows(found, factor)
            show.table(rows, heads | names, title=f"one bin in {factor} kept, mean SDR in dB")
        rows = list(verdicts(found))
        for row in rows:
            show.paragraph(row["statement"], before=f"{row['here']:>13}  ")
            if row["in this recording"]:
                show.paragraph(row["in this recording"], before=15 * " ")


def _write(cells: "Cells", out: Path, *, title: str, note: str) -> None:
    from unmask import ablation
    from unmask.ablation.markdown import report

    write_text(out / "ablation.csv", ablation.to_csv(cells))
    write_text(out / "ablation.md", report(cells, title=title, note=note))
    write_text(out / "ablation.html", ablation.page(cells, title=title, note=note))


def _document(cells: "Cells", note: str) -> dict[str, Any]:
    from dataclasses import asdict

    from unmask.ablation.tables import results
    from unmask.ablation.verdicts import statements

    return {
        "recording": note,
        "cells": [
            asdict(cell) | {"scores": [asdict(score) for score in scores]}
            for cell, scores in cells.items()
        ],
        "statements": [
            {"mixing": found.mixing, "stft": asdict(found.stft), **asdict(one)}
            for found in results(cells)
            for one in statements(found)
        ],
    }
