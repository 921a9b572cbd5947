"""The scores of a grid, looked up by what was chosen: rows, the table of the blog, text."""

import csv
import io
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from unmask.ablation.grid import ANY, UPSAMPLED, Cell, canonical
from unmask.ablation.scoring import Score
from unmask.frontends import STFT

Cells = Mapping[Cell, Sequence[Score]]

#: What a row of :func:`blog_rows` is about, and its columns: interpolations at each alignment.
HEADS = ("upsampled", "family", "bound", "space")
COLUMNS = tuple(itertools.product(("aligned", "half_bin"), ("nearest", "linear", "cubic")))


@dataclass(frozen=True)
class Results:
    """The scores of one mixture and front-end, and what there is to choose from."""

    cells: Cells
    mixing: str
    stft: STFT

    def sdr(self, family: str, bound: str = "none", decimation: int = 1, **axes: Any) -> float:
        """Return the mean SDR over sources in dB; NaN for what was not measured."""
        return self.mean("sdr", Cell(family, bound, decimation, **axes))

    def mean(self, key: str, cell: Cell) -> float:
        """Return the mean of a score over sources; NaN for what was not measured."""
        scores = self.cells.get(canonical(self._here(cell)))
        return fmean(getattr(score, key) for score in scores) if scores else math.nan

    def gains(self, family: str, mixing: str) -> list[float]:
        """Return the gain of every source without bound or decimation."""
        cell = replace(self._here(Cell(family)), mixing=mixing)
        return [score.gain for score in self.cells.get(canonical(cell), ())]

    def values(self, axis: str) -> list[Any]:
        """Return the values of an axis that were measured here, in their order."""
        place = self._here(Cell("complex")).place
        found = [getattr(cell, axis) for cell in self.cells if cell.place == place]
        return [value for value in dict.fromkeys(found) if value != ANY]

    @property
    def n_sources(self) -> int:
        """Sources of the mixture."""
        return len(next(iter(self.cells.values())))

    def _here(self, cell: Cell) -> Cell:
        stft = self.stft
        return replace(cell, mixing=self.mixing, n_fft=stft.n_fft, hop=stft.hop, window=stft.window)


def results(cells: Cells) -> list[Results]:
    """Return the parts of a grid that have something interpolated, or else all."""
    full = {(cell.mixing, cell.stft) for cell in cells if cell.decimation > 1}
    every = {(cell.mixing, cell.stft) for cell in cells if cell.mixing == "sum"}
    wanted = full or every
    places = dict.fromkeys((cell.mixing, cell.stft) for cell in cells)
    return [Results(cells, *place) for place in places if place in wanted]


def blog_rows(found: Results, decimation: int) -> list[dict[str, Any]]:
    """Return the table of Montesinos (2021) of a decimation: mean SDR over sources in dB.

    Rows say what is interpolated of which family, within which bound, in which space; the columns
    ``ALIGNMENT INTERPOLATION`` are those of :data:`COLUMNS`.
    """
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for cell, scores in found.cells.items():
        here = cell.place == (found.mixing, found.stft.n_fft, found.stft.hop, found.stft.window)
        if not here or cell.decimation != decimation or decimation == 1:
            continue
        head = {
            "upsampled": cell.upsampled,
            "family": cell.family,
            "bound": cell.bound,
            "space": cell.space or "either",
        }
        row = rows.setdefault(tuple(head.values()), head)
        row[f"{cell.alignment} {cell.interpolation}"] = fmean(score.sdr for score in scores)
    names = [f"{alignment} {interpolation}" for alignment, interpolation in COLUMNS]
    full = [
        {name: row[name] for name in HEADS} | {name: row.get(name, math.nan) for name in names}
        for row in rows.values()
    ]
    return sorted(full, key=lambda row: UPSAMPLED.index(row["upsampled"]))


def level_rows(found: Results) -> list[dict[str, Any]]:
    """Return the scores at full resolution, and the gains in both mixings, by family and bound."""
    rows = []
    for family, bound in itertools.product(found.values("family"), found.values("bound")):
        if canonical(Cell(family, bound)).bound != bound:
            continue
        row = {"family": family, "bound": bound, "sdr": found.sdr(family, bound)}
        row["si_sdr"] = found.mean("si_sdr", Cell(family, bound))
        for mixing in ("sum", "mean"):
            gains = found.gains(family, mixing) if bound == "none" else []
            row[f"gain {mixing}"] = fmean(gains) if gains else math.nan
        if not math.isnan(row["sdr"]):
            rows.append(row)
    return rows


def to_csv(cells: Cells) -> str:
    """Return one line for every cell and source."""
    file = io.StringIO()
    names = [*Cell.__dataclass_fields__, *Score.__dataclass_fields__]
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    for cell, scores in cells.items():
        writer.writerows(asdict(cell) | asdict(score) for score in scores)
    return file.getvalue()


def to_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table; numbers with two decimals, NaN is an empty cell."""
    names = list(rows[0])
    numeric = [all(isinstance(row[name], float) for row in rows) for name in names]
    lines = [
        "| " + " | ".join(name.replace("_", "-") for name in names) + " |",
        "|" + "|".join("---:" if is_number else "---" for is_number in numeric) + "|",
    ]
    lines += ["| " + " | ".join(text(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def text(value: Any) -> str:
    """Return a value as it stands in a table."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.2f}"
    return str(value).replace("|", "\\|")
