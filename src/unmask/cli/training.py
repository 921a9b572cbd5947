"""``unmask train`` and ``unmask export``: from a recipe to a model file."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from unmask.cli import show
from unmask.errors import ConfigError


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Run folder.")
@click.option(
    "--data",
    "data_root",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the recordings that the recipe names.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Folder of decoded recordings that runs can share; the run folder's own if left out.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in that folder.")
@click.option("--dry-run", is_flag=True, help="Check recipe and recordings, say what it is, end.")
@click.option(
    "-s",
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the recipe, as train.steps=100; may be given several times.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Train so long, whatever the recipe's steps.",
)
@click.option("--accelerator", default="cpu", help="cpu, cuda, mps or auto.")
@click.option("--devices", type=click.IntRange(1), default=1, help="How many share every batch.")
def train(
    recipe: Path,
    overrides: tuple[str, ...],
    minutes: float | None,
    dry_run: bool,
    **options: Any,
) -> None:
    """Train the network that a recipe describes; prints the run folder.

    \b
    Examples:
      unmask train recipes/denoise-16k.toml --data recordings -o runs/denoise
      unmask train recipes/denoise-16k.toml --data recordings -o runs/denoise --resume
      unmask train recipes/unet-complex-sdr.toml --data recordings -o runs/vocals --dry-run
      unmask train recipes/unet-complex-sdr.toml --data recordings -o runs/drums \\
        -s 'data.targets=["drums"]' --accelerator cuda --devices 2
      unmask train recipes/music.toml --data recordings -o runs/music --minutes 8 \\
        -s train.examples=device --accelerator cuda
      torchrun --nnodes 2 --nproc-per-node 4 --rdzv-endpoint HOST:29500 -m unmask \
        train recipes/unet-complex-sdr.toml --data recordings -o runs/vocals --accelerator cuda
    """
    if minutes is not None:
        overrides = (*overrides, f"train.minutes={minutes}")
    from unmask import recipe as recipes
    from unmask import train as training

    loaded = recipes.load(recipe, overrides)
    for remark in loaded.remarks:
        show.note(f"note: {remark}")
    if dry_run:
        about = training.check(training.Plan(recipe=loaded, **options))
        for line in _facts(about):
            show.say(line)
        return
    out = training.run(loaded, **options)
    if not training.is_first():
        return
    result = training.read_about(out)["result"]
    show.say(
        "{steps} steps in {seconds:.0f} s, {steps_per_second:.2f} a second, "
        "{data_share:.0%} of the time waiting for data".format(**result)
        + ("; stopped early" if result["stopped_early"] else ""),
        err=True,
    )
    show.say(str(out))


def _facts(about: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a run would be, a line each."""
    active = ", ".join(f"{stem} in {count}" for stem, count in about["valid_active"].items())
    yield f"parameters  {about['parameters']:,}"
    yield f"MACs        {about['macs_per_second']:,} a second of one channel"
    n_examples = about["examples"]
    yield "examples    " + (f"{n_examples:,}" if n_examples else "as many as time allows")
    yield f"validation  {about['valid_examples']:,} examples: {active}"
    for part, facts in about["data"].items():
        yield f"{part:<11} " + ", ".join(f"{name} {_plain(value)}" for name, value in facts.items())


def _plain(value: Any) -> str:
    """Return a list or table in words."""
    if isinstance(value, Mapping):
        return " / ".join(f"{name} {number}" for name, number in value.items())
    return " / ".join(map(str, value)) if isinstance(value, list) else str(value)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--name", help="Of the model. Default: the recipe's, or the file's for several runs.")
@click.option(
    "--residual",
    metavar="STEM",
    help="Name of what the stems leave. Default: the run's own, or 'other' for several runs.",
)
@click.option("--version", default="1", help="Version of the model.")
@click.option("--which", type=click.Choice(["best", "last"]), default="best", help="Checkpoint.")
@click.option(
    "--weights",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    help="How the file holds them: float16 halves it, the computation stays in float32.",
)
@click.option(
    "--test",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="JSON",
    help="Scores on recordings that were never trained on, for the metadata.",
)
def export(runs: tuple[Path, ...], model: Path, test: Path | None, **options: Any) -> None:
    """Write the networks of run folders as one .onnx file; prints its path.

    The networks of several runs are put side by side: their stems in this order, and what they
    leave of the mixture.

    \b
    Examples:
      unmask export runs/denoise denoise.onnx --weights float16
      unmask export runs/vocals runs/drums runs/bass runs/guitar band.onnx --residual other
    """
    from unmask import export as exporting

    scores = None if test is None else _read_json(test)
    exporting.export(runs, model, test=scores, **options)
    show.say(str(model))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}; check the file") from error
