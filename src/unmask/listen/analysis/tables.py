"""Results as rows with a number in every cell, for files; and as they are read."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from unmask.listen.analysis.pairs import PairResult
from unmask.listen.analysis.run import Analysis

Row = Mapping[str, Any]


class Table(NamedTuple):
    """One kind of result."""

    title: str
    rows: Sequence[Row]
    """All numbers, unrounded."""
    shown: Sequence[Mapping[str, str | int]]
    """The same rows with the columns that are read, as text."""
    n_keys: int
    """Columns from the left that say what a row is."""


def tables(analysis: Analysis) -> dict[str, Table]:
    """Return the tables that are not empty, by name."""
    found = {
        "preferences": _table(
            "Preferences; p and interval by the cluster bootstrap over listeners and items",
            [_pair(row) for row in analysis.pairs],
            _PAIRS,
        ),
        "strengths": _table(
            "Bradley-Terry strengths in log odds; 0 is the average system",
            [_strength(row) for row in analysis.strengths],
            _STRENGTHS,
        ),
        "ratings": _table(
            "Ratings, 0 to 100", [row._asdict() for row in analysis.ratings], _RATINGS
        ),
        "differences": _table(
            "Differences of ratings, listener by listener and item by item",
            [row._asdict() | {"decided": row.is_decided} for row in analysis.differences],
            _DIFFERENCES,
        ),
        "reliability": _table(
            "Agreement of listeners (Krippendorff), repeated pages, sides",
            [row._asdict() for row in analysis.reliability],
            _RELIABILITY,
        ),
        "excluded": _table("Left out", [row._asdict() for row in analysis.excluded], _EXCLUDED),
    }
    return {name: table for name, table in found.items() if table.rows}


def percent(value: float) -> str:
    """Return a share as whole per cent.

    >>> percent(0.581), percent(float("nan"))
    ('58 %', '')
    """
    return "" if math.isnan(value) else f"{100 * value:.0f} %"


def p_text(p: float) -> str:
    """Return a p value as papers print it.

    >>> p_text(0.1181), p_text(0.0499), p_text(0.00002), p_text(float("nan"))
    ('0.12', '0.050', '<0.001', '')
    """
    if math.isnan(p):
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def csv_text(rows: Sequence[Row]) -> str:
    """Return rows as CSV; NaN is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if _is_nan(value) else value for name, value in row.items()})
    return text.getvalue()


def markdown(analysis: Analysis, sentences: Sequence[str]) -> str:
    """Return all results as a page of Markdown."""
    parts = ["# Listening test", ""]
    parts += [f"* {_escaped(sentence)}" for sentence in sentences]
    for table in tables(analysis).values():
        names = list(table.shown[0])
        parts += ["", f"## {table.title}", "", _line(names), _line(["---"] * len(names))]
        parts += [_line([_escaped(str(cell)) for cell in row.values()]) for row in table.shown]
    return "\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _is_nan(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


_Column = Callable[[Row], str | int]


def _table(title: str, rows: Sequence[Row], columns: Mapping[str, _Column]) -> Table:
    shown = [{heading: made(row) for heading, made in columns.items()} for row in rows]
    empty = [heading for heading in columns if all(row[heading] == "" for row in shown)]
    kept = [{k: v for k, v in row.items() if k not in empty} for row in shown]
    names = {"about", "question", "preferred", "over", "system", "listener"}
    n_keys = len(names & kept[0].keys()) if kept else 0
    return Table(title, rows, kept, n_keys)


def _pair(row: PairResult) -> Row:
    none = float("nan")
    test, spread, model = row.binomial, row.clusters, row.mixed
    return {
        **{name: getattr(row, name) for name in ("group", "question", "system", "over")},
        "n": test.n,
        "k": test.k,
        "share": test.share,
        **{name: getattr(row, name) for name in ("n_none", "n_listeners", "n_items")},
        "low": spread.low if spread else test.low,
        "high": spread.high if spread else test.high,
        "p": row.p,
        "p_holm": row.p_holm,
        "decided": row.is_decided,
        "method": "cluster bootstrap" if spread else "binomial",
        "design_effect": spread.design_effect if spread else none,
        "binomial_p": test.p,
        "binomial_low": test.low,
        "binomial_high": test.high,
        "wilson_low": test.wilson_low,
        "wilson_high": test.wilson_high,
        **{
            f"mixed_{name}": getattr(model, name) if model else none
            for name in ("share", "low", "high", "p", "population", "listener_sd", "item_sd", "df")
        },
        "mixed_problem": model.problem if model else "no maximum of the likelihood",
        "needed": none if row.needed is None else row.needed,
        "detectable": none if row.detectable is None else row.detectable,
    }


