"""Images of masks: the clean stem, how much a mask keeps, how far it turns, and how often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from unmask._arrays import Array, check_axes, check_same_shape, to_numpy
from unmask.errors import ConfigError, ShapeError
from unmask.plots._figures import new_figure, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FrequencyScale = Literal["linear", "log", "mel"]

_LEVEL_RANGE_DB = 80.0
_LOWEST_LOG_HZ = 40.0
# A correction is invisible in bins this far below the loudest, and fully drawn this much higher.
_PHASE_FLOOR_DB, _PHASE_RAMP_DB = -60.0, 20.0
# More than a panel has pixels would take memory (50 bytes a cell) and show nothing.
_MOST_COLUMNS, _MOST_ROWS = 400, 256
_TICKS_KHZ = {
    "log": (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0),
    "mel": (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0),
}


@dataclass(frozen=True)
class Plane:
    """The time-frequency plane that images are drawn on.

    Parameters
    ----------
    times_s : array [shape=(frame,)]
        Centres of frames in seconds.
    frequencies_hz : array [shape=(freq,)]
        Centres of bins in Hz.
    scale : {"linear", "log", "mel"}
        Of the frequency axis.
    highest_hz : float > 0, optional
        Top of the frequency axis; the last bin when left out.

    Raises
    ------
    ConfigError
        If there is no such scale, or its top is too low.
    """

    times_s: Array
    frequencies_hz: Array
    scale: FrequencyScale = "linear"
    highest_hz: float | None = None

    def __post_init__(self) -> None:
        if self.scale not in ("linear", "log", "mel"):
            raise ConfigError(f"scale: {self.scale!r}, expected 'linear', 'log' or 'mel'")
        if self.highest_hz is not None and not self.highest_hz > _LOWEST_LOG_HZ:
            raise ConfigError(f"highest_hz: {self.highest_hz}, expected above {_LOWEST_LOG_HZ} Hz")

    def draw(self, image: Array, ax: "Axes", **options: Any) -> Any:
        """Draw `image` (freq, frame) or (freq, frame, rgb) with labelled axes.

        Raises
        ------
        ShapeError
            If the image is not of this plane.
        """
        times, khz = np.asarray(self.times_s), np.asarray(self.frequencies_hz) / 1000
        if image.shape[:2] != (len(khz), len(times)):
            raise ShapeError(
                f"image{image.shape}: expected (freq, frame) = ({len(khz)}, {len(times)})"
            )
        top = min(khz[-1], (self.highest_hz or np.inf) / 1000)
        rows, columns = _seen(self._heights(khz), _MOST_ROWS), _seen(times, _MOST_COLUMNS)
        drawn = ax.pcolormesh(
            times[columns],
            khz[rows],
            image[rows][:, columns],
            shading="nearest",
            rasterized=True,
            **options,
        )
        if self.scale == "log":
            ax.set_yscale("log")
        if self.scale == "mel":
            ax.set_yscale("function", functions=(_mel, _from_mel))
        if self.scale != "linear":
            ticks = [tick for tick in _TICKS_KHZ[self.scale] if tick < top]
            ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            ax.minorticks_off()
        ax.set_ylim(_LOWEST_LOG_HZ / 1000 if self.scale == "log" else 0, top)
        ax.set_xlabel("time (s)")
        ax.set_ylabel("frequency (kHz)")
        return drawn

    def _heights(self, khz: Any) -> Any:
        """Return where frequencies stand on the axis, in any unit."""
        if self.scale == "mel":
            return _mel(khz)
        return khz if self.scale == "linear" else np.log(np.maximum(khz, _LOWEST_LOG_HZ / 2000))


def _seen(places: Any, most: int) -> Any:
    """Return which of many sorted places to draw, so that they are evenly far apart: indices."""
    if len(places) <= most:
        return np.arange(len(places))
    evenly = np.linspace(places[0], places[-1], most)
    upper = np.clip(np.searchsorted(places, evenly), 1, len(places) - 1)
    nearer = upper - (evenly - places[upper - 1] < places[upper] - evenly)
    return np.unique(nearer)


def _mel(khz: Any) -> Any:
    return np.log1p(np.maximum(khz, 0) / 0.7)


def _from_mel(mel: Any) -> Any:
    return 0.7 * np.expm1(mel)


def level_image(spectrum: Array, plane: Plane, *, ax: "Axes") -> Any:
    """Draw the level of a spectrum in dB below its loudest bin; return what a colour bar needs.

    Parameters
    ----------
    spectrum : array [shape=(freq, frame)], complex or real
    plane : Plane
    ax : Axes
    """
    return plane.draw(_level_db(spectrum), ax, cmap="magma", vmin=-_LEVEL_RANGE_DB, vmax=0.0)


def magnitude_image(
    mask: Array, mixture: Array, plane: Plane, *, ax: "Axes", limit: float = 1.0
) -> Any:
    """Draw the magnitude of a mask, 0 to `limit`; return what a colour bar needs.

    Grey is where there is nothing to mask: the mixture is 80 dB below its loudest bin.

    Parameters
    ----------
    mask : array [shape=(freq, frame)], real or complex
    mixture : array [shape=(freq, frame)], complex
    plane : Plane
    ax : Axes
    limit : float > 0
        Magnitudes above it look like it.
    """
    silent = _level_db(mixture) < -_LEVEL_RANGE_DB
    ax.set_facecolor("0.8")
    image = np.ma.masked_where(silent, np.abs(to_numpy(mask)))
    return plane.draw(image, ax, cmap="viridis", vmin=0.0, vmax=limit)


def phase_image(mask: Array, masked: Array, plane: Plane, *, ax: "Axes") -> Any:
    """Draw how far a mask turns every bin, -180 to 180 degrees; return what a colour bar needs.

    Pale grey is no turn. Bins fade to white, as too quiet to be heard, from 40 to 60 dB below the
    loudest of `masked`.

    Parameters
    ----------
    mask : array [shape=(freq, frame)], real or complex
    masked : array [shape=(freq, frame)], complex
        What the mask lets through.
    plane : Plane
    ax : Axes
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    mask = to_numpy(mask)
    check_same_shape(mask=mask, masked=masked)
    colours = ScalarMappable(Normalize(-180, 180), colormaps["twilight_shifted"])
    opacity = np.clip((_level_db(masked) - _PHASE_FLOOR_DB) / _PHASE_RAMP_DB, 0, 1)[..., None]
    turned = colours.to_rgba(np.degrees(np.angle(mask)))[..., :3]
    plane.draw(1 - opacity * (1 - turned), ax)
    return colours


