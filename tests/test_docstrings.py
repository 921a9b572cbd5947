"""What a public function refuses stands in its docstring."""

import ast
from pathlib import Path

import pytest

from unmask import errors

ROOT = Path(__file__).parents[1] / "src" / "unmask"
OURS = {name for name, x in vars(errors).items() if isinstance(x, type)}
#: Rooms that do not say so yet.
NOT_YET = {
    *("chunks", "data", "export", "losses", "live", "masks", "metadata", "model", "nets", "phase"),
    *("recipe", "stft", "stream", "train"),
}
#: Commands say what went wrong in one line; nobody catches it.
FILES = [
    path
    for path in sorted(ROOT.rglob("*.py"))
    if path.relative_to(ROOT).with_suffix("").parts[0] not in NOT_YET | {"cli"}
]


def public(body, docstring=""):
    """Functions and methods that users call, with what tells of them; a class for its making."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, ast.get_docstring(node) or "")
        elif isinstance(node, ast.FunctionDef):
            own = ast.get_docstring(node) or ""
            if node.name in ("__init__", "__post_init__", "__enter__", "__exit__"):
                yield node, docstring
            elif not node.name.startswith("_"):
                yield node, own


def raised(function):
    """Names of our errors that a function raises by itself."""
    for node in ast.walk(function):
        made = node.exc if isinstance(node, ast.Raise) else None
        name = made.func if isinstance(made, ast.Call) else made
        if isinstance(name, ast.Name) and name.id in OURS:
            yield name.id


def unsaid(source):
    """Errors that public functions of a file raise and do not tell of."""
    return [
        f"{function.name} (line {function.lineno}): {name}"
        for function, docstring in public(ast.parse(source).body)
        for name in dict.fromkeys(raised(function))
        if name not in docstring.partition("Raises\n------")[2]
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_public_function_raises_is_said(path):
    assert unsaid(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f():\n    raise ConfigError('x')", ["f (line 1): ConfigError"]),
        ("def f():\n    raise ConfigError", ["f (line 1): ConfigError"]),
        ("def f():\n    'ConfigError'\n    raise ConfigError", ["f (line 1): ConfigError"]),
        (
            "def f():\n    '''A.\n\n    Raises\n    ------\n    ConfigError\n    '''\n"
            "    raise ConfigError",
            [],
        ),
        ("def _f():\n    raise ConfigError", []),
        ("def f():\n    raise AttributeError", []),
        ("class A:\n    def f(self):\n        raise ShapeError", ["f (line 2): ShapeError"]),
        (
            "class A:\n    def __init__(self):\n        raise ShapeError",
            ["__init__ (line 2): ShapeError"],
        ),
        ("class _A:\n    def f(self):\n        raise ShapeError", []),
    ],
)
def test_what_is_unsaid_is_noticed(source, found):
    assert unsaid(source) == found
