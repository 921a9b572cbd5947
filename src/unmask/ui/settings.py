"""What may be said about how masks are used, as fields of a form."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from unmask.engine.settings import Settings


def fields_said() -> list[dict[str, Any]]:
    """Return the fields of :class:`unmask.Settings` for a form; gains have sliders of their own.

    >>> [(one["name"], one["kind"], one["default"]) for one in fields_said()][:2]
    [('sensitivity', 'number', 1.0), ('linked', 'tick', False)]
    """
    types = get_type_hints(Settings)
    return [
        {
            "name": field.name,
            "kind": "tick" if types[field.name] is bool else "number",
            "default": field.default,
            "help": field.metadata["help"],
        }
        for field in fields(Settings)
        if types[field.name] != Mapping[str, float]
    ]
