"""``unmask train`` and ``unmask export``: from a recipe to a model file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from unmask.errors import ConfigError, MissingExtraError


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
@click.option("--resume", is_flag=True, help="Go on with the run in that folder.")
@click.option(
    "-s",
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the recipe, as train.steps=100; may be given several times.",
)
@click.option("--accelerator", default="cpu", help="cpu, cuda, mps or auto.")
def train(
    recipe: Path,
    out: Path,
    data_root: Path,
    resume: bool,
    overrides: tuple[str, ...],
    accelerator: str,
) -> None:
    """Train the network that a recipe describes; prints the run folder.

    \b
    Examples:
      unmask train recipes/denoise-16k.toml --data recordings -o runs/denoise
      unmask train recipes/denoise-16k.toml --data recordings -o runs/denoise --resume
    """
    with _needs_torch():
        from unmask import recipe as recipes
        from unmask.train import run
    folder = run(
        recipes.load(recipe, overrides),
        out,
        data_root=data_root,
        resume=resume,
        accelerator=accelerator,
    )
    click.echo(folder)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--version", default="1", help="Version of the model.")
@click.option("--which", type=click.Choice(["best", "last"]), default="best", help="Checkpoint.")
@click.option(
    "--test",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="JSON",
    help="Scores on recordings that were never trained on, for the metadata.",
)
def export(run: Path, model: Path, version: str, which: str, test: Path | None) -> None:
    """Write the network of a run folder as one .onnx file; prints its path.

    \b
    Example:
      unmask export runs/denoise denoise.onnx
    """
    with _needs_torch():
        from unmask import export as exporting
    scores = None if test is None else _read_json(test)
    exporting.export(run, model, version=version, which=which, test=scores)
    click.echo(model)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}; check the file") from error


@contextmanager
def _needs_torch() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'training: {error.name} is not installed; pip install "unmask[train]"'
        ) from None
