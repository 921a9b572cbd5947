"""The phase-benefit curve: what complex masks gain per octave, and what a crossover costs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from unmask.errors import ConfigError, ShapeError
from unmask.plots._figures import new_figure, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def phase_benefit_figure(
    edges_hz: Sequence[float],
    gains_db: Mapping[str, Sequence[float]],
    losses_db: Mapping[str, Sequence[float]],
    *,
    limit_db: float,
    title: str = "",
) -> "Figure":
    """Draw gains per octave, and beside them what the hybrid of every crossover loses.

    Both axes of frequency are octaves of the same width. What is named last is drawn boldly, and
    a dot marks its lowest crossover from which on no more than `limit_db` is lost.

    Parameters
    ----------
    edges_hz : sequence of float
        Edges of octaves, from 0 to half the sample rate.
    gains_db : mapping of str to sequence of float [octave]
        Label -> gain of complex over real masks; NaN is a gap.
    losses_db : mapping of str to sequence of float [edge]
        Label -> loss of the hybrid with its crossover at each edge, of the whole band.
    limit_db : float
        Of the loss; a line.
    title : str
        Above all.

    Raises
    ------
    ConfigError
        If there is nothing to draw.
    ShapeError
        If gains and octaves, or losses and edges, do not agree in number.
    MissingExtraError
        If matplotlib is not installed.
    """
    if not gains_db or not losses_db:
        raise ConfigError("figure: no gains or no losses to draw, expected one or more of each")
    n_edges = len(edges_hz)
    for label, values, n in [
        *((label, values, n_edges - 1) for label, values in gains_db.items()),
        *((label, values, n_edges) for label, values in losses_db.items()),
    ]:
        if len(values) != n:
            raise ShapeError(f"{label}: {len(values)} values, expected {n} for {n_edges} edges")
    figure = new_figure(10, 4.3)
    left, right = figure.subplots(1, 2)
    for label, values in gains_db.items():
        left.stairs(values, range(n_edges), baseline=None, label=label, **_style(label, gains_db))
    left.set_title("complex over real masks, per octave")
    left.set_ylabel("gain in SDR (dB)")
    for label, values in losses_db.items():
        right.plot(range(n_edges), values, label=label, **_style(label, losses_db))
    right.axhline(limit_db, color="0.5", linestyle=":", zorder=0)
    *_, bold = losses_db.values()
    within = np.flatnonzero(~(np.asarray(bold, dtype=float) <= limit_db))
    chosen = within[-1] + 1 if within.size else 0
    if chosen < n_edges:
        right.plot([chosen], [bold[chosen]], "ko", markersize=7)
    right.set_title("hybrid, complex below a crossover")
    right.set_ylabel("loss in SDR of the whole band (dB)")
    right.set_xlabel("crossover (Hz)")
    left.set_xlabel("frequency (Hz)")
    for ax in (left, right):
        _octave_axis(ax, edges_hz)
    lines, labels = left.get_legend_handles_labels()
    labels = [wrapped(label, 60) for label in labels]
    figure.legend(lines, labels, ncols=min(6, len(labels)), loc="outside lower center")
    figure.suptitle(wrapped(title, 100))
    return figure


def _style(label: str, drawn: Mapping[str, object]) -> dict[str, object]:
    is_last = label == list(drawn)[-1]
    place = list(drawn).index(label)
    return {"color": "black" if is_last else f"C{place % 10}", "linewidth": 2.5 if is_last else 1.2}


def _octave_axis(ax: "Axes", edges_hz: Sequence[float]) -> None:
    ax.set_xticks(range(len(edges_hz)), [_short(hz) for hz in edges_hz], fontsize="small")
    ax.grid(alpha=0.4)
    ax.axhline(0, color="0.3", linewidth=0.8, zorder=0)


def _short(hz: float) -> str:
    """Return a frequency as people write it: 500, 4k, 22.05k."""
    return f"{hz:g}" if hz < 1000 else f"{hz / 1000:g}k"
