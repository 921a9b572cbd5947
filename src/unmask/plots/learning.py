"""Learning curves: what runs told while they trained."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unmask.errors import ConfigError, listed
from unmask.plots._figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Run -> its records, as lines of ``records.jsonl``.
Runs = Mapping[str, Sequence[Mapping[str, Any]]]


def learning_curves(runs: Runs, value: str, *, ax: "Axes | None" = None) -> "Axes":
    """Draw one value of some runs over training steps, a line each.

    Parameters
    ----------
    runs : mapping of str to sequence of mapping
        Run -> records, each with ``"step"`` and numbers or tables of numbers; as
        :func:`unmask.train.records.read` gives them.
    value : str
        What is drawn: the name of a number, as ``"loss"``, or of one in a table, as
        ``"valid/loss"``. A record without it, and what is not finite, is left out.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Raises
    ------
    ConfigError
        If no record of a run has the value.
    MissingExtraError
        If matplotlib is not installed.
    """
    curves = {name: _curve(name, records, value) for name, records in runs.items()}
    if not curves:
        raise ConfigError("runs: none, expected one or more")
    ax = ax or new_figure(8, 4).subplots()
    for name, (steps, values) in curves.items():
        ax.plot(steps, values, marker="." if len(steps) <= 100 else None, label=name)
    ax.set_xlabel("step")
    ax.set_ylabel(value)
    ax.grid(alpha=0.4)
    ax.legend()
    return ax


def _curve(name: str, records: Sequence[Mapping[str, Any]], value: str) -> tuple[Any, Any]:
    flat = [(record["step"], _flat(record)) for record in records]
    points = [(step, float(found[value])) for step, found in flat if _is_number(found.get(value))]
    if not points:
        known = {key for _, found in flat for key in found}
        raise ConfigError(f"{name}: has no {value}; there are {listed(known) or 'no records'}")
    steps, values = np.array(points).T
    return steps, values


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a record, those in tables as ``table/number``."""
    flat: dict[str, Any] = {}
    for key, item in record.items():
        if isinstance(item, Mapping):
            flat |= {f"{key}/{name}": number for name, number in item.items()}
        elif key != "step":
            flat[key] = item
    return flat


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))
