"""Recipes from TOML files: one may extend another, values may be set on the command line."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from unmask import masks
from unmask.data import DATA
from unmask.errors import ConfigError
from unmask.masks.consistent import Consistent
from unmask.nets import FRONTS, NETS
from unmask.recipe.composition import Recipe
from unmask.recipe.sections import Backbone, Frontend, Head, Loss, Train
from unmask.recipe.typed import build, options, refuse_unknown, typed

SECTIONS = ("frontend", "backbone", "head", "loss", "data", "train")


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a TOML file; `overrides` such as ``"train.steps=100"`` come on top.

    With ``extends = "other.toml"`` (relative to the file) it is that recipe with what the file says
    on top: tables are merged key by key, everything else, lists included, is replaced.

    Raises
    ------
    ConfigError
        If a file is missing or no TOML, recipes extend each other in a ring, a key is unknown, a
        value is of another type than its field declares, or settings cannot work together.
    """
    tables, chain = _read(path, ())
    for override in overrides:
        _override(tables, override)
    subject = str(path)
    if len(chain) > 1:
        subject += f" (extends {', '.join(file.name for file in chain[1:])})"
    return from_dict(tables, subject=subject)


def from_dict(tables: Mapping[str, Any], *, subject: str = "recipe") -> Recipe:
    """Return the recipe that `tables` describe, in the layout of the TOML file.

    Raises
    ------
    ConfigError
        If a key is unknown, a value is of another type than its field declares, or settings cannot
        work together; the message begins with `subject`.
    """
    try:
        return _compose(tables)
    except ConfigError as error:
        raise ConfigError(f"{subject}: {error}") from None


def _read(path: Path, above: tuple[Path, ...]) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """Return the tables of a file on top of those it extends, and all these files."""
    if path.resolve() in [file.resolve() for file in above]:
        ring = " -> ".join(file.name for file in (*above, path))
        raise ConfigError(f"{above[0]}: extends itself, {ring}; take one extends out")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        wanted_by = f", which {above[-1]} extends" if above else ""
        raise ConfigError(f"{path}: no such recipe{wanted_by}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, or no name of a file
        raise ConfigError(f"{path}: not a TOML file, {error}") from None
    base = tables.pop("extends", None)
    if base is None:
        return tables, (path,)
    with _within(str(path)):
        base = typed(base, str, "extends")
    below, chain = _read(path.parent / base, (*above, path))
    return _merge(below, tables), (path, *chain)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with what `above` says on top, tables key by key."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _override(tables: dict[str, Any], override: str) -> None:
    """Set one value, named by a dotted key, in `tables`."""
    key, equals, text = override.partition("=")
    *path, last = key.strip().split(".")
    if not equals or not last:
        raise ConfigError(f"override {override!r}: expected KEY=VALUE, as train.steps=100")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    except (ValueError, RecursionError) as error:  # a number of thousands of digits
        raise ConfigError(f"override {key.strip()}: {error}") from None
    for name in path:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise ConfigError(f"override {override!r}: {name} is no table")
    tables[last] = value


def _compose(tables: Mapping[str, Any]) -> Recipe:
    refuse_unknown("", tables, ["name", "licence", *SECTIONS])
    words = {key: typed(tables[key], str, key) for key in ("name", "licence") if key in tables}
    tables = {name: typed(tables.get(name, {}), Mapping[str, Any], name) for name in SECTIONS}
    data_kind, settings = _chosen(_settings(DATA), tables["data"], "data", default=Recipe.data_kind)
    kind, net = _chosen(_settings(NETS), tables["backbone"], "backbone", default=Backbone.kind)
    frontend = _frontend(tables["frontend"])
    with _within("data"):
        data = DATA[data_kind][0](**settings)
    return Recipe(
        **words,
        frontend=frontend,
        backbone=Backbone(kind=kind, options=net),
        head=_head(tables["head"], data.sample_rate),
        loss=_section(Loss, tables["loss"], "loss"),
        data_kind=data_kind,
        data=data,
        train=_section(Train, tables["train"], "train"),
    )


@contextmanager
def _within(key: str) -> Iterator[None]:
    """Let refusals begin with what they are about."""
    try:
        yield
    except ConfigError as error:
        start = "" if str(error).startswith(key) else f"{key}: "
        raise ConfigError(f"{start}{error}") from None


def _section(kind: Any, table: Mapping[str, Any], name: str) -> Any:
    with _within(name):
        return build(kind, table, name)


def _chosen(
    kinds: Mapping[str, Any], table: Mapping[str, Any], name: str, *, default: str
) -> tuple[str, dict[str, Any]]:
    """Return which of `kinds` a section wants, and its values for these settings."""
    kind = typed(table.get("kind", default), str, f"{name}.kind")
    if kind not in kinds:
        raise ConfigError(f"{name}.kind is {kind!r}; there are {sorted(kinds)}")
    rest = {key: value for key, value in table.items() if key != "kind"}
    return kind, options(kinds[kind], rest, name)


def _settings(kinds: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Return kind -> settings."""
    return {kind: settings for kind, (settings, _) in kinds.items()}


def _frontend(table: Mapping[str, Any]) -> Frontend:
    types = {"channels": int, "slow_terms": int, "level": Mapping[str, float]}
    own = {key: typed(table[key], types[key], f"frontend.{key}") for key in types if key in table}
    rest = {key: value for key, value in table.items() if key not in types}
    kind, settings = _chosen(FRONTS, rest, "frontend", default=Frontend.kind)
    with _within("frontend"):
        return Frontend(kind=kind, options=settings, **own)


@dataclass(frozen=True, kw_only=True)
class _Mask:
    """A mask family in a recipe."""

    family: str
    options: Mapping[str, Any] = field(default_factory=dict)


def _head(table: Mapping[str, Any], sample_rate: float) -> Head:
    """Return the head; its mask is a name, or a table of one and the options of that family."""
    mask = typed(table.get("mask", Head.mask), str | _Mask, "head.mask")
    if isinstance(mask, str):
        mask = _Mask(family=mask)
    with _within("head.mask"):
        family = masks.get(mask.family, sample_rate=sample_rate)
        while isinstance(family, Consistent):
            family = family.of
        settings = options(type(family), mask.options, "head.mask.options")
        masks.get(mask.family, sample_rate=sample_rate, **settings)
    rest = {key: value for key, value in table.items() if key != "mask"}
    refuse_unknown("head", rest, sorted({f.name for f in fields(Head)} - {"options"}))
    head: Head = build(Head, rest, "head")
    return replace(head, mask=mask.family, options=settings)
