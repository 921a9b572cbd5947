"""Options for how masks are used, made of the fields of :class:`unmask.Settings`."""

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from functools import wraps
from typing import Any, get_type_hints

import click

from unmask.engine.settings import Settings
from unmask.errors import ConfigError


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each field; what is chosen goes to it as `settings`."""
    types = get_type_hints(Settings)

    @wraps(command)
    def run(**options: Any) -> None:
        chosen = {f.name: options.pop(f.name) for f in fields(Settings)}
        chosen["gains"] = dict(map(_gain, chosen["gains"]))
        command(settings=Settings(**chosen), **options)

    for f in reversed(fields(Settings)):
        run = _option(f, types[f.name])(run)
    return run


def _option(f: Field[Any], kind: Any) -> Callable[[Any], Any]:
    words = dict(f.metadata)
    name = words.pop("option", "--" + f.name.replace("_", "-"))
    if kind is bool:
        return click.option(name, f.name, is_flag=True, default=f.default, **words)
    if kind == Mapping[str, float]:
        return click.option(name, f.name, multiple=True, **words)
    return click.option(name, f.name, type=float, default=f.default, **words)


def _gain(text: str) -> tuple[str, float]:
    """Return the stem and the factor that ``STEM=DB`` names."""
    stem, equals, db = text.partition("=")
    try:
        gain = 10 ** (float(db) / 20)
    except (ValueError, OverflowError):
        gain = math.nan
    if not (stem and equals and math.isfinite(gain)):
        raise ConfigError(f"--gain {text}: expected STEM=DB, as vocals=-6 or vocals=-inf")
    return stem, gain
