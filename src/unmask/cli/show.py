"""What commands share: tables, JSON files, progress, options."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from unmask.errors import UnmaskError, one_line, printable
from unmask.files import write_text

_FIGURES = (".pdf", ".png", ".svg")

json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also write the result as JSON; - is standard output.",
)
provider_option = click.option(
    "--provider",
    "providers",
    multiple=True,
    metavar="NAME",
    help="What runs the network, best first: cpu (default), cuda, coreml, openvino, …",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress bar.")


def figure(_context: click.Context, _option: click.Parameter, file: Path | None) -> Path | None:
    """Return the file of an option that names a figure, if its suffix is one of figures."""
    if file is not None and file.suffix.lower() not in _FIGURES:
        raise click.BadParameter(f"{file} should end in one of {' '.join(_FIGURES)}")
    return file


def split(_context: click.Context, _option: click.Parameter, text: str | None) -> Sequence[str]:
    """Return the names of an option, which commas separate."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


def error(met: UnmaskError) -> None:
    """Say on standard error what went wrong."""
    click.echo(f"unmask: error: {one_line(met)}", err=True)


def note(text: str) -> None:
    """Say something on standard error that is no error."""
    click.echo(f"unmask: {text}", err=True)


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, title: str) -> None:
    """Print `rows` on standard output, keys of `columns` under their headings.

    Numbers are right-aligned, floats have two decimals, NaN is an empty cell.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD)
    for key, heading in columns.items():
        numeric = all(isinstance(row[key], int | float | None) for row in rows)
        made.add_column(printable(heading), justify="right" if numeric else "left")
    for row in rows:
        made.add_row(*(cell(row[key]) for key in columns))
    # A file or pipe has no width to keep to.
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False)
    console.print(printable(title), made)  # a title of the table's own would wrap at its width


def cell(value: Any) -> str:
    """Return `value` as text for a table, printable."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.2f}" if isinstance(value, float) else printable(str(value))


def say(text: str, *, err: bool = False) -> None:
    """Print a line that holds names of files, models or stems."""
    click.echo(printable(text), err=err)


def write_json(file: str | None, value: Any) -> None:
    """Write `value` where ``--json`` says; NaN and infinity, which JSON lacks, become null."""
    if file is None:
        return
    text = json.dumps(_finite(value), indent=2, allow_nan=False) + "\n"
    if file == "-":
        click.echo(text, nl=False)
    else:
        write_text(file, text)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Unseen:
    """A bar where nobody looks: rich takes 30 ms to load."""

    def __enter__(self) -> "_Unseen":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add_task(self, *_: Any, **_named: Any) -> Any:
        pass

    update = add_task


def _bar(*, quiet: bool) -> Any:
    """Return a bar with the time left on standard error, shown if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        return _Unseen()
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),  # what is printed goes above the bar
    )


@contextmanager
def steps(n_steps: int, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the progress of `n_steps` steps; yields a function to call with each one's name."""
    with _bar(quiet=quiet) as bar:
        task = bar.add_task("", total=n_steps, completed=-1)

        def advance(name: str) -> None:
            bar.update(task, description=printable(name), advance=1)

        yield advance
        bar.update(task, completed=n_steps)


@contextmanager
def progress(paths: Sequence[Path], *, quiet: bool) -> Iterator[Callable[[Path, float], None]]:
    """Show the progress of work on files, which weigh by their size.

    Yields a function of a file and the share of it that is done.
    """
    weights = {path: _size(path) for path in paths}
    done: dict[Path, float] = {}
    with _bar(quiet=quiet) as bar:
        task = bar.add_task("", total=sum(weights.values()))

        def advance(path: Path, share: float) -> None:
            done[path] = share * weights[path]
            bar.update(task, description=printable(path.name), completed=sum(done.values()))

        yield advance


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # its own line comes when it is read
        return 0
