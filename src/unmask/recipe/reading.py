"""Recipes from TOML files: one may extend another, values may be set on the command line."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from unmask import masks, nets
from unmask.data import DATA
from unmask.errors import ConfigError
from unmask.recipe.composition import Recipe
from unmask.recipe.sections import Backbone, Frontend, Head, Loss, Train

SECTIONS = ("frontend", "backbone", "head", "loss", "data", "train")


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a TOML file; `overrides` such as ``"train.steps=100"`` come on top.

    With ``extends = "other.toml"`` (relative to the file) it is that recipe with what the file says
    on top: tables are merged key by key, everything else, lists included, is replaced.

    Raises
    ------
    ConfigError
        If a file is missing or no TOML, recipes extend each other in a ring, a key is unknown, or
        settings cannot work together.
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
        If a key is unknown or settings cannot work together; the message begins with `subject`.
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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file, {error}") from None
    base = tables.pop("extends", None)
    if base is None:
        return tables, (path,)
    if not isinstance(base, str):
        raise ConfigError(f'{path}: extends is {base!r}, expected a file, as "unet.toml"')
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
    for name in path:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise ConfigError(f"override {override!r}: {name} is no table")
    tables[last] = value


def _compose(tables: Mapping[str, Any]) -> Recipe:
    _refuse_unknown("", tables, ["name", "licence", *SECTIONS])
    sections = {name: tables.get(name, {}) for name in SECTIONS}
    for name, table in sections.items():
        if not isinstance(table, Mapping):
            raise ConfigError(f"{name} is {table!r}, expected a table [{name}]")
    words = {name: tables[name] for name in ("name", "licence") if name in tables}
    for name, word in words.items():
        if not isinstance(word, str):
            raise ConfigError(f"{name} is {word!r}, expected str")
    data_kind, data = _data(sections["data"])
    backbone, head = dict(sections["backbone"]), dict(sections["head"])
    kind, mask = backbone.pop("kind", Backbone.kind), head.pop("mask", Head.mask)
    net, family = nets.NETS.get(kind, (Backbone,))[0], masks.FAMILIES.get(_inner(mask), Head())
    return Recipe(
        **words,
        frontend=_build(Frontend, sections["frontend"], "[frontend]"),
        backbone=Backbone(kind=kind, options=_typed(net, backbone, "[backbone]")),
        head=Head(mask=mask, options=_typed(type(family), head, "[head]")),
        loss=_build(Loss, sections["loss"], "[loss]"),
        data_kind=data_kind,
        data=data,
        train=_build(Train, sections["train"], "[train]"),
    )


def _inner(mask: Any) -> str:
    """Return the name of the family that the options of a head are for."""
    return str(mask).rpartition("consistent:")[2]


def _data(table: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the kind of data and its settings; lists of tables are settings of their own."""
    data = dict(table)
    kind = data.pop("kind", Recipe.data_kind)
    if kind not in DATA:
        raise ConfigError(f"[data] kind {kind!r}; there are {sorted(DATA)}")
    for f in fields(DATA[kind][0]):
        if "entries" in f.metadata:
            entries = data.get(f.name, [])
            if not isinstance(entries, list | tuple):
                raise ConfigError(f"[data]: {f.name} is {entries!r}, expected [[data.{f.name}]]")
            data[f.name] = tuple(
                _build(f.metadata["entries"], entry, f"data.{f.name}") for entry in entries
            )
    return kind, _build(DATA[kind][0], data, "[data]")


def _build(kind: Any, table: Any, subject: str) -> Any:
    """Return the dataclass `kind` of the values in `table`, with types checked against defaults."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{subject}: is {table!r}, expected a table")
    _refuse_unknown(subject, table, [f.name for f in fields(kind)])
    values = _typed(kind, table, subject)
    needed = [f.name for f in fields(kind) if f.default is f.default_factory is MISSING]
    if not set(needed) <= values.keys():
        raise ConfigError(f"{subject}: needs {needed}, got {sorted(values)}")
    return kind(**values)


def _refuse_unknown(subject: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    if unknown := sorted(table.keys() - set(known)):
        start = f"{subject}: " if subject else ""
        raise ConfigError(f"{start}unknown keys {unknown}; there are {sorted(known)}")


def _typed(kind: Any, table: Mapping[str, Any], subject: str) -> dict[str, Any]:
    """Return the values in `table` as `kind` has them by default: lists are frozen, 1 may be 1.0.

    Raises
    ------
    ConfigError
        If a value is of another type than its default.
    """
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    for f in fields(kind):
        if f.name not in values or f.default is MISSING or "Mapping" in str(f.type):
            continue
        value = _like(f.default, values[f.name])
        if value is None:
            wanted = _kind_of(f.default)
            raise ConfigError(f"{subject}: {f.name} is {table[f.name]!r}, expected {wanted}")
        values[f.name] = value
    return values


def _like(default: Any, value: Any) -> Any:
    """Return `value` in the type of `default`, None if it has another."""
    if isinstance(default, tuple) and isinstance(value, tuple):
        items = tuple(_like(default[0], item) if default else item for item in value)
        return None if None in items else items
    if isinstance(default, float) and type(value) is int:
        return float(value)
    return value if type(value) is type(default) else None


def _kind_of(default: Any) -> str:
    """Return what a value should be, in the words of TOML."""
    if isinstance(default, tuple):
        return f"list of {_kind_of(default[0])}" if default else "list"
    return type(default).__name__
