"""All cells over all cores, each task kept on disk as soon as it is done."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from unmask._version import __version__
from unmask.ablation.grid import Cell, Grid
from unmask.ablation.material import Material
from unmask.ablation.scoring import Score, measure
from unmask.files import make_folder, write_text
from unmask.workers import map_tasks

# Raised whenever the same cell would get other numbers.
_METHOD = 1


class Done(NamedTuple):
    """The cells of a task."""

    scores: dict[Cell, list[Score]]
    n_new: int
    """How many had to be computed."""


def tasks(grid: Grid) -> list[tuple[Cell, ...]]:
    """Return the cells of a grid in groups that are measured together."""
    found: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in grid.cells():
        found.setdefault(cell.task, []).append(cell)
    return [tuple(cells) for cells in found.values()]


def ablate(material: Material, grid: Grid, *, cache: str | Path, jobs: int = 1) -> Iterator[Done]:
    """Measure a grid and yield each task as soon as it is done, see :func:`tasks`.

    What was computed lies in `cache`, by the hash of the samples and of what was asked; what is
    there is not computed again, whichever other values the axes had.

    Parameters
    ----------
    material : Material
    grid : Grid
    cache : path
        Folder, made if missing.
    jobs : int >= 1
        Tasks at a time, each in a process of its own with one thread.

    Raises
    ------
    UnmaskError
        If the material cannot be had; before anything is computed.
    """
    digest = material.load().sha256
    one = partial(_task, material, digest, make_folder(cache))
    yield from map_tasks(one, tasks(grid), jobs=jobs)


def _task(material: Material, digest: str, cache: Path, cells: Sequence[Cell]) -> Done:
    origin = {"version": __version__, "method": _METHOD, "samples": digest, "task": cells[0].task}
    key = hashlib.sha256(json.dumps(origin).encode()).hexdigest()
    path = cache / f"{key[:32]}.json"
    known = _known(path)
    missing = [cell for cell in cells if _name(cell) not in known]
    if missing:
        found = measure(material.load(), missing)
        known |= {
            _name(cell): [asdict(score) for score in scores] for cell, scores in found.items()
        }
        write_text(path, json.dumps({"origin": origin, "cells": known}))
    scores = {cell: [Score(**score) for score in known[_name(cell)]] for cell in cells}
    return Done(scores, len(missing))


def _name(cell: Cell) -> str:
    return f"{cell.upsampled} {cell.space} {cell.interpolation} {cell.alignment}"


def _known(path: Path) -> dict[str, Any]:
    """Return the cells that an earlier run has left; none if the file is not ours."""
    try:
        found = json.loads(path.read_text("utf-8"))["cells"]
        return {
            name: [dict(Score(**score).__dict__) for score in own] for name, own in found.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
