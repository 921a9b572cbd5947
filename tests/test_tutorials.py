"""The tutorials run as they stand there, and print and draw what they say."""

import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("[0-9]*.md"))


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("tutorials", ROOT / "tools" / "tutorials.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_one_for_each_document():
    assert [page.name[0] for page in PAGES] == list("12345")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_prints_and_draws_what_it_says(tool, page):
    if "unmask[train" in page.read_text("utf-8"):
        torch = pytest.importorskip("torch")
        pytest.importorskip("lightning_fabric")
        torch.set_num_threads(1)
    assert not tool.check(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_tutorial_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / link).is_file(), link


@pytest.fixture
def page(tmp_path):
    """A page whose output, number in the text and figure are right."""
    (tmp_path / "figures").mkdir()
    path = tmp_path / "p.md"
    path.write_text(
        "It is 1.50 dB.\n\n```python\nx = 1.5\nprint(f'{x:.2f} dB')\n```\n\n"
        "```output\n1.50 dB\n```\n\n"
        "```console\n$ unmask --version > v.txt\n```\n\n![none](figures/f.png)\n\n"
        "```python\nfrom matplotlib.figure import Figure\nFigure((1, 1)).savefig('f.png')\n```\n"
    )
    return path


@pytest.fixture
def checked(tool, page, monkeypatch):
    """Check the page after a change; its figure is kept as it was made."""
    monkeypatch.setattr(tool, "PAGES", page.parent)
    tool.check(page, write=True)

    def checked(*change):
        page.write_text(page.read_text().replace(*change))
        return tool.check(page)

    return checked


def test_a_page_that_is_right_has_no_differences(checked):
    assert checked("", "") == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (("x = 1.5\n", "x = 1.6\n"), "expected 1.5, found 1.6"),
        (("'{x:.2f} dB'", "'{x:.2f} db'"), "expected\n1.50 dB"),
        (("It is 1.50", "It is 1.57"), "says 1.57, which nothing printed"),
        (("(1, 1)", "(1, 2)"), "f.png: is not what the code makes"),
        (("savefig('f.png')", "savefig('g.png')"), "f.png: is not made by the code"),
        (("```output\n1.50 dB\n```\n", ""), "has no output block for"),
    ],
)
def test_what_is_wrong_on_a_page_is_found(checked, change, difference):
    found, *_ = checked(*change)
    assert difference in found


def test_small_differences_and_rounding_noise_do_not_count(tool):
    assert tool.compare("a  1.50 ─── 139.75\n", "a 1.52  ─── 151.2\n", 0.03) == []
    assert tool.compare("3 files", "4 files", 0.03)


def test_writing_puts_outputs_in_their_places(tool, page, monkeypatch):
    monkeypatch.setattr(tool, "PAGES", page.parent)
    page.write_text(
        page.read_text().replace("x = 1.5\n", "x = 2.5\n").replace("is 1.50", "is 2.50")
    )
    tool.check(page, write=True)
    assert "```output\n2.50 dB\n```" in page.read_text()
    assert tool.check(page) == []
