"""Figures that no window system knows: made, and written."""

from pathlib import Path
from typing import TYPE_CHECKING

from unmask.errors import MissingExtraError
from unmask.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches that lays itself out.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            'matplotlib is not installed, figures need it; pip install "unmask[plot]"'
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def write_figure(file: str | Path, figure: "Figure") -> None:
    """Write a figure, whole or not at all; the suffix of `file` is its format.

    Raises
    ------
    FileError
        If it cannot be written there.
    """
    with replacing(file) as partial:
        figure.savefig(partial)
