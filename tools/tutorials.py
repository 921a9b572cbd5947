"""Run the tutorials as a reader would, and compare what comes out, or write it into the pages.

    python tools/tutorials.py                      # all of docs/tutorials: differences, exit code 1
    python tools/tutorials.py --write 1-masks.md   # put outputs and figures in their places

A page is Markdown. Its blocks run in order in one folder, where ``assets`` and ``recipes`` are
those of this repository: ``python`` in one interpreter for the page; ``console``, whose lines that
begin with ``$`` are commands, each in a process of its own. What a ``python`` block prints stands
in the ``output`` block after it, what a command prints below it. Numbers may differ a little
(:data:`TOLERANCE`, or ``<!-- tolerance 0.5 -->`` before the block, which holds for its outputs),
words may not. A figure that the page shows must be made by its code, and look as the one that is
kept. A number with decimals in the text must be one that was printed.
"""

import argparse
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "tutorials"
#: How far a number may be from the printed one.
TOLERANCE = 0.03
#: Decibels above this are what rounding leaves, which no two machines have alike.
ROUNDING_DB = 100.0
#: How far a figure may be from the kept one: mean difference of its pixels, 1 is black to white.
FIGURE_TOLERANCE = 0.02

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SAID_TOLERANCE = re.compile(r"<!-- tolerance ([\d.]+) -->\s*$")
_IMAGE = re.compile(r"!\[[^\]]*\]\(figures/([^)]+)\)")
_NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")
_DECIMAL = re.compile(r"(?<![\w.:/])[-+\u2212]?\d+\.\d+(?![\w.:]|\d)")


@dataclass
class Block:
    """A block of a page: its kind, its text, where that is, and how exact its numbers are."""

    kind: str
    text: str
    span: tuple[int, int]
    tolerance: float = TOLERANCE


def blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    tolerance = TOLERANCE
    for found in _FENCE.finditer(page):
        said = _SAID_TOLERANCE.search(page[: found.start()])
        if said or found[1] != "output":  # that of the code holds for its output
            tolerance = float(said[1]) if said else TOLERANCE
        yield Block(found[1], found[2], found.span(2), tolerance)


def run(page: Path, folder: Path) -> tuple[str, list[str]]:
    """Return a page with its outputs as they are now, and what differs from those it has."""
    text = page.read_text("utf-8")
    names: dict[str, Any] = {"__name__": "__main__"}
    edits: list[tuple[tuple[int, int], str]] = []
    differences, printed = [], ""
    found = list(blocks(text))
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block.kind == "python":
            out = _python(block.text, names, folder, page)
            if after is not None and after.kind == "output":
                edits.append((after.span, out))
                differences += compare(after.text, out, block.tolerance)
            elif out:
                differences.append(f"has no output block for:\n{out}")
        elif block.kind == "console":
            out = _console(block.text, folder)
            edits.append((block.span, out))
            differences += compare(block.text, out, block.tolerance)
        else:
            continue
        printed += out
    for span, out in reversed(edits):
        text = text[: span[0]] + out + text[span[1] :]
    differences += unsaid(text, printed)
    return text, differences


def _python(code: str, names: dict[str, Any], folder: Path, page: Path) -> str:
    out = io.StringIO()
    with chdir(folder), redirect_stdout(out):
        exec(compile(code, f"{page.name}", "exec"), names)
    return out.getvalue()


