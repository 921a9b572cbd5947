"""What pages of the documentation list is all there is, and what they point to is there."""

import ast
import re
from pathlib import Path

import pytest

from unmask import __version__, masks
from unmask.evaluate.scoring import METRICS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FAQ = (DOCS / "faq.md").read_text("utf-8")
PROOFS = re.findall(r"`(tests/\w+\.py)::(\w+)`", FAQ)


def rows(page):
    """Cells of the rows of all tables of a page; a bar within a cell is escaped."""
    lines = (DOCS / page).read_text("utf-8").splitlines()
    split = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in lines if line[:2] == "| "]
    return [[cell.strip() for cell in cells] for cells in split]


def names(page):
    """Names in the first cells of a page: `name` -> the other cells."""
    return {name: cells[1:] for cells in rows(page) for name in re.findall(r"`(.+?)`", cells[0])}


def test_there_are_twenty_wishes_each_with_a_test():
    wishes = re.split(r"^### ", FAQ, flags=re.M)[1:]
    assert [wish.split(".")[0] for wish in wishes] == [str(k) for k in range(1, 21)]
    assert [wish.splitlines()[0] for wish in wishes if "`tests/test_" not in wish] == []


@pytest.mark.parametrize(("file", "name"), PROOFS, ids=lambda x: x.removeprefix("tests/"))
def test_the_test_that_proves_a_wish_is_there(file, name):
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_family_has_its_formula_its_source_and_its_use():
    table = names("masks.md")
    assert [name for name in masks.names() if len(table.get(name, [])) != 4] == []
    assert [cells for cells in table.values() if not all(cells)] == []


@pytest.mark.parametrize("name", masks.names())
def test_the_source_of_a_family_is_that_of_the_registry(name):
    assert masks.get(name).paper in names("masks.md")[name][-1].replace("\\|", "|")


def test_every_metric_has_its_formula_its_source_and_its_use():
    table = names("method.md")
    assert [name for name in METRICS if not all(table.get(name, [""]))] == []
    columns = {column for metric in METRICS.values() for column in metric.columns}
    page = (DOCS / "method.md").read_text("utf-8")
    usual = {"SI-SDR", "SI-SIR", "SI-SAR", "log-WMSE", "STFT distance", "PESQ", "PESQ-NB"}
    assert {column for column in columns - usual - {"STOI", "ESTOI"} if column not in page} == set()


def test_every_loss_has_its_formula_its_source_and_its_use():
    losses = pytest.importorskip("unmask.losses")
    table = names("method.md")
    known = [*losses.NAMES, *losses.MASK_LOSSES]
    assert [name for name in known if not all(table.get(name, [""]))] == []


def test_every_recipe_has_a_row():
    listed = [cell for cells in rows("recipes.md") for cell in cells if "../recipes/" in cell]
    found = re.findall(r"\[([\w-]+)\]\(\.\./recipes/([\w-]+)\.toml\)", "".join(listed))
    assert [name for name, file in found if name != file] == []
    assert sorted(name for name, _ in found) == sorted(
        path.stem for path in (ROOT / "recipes").glob("*.toml")
    )


@pytest.mark.parametrize(
    ("number", "page"),
    re.findall(r"\| ([+-]?\d+\.\d+), \[.+?\]\((.+?)\)", (DOCS / "recipes.md").read_text("utf-8")),
)
def test_what_a_recipe_gave_stands_on_the_page_that_it_names(number, page):
    assert number in (DOCS / page).resolve().read_text("utf-8")


def test_the_words_of_the_glossary_are_in_order():
    words = [cells[0].lower() for cells in rows("glossary.md")][1:]
    assert words == sorted(words)
    assert len(words) > 40


def test_the_version_is_that_of_changelog_and_citation():
    log = (ROOT / "CHANGELOG.md").read_text("utf-8")
    top = re.search(r"^## (\S+) \((unreleased|\d{4}-\d\d-\d\d)\)$", log, re.M)
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    assert (top[1], cited[1]) == (__version__, __version__)


def test_hooks_before_a_commit_are_those_of_the_environment():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert re.findall(r"repo: (\S+)", hooks) == ["local"]
    assert re.findall(r"language: (\S+)", hooks) == ["system"] * hooks.count("- id:")
