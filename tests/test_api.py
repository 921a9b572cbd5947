"""The front door: light to open, complete, and every command explains itself."""

import ast
import builtins
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import unmask
from unmask import cli, errors
from unmask.errors import MissingExtraError, UnmaskError

ERRORS = [x for x in vars(errors).values() if isinstance(x, type) and issubclass(x, UnmaskError)]

PROBE = """
import json, sys
before = set(sys.modules)
import unmask
print(json.dumps(sorted(set(sys.modules) - before)))
"""

ROOT = Path(unmask.__file__).parent
#: Packages that say what of them is public.
PACKAGES = sorted(
    ".".join(["unmask", *path.parent.relative_to(ROOT).parts])
    for path in ROOT.glob("**/__init__.py")
    if "__all__ = " in path.read_text("utf-8")
)


def commands(group, *path):
    """Every command of a click group, as the words that one types."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *path, name)


def test_import_loads_itself_and_the_standard_library_only():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, check=True)
    loaded = json.loads(done.stdout)
    assert [name for name in loaded if name.startswith("unmask")] == ["unmask", "unmask._version"]
    assert {name.split(".")[0] for name in loaded} - sys.stdlib_module_names == {"unmask"}


def test_type_checkers_see_every_public_name():
    source = Path(unmask.__file__).read_text("utf-8")
    block = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    seen = {alias.name for statement in block.body for alias in statement.names}
    assert seen | {"__version__"} == set(unmask.__all__)


@pytest.mark.parametrize("name", ["STFT", "Streamer", "load_model", "masks", "metrics", "oracle"])
def test_the_names_that_users_build_on_are_public(name):
    assert name in unmask.__all__


#: Public modules, without the front door.
MODULES = [name for name in unmask.__all__ if name not in unmask._HOME and name[0] != "_"]


@pytest.mark.parametrize("name", MODULES)
def test_tab_completion_shows_what_a_module_is_for_and_nothing_else(name):
    module = getattr(unmask, name)
    assert dir(module) == sorted(module.__all__)
    assert not {"np", "Any", "Path", "annotations"} & set(dir(module))


@pytest.mark.parametrize("name", ["separate", "loudness", "export", "train"])
def test_modules_are_there_without_being_imported(name):
    if name in ("export", "train"):
        pytest.importorskip("torch")
    code = f"import unmask; print(unmask.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"unmask.{name}\n"


def by_case(name):
    """CONSTANTS first, then Classes, then functions: the order that ruff keeps."""
    return 0 if name.isupper() else 1 if name[0].isupper() else 2, name


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_sorted_and_there(package):
    try:
        module = importlib.import_module(package)
    except MissingExtraError as error:  # the training wing needs PyTorch
        pytest.skip(str(error))
    assert module.__all__ == sorted(set(module.__all__), key=by_case)
    assert [name for name in module.__all__ if getattr(module, name, None) is None] == []
    assert set(module.__all__) <= set(dir(module))


def test_a_name_that_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'unmask' has no attribute 'unmix'"):
        unmask.unmix  # noqa: B018


@pytest.mark.parametrize("error", [error for error in ERRORS if error is not UnmaskError])
def test_every_error_is_ours_and_a_builtin(error):
    above = next(base for base in error.__mro__ if base not in ERRORS)
    assert issubclass(error, UnmaskError)
    assert getattr(builtins, above.__name__) is above
    assert above is not Exception


@pytest.mark.parametrize("words", list(commands(cli.main)), ids=" ".join)
def test_every_command_has_help_with_an_example(words):
    result = CliRunner().invoke(cli.main, [*words, "--help"])
    usage, *lines = result.output.splitlines()
    assert result.exit_code == 0
    assert usage.startswith("Usage: ")
    typed = " ".join(["unmask", *words])
    assert any(f"{line.strip()} ".startswith(f"{typed} ") for line in lines), "no example"


def test_version_is_told():
    result = CliRunner().invoke(cli.main, ["--version"])
    assert result.exit_code == 0
    assert unmask.__version__ in result.output


SEPARATION = """
import json, sys
from unmask.cli import main
main(["denoise", sys.argv[1], "-o", sys.argv[2]], standalone_mode=False)
print(json.dumps(sorted(sys.modules)))
"""
#: What takes 20 ms or more to load, beside what a separation cannot do without.
SLOW = {"array_api_compat.numpy", "asyncio", "importlib.metadata", "matplotlib", "numpy.f2py"}
SLOW |= {"numpy.testing", "onnx", "rich", "scipy", "torch"}


def test_a_separation_loads_nothing_slow_that_it_does_not_use(tmp_path):
    recording = Path(__file__).parents[1] / "assets" / "demo" / "speech.flac"
    command = [sys.executable, "-c", SEPARATION, str(recording), str(tmp_path / "out")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"numpy", "onnxruntime", "soundfile"} <= loaded
    assert not SLOW & loaded