def _console(text: str, folder: Path) -> str:
    """Return the commands of a block, each with what it prints on standard output."""
    made = ""
    for line in re.findall(r"^\$ .*(?:\\\n.*)*$", text, re.MULTILINE):
        words = shlex.split(line[2:].replace("\\\n", ""))
        into = folder / words.pop() if words[-2:-1] == [">"] else None
        if words[0] != "unmask":
            raise SystemExit(f"{line}: only unmask is run")
        if into is not None:
            words.remove(">")
        done = subprocess.run(
            [sys.executable, "-m", "unmask", *words[1:]],
            cwd=folder, capture_output=True, text=True, check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{line}: exit code {done.returncode}\n{done.stderr}")
        made += f"{line}\n" if into else f"{line}\n{done.stdout}"
        if into is not None:
            into.write_text(done.stdout)
    return made


def compare(expected: str, found: str, tolerance: float) -> list[str]:
    """Return how two outputs differ; white space and small differences of numbers do not count."""
    both = [_NUMBER.sub(" # ", text).split() for text in (expected, found)]
    rules = [[_rule(word) for word in words] for words in both]
    if rules[0] != rules[1]:
        return [f"expected\n{expected}found\n{found}"]
    numbers = zip(
        *([_value(x) for x in _NUMBER.findall(t)] for t in (expected, found)), strict=True
    )
    return [
        f"expected {a:g}, found {b:g} (tolerance {tolerance:g}) in\n{found}"
        for a, b in numbers
        if not (abs(a - b) <= tolerance or (a != round(a) and min(a, b) > ROUNDING_DB))
    ]


def _rule(word: str) -> str:
    """Return a word; rules of tables are as long as their columns are wide."""
    return "─" if set(word) == {"─"} else word


def _value(number: str) -> float:
    return float(number.replace("\u2212", "-"))


def unsaid(page: str, printed: str) -> list[str]:
    """Return the numbers with decimals in the text of a page that nothing has printed.

    Quotations (``>``) and code in a line are left out.
    """
    prose = _FENCE.sub("", page)
    prose = re.sub(r"^>.*$|`[^`]*`|\]\([^)]*\)|<!--.*?-->|arXiv \S+", "", prose, flags=re.MULTILINE)
    known = [_value(x) for x in _NUMBER.findall(printed)]
    wrong = []
    for said in _DECIMAL.findall(prose):
        half = 0.5 * 10 ** -len(said.split(".")[1]) + 1e-9
        if not any(abs(abs(_value(said)) - abs(x)) <= half for x in known):
            wrong.append(f"says {said}, which nothing printed")
    return wrong


def figures(page: str, folder: Path, *, write: bool) -> list[str]:
    """Compare the figures that a page shows with those its code made, or keep these."""
    differences = []
    for name in _IMAGE.findall(page):
        made, kept = folder / name, PAGES / "figures" / name
        if not made.is_file():
            differences.append(f"figures/{name}: is not made by the code of the page")
        elif write:
            kept.parent.mkdir(exist_ok=True)
            shutil.copy(made, kept)
        elif not kept.is_file() or _unlike(made, kept) > FIGURE_TOLERANCE:
            differences.append(f"figures/{name}: is not what the code makes")
    return differences


def _unlike(made: Path, kept: Path) -> float:
    from matplotlib.image import imread

    one, other = imread(made), imread(kept)
    if one.shape != other.shape:
        return 1.0
    return float(abs(one.astype(float) - other).mean())


def prepared(folder: Path) -> Path:
    """Link what pages need into a folder, and return it."""
    for name in ("assets", "recipes"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def check(page: Path, *, write: bool = False) -> list[str]:
    """Run a page; return what differs, or put it into the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = prepared(Path(name))
        text, differences = run(page, folder)
        differences += figures(text, folder, write=write)
        if write:
            page.write_text(text, "utf-8")
    return differences


def main() -> int:
    """Run the pages that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", help="names in docs/tutorials; all by default")
    parser.add_argument("--write", action="store_true", help="put outputs and figures in place")
    options = parser.parse_args()
    names = options.pages or sorted(path.name for path in PAGES.glob("[0-9]*.md"))
    n_wrong = 0
    for name in names:
        began = time.perf_counter()
        differences = check(PAGES / name, write=options.write)
        print(f"{name}: {time.perf_counter() - began:.1f} s, {len(differences)} differences")
        for difference in differences:
            print(difference)
        n_wrong += len(differences) if not options.write else 0
    return bool(n_wrong)


if __name__ == "__main__":
    sys.exit(main())
