"""What commands share: lines, tables, JSON files, progress, options."""

import math
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import click

from unmask.cli.tables import Column, broken, lines
from unmask.errors import FileError, UnmaskError, one_line, printable
from unmask.files import json_text, write_text

#: What `denoise` and `stream` take unless told otherwise.
DENOISER = "denoise-48k-base"
_FIGURES = (".pdf", ".png", ".svg")

json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also write the result as JSON; - is standard output, where then nothing else goes.",
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
    """Return the file of an option that names a figure, if it can be drawn: before any work."""
    if file is not None and file.suffix.lower() not in _FIGURES:
        raise click.BadParameter(f"{file} should end in one of {' '.join(_FIGURES)}")
    if file is not None:
        from unmask.plots import check_installed

        check_installed()
    return file


def split(_context: click.Context, _option: click.Parameter, text: str | None) -> Sequence[str]:
    """Return the names of an option, which commas separate."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


def error(met: UnmaskError) -> None:
    """Say on standard error what went wrong."""
    say(f"unmask: error: {one_line(met)}", err=True)


def note(text: str) -> None:
    """Say something on standard error that is no error."""
    say(f"unmask: {text}", err=True)


def warn(text: str) -> None:
    """Say on standard error what is odd."""
    note(f"warning: {text}")


def say(text: str, *, err: bool = False) -> None:
    """Print a line that may hold names of files, models or stems, printable."""
    _put(printable(text) + "\n", err=err or _is_json_alone())


def _put(text: str, *, err: bool) -> None:
    """Write to standard output or error; nobody may read it any more, which ends no work.

    Raises
    ------
    FileError
        If it cannot be written for another reason.
    """
    try:
        click.echo(text, nl=False, err=err)
    except BrokenPipeError:
        abandon(sys.stderr if err else sys.stdout)
    except OSError as error:
        if not err:
            abandon(sys.stdout)
            raise FileError(
                f"standard output: cannot be written: {error.strerror or error}; "
                "check where it leads"
            ) from error


def abandon(stream: TextIO | BinaryIO) -> None:
    """Send what a stream still holds, and what follows, to nowhere.

    Python would flush it at its end, and complain.
    """
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_json_alone() -> bool:
    """Tell whether standard output is to hold JSON and nothing else."""
    context = click.get_current_context(silent=True)
    return context is not None and context.params.get("json_file") == "-"


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    *,
    title: str,
    prose: Collection[str] = (),
    n_keys: int = 1,
) -> None:
    """Print `rows` on standard output, keys of `columns` under their headings.

    Numbers are right-aligned, floats have two decimals, NaN is an empty cell.

    Parameters
    ----------
    prose : keys of columns
        Whose cells may be broken between words; names never are.
    n_keys : int
        Columns from the left that name a row: see :func:`unmask.cli.tables.lines`.
    """
    made = [
        Column(
            printable(heading),
            [cell(row[key]) for row in rows],
            is_number=all(isinstance(row[key], int | float | None) for row in rows),
            is_prose=key in prose,
        )
        for key, heading in columns.items()
    ]
    room = _room(sys.stderr if _is_json_alone() else sys.stdout)
    paragraph(title)
    for line in ("", *lines(made, room, n_keys=n_keys), ""):
        say(line)


def paragraph(text: str, *, before: str = "") -> None:
    """Print a sentence on standard output; in a terminal its lines are broken between words.

    What stands `before` it, the lines that follow are indented by.
    """
    room = _room(sys.stderr if _is_json_alone() else sys.stdout)
    for line in [text] if room is None else broken(printable(text), room - len(before)):
        say(before + line)
        before = " " * len(before)


def _room(stream: TextIO) -> int | None:
    """Return the width of a terminal; a file or pipe has none to keep to."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def cell(value: Any) -> str:
    """Return `value` as text for a table, printable."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.2f}" if isinstance(value, float) else printable(str(value))


def write_json(file: str | None, value: Any) -> None:
    """Write `value` where ``--json`` says, as :func:`unmask.files.json_text` has it."""
    if file == "-":
        _put(json_text(value, indent=2), err=False)
    elif file is not None:
        write_text(file, json_text(value, indent=2))


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
    except OSError:  # the name of a track; or its own line comes when it is read
        return 1
