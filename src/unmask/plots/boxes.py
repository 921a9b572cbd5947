"""Box plots of scores."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from unmask._arrays import Array, to_numpy
from unmask.errors import ConfigError
from unmask.plots._figures import new_figure, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Scores that make a box, and those that are seen one by one.
_FEWEST, _MOST_DOTS = 4, 10
#: system -> stem -> one score a track
Scores = Mapping[str, Mapping[str, Array]]


def box_plot(scores: Scores, *, label: str = "score", ax: "Axes | None" = None) -> "Axes":
    """Draw the spread of scores over tracks: stem by stem, a box per system.

    Boxes reach from the first to the third quartile with a line at the median, whiskers to the
    last score within 1.5 times that range; scores beyond are dots. Up to ten scores are dots, every
    one, and fewer than four have no box: quartiles would say more than there is. Undefined and
    infinite scores are left out.

    Parameters
    ----------
    scores : mapping of str to mapping of str to array [shape=(track,)]
        System -> stem -> scores. A stem that a system lacks stays empty.
    label : str
        What is measured, with its unit, as ``SDR (dB)``.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Raises
    ------
    ConfigError
        If there is no finite score.
    MissingExtraError
        If matplotlib is not installed.
    """
    stems = list(dict.fromkeys(stem for found in scores.values() for stem in found))
    boxes = [[_finite(found.get(stem, ())) for stem in stems] for found in scores.values()]
    if not any(box.size for found in boxes for box in found):
        raise ConfigError(f"{label}: no finite score to draw; look at the table of scores")
    ax = ax or _new_axes(1)[0]
    width = 0.8 / len(scores)
    for k, (system, found) in enumerate(zip(scores, boxes, strict=True)):
        offset = (k - (len(scores) - 1) / 2) * width
        places = np.arange(len(stems)) + offset
        drawn = ax.boxplot(
            [values if values.size >= _FEWEST else () for values in found],
            positions=places,
            widths=0.85 * width,
            patch_artist=True,
            label=system,
            medianprops={"color": "black"},
            flierprops={"marker": ".", "markersize": 3},
        )
        for patch in drawn["boxes"]:
            patch.set_facecolor(f"C{k % 10}")
        for place, values in zip(places, found, strict=True):
            if values.size <= _MOST_DOTS:
                ax.scatter(
                    np.full(values.size, place), values,
                    s=25, zorder=3, color=f"C{k % 10}", edgecolors="black", linewidths=0.8,
                )  # fmt: skip
    ax.set_xticks(np.arange(len(stems)), stems)
    ax.set_ylabel(label)
    ax.grid(axis="y", alpha=0.4)
    return ax


def box_plots(panels: Mapping[str, Scores]) -> "Figure":
    """Draw a `box_plot` for each metric, one above the other in a new figure, with one legend.

    Parameters
    ----------
    panels : mapping of str to Scores
        What is measured, with its unit -> system -> stem -> scores.

    Raises
    ------
    ConfigError, MissingExtraError
        As `box_plot`.
    """
    if not panels:
        raise ConfigError("panels: none, expected at least one metric")
    axes = _new_axes(len(panels))
    for ax, (label, scores) in zip(axes, panels.items(), strict=True):
        box_plot(scores, label=label, ax=ax)
    handles, labels = axes[0].get_legend_handles_labels()
    figure = cast("Figure", axes[0].figure)
    labels = [wrapped(label, 50) for label in labels]
    n_beside = max(1, min(5, 100 // (6 + max(map(len, labels)))))
    figure.legend(handles, labels, ncols=n_beside, loc="outside upper center")
    return figure


def _finite(scores: Any) -> Any:
    values = to_numpy(np.asarray(scores, dtype=float))
    return values[np.isfinite(values)]


def _new_axes(n: int) -> "list[Axes]":
    """Return axes above one another in a new figure."""
    return list(new_figure(8, 2.6 * n).subplots(n, 1, squeeze=False)[:, 0])
