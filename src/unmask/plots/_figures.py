"""Figures that no window system knows: made, and written."""

import re
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from unmask.errors import MissingExtraError
from unmask.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_installed() -> None:
    """Refuse to begin what could not be drawn at the end.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError(
            'matplotlib is not installed, figures need it; pip install "unmask[plot]"'
        )


def wrapped(text: str, n_characters: int) -> str:
    r"""Return a title in lines of no more than so many characters, broken at spaces and colons.

    >>> wrapped("oracle of hybrid:complex_tanh:8000:psm_unit", 26)
    'oracle of hybrid:\ncomplex_tanh:8000:psm_unit'
    """
    lines = [""]
    for piece in re.findall(rf"[^ :]{{1,{n_characters - 1}}}[ :]*|[ :]+", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > n_characters:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches that lays itself out.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    check_installed()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def write_figure(file: str | Path, figure: "Figure") -> None:
    """Write a figure, whole or not at all; the suffix of `file` is its format.

    Raises
    ------
    FileError
        If it cannot be written there.
    """
    from matplotlib.text import Text

    with replacing(file) as partial, warnings.catch_warnings():
        # The font has not all characters: a box in the figure is seen, a warning helps nobody.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        for text in figure.findobj(Text):
            text.set_parse_math(False)  # a name with two $ is no formula
        figure.savefig(partial)
