"""New figures, which no window system knows."""

from typing import TYPE_CHECKING

from unmask.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches that lays itself out."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            'matplotlib is not installed, figures need it; pip install "unmask[plot]"'
        ) from error
    return Figure(figsize=(width, height), layout="constrained")
