"""Values of a TOML file as the fields of a dataclass declare them, refused in the words of TOML."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from unmask.errors import ConfigError

WORDS = {str: "text", int: "whole number", float: "finite number", bool: "true or false"}


def typed(value: Any, hint: Any, key: str) -> Any:
    """Return `value` as the type `hint`: lists become tuples, tables dataclasses, 1 may be 1.0.

    Parameters
    ----------
    value : plain data
        Of a TOML or JSON file.
    hint : type
        Built of text, numbers, truth values, ``tuple[X, ...]``, ``tuple[X, Y]``,
        ``Mapping[str, X]``, dataclasses, ``X | Y`` and Any.
    key : str
        What the value is called, as ``data.snr_db``.

    Raises
    ------
    ConfigError
        If `value`, or something in it, is of another type; the message names its key.
    """
    for one in get_args(hint) if isinstance(hint, UnionType) else (hint,):
        if _has_shape(value, one):
            return _converted(value, one, key)
    shown = json.dumps(value, default=str, ensure_ascii=False)
    raise ConfigError(f"{key} is {shown}, expected {_words(hint)}")


def build(kind: Any, table: Any, key: str) -> Any:
    """Return the dataclass `kind` of the values in `table`, all of which must be its fields.

    Raises
    ------
    ConfigError
        As :func:`typed` and :func:`refuse_unknown`; or if something is missing, or `kind` refuses.
    """
    table = typed(table, Mapping[str, Any], key)
    refuse_unknown(key, table, [f.name for f in fields(kind)])
    if missing := [f.name for f in fields(kind) if not _has_default(f) and f.name not in table]:
        raise ConfigError(f"{key}: needs {missing}, got {sorted(table)}")
    return kind(**_values(kind, table, key))


def options(kind: Any, table: Any, key: str) -> dict[str, Any]:
    """Return the values in `table` as settings of `kind`, whose other fields come from elsewhere.

    A setting is a field with a default.

    Raises
    ------
    ConfigError
        As :func:`typed` and :func:`refuse_unknown`.
    """
    table = typed(table, Mapping[str, Any], key)
    refuse_unknown(key, table, [f.name for f in fields(kind) if _has_default(f)])
    return _values(kind, table, key)


def refuse_unknown(key: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse keys of a table that mean nothing."""
    if unknown := sorted(table.keys() - set(known)):
        start = f"{key}: " if key else ""
        raise ConfigError(f"{start}unknown keys {unknown}; there are {sorted(known)}")


def _values(kind: Any, table: Mapping[str, Any], key: str) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {name: typed(value, hints[name], f"{key}.{name}") for name, value in table.items()}


def _has_default(f: Field[Any]) -> bool:
    return not (f.default is f.default_factory is MISSING)


def _has_shape(value: Any, hint: Any) -> bool:
    """Return whether `value` is what `hint` is on the outside; what is in it may be wrong."""
    outer, inner = get_origin(hint) or hint, get_args(hint)
    if outer is tuple:
        length = len(value) if isinstance(value, list | tuple) else -1
        return length >= 0 if Ellipsis in inner else length == len(inner)
    if outer is Mapping or is_dataclass(outer):
        return isinstance(value, Mapping)
    if outer is float:  # true is an int to Python, and inf cannot be written back
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    if outer is int:  # of 64 bits, as TOML has it
        return type(value) is int and abs(value) < 2**63
    return outer is Any or type(value) is outer


def _converted(value: Any, hint: Any, key: str) -> Any:
    """Return `value`, which has the shape of `hint`, with all that is in it converted."""
    outer, inner = get_origin(hint) or hint, get_args(hint)
    if is_dataclass(outer):
        return build(outer, value, key)
    if outer is Mapping:
        return {name: typed(item, inner[1], f"{key}.{name}") for name, item in value.items()}
    if outer is tuple:
        hints = inner[:1] * len(value) if Ellipsis in inner else inner
        pairs = enumerate(zip(value, hints, strict=True))
        return tuple(typed(item, one, f"{key}[{k}]") for k, (item, one) in pairs)
    return float(value) if outer is float else value


def _words(hint: Any) -> str:
    """Return what a value should be, in the words of TOML."""
    outer, inner = get_origin(hint) or hint, get_args(hint)
    if isinstance(hint, UnionType):
        return " or ".join(map(_words, inner))
    if outer is tuple:
        items = [_words(one) for one in inner if one is not Ellipsis]
        return f"list of {items[0]}" if Ellipsis in inner else f"[{', '.join(items)}]"
    if outer is Mapping and inner[1] is not Any:
        return f"table of {_words(inner[1])}"
    return WORDS.get(outer, "table")
