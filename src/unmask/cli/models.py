"""``unmask models``: what there is, and what a model file says."""

from typing import Any

import click

from unmask.cli import show


@click.group()
def models() -> None:
    """List the bundled models, or show what a model file says about itself.

    \b
    Examples:
      unmask models list
      unmask models info MODEL.onnx --json card.json
    """


@models.command("list")
@show.json_option
def list_models(json_file: str | None) -> None:
    """List the bundled models.

    \b
    Example:
      unmask models list --json models.json
    """
    from unmask.cli import cards
    from unmask.engine.licence import short
    from unmask.engine.model import bundled, load_model

    found = [cards.summary(load_model(name), file) for name, file in bundled().items()]
    rows = [
        row
        | {
            "rate": f"{row['sample_rate'] / 1000:g}",
            "size": row["n_bytes"] / 1e6,
            "weights": row["parameters"] / 1e6,
            "latency": f"{row['latency_ms']:.0f}",
            "licence": short(row["licence"]),
        }
        for row in found
    ]
    columns = {
        "name": "name",
        "rate": "kHz",
        "size": "file MB",
        "weights": "weights M",
        "files": "files ×",
        "streams": "streams ×",
        "latency": "latency ms",
        "score": "gain dB",
        "licence": "licence",
    }
    about = f"×: times real time on {cards.machine()}; gain: in SI-SDR, never trained on"
    show.table(rows, columns, title=f"Bundled models ({about})")
    for row in found:
        stems = ", ".join(row["stems"])
        show.paragraph(f"{row['name']} ({row['task']}: {stems}): take it when {row['take_when']}")
    show.write_json(json_file, found)


@models.command("info")
@click.argument("name_or_path")
@click.option("--all", "everything", is_flag=True, help="All that the file says, a field a line.")
@show.json_option
def model_info(name_or_path: str, everything: bool, json_file: str | None) -> None:
    """Show a model's card: what it does and needs, how good it is, where it comes from.

    With --all or --json, all that the file says: also the whole recipe and every recording.

    \b
    Examples:
      unmask models info denoise-48k-base
      unmask models info MODEL.onnx --json card.json
    """
    from pathlib import Path

    from unmask.cli import cards
    from unmask.engine.model import bundled, load_model

    model = load_model(name_or_path)
    file = bundled().get(name_or_path, Path(name_or_path))
    said = model.metadata | {"latency_ms": 1000 * model.latency_s, "sha256": model.sha256}
    # As text: two decimals would make a learning rate zero.
    pairs = (
        [(key, str(value)) for key, value in _flat(said)]
        if everything
        else cards.card(model, file.stat().st_size if file.is_file() else None)
    )
    rows = [{"field": key, "value": value} for key, value in pairs]
    show.table(rows, {"field": "", "value": ""}, title=model.name, prose=["value"])
    show.write_json(json_file, said)


def _flat(said: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested objects, and lists of objects, as dotted names and values."""
    if isinstance(said, list) and said and all(isinstance(entry, dict) for entry in said):
        said = {str(k): entry for k, entry in enumerate(said)}
    if not (isinstance(said, dict) and said):
        return [(prefix, said)]
    dot = prefix and f"{prefix}."
    return [pair for key, value in said.items() for pair in _flat(value, f"{dot}{key}")]
