"""The arrows of docs/architecture.md: imports point down, heavy libraries stay in their rooms."""

import ast
import math
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "unmask"

PAGE = ROOT.parents[1] / "docs" / "architecture.md"


def rows(page):
    """Room -> row, from the table of the page; what stands in brackets there is no room."""
    table = re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
    return {
        room: int(row)
        for row, cell in table
        for room in re.findall(r"`(\w+)/?`", re.sub(r"\(.*?\)", "", cell))
    }


RANK = rows(PAGE.read_text("utf-8"))
#: The front door shows what there is below the command line, and only a program stands above that.
RANK |= {"__init__": RANK["cli"] - 0.5, "__main__": RANK["cli"] + 1}

TRAINING_WING = {"nets", "losses", "recipe", "data", "checkpoint", "train", "export"}
#: library -> rooms that may import it
ONLY_IN = {
    "torch": TRAINING_WING - {"data"},
    "lightning_fabric": TRAINING_WING,
    "safetensors": TRAINING_WING,
    "tensorboard": TRAINING_WING,
    "onnx": TRAINING_WING,
    "onnxruntime": {"_runtime"},
    "huggingface_hub": {"hub"},
    "soundfile": {"audio"},
    "soxr": {"audio"},
    "sounddevice": {"live"},
    "pedalboard": {"data"},
    "pyloudnorm": {"loudness"},
    "av": {"audio"},
    "array_api_compat": {"_arrays"},
    "click": {"cli"},
    "matplotlib": {"plots"},
    "ray": {"cluster"},
    "fsspec": {"remote"},
    "rich": {"cli", "train"},
    "starlette": {"listen", "ui"},
    "uvicorn": {"listen"},
    "sqlalchemy": {"listen"},
    "psycopg": {"listen"},
    "scipy": set(),  # 140 MB, and a quarter of a second to load
}
#: Rooms outside the training wing that may enter it: commands, each when it is called.
DOORS = {"cli"}


def room(path):
    """The room that a file belongs to: its folder in the package, or itself."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


FILES = sorted(ROOT.rglob("*.py"))
ROOMS = {room(path) for path in FILES}


def imports(source):
    """Dotted names that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the arrows"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_entered(source):
    """Rooms of the package that a file imports."""
    for name in imports(source):
        first, *rest = name.split(".")
        if first == "unmask":
            inner = rest[0] if rest else "__init__"
            yield inner if inner in RANK.keys() | ROOMS else "__init__"


def crossings(own, source):
    """Arrows from room `own` that do not point down."""
    return [
        f"{own} (row {RANK.get(own)}) imports {other} (row {RANK.get(other)})"
        for other in rooms_entered(source)
        if other != own and not RANK.get(other, math.inf) < RANK.get(own, math.inf)
    ]


def trespasses(own, source):
    """Rooms of the training wing, which loads torch, that a file outside it imports."""
    outside = own not in TRAINING_WING | DOORS
    return sorted(TRAINING_WING & set(rooms_entered(source))) if outside else []


def strays(own, source):
    """Libraries that a file imports although its room may not."""
    found = {name.split(".")[0] for name in imports(source)}
    return sorted(name for name in found & ONLY_IN.keys() if own not in ONLY_IN[name])


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_has_a_row(path):
    assert room(path) in RANK, f"{room(path)} has no row in docs/architecture.md: put it there"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path):
    assert crossings(room(path), path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_heavy_libraries_stay_in_their_rooms(path):
    assert strays(room(path), path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_outside_the_training_wing_enters_it(path):
    assert trespasses(room(path), path.read_text("utf-8")) == []


def test_the_training_wing_is_there():
    assert TRAINING_WING | DOORS <= ROOMS
    assert set().union(*ONLY_IN.values()) <= ROOMS


def test_the_table_is_read_as_it_is_written():
    page = "| 0 | `errors`, `masks/` (what `Mask` is) |\n| 12 | `cli`: the `x` |\nand `y`"
    assert rows(page) == {"errors": 0, "masks": 0, "cli": 12, "x": 12}


@pytest.mark.parametrize(
    "source",
    [
        "import unmask.engine.model",
        "from unmask.engine.model import load_model",
        "from unmask import engine",
        "import unmask",
        "from unmask import STFT",
        "def f():\n    from unmask import cli",
    ],
)
def test_an_arrow_up_is_noticed(source):
    assert crossings("frontends", source) != []


def test_an_arrow_to_a_sibling_is_noticed():
    assert crossings("frontends", "from unmask.phase import misi") != []


def test_an_arrow_down_or_inside_a_folder_is_fine():
    assert crossings("masks", "from unmask.errors import X\nimport unmask.masks.algebra") == []


def test_a_stray_library_is_noticed():
    assert strays("frontends", "def f():\n    import torch.nn as nn") == ["torch"]
    assert strays("nets", "import torch") == []
    assert strays("data", "from torch import Tensor") == ["torch"]
    assert strays("metrics", "from scipy import fft") == ["scipy"]
    assert strays("evaluate", "import rich.progress") == ["rich"]


@pytest.mark.parametrize(
    ("own", "source", "found"),
    [
        ("gap", "from unmask import losses", ["losses"]),
        ("evaluate", "import unmask.losses", ["losses"]),
        ("separate", "def f():\n    from unmask.checkpoint import load", ["checkpoint"]),
        ("model", "from unmask import audio, nets", ["nets"]),
        ("live", "from unmask.data.cache import Cache", ["data"]),
        ("export", "from unmask.nets import Parallel", []),
        ("cli", "def f():\n    from unmask.train import run", []),
    ],
)
def test_a_trespass_is_noticed(own, source, found):
    assert trespasses(own, source) == found
