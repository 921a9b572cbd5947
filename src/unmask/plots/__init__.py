"""Figures: numbers in, matplotlib's Axes and figures out; nothing is shown, or saved unasked."""

from unmask.plots._figures import check_installed, write_figure
from unmask.plots.boxes import Scores, box_plot, box_plots
from unmask.plots.learning import learning_curves
from unmask.plots.listening import Interval, Panel, interval_plot, interval_plots
from unmask.plots.masks import (
    FrequencyScale,
    MaskImages,
    Plane,
    correction_histogram,
    level_image,
    magnitude_image,
    mask_figure,
    phase_image,
)
from unmask.plots.phase_benefit import phase_benefit_figure
from unmask.plots.spectrograms import spectrogram, spectrogram_figure

__all__ = [
    "FrequencyScale",
    "Interval",
    "MaskImages",
    "Panel",
    "Plane",
    "Scores",
    "box_plot",
    "box_plots",
    "check_installed",
    "correction_histogram",
    "interval_plot",
    "interval_plots",
    "learning_curves",
    "level_image",
    "magnitude_image",
    "mask_figure",
    "phase_benefit_figure",
    "phase_image",
    "spectrogram",
    "spectrogram_figure",
    "write_figure",
]


def __dir__() -> list[str]:
    return __all__