def correction_histogram(
    edges_deg: Sequence[float], shares: Mapping[str, Sequence[float]], *, ax: "Axes"
) -> "Axes":
    """Draw how much is turned how far: an outline for each of `shares`, in percent.

    Two that follow each other have one colour, the second is dotted.

    Parameters
    ----------
    edges_deg : sequence of float
        Edges of the classes in degrees.
    shares : mapping of str to sequence of float
        Label -> share of every class, 0 to 1.
    ax : Axes
    """
    for k, (label, values) in enumerate(shares.items()):
        steps = ax.stairs(100 * np.asarray(values), edges_deg, label=label, baseline=None)
        steps.set(edgecolor=f"C{k // 2}", linestyle=":" if k % 2 else "-")
    ax.axvspan(90, edges_deg[-1], color="0.92", zorder=0)
    ax.set_yscale("log")
    ax.set_ylim(1e-3, 100)
    ax.set_yticks([1e-3, 1e-2, 0.1, 1, 10, 100], ["0.001", "0.01", "0.1", "1", "10", "100"])
    ax.minorticks_off()
    ax.set_xlim(edges_deg[0], edges_deg[-1])
    ax.set_xticks([0, 45, 90, 135, 180])
    ax.set_xlabel("correction (degrees)")
    ax.set_ylabel("share (%)")
    return ax


@dataclass(frozen=True)
class MaskImages:
    """What is drawn of the masks of one separator, by stem."""

    name: str
    """Whose masks; heads their columns."""
    masks: Mapping[str, Array]
    """Stem -> mask (freq, frame)."""
    histograms: Mapping[str, Mapping[str, Sequence[float]]]
    """Stem -> what is counted -> shares, as :func:`correction_histogram` draws them."""


