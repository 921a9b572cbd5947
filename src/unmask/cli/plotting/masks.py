"""``unmask plot masks``: figure 2 of Jansson et al. (2021), and where phases are corrected."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask.cli import folding, show
from unmask.cli.plotting import choices
from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask.engine.model import Model
    from unmask.frontends import STFT
    from unmask.mask_analysis import Corrections, Passage, Thinned
    from unmask.masks import Family
    from unmask.mixtures import Sources
    from unmask.plots import FrequencyScale


@click.command("masks")
@click.argument("masks", metavar="MODEL_OR_FAMILY")
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER_OF_STEMS")
@choices.figure_option
@click.option("--start", default=0.0, help="Where to begin, in seconds.")
@click.option("--duration", default=10.0, help="How much to draw and measure, in seconds.")
@choices.stems_option
@folding.fold_option
@click.option("--oracle", is_flag=True, help="Beside a model, the oracle of its mask family.")
@choices.scale_option
@choices.highest_option
@click.option("--channel", type=click.IntRange(1), default=1, help="Which one is drawn.")
@click.option(
    "--floor", type=float, default=-60.0, help="Bins this far below the loudest do not count, dB."
)
@choices.front_end_options
@choices.threads_option
@show.json_option
def plot_masks(
    masks: str,
    folder: Path,
    out: Path,
    start: float,
    duration: float,
    stems: Sequence[str],
    fold: dict[str, str],
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
    from unmask.mask_analysis import Thinned, corrections
    from unmask.mixtures import Sources
    from unmask.stems import canonical, find_stems

    model = choices.find_model(masks, threads)
    front = _front_end(model, n_fft, hop, window)
    if oracle and model is None:
        raise ConfigError(f"--oracle: {masks} is an oracle already; give a model")
    truth = Sources(find_stems(folder))
    n_channels = truth.n_channels
    if channel > n_channels:
        raise ConfigError(f"--channel: {channel}, the stems have {n_channels}")
    source = model or choices.find_family(masks, truth.sample_rate)
    passages = _masks(source, truth, front, (start, duration), fold, oracle)
    if stems:
        passages = [passage.of([canonical(stem) for stem in stems]) for passage in passages]
    found = [Thinned(passage, channel=channel - 1) for passage in passages]
    measured = [corrections(thinned, floor_db=floor) for thinned in found]
    for passage, rows in zip(passages, measured, strict=True):
        _print(passage, rows)
    span = f"{passages[0].times_s[0]:.2f} to {passages[0].times_s[-1]:.2f} s"
    title = f"{folder.resolve().name}, {span}" + (
        f", channel {channel} of {n_channels}" if n_channels > 1 else ""
    )
    _draw(out, found, measured, title, scale=scale, highest_hz=highest)
    said = _describe(passages, measured)
    show.write_json(
        json_file,
        {"folder": str(folder), "sample_rate": truth.sample_rate, "floor_db": floor, **said},
    )
    show.say(str(out))


def _front_end(
    model: "Model | None", n_fft: int | None, hop: int | None, window: str | None
) -> "STFT | None":
    """Return the front-end of an oracle; a model has its own."""
    if model is None:
        return choices.front_end(n_fft, hop, window)
    if n_fft or hop or window:
        raise ConfigError(f"{model.name}: has its own STFT; leave out --n-fft, --hop and --window")
    return None


def _masks(
    source: "Model | Family",
    stems: "Sources",
    stft: "STFT | None",
    span_s: tuple[float, float],
    fold: "Mapping[str, str]",
    oracle: bool,
) -> "list[Passage]":
    from unmask.folding import match_model
    from unmask.mask_analysis import ideal_passage, model_passage
    from unmask.masks import Family

    start_s, duration_s = span_s
    if isinstance(source, Family):
        return [
            ideal_passage(
                stems, source, stft=stft, start_s=start_s, duration_s=duration_s, fold=fold
            )
        ]
    folding.say(match_model(source, stems.names, asked=fold).remarks())
    found = model_passage(source, stems, start_s=start_s, duration_s=duration_s, fold=fold)
    return [found, found.ideal(source.family)] if oracle else [found]


def _describe(
    found: "Sequence[Passage]", measured: "Sequence[Sequence[Corrections]]"
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


def _print(applied: "Passage", rows: "Sequence[Corrections]") -> None:
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
    found: "Sequence[Thinned]",
    measured: "Sequence[Sequence[Corrections]]",
    title: str,
    **axis: Any,
) -> None:
    from unmask.mask_analysis import HISTOGRAM_EDGES_DEG
    from unmask.plots import MaskImages, Plane, mask_figure, write_figure

    every = [thinned.drawn() for thinned in found]
    first = every[0]
    images = [
        MaskImages(
            name=applied.name,
            masks={name: mask[0] for name, mask in applied.masks.items()},
            histograms={
                row.source: {"energy": row.histogram_energy, "bins": row.histogram_bins}
                for row in rows
            },
        )
        for applied, rows in zip(every, measured, strict=True)
    ]
    figure = mask_figure(
        {name: first.targets[name][0] for name in first.masks},
        first.mixture[0],
        images,
        Plane(found[0].times_s, first.frequencies_hz, **axis),
        edges_deg=HISTOGRAM_EDGES_DEG,
        title=title,
    )
    write_figure(file, figure)
