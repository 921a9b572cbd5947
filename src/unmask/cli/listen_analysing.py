"""``unmask listen analyse``: what a listening test shows."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from unmask.cli import show

if TYPE_CHECKING:
    from unmask.listen.analysis import Analysis


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="JUDGEMENTS...",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for one CSV a table, analysis.md and analysis.json.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=show.figure,
    metavar="FILE",
    help="Also draw all intervals: .png, .svg or .pdf.",
)
@click.option(
    "--by",
    type=click.Choice(["stem", "track", "item"]),
    help="Also analyse the answers about each by themselves.",
)
@click.option("--exclude", callback=show.split, metavar="L001,...", help="Listeners to leave out.")
@click.option(
    "--listeners",
    type=click.Path(dir_okay=False, path_type=Path),
    help="listeners.csv, as unmask listen export --listeners writes it; for --require.",
)
@click.option(
    "--require",
    multiple=True,
    type=click.Choice(["headphones", "finished", "hearing"]),
    help="Leave out listeners who did not pass the headphone check, did not finish, or do not say "
    "that they hear normally. May be repeated.",
)
@click.option(
    "--screen/--no-screen",
    default=True,
    help="MUSHRA: leave out who rates the hidden reference below 90 in more than 15 % of the items "
    "(ITU-R BS.1534-3).",
)
@click.option(
    "--resamples", default=4999, type=click.IntRange(99, 1_000_000), help="Of the bootstrap."
)
@click.option("--seed", type=int, default=0, help="Of the bootstrap.")
@show.json_option
def analyse(
    files: Sequence[Path],
    out: Path | None,
    plot: Path | None,
    by: Literal["stem", "track", "item"] | None,
    exclude: Sequence[str],
    listeners: Path | None,
    require: Sequence[str],
    screen: bool,
    resamples: int,
    seed: int,
    json_file: str | None,
) -> None:
    """Say what listeners prefer, how sure that is, and when it cannot be decided.

    JUDGEMENTS is what `unmask listen export` writes, or mushra.csv or paired_comparison.csv of
    webMUSHRA; several are analysed together. Intervals and p values hold for other listeners and
    other items (cluster bootstrap); beside them stand the exact binomial test, a mixed-effects
    logistic model, Bradley-Terry strengths of three systems or more, and how reliable the answers
    are.

    \b
    Examples:
      unmask listen analyse judgements.csv
      unmask listen analyse judgements.csv --by stem --plot preferences.png -o results
      unmask listen analyse judgements.csv --listeners listeners.csv --require headphones
      unmask listen analyse results/mytest/mushra.csv
    """
    from unmask.listen import analysis

    settings = analysis.Settings(
        by=by,
        exclude=tuple(exclude),
        listeners=listeners,
        require=tuple(require),
        screen=screen,
        n_resamples=resamples,
        seed=seed,
    )
    found = analysis.analyse(analysis.read(files), settings)
    document = _document(found)
    _print(found)
    if out is not None:
        _write(out, found, document)
        show.say(f"tables: {out}")
    if plot is not None:
        from unmask.listen.analysis.panels import panels
        from unmask.plots import interval_plots, write_figure

        write_figure(plot, interval_plots(panels(found)))
    show.write_json(json_file, document)


def _document(found: "Analysis") -> dict[str, Any]:
    from unmask.listen.analysis import sentences, tables

    return {
        "n_listeners": found.n_listeners,
        "n_answers": found.n_answers,
        "sentences": sentences(found),
        **{name: list(table.rows) for name, table in tables(found).items()},
    }


def _print(found: "Analysis") -> None:
    from unmask.listen.analysis import sentences, tables

    for table in tables(found).values():
        columns = {heading: heading for heading in table.shown[0]}
        show.table(table.shown, columns, title=table.title, n_keys=table.n_keys, prose={"reason"})
    for sentence in sentences(found):
        warning = sentence.removeprefix("warning: ")
        if warning != sentence:
            show.warn(warning)
        else:
            show.paragraph(sentence)


def _write(out: Path, found: "Analysis", document: dict[str, Any]) -> None:
    from unmask.files import json_text, make_folder, write_text
    from unmask.listen.analysis import csv_text, markdown, sentences, tables

    make_folder(out)
    for name, table in tables(found).items():
        write_text(out / f"{name}.csv", csv_text(table.rows))
    write_text(out / "analysis.md", markdown(found, sentences(found)))
    write_text(out / "analysis.json", json_text(document, indent=2))
