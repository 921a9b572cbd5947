"""``unmask plot difference``: two separators side by side, to be seen and heard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unmask.cli import show
from unmask.cli.plotting import choices
from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask._arrays import Array
    from unmask.engine.model import Model
    from unmask.frontends import STFT
    from unmask.plots import FrequencyScale


@click.command("difference")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE_OR_FOLDER_OF_STEMS")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Where the page goes. Files of an earlier run are replaced.",
)
@click.option("--stem", metavar="NAME", help="Which one, if A and B have several.")
@click.option("--names", callback=show.split, metavar="A,B", help="What A and B are called.")
@click.option("--start", default=0.0, help="Where to begin, in seconds.")
@click.option("--duration", default=10.0, help="How much to show, in seconds.")
@choices.scale_option
@choices.highest_option
@click.option("--channel", type=click.IntRange(1), default=1, help="Which one is drawn.")
@choices.front_end_options
@choices.threads_option
@show.json_option
def plot_difference(
    a: str,
    b: str,
    source: Path,
    out: Path,
    stem: str | None,
    names: Sequence[str],
    start: float,
    duration: float,
    scale: "FrequencyScale",
    highest: float | None,
    channel: int,
    n_fft: int | None,
    hop: int | None,
    window: str | None,
    threads: int,
    json_file: str | None,
) -> None:
    """Show what A and B make of a recording: spectrograms and sound of both, and A minus B.

    A and B are models; or, for a folder of stems, also mask families, whose oracle they stand for.
    The mixture then is the sum of the stems. Writes a page, index.html, with its sounds and
    pictures, all on one scale, and figure.png with all of them.

    \b
    Examples:
      unmask plot difference phase-aware.onnx real.onnx noisy.wav -o page
      unmask plot difference complex_tanh psm_unit assets/demo --stem speech -o page
      unmask plot difference denoise-16k complex_tanh assets/demo -o page --highest 4000
    """
    from unmask.demonstration import compare, write
    from unmask.plots import check_installed
    from unmask.stems import canonical

    check_installed()
    if names and len(names) != 2:
        raise ConfigError(f"--names: {len(names)} names, expected two, as phase-aware,real")
    models = [choices.find_model(name, threads) for name in (a, b)]
    truth, mixture, sample_rate = _recording(source)
    if channel > mixture.shape[0]:
        raise ConfigError(f"--channel: {channel}, the recording has {mixture.shape[0]}")
    front = _front_end(models, sample_rate, n_fft, hop, window)
    said = names or [
        model.name if model else f"oracle of {name}"
        for name, model in zip((a, b), models, strict=True)
    ]
    estimates = [
        _estimates(name, model, truth, mixture, sample_rate, front, residual=stem is not None)
        for name, model in zip((a, b), models, strict=True)
    ]
    comparison = compare(
        (said[0], estimates[0]),
        (said[1], estimates[1]),
        mixture,
        sample_rate,
        stem=canonical(stem) if stem else None,
        truth=truth,
    ).part(start, duration)
    facts = comparison.facts()
    columns = {"label": "", "level_db": "dB re mixture", "sdr_db": "SDR, dB"}
    show.table(facts, columns, title=f"{source}, from {start:g} s", prose=["label"])
    name = source.resolve().name
    page = write(comparison, out, name=name, channel=channel - 1, scale=scale, highest_hz=highest)
    show.write_json(
        json_file,
        {"source": str(source), "start_s": start, "stem": comparison.stem, "parts": facts},
    )
    show.say(str(page))


def _recording(source: Path) -> "tuple[dict[str, Array] | None, Array, int]":
    """Return the stems if it is a folder, the mixture, the sample rate."""
    from unmask import audio
    from unmask.mixtures import sum_of
    from unmask.stems import read_stems

    if source.is_dir():
        stems, sample_rate = read_stems(source)
        return stems, sum_of(stems), sample_rate
    return None, *audio.read(source)


def _front_end(
    models: "Sequence[Model | None]",
    sample_rate: int,
    n_fft: int | None,
    hop: int | None,
    window: str | None,
) -> "STFT":
    """Return the front-end of an oracle: as asked, else that of the model beside it."""
    beside = [model for model in models if model is not None]
    if not beside or n_fft or hop or window:
        return choices.front_end(n_fft, hop, window)
    return beside[0].stft_at(sample_rate)


def _estimates(
    name: str,
    model: "Model | None",
    truth: "Mapping[str, Array] | None",
    mixture: "Array",
    sample_rate: int,
    front: "STFT",
    *,
    residual: bool,
) -> "dict[str, Array]":
    from unmask.oracle import Oracle

    if model is not None:
        return model.separate(mixture, sample_rate, residual=residual or None)
    family = choices.find_family(name, sample_rate)
    if truth is None:
        raise ConfigError(f"{name}: an oracle needs the stems; give their folder, or two models")
    return Oracle(truth, sample_rate, family, front).separate(mixture, sample_rate)
