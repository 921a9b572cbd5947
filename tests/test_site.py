"""The documentation site is built strictly and without a network, and asks no other host."""

import doctest
import functools
import http.server
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

import unmask
from browser import CHROMIUM, Browser
from test_telemetry import can_unshare
from unmask.cli import main
from unmask.engine.model import bundled

pytest.importorskip("material", reason="no MkDocs Material here")

ROOT = Path(__file__).parents[1]
#: Attributes whose value a browser fetches without being asked.
FETCHED = {"src", "srcset", "poster", "data"}


class References(HTMLParser):
    """What a page fetches by itself, and its policy."""

    def __init__(self, page):
        super().__init__()
        self.fetched, self.policy = [], ""
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.fetched += [found[name] for name in FETCHED & found.keys() if found[name]]
        if tag == "link":
            self.fetched.append(found["href"])
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with the warnings of MkDocs as errors."""
    folder = tmp_path_factory.mktemp("site") / "out"
    nowhere = ["unshare", "-n"] if can_unshare() else []
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    done = subprocess.run(
        [*nowhere, *command],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """Page -> what it refers to."""
    return {path: References(path) for path in site.rglob("*.html")}


def commands(group, path=""):
    """Names of all commands, as `models list`."""
    for name, command in group.commands.items():
        yield f"{path}{name}"
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


def test_all_that_a_page_fetches_lies_beside_it(pages):
    assert len(pages) > 60
    missing = []
    for path, found in pages.items():
        for reference in found.fetched:
            parts = urlsplit(reference)
            if parts.scheme == "data":
                continue
            there = (path.parent / unquote(parts.path)).resolve()
            # The page for what is not found is served anywhere, so it says places from the root.
            if parts.netloc or not (there.exists() or path.name == "404.html"):
                missing.append(f"{path.name}: {reference}")
    assert missing == []


def test_the_policy_of_every_page_names_no_host(pages):
    assert {found.policy.split(";")[0] for found in pages.values()} == {"default-src 'none'"}
    assert [
        found.policy for found in pages.values() if re.search(r"https?:|\*", found.policy)
    ] == []


def test_styles_fetch_nothing_from_elsewhere(site):
    sheets = [path.read_text("utf-8") for path in site.rglob("*.css")]
    assert sheets
    assert [re.findall(r"url\([\"']?(?:https?:)?//[^)]*", sheet) for sheet in sheets] == [[]] * len(
        sheets
    )


def test_every_command_and_its_options_are_there(site):
    for name, command in main.commands.items():
        page = (site / "cli" / f"{name}.html").read_text("utf-8")
        below = commands(command) if isinstance(command, click.Group) else ()
        for path in [name, *(f"{name} {inner}" for inner in below)]:
            assert f">unmask {path}<a" in page, path
        options = [option for option in command.params if isinstance(option, click.Option)]
        assert [option.name for option in options if option.opts[-1] not in page] == []


def is_made(found):
    return inspect.isfunction(found) or inspect.isclass(found)


def test_every_public_name_is_there(site):
    text = "".join(path.read_text("utf-8") for path in (site / "api").glob("*.html"))
    shown = set(re.findall(r'id="unmask\.([\w.]+)"', text))
    lacking = []
    for name in unmask.__all__:
        found = getattr(unmask, name)
        if inspect.ismodule(found):  # types and constants may be untold
            inner = [(x, getattr(found, x)) for x in getattr(found, "__all__", [])]
            lacking += [
                f"{name}.{x}"
                for x, y in inner
                if is_made(y) and not {f"{name}.{x}", f"{name}.{x}.{x}"} & shown
            ]
        elif callable(found):
            lacking += [name] if not any(x.endswith(f".{name}") for x in shown) else []
    assert lacking == []
    assert len(shown) > 300


def test_every_bundled_model_has_a_card(site):
    page = (site / "cards.html").read_text("utf-8")
    assert [name for name in bundled() if f'id="{name}"' not in page] == []


def test_every_page_of_the_folder_is_reached_from_the_first(site):
    first = (site / "index.html").read_text("utf-8")
    for path in (ROOT / "docs").rglob("*.md"):
        place = path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert f'href="{place}"' in first or place == "index.html", place


def test_links_of_the_repository_are_those_of_the_site():
    place = ROOT / "tools" / "site" / "repository.py"
    spec = importlib.util.spec_from_file_location("repository", place)
    repository = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(repository)
    assert doctest.testmod(repository) == (0, 2)
    text = "[a](../README.md#use-it) [b](masks.md) [c](https://x.org) [d](../recipes/unet.toml)"
    assert repository.relinked(text, "docs/music.md") == (
        "[a](overview.md#use-it) [b](masks.md) [c](https://x.org) [d](recipes/unet.toml.md)"
    )
    assert (
        repository.relinked("```\n[a](../README.md)\n```\n", "docs/music.md").count("README") == 1
    )
    assert repository.relinked("[a](docs/masks.md)", "README.md") == "[a](masks.md)"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_tracks_of_the_first_page_switch_while_they_play(site, tmp_path):
    serve = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = Browser(tmp_path)
        tab = browser.tab(browser.visitor(), f"http://127.0.0.1:{server.server_port}/")
        live = "document.querySelectorAll('.demo.live').length == 2"
        tab.until(live, patience_s=300)  # of a theme that takes a busy machine minutes to start
        tab.click(".demo-bar button")
        at = "parseFloat(document.querySelector('.demo figure').style.getPropertyValue('--at'))"
        tab.until(f"{at} > 0.01")
        before = tab.run(at)
        tab.click(".demo-bar button:nth-child(3)")
        shown = "[...document.querySelectorAll('.demo')][0].querySelector('figure:not([hidden])')"
        assert tab.run(f"{shown}.dataset.label") == "Speech"
        tab.until(f"{at} > {before}")
        assert tab.run("document.querySelector('.demo-bar button').textContent") == "Pause"
        assert browser.complaints == []
        browser.close()
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""
