"""NOTICE.md names every declared dependency, and where it comes from is where it says."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = {
    name: found
    for name, found in PROJECT["optional-dependencies"].items()
    if name not in {"dev", "test"}
}
#: Copyleft of wheels that users install: whoever adds one says so here and in NOTICE.md.
COPYLEFT = {
    "psycopg-binary": "LGPL-3",
    "soundfile": "LGPL",
    "soxr": "LGPL",
    "av": "GPL",
    "pedalboard": "GPL-3",
    "psycopg": "LGPL-3",
}


def names(requirements):
    """Names of requirements, without versions and unmask's own extras."""
    found = {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}
    return found - {"unmask"}


@pytest.fixture(scope="module")
def notice():
    """The two tables: package -> its row, and (extra, package) -> its row."""
    always, extra = (ROOT / "NOTICE.md").read_text("utf-8").split("## Only with an extra")
    rows = {row.split("|")[1].strip(): row for row in re.findall(r"^\| [\w-]+ \|.*$", always, re.M)}
    pairs = re.findall(r"^\| `([\w-]+)` \| ([\w-]+) \|.*$", extra, re.M)
    whole = re.findall(r"^\| `[\w-]+` \|.*$", extra, re.M)
    return rows, dict(zip(pairs, whole, strict=True))


def test_what_is_always_installed_is_named(notice):
    assert notice[0].keys() - {"package"} == names(PROJECT["dependencies"])


def test_what_an_extra_brings_is_named_with_it(notice):
    expected = {(extra, name) for extra, found in EXTRAS.items() for name in names(found)}
    assert notice[1].keys() == expected


@pytest.mark.parametrize("package", COPYLEFT)
def test_copyleft_is_said(package, notice):
    rows = notice[0] | {name: row for (_, name), row in notice[1].items()}
    assert COPYLEFT[package] in rows[package]


def test_what_is_passed_on_with_the_wheel_has_the_notices():
    assert {"LICENSE", "NOTICE.md"} <= set(PROJECT["license-files"])