def mask_figure(
    stems: Mapping[str, Array],
    mixture: Array,
    images: Sequence[MaskImages],
    plane: Plane,
    *,
    edges_deg: Sequence[float],
    title: str = "",
) -> "Figure":
    """Draw figure 2 of Jansson et al. (2021): a row a stem, with the histogram of corrections.

    Parameters
    ----------
    stems : mapping of str to array [shape=(freq, frame)], complex
        Spectra of the clean stems, one row each.
    mixture : array [shape=(freq, frame)], complex
        What the masks are applied to.
    images : sequence of MaskImages
        Whose masks are drawn, side by side, each with all of `stems`.
    plane : Plane
    edges_deg : sequence of float
        Edges of the histograms.
    title : str
        Above all.

    Raises
    ------
    ConfigError
        If there is no stem or no mask to draw.
    MissingExtraError
        If matplotlib is not installed.
    """
    if not stems or not images:
        raise ConfigError("figure: no stem or no mask to draw, expected one or more of each")
    check_axes("freq, frame", mixture=mixture)
    n_columns = 2 + 2 * len(images)
    figure = new_figure(1.0 + 3.0 * n_columns, 2.1 + 2.3 * len(stems))
    axes = figure.subplots(len(stems), n_columns, squeeze=False)
    limit = _limit(images)
    for row, (stem, spectrum) in zip(axes, stems.items(), strict=True):
        bars = [level_image(spectrum, plane, ax=row[0])]
        for k, image in enumerate(images):
            mask = to_numpy(image.masks[stem])
            bars.append(magnitude_image(mask, mixture, plane, ax=row[1 + 2 * k], limit=limit))
            bars.append(phase_image(mask, mask * mixture, plane, ax=row[2 + 2 * k]))
        shares = {
            f"{image.name}: {key}" if len(images) > 1 else key: values
            for image in images
            for key, values in image.histograms[stem].items()
        }
        correction_histogram(edges_deg, shares, ax=row[-1])
    _finish(figure, axes, bars, list(stems), [image.name for image in images], limit)
    figure.suptitle(wrapped(title, 30 * n_columns))
    return figure


def _limit(images: Sequence[MaskImages]) -> float:
    """Return the top of the magnitude's colours: 1, or 2 if a hundredth of the bins needs it."""
    mags = [np.abs(to_numpy(mask)) for image in images for mask in image.masks.values()]
    return 2.0 if max(float((mag > 1.05).mean()) for mag in mags) > 0.01 else 1.0


def _finish(
    figure: "Figure",
    axes: Any,
    bars: Sequence[Any],
    stems: Sequence[str],
    names: Sequence[str],
    limit: float,
) -> None:
    """Label rows and columns once, and put a colour bar under each column of images."""
    heads = ["clean stem"] + [head for name in names for head in (f"|M|, {name}", f"∠M, {name}")]
    units = ["dB"] + ["magnitude", "degrees"] * len(names)
    ticks = [None] + [None, [-90, 0, 90]] * len(names)
    for ax in axes[:, :-1].flat:
        ax.locator_params(axis="x", nbins=5)
    for ax in axes[:-1].flat:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
    for ax in axes[:, 1:-1].flat:
        ax.set_ylabel("")
        ax.tick_params(labelleft=False)
    for ax, head in zip(axes[0], [*heads, "phase corrections"], strict=True):
        ax.set_title(wrapped(head, 32), fontsize="medium")
    for ax, stem in zip(axes[:, 0], stems, strict=True):
        ax.set_ylabel(f"{stem}\n{ax.get_ylabel()}")
    for k, (bar, unit) in enumerate(zip(bars, units, strict=True)):
        extend = (
            "max" if unit == "magnitude" and limit > 1 else "min" if unit == "dB" else "neither"
        )
        figure.colorbar(
            bar, ax=axes[:, k], location="bottom", label=unit, ticks=ticks[k], extend=extend,
            fraction=0.04, pad=0.02, aspect=30,
        )  # fmt: skip
    lines, labels = axes[-1, -1].get_legend_handles_labels()
    figure.legend(
        lines,
        [wrapped(label, 60) for label in labels],
        title="phase corrections",
        fontsize="small",
        title_fontsize="small",
        frameon=False,
        loc="outside lower right",
        ncols=len(labels),
    )


def _level_db(spectrum: Array) -> Any:
    """Return levels in dB relative to the loudest bin, at least -200."""
    mag = np.abs(to_numpy(spectrum))
    return 20 * np.log10(np.maximum(mag / (mag.max(initial=0) or 1.0), 1e-10))
