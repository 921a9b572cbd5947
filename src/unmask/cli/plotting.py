"""``unmask plot``: figures of what masks do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask.cli import show
from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask._arrays import Array
    from unmask.mask_analysis import AppliedMasks, Corrections
    from unmask.masks import Family
    from unmask.model import Model
    from unmask.plots import FrequencyScale
    from unmask.stft import STFT

_FIGURES = (".pdf", ".png", ".svg")


def _figure(_context: click.Context, _option: click.Parameter, file: Path) -> Path:
    if file.suffix.lower() not in _FIGURES:
        raise click.BadParameter(f"{file} should end in one of {' '.join(_FIGURES)}")
    return file


def _names(_context: click.Context, _option: click.Parameter, text: str | None) -> Sequence[str]:
    return tuple(name.strip().lower() for name in text.split(",")) if text else ()


@click.group()
def plot() -> None:
    """Draw what masks do.

    \b
    Example:
      unmask plot masks complex_tanh FOLDER_OF_STEMS -o masks.png
    """


@plot.command("masks")
@click.argument("masks", metavar="MODEL_OR_FAMILY")
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER_OF_STEMS")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_figure,
    required=True,
    metavar="FILE",
    help="The figure: .png, .svg or .pdf.",
)
@click.option("--start", default=0.0, help="Where to begin, in seconds.")
@click.option("--duration", default=10.0, help="How much to draw and measure, in seconds.")
@click.option("--stems", callback=_names, metavar="NAMES", help="Only these, as vocals,drums.")
@click.option("--oracle", is_flag=True, help="Beside a model, the oracle of its mask family.")
@click.option(
    "--scale",
    type=click.Choice(["linear", "log", "mel"]),
    default="linear",
    help="Of the frequency axis.",
)
@click.option("--highest", type=float, metavar="HZ", help="Top of the frequency axis.")
@click.option("--channel", type=click.IntRange(1), default=1, help="Which one is drawn.")
@click.option(
    "--floor", type=float, default=-60.0, help="Bins this far below the loudest do not count, dB."
)
@click.option("--n-fft", type=int, help="Length of a frame of an oracle.  [default: 2048]")
@click.option("--hop", type=int, help="Step between its frames.  [default: a quarter of n-fft]")
@click.option("--window", help="Its window.  [default: hann]")
@click.option("--threads", type=click.IntRange(1), default=1, help="Threads of a network.")
@show.json_option
def plot_masks(
    masks: str,
    folder: Path,
    out: Path,
    start: float,
    duration: float,
    stems: Sequence[str],
    oracle: bool,
    scale: "FrequencyScale",
    highest: float | None,
    channel: int,
    floor: float,
    n_fft: int | None,
    hop: int | None,
    window: str | None,
    threads: int,
    json_file: str | None,
) -> None:
    """Draw the masks of a model, or the ideal ones of a mask family, beside the clean stems.

    The mixture is the sum of the stems. A row a stem: spectrogram, magnitude and phase of the mask,
    and how many bins, and how much energy, are turned how far. The table says where phases are
    corrected; docs/mask_analysis.md says how to read both.

    \b
    Examples:
      unmask plot masks denoise-16k assets/demo -o masks.png --oracle
      unmask plot masks complex_tanh song/ -o masks.png --start 30 --duration 6
      unmask plot masks MODEL.onnx song/ -o masks.pdf --stems vocals,drums --json masks.json
    """
    from unmask.mask_analysis import corrections
    from unmask.stems import canonical, read_stems

    model = _model(masks, threads)
    front = _front_end(model, n_fft, hop, window)
    if oracle and model is None:
        raise ConfigError(f"--oracle: {masks} is an oracle already; give a model")
    truth, sample_rate = read_stems(folder)
    n_channels = next(iter(truth.values())).shape[0]
    if channel > n_channels:
        raise ConfigError(f"--channel: {channel}, the stems have {n_channels}")
    source = model or _family(masks, sample_rate)
    found = _masks(source, truth, sample_rate, front, (start, duration), oracle)
    if stems:
        found = [applied.of(map(canonical, stems)) for applied in found]
    measured = [corrections(applied, floor_db=floor) for applied in found]
    for applied, rows in zip(found, measured, strict=True):
        _print(applied, rows)
    span = f"{found[0].times_s[0]:.2f} to {found[0].times_s[-1]:.2f} s"
    title = f"{folder.resolve().name}, {span}" + (
        f", channel {channel} of {n_channels}" if n_channels > 1 else ""
    )
    _draw(out, found, measured, channel - 1, title, scale=scale, highest_hz=highest)
    said = _describe(found, measured)
    show.write_json(
        json_file,
        {"folder": str(folder), "sample_rate": sample_rate, "floor_db": floor, **said},
    )
    click.echo(out)


def _model(name: str, threads: int) -> "Model | None":
    """Return the model of this name, or None if it should be a mask family."""
    from unmask.model import bundled, load_model

    is_model = name in bundled() or name.endswith(".onnx") or "/" in name
    return load_model(name, threads=threads) if is_model else None


def _family(name: str, sample_rate: int) -> "Family":
    from unmask import masks
    from unmask.model import bundled

    try:
        return masks.get(name, sample_rate=sample_rate)
    except ConfigError as error:
        models = ", ".join(bundled())
        raise ConfigError(f"{error}; as models {models}, or the path of an .onnx file") from error


def _front_end(
    model: "Model | None", n_fft: int | None, hop: int | None, window: str | None
) -> "STFT | None":
    """Return the front-end of an oracle; a model has its own."""
    from unmask.stft import STFT

    if model is None:
        n_fft = n_fft or 2048
        return STFT(n_fft, hop or n_fft // 4, window or "hann")
    if n_fft or hop or window:
        raise ConfigError(f"{model.name}: has its own STFT; leave out --n-fft, --hop and --window")
    return None


def _masks(
    source: "Model | Family",
    stems: "Mapping[str, Array]",
    sample_rate: int,
    stft: "STFT | None",
    span_s: tuple[float, float],
    oracle: bool,
) -> "list[AppliedMasks]":
    from unmask.mask_analysis import ideal_masks, model_masks
    from unmask.masks import Family

    span = {"start_s": span_s[0], "duration_s": span_s[1]}
    if isinstance(source, Family):
        return [ideal_masks(stems, sample_rate, source, stft=stft, **span)]
    found = model_masks(source, stems, sample_rate, **span)
    return [found, found.ideal(source.family)] if oracle else [found]


def _describe(
    found: "Sequence[AppliedMasks]", measured: "Sequence[Sequence[Corrections]]"
) -> dict[str, Any]:
    return {
        "start_s": float(found[0].times_s[0]),
        "n_frames": len(found[0].times_s),
        "stft": asdict(found[0].stft),
        "masks": [
            {"name": applied.name, "sources": [asdict(row) for row in rows]}
            for applied, rows in zip(found, measured, strict=True)
        ],
    }


def _print(applied: "AppliedMasks", rows: "Sequence[Corrections]") -> None:
    title = (
        f"{applied.name}, {applied.stft}: share of the masked energy that lies there; its mean "
        "phase correction; share of bins turned by more than 90 degrees"
    )
    table: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        for place in row.places:
            line = table.setdefault(
                (place.kind, place.name), dict(kind=place.kind, name=place.name)
            )
            line[row.source] = (
                f"{100 * place.energy:5.1f} %  {place.mean_deg:5.1f}°  "
                f"{100 * place.rotated_bins:5.1f} %"
                if place.energy > 0
                else ""
            )
    names = [row.source for row in rows]
    kinds = list(dict.fromkeys(kind for kind, _ in table))
    lines = [
        dict.fromkeys(names, "") | line
        for line in sorted(table.values(), key=lambda line: kinds.index(line["kind"]))
    ]
    columns = {"kind": "where", "name": "", **dict(zip(names, names, strict=True))}
    show.table(lines, columns, title=title)


def _draw(
    file: Path,
    found: "Sequence[AppliedMasks]",
    measured: "Sequence[Sequence[Corrections]]",
    channel: int,
    title: str,
    **axis: Any,
) -> None:
    from unmask.mask_analysis import HISTOGRAM_EDGES_DEG
    from unmask.plots import MaskImages, Plane, mask_figure

    first = found[0]
    images = [
        MaskImages(
            name=applied.name,
            masks={name: mask[channel] for name, mask in applied.masks.items()},
            histograms={
                row.source: {"energy": row.histogram_energy, "bins": row.histogram_bins}
                for row in rows
            },
        )
        for applied, rows in zip(found, measured, strict=True)
    ]
    figure = mask_figure(
        {name: first.targets[name][channel] for name in first.masks},
        first.mixture[channel],
        images,
        Plane(first.times_s, first.frequencies_hz, **axis),
        edges_deg=HISTOGRAM_EDGES_DEG,
        title=title,
    )
    show.write_figure(file, figure)
