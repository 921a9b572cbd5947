"""Spectrograms that share one scale, so that what differs is what differs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from unmask._arrays import Array, to_numpy
from unmask.errors import ConfigError
from unmask.plots._figures import new_figure, wrapped
from unmask.plots.masks import FrequencyScale, Plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RANGE_DB = 80.0


class Transform(Protocol):
    """What a spectrogram needs to know: :class:`unmask.STFT` is one."""

    @property
    def hop(self) -> int:
        """Step between frames in samples."""

    @property
    def unit(self) -> float:
        """Factor that gives the spectrum of a full-scale sine magnitude 1."""

    def analyze(self, waveform: Array) -> Array:
        """Return the spectrum (channel, freq, frame)."""

    def frequencies(self, sample_rate: float) -> Array:
        """Return the centre of every bin in Hz."""


def spectrogram(
    waveform: Array,
    sample_rate: int,
    stft: Transform,
    *,
    scale: FrequencyScale = "log",
    range_db: float = _RANGE_DB,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the level of a recording over time and frequency, in dB of a full-scale sine.

    Parameters
    ----------
    waveform : array [shape=(channel, sample)], real
        Of several channels the mean energy is shown.
    sample_rate : int
        In Hz.
    stft : STFT
        Front-end.
    scale : {"log", "linear", "mel"}
        Of the frequency axis.
    range_db : float > 0
        What is further below the loudest bin than this is black.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Raises
    ------
    ConfigError
        If there is no such scale, or `range_db` is none.
    MissingExtraError
        If matplotlib is not installed.
    """
    if not range_db > 0:
        raise ConfigError(f"range_db: {range_db}, expected above 0; 80 is usual")
    spectrum = stft.unit * stft.analyze(to_numpy(waveform))
    power = np.mean(np.abs(spectrum) ** 2, axis=-3)
    level_db = 10 * np.log10(np.maximum(power, 1e-20))
    times = np.arange(power.shape[-1]) * (stft.hop / sample_rate)
    plane = Plane(times, stft.frequencies(sample_rate), scale=scale)
    ax = ax or new_figure(8, 3.5).subplots()
    top = float(level_db.max())
    image = plane.draw(level_db, ax, cmap="magma", vmin=top - range_db, vmax=top)
    ax.figure.colorbar(image, ax=ax, label="dB of full scale", extend="min")
    return ax


def spectrogram_figure(
    spectra: Mapping[str, Array],
    plane: Plane,
    *,
    loudest: float | None = None,
    n_columns: int = 2,
    title: str = "",
) -> "Figure":
    """Draw the levels of several spectra, all in dB below the same level.

    Parameters
    ----------
    spectra : mapping of str to array [shape=(freq, frame)], complex or real
        What stands above it -> spectrum.
    plane : Plane
        Of all of them.
    loudest : float > 0, optional
        Magnitude that is 0 dB; the largest of the first spectrum when left out.
    n_columns : int
        Spectra side by side.
    title : str
        Above all.

    Raises
    ------
    ConfigError
        If there is nothing to draw.
    MissingExtraError
        If matplotlib is not installed.
    """
    if not spectra:
        raise ConfigError("figure: no spectrum to draw, expected one or more")
    mags = {name: np.abs(to_numpy(spectrum)) for name, spectrum in spectra.items()}
    top = loudest or float(next(iter(mags.values())).max(initial=0)) or 1.0
    n_columns = min(n_columns, len(mags))
    n_rows = -(-len(mags) // n_columns)
    figure = new_figure(1 + 4.6 * n_columns, 0.5 + 2.6 * n_rows)
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    for ax, (name, mag) in zip(axes.flat, mags.items(), strict=False):
        level_db = 20 * np.log10(np.maximum(mag / top, 1e-10))
        image = plane.draw(level_db, ax, cmap="magma", vmin=-_RANGE_DB, vmax=0.0)
        ax.set_title(wrapped(name, 45))
        ax.label_outer()
    for ax in axes.flat[len(mags) :]:
        ax.set_visible(False)
    figure.colorbar(image, ax=axes, label="dB", extend="min", fraction=0.05, pad=0.02)
    figure.suptitle(title)
    return figure
