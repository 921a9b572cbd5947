"""What commands share: tables, JSON files, progress, options."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also write the result as JSON; - is standard output.",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress bar.")


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, title: str) -> None:
    """Print `rows` on standard output, keys of `columns` under their headings.

    Numbers are right-aligned, floats have two decimals, NaN is an empty cell.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for key, heading in columns.items():
        numeric = all(isinstance(row[key], int | float | None) for row in rows)
        made.add_column(heading, justify="right" if numeric else "left")
    for row in rows:
        made.add_row(*(cell(row[key]) for key in columns))
    # A file or pipe has no width to keep to.
    Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False).print(made)


def cell(value: Any) -> str:
    """Return `value` as text for a table."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def write_json(file: str | None, value: Any) -> None:
    """Write `value` where ``--json`` says; NaN and infinity, which JSON lacks, become null."""
    if file is None:
        return
    with click.open_file(file, "w", encoding="utf-8", atomic=True) as stream:
        stream.write(json.dumps(_finite(value), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def progress(paths: Sequence[Path], *, quiet: bool) -> Iterator[Callable[[Path, float], None]]:
    """Show a bar with the time left on standard error, if that is a terminal.

    Yields a function of a file and the share of it that is done; files weigh by their size.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    weights = {path: path.stat().st_size if path.is_file() else 0 for path in paths}
    done: dict[Path, float] = {}
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
        disable=quiet or not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("", total=sum(weights.values()))

        def advance(path: Path, share: float) -> None:
            done[path] = share * weights[path]
            bar.update(task, description=path.name, completed=sum(done.values()))

        yield advance
