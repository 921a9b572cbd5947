"""Docstrings name things as Sphinx does, ``:func:`x```: on the site they become links or code."""

import re
from itertools import takewhile
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`([\w.]+)`")


def _comment(obj: griffe.Object) -> str:
    """Return what ``#:`` says above a constant."""
    lines = obj.filepath.read_text("utf-8").splitlines()[: (obj.lineno or 1) - 1]
    above = takewhile(lambda line: line.startswith("#:"), reversed(lines))
    return " ".join(line.removeprefix("#:").strip() for line in reversed(list(above)))


class Roles(griffe.Extension):
    """Take the roles out before the docstring is read as Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring is None and obj.is_attribute and (said := _comment(obj)):
            obj.docstring = griffe.Docstring(said, parent=obj)
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