def _strength(row: Any) -> Row:
    names = ("system", "strength", "low", "high", "share", "n")
    empty = {"system": "", "n": "", **dict.fromkeys(("strength", "low", "high", "share"), math.nan)}
    values = row.strength._asdict() if row.strength else empty
    found = {name: values[name] for name in names}
    return {"group": row.group, "question": row.question, **found, "problem": row.problem}


def _text(name: str) -> _Column:
    return lambda row: str(row[name])


def _count(name: str) -> _Column:
    return lambda row: "" if _is_nan(row[name]) else row[name]


def _p(name: str) -> _Column:
    return lambda row: p_text(row[name])


def _percent(name: str) -> _Column:
    return lambda row: percent(row[name])


def _number(name: str, digits: int) -> _Column:
    return lambda row: "" if _is_nan(row[name]) else f"{row[name]:.{digits}f}"


def _percents(row: Row) -> str:
    return f"{100 * row['low']:.0f} to {100 * row['high']:.0f} %"


def _bounds(digits: int) -> _Column:
    def between(row: Row) -> str:
        if _is_nan(row["low"]):
            return ""
        return f"{row['low']:.{digits}f} to {row['high']:.{digits}f}"

    return between


def _mixed_p(row: Row) -> str:
    return p_text(row["mixed_p"]) + " (!)" * bool(row["mixed_problem"] and row["mixed_p"] >= 0)


def _corrected(row: Row) -> str:
    return p_text(row["p_holm"]) if row["p_holm"] != row["p"] else ""


def _needed(row: Row) -> str | int:
    is_told = not row["decided"] and row["needed"] > row["n"]
    return row["needed"] if is_told else ""


def _same(row: Row) -> str:
    if _is_nan(row["same"]):
        return ""
    return f"{percent(row['same'])} of {row['n_repeated']}"


_WHERE: dict[str, _Column] = {"about": _text("group"), "question": _text("question")}
_PAIRS: dict[str, _Column] = {
    **_WHERE,
    "preferred": _text("system"),
    "over": _text("over"),
    "by": _percent("share"),
    "of": _count("n"),
    "95 %": _percents,
    "p": _p("p"),
    "p Holm": _corrected,
    "p binomial": _p("binomial_p"),
    "p mixed": _mixed_p,
    "design effect": _number("design_effect", 1),
    "needed": _needed,
}
_STRENGTHS: dict[str, _Column] = {
    **_WHERE,
    "system": _text("system"),
    "strength": _number("strength", 2),
    "95 %": _bounds(2),
    "beats the average": _percent("share"),
    "answers": _count("n"),
    "no strengths": _text("problem"),
}
_RATINGS: dict[str, _Column] = {
    **_WHERE,
    "system": _text("system"),
    "mean": _number("mean", 1),
    "95 %": _bounds(1),
    "median": _number("median", 0),
    "quartiles": lambda row: f"{row['first_quartile']:.0f} to {row['third_quartile']:.0f}",
    "listeners": _count("n_listeners"),
    "items": _count("n_items"),
    "n": _count("n"),
}
_DIFFERENCES: dict[str, _Column] = {
    **_WHERE,
    "system": _text("system"),
    "over": _text("over"),
    "difference": _number("difference", 1),
    "95 %": _bounds(1),
    "p": _p("p"),
    "p Holm": _corrected,
    "n": _count("n"),
}
_RELIABILITY: dict[str, _Column] = {
    "question": _text("question"),
    "alpha": _number("alpha", 2),
    "same again": _same,
    "kappa": _number("kappa", 2),
    "changed by": _number("difference", 1),
    "A preferred": _percent("side_a"),
    "p": _p("side_p"),
}
_EXCLUDED: dict[str, _Column] = {"listener": _text("listener"), "reason": _text("reason")}
