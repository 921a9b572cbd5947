"""What the figures share: their options, and what is drawn, a model or the oracle of a family."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unmask.cli import show
from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask.engine.model import Model
    from unmask.frontends import STFT
    from unmask.masks import Family

figure_option = click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=show.figure,
    required=True,
    metavar="FILE",
    help="The figure: .png, .svg or .pdf.",
)
stems_option = click.option(
    "--stems", callback=show.split, metavar="NAMES", help="Only these, as vocals,drums."
)
scale_option = click.option(
    "--scale",
    type=click.Choice(["linear", "log", "mel"]),
    default="log",
    help="Of the frequency axis.",
)
highest_option = click.option(
    "--highest", type=float, metavar="HZ", help="Top of the frequency axis."
)
threads_option = click.option(
    "--threads", type=click.IntRange(1), default=1, help="Threads of a network."
)


def front_end_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--n-fft``, ``--hop`` and ``--window`` of oracles; see :func:`front_end`."""
    for option in (
        click.option("--window", help="Its window.  [default: hann]"),
        click.option("--hop", type=int, help="Step between its frames.  [default: n-fft / 4]"),
        click.option("--n-fft", type=int, help="Length of an oracle's frame.  [default: 2048]"),
    ):
        command = option(command)
    return command


def front_end(n_fft: int | None, hop: int | None, window: str | None) -> "STFT":
    """Return the front-end of oracles."""
    from unmask.frontends import STFT

    n_fft = n_fft or 2048
    return STFT(n_fft, hop or n_fft // 4, window or "hann")


def find_model(name: str, threads: int) -> "Model | None":
    """Return the model of this name, or None if it should be a mask family."""
    from unmask.engine.model import bundled, load_model

    is_model = name in bundled() or name.endswith(".onnx") or "/" in name
    return load_model(name, threads=threads) if is_model else None


def find_family(name: str, sample_rate: int) -> "Family":
    """Return the mask family of this name, or say what else there is."""
    from unmask import masks
    from unmask.engine.model import bundled

    try:
        return masks.get(name, sample_rate=sample_rate)
    except ConfigError as error:
        models = ", ".join(bundled())
        raise ConfigError(f"{error}; as models {models}, or the path of an .onnx file") from error
