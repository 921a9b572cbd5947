"""Figures of listening tests: what is preferred, how strong systems are, how they are rated."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from unmask.errors import ConfigError
from unmask.plots._figures import new_figure, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Interval(NamedTuple):
    """A number with its interval, and what it is of."""

    label: str
    value: float
    low: float
    high: float
    is_decided: bool = True
    """Drawn full; what is not decided is drawn hollow."""


class Panel(NamedTuple):
    """Intervals on one axis."""

    label: str
    """What is measured, with its unit."""
    rows: Sequence[Interval]
    line: float | None = None
    """Where there is no difference."""
    limits: tuple[float, float] | None = None


def interval_plot(panel: Panel, *, ax: "Axes | None" = None) -> "Axes":
    """Draw numbers with their intervals, the first on top; NaN bounds are left out.

    Parameters
    ----------
    panel : Panel
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Raises
    ------
    ConfigError
        If there is nothing to draw.
    MissingExtraError
        If matplotlib is not installed.
    """
    if not panel.rows:
        raise ConfigError(f"{panel.label}: no number to draw, expected one or more")
    ax = ax or new_figure(8, _height(panel)).subplots()
    if panel.line is not None:
        ax.axvline(panel.line, color="0.5", linewidth=1, linestyle="--", zorder=0)
    for k, row in enumerate(panel.rows):
        ax.plot([row.low, row.high], [k, k], color="C0", linewidth=2, solid_capstyle="butt")
        ax.plot(
            [row.value], [k], "o", color="C0", markerfacecolor="C0" if row.is_decided else "white"
        )
    ax.set_yticks(range(len(panel.rows)), [wrapped(row.label, 45) for row in panel.rows])
    ax.set_ylim(len(panel.rows) - 0.5, -0.5)
    if panel.limits:
        ax.set_xlim(*panel.limits)
    ax.set_xlabel(panel.label)
    ax.grid(axis="x", alpha=0.4)
    return ax


def interval_plots(panels: Mapping[str, Panel]) -> "Figure":
    """Draw an `interval_plot` for each title, one above the other in a new figure.

    Raises
    ------
    ConfigError, MissingExtraError
        As `interval_plot`.
    """
    if not panels:
        raise ConfigError("panels: none, expected one or more")
    heights = [_height(panel) for panel in panels.values()]
    figure = new_figure(8, sum(heights))
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (title, panel) in zip(axes, panels.items(), strict=True):
        interval_plot(panel, ax=ax)
        ax.set_title(title, loc="left", fontsize="medium")
    return figure


def _height(panel: Panel) -> float:
    return 1.0 + 0.38 * len(panel.rows)
