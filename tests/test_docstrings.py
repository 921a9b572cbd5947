"""Docstrings are numpydoc's, and what a public function refuses stands in them."""

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
#: Checks of `numpydoc lint` that hold for all public names. Not among them: that there are always
#: all sections (a line often says it all), and types where an annotation has them.
CHECKS = {
    *("GL02", "GL03", "GL05", "GL06", "GL07", "GL09", "GL10", "PD01"),
    *("SS01", "SS03", "SS04", "SS06"),
    *("PR01", "PR02", "PR03", "PR05", "PR06", "PR09", "PR10"),
    *("RT02", "RT05", "YD01", "SA02", "SA03", "SA04"),
}
#: Only where there is such a section: a part of the parameters, told, hides the others.
IF_ANY = {"PR01": "Parameters\n---", "YD01": "Yields\n---"}
#: Commands say what went wrong in one line; nobody catches it.
ALL = [path for path in sorted(ROOT.rglob("*.py")) if "cli" not in path.relative_to(ROOT).parts]
FILES = [path for path in ALL if path.relative_to(ROOT).with_suffix("").parts[0] not in NOT_YET]


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


def lint(path):
    """What numpydoc finds in the docstrings of the public names of a file."""
    validate = pytest.importorskip("numpydoc.hooks.validate_docstrings")
    config = {"checks": CHECKS, "exclude": set(), "overrides": {}, "exclude_files": set()}
    module = ast.parse(path.read_text("utf-8"))
    told = {node.lineno: ast.get_docstring(node) or "" for node in documented(module)}
    # Fields of dataclasses are their parameters, which numpydoc does not see in the source.
    made = {node.lineno for node in ast.walk(module) if is_dataclass(node)}
    for place, name, check, text in validate.process_file(path, config):
        line = int(place.rsplit(":", 1)[1])
        private = any(part.startswith("_") for part in name.split("."))
        if not private and IF_ANY.get(check, "") in told.get(line, "") and line not in made:
            yield f"{name} (line {line}): {check} {text}"


def documented(module):
    kinds = ast.FunctionDef | ast.ClassDef
    return [node for node in ast.walk(module) if isinstance(node, kinds)]


def is_dataclass(node):
    decorators = getattr(node, "decorator_list", ())
    return isinstance(node, ast.ClassDef) and "dataclass" in "".join(map(ast.dump, decorators))


@pytest.mark.parametrize("room", sorted({path.relative_to(ROOT).parts[0] for path in ALL}))
def test_docstrings_are_those_of_numpydoc(room):
    paths = [path for path in ALL if path.relative_to(ROOT).parts[0] == room]
    assert [found for path in paths for found in lint(path)] == []


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
