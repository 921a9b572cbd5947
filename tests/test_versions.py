"""The lowest versions that pyproject.toml allows are those that `make test-lowest` runs with."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pins(name):
    """Package -> version of a file of constraints."""
    return dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / name).read_text("utf-8"), re.MULTILINE))


def lowest():
    """Package -> lowest version that the package and its extras for users declare."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].items()
    users = [line for name, lines in extras if name not in {"dev", "test"} for line in lines]
    return dict(line.split(">=") for line in [*project["dependencies"], *users])


def parts(version):
    """Numbers of a version, without zeros at its end."""
    return tuple(map(int, re.sub(r"(\.0)+$", "", version).split(".")))


def test_every_lower_bound_is_run():
    found = {name: parts(version) for name, version in pins("constraints-lowest.txt").items()}
    special = {"pesq"}  # there is one version, and it is compiled
    expected = {name: parts(low) for name, low in lowest().items() if name not in special}
    assert found == expected


def test_every_dependency_has_a_version_that_it_was_tested_with():
    tested = pins("constraints.txt")
    sound_cards = {"sounddevice"}
    assert lowest().keys() - sound_cards <= tested.keys()
