"""Models on a page: what to know before one is used."""

import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.engine.metadata import SAMPLE_RATES

if TYPE_CHECKING:
    from unmask.engine.model import Model

_LONGEST = 300


def machine() -> str:
    """Return what the speeds of bundled models were measured on."""
    return str(_cards()["machine"])


def known(name: str) -> dict[str, Any]:
    """Return what is known of a bundled model beside its file; nothing of others."""
    found = _cards().get(name)
    return {"machine": machine(), **found} if isinstance(found, dict) else {}


def _cards() -> dict[str, Any]:
    return tomllib.loads((files("unmask") / "models" / "cards.toml").read_text("utf-8"))


def summary(model: "Model", file: Path) -> dict[str, Any]:
    """Return what tells a bundled model from the others."""
    said, card = model.metadata, known(model.name)
    return {
        "name": model.name,
        "task": model.task,
        "stems": list(model.stems),
        "residual": model.residual,
        "sample_rate": model.sample_rate,
        "latency_ms": 1000 * model.latency_s,
        "mask": model.family.name,
        "n_bytes": file.stat().st_size,
        **{key: said.get(key) for key in ("parameters", "macs_per_second", "licence")},
        **{key: card.get(f"{key}_times_real_time") for key in ("files", "streams")},
        "machine": card.get("machine"),
        "score": headline(said.get("scores")),
        "scores": said.get("scores"),
        "take_when": card.get("take_when"),
    }


def headline(scores: Any) -> str:
    """Return the gain in SI-SDR on recordings that were never trained on, if it is told."""
    test = scores.get("test") if isinstance(scores, Mapping) else None
    for found in [test, *(test.values() if isinstance(test, Mapping) else ())]:
        if not isinstance(found, Mapping):
            continue
        before, after = found.get("si_sdr_mixture_db"), found.get("si_sdr_db")
        if isinstance(before, int | float) and isinstance(after, int | float):
            return f"{after - before:+.2f}"
    return ""


def card(model: "Model", n_bytes: int | None) -> Iterator[tuple[str, str]]:
    """Yield what a page says of a model: what it is about, and how it is."""
    said, own = model.metadata, known(model.name)
    if own:
        yield "take it when", own["take_when"]
    leaves = "and a stem" if model.residual_is_source else "what they leave"
    rest = f"; {model.residual} is {leaves}" if model.metadata["residual"] else ""
    yield "task", f"{model.task}: {', '.join(model.stems)}{rest}"
    low, high = SAMPLE_RATES
    rates = f"takes {low} to {high} Hz" if model.masks_outside else "takes no other"
    yield "sample rate", f"trained at {model.sample_rate} Hz, {rates}"
    yield "channels", f"{model.channels} at once" if model.channels > 1 else "each by itself"
    yield "latency", f"{1000 * model.latency_s:.1f} ms of a stream"
    if own:
        speeds = (
            f"{own['files_times_real_time']} (files), {own['streams_times_real_time']} (streams)"
        )
        yield "speed", f"{speeds} times real time on {own['machine']}"
    yield "network", _network(said)
    yield "mask", model.family.name
    yield "front-end", str(model.frontend)
    size = "" if n_bytes is None else f"{n_bytes / 1e6:.2f} MB, "
    yield "file", f"{size}version {model.version}"
    yield "SHA-256", model.sha256
    yield "licence", str(said.get("licence") or "not told")
    training = said.get("training")
    if isinstance(training, Mapping):
        yield from _training(training)
    scores = said.get("scores")
    for name, found in scores.items() if isinstance(scores, Mapping) else ():
        if found:
            yield f"{name} scores", _short(found)


def _network(said: Mapping[str, Any]) -> str:
    recipe = _within(said, "training", "recipe", "backbone", "kind")
    parts = [str(recipe)] if recipe else []
    for key, unit in (("parameters", "weights"), ("macs_per_second", "MAC a second of a channel")):
        if isinstance(said.get(key), int | float):
            parts.append(f"{said[key] / 1e6:.2f} million {unit}")
    return ", ".join([*parts, f"stored as {said.get('weights', 'float32')}"])


def _training(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    data = training.get("data")
    for part, facts in data.items() if isinstance(data, Mapping) else ():
        yield part, _short(facts)
    result = _short(training.get("result", {}))
    loss = _within(training, "recipe", "loss", "kind")
    yield "training", "; ".join(filter(None, [f"loss {loss}" if loss else "", result]))


def _within(said: Any, *keys: str) -> Any:
    """Return what stands deep in a table, None if it does not."""
    for key in keys:
        said = said.get(key) if isinstance(said, Mapping) else None
    return said


def _short(value: Any) -> str:
    """Return nested tables in a line; what is longer than a few lines is cut."""
    text = _words(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … (--all)"


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key}: ({_words(found)})" if isinstance(found, Mapping) else f"{key} {_words(found)}"
            for key, found in value.items()
        )
    if isinstance(value, list):
        return " / ".join(map(_words, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
