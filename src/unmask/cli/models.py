"""``unmask models``: what there is, and what a model file says."""

from typing import TYPE_CHECKING, Any

import click

from unmask.cli import show

if TYPE_CHECKING:
    from unmask.engine.model import Model


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
    from unmask.engine.model import bundled, load_model

    rows = [_summary(load_model(name)) for name in bundled()]
    columns = {
        "name": "name",
        "task": "task",
        "stems": "stems",
        "sample_rate": "trained at Hz",
        "latency_ms": "latency ms",
        "mask": "mask",
        "parameters": "parameters",
        "macs_per_second": "MAC/s",
        "licence": "licence",
    }
    show.table(rows, columns, title="Bundled models")
    show.write_json(json_file, rows)


@models.command("info")
@click.argument("name_or_path")
@show.json_option
def model_info(name_or_path: str, json_file: str | None) -> None:
    """Show what a model file says: front-end, mask, stems, licence, training data, scores.

    \b
    Example:
      unmask models info MODEL.onnx
    """
    from unmask.engine.model import load_model

    model = load_model(name_or_path)
    said = model.metadata | {"latency_ms": 1000 * model.latency_s, "sha256": model.sha256}
    # As text: two decimals would make a learning rate zero.
    rows = [{"field": key, "value": str(value)} for key, value in _flat(said)]
    show.table(rows, {"field": "field", "value": "value"}, title=model.name)
    show.write_json(json_file, said)


def _summary(model: "Model") -> dict[str, Any]:
    said = model.metadata
    return {
        "name": model.name,
        "task": model.task,
        "stems": " ".join((*model.stems, f"({model.residual})")),
        "sample_rate": model.sample_rate,
        "latency_ms": 1000 * model.latency_s,
        "mask": model.family.name,
        **{key: said.get(key) for key in ("parameters", "macs_per_second", "licence")},
    }


def _flat(said: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested objects, and lists of objects, as dotted names and values."""
    if isinstance(said, list) and said and all(isinstance(entry, dict) for entry in said):
        said = {str(k): entry for k, entry in enumerate(said)}
    if not (isinstance(said, dict) and said):
        return [(prefix, said)]
    dot = prefix and f"{prefix}."
    return [pair for key, value in said.items() for pair in _flat(value, f"{dot}{key}")]
