"""``unmask plot learning``: how runs went."""

from pathlib import Path
from typing import Any

import click

from unmask.cli.plotting import choices
from unmask.errors import FileError


@click.command("learning")
@click.argument(
    "runs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN_FOLDER…"
)
@choices.figure_option
@click.option(
    "--value",
    default="valid/loss",
    help="What is drawn, as records.jsonl calls it; those in tables as table/number.",
)
def plot_learning(runs: tuple[Path, ...], out: Path, value: str) -> None:
    """Draw a loss or score of training runs over their steps, a line each.

    \b
    Examples:
      unmask plot learning runs/a runs/b -o learning.png
      unmask plot learning runs/a -o learning.svg --value valid/si_sdr_improvement_db
    """
    from unmask.cli import show
    from unmask.plots import check_installed, learning_curves, write_figure
    from unmask.train.records import RECORDS, read

    check_installed()
    found = {}
    for run in runs:
        if not (records := read(run)):
            raise FileError(f"{run}: has no {RECORDS}; expected the folder of a training run")
        found[str(run)] = records
    figure: Any = learning_curves(found, value).figure
    write_figure(out, figure)
    show.say(str(out))
