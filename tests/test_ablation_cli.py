"""``unmask ablate`` from the outside: what it prints and writes, and what it refuses."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from unmask.cli import main

MUSIC = Path(__file__).parents[1] / "assets" / "music"
SMALL = ["--duration", "1", "--mono", "--sample-rate", "8000", "--stfts", "254:64", "-j", "1", "-q"]


def run(*words):
    return CliRunner().invoke(main, ["ablate", *map(str, words)])


def test_an_ablation_prints_its_tables_and_writes_three_files(tmp_path):
    out = tmp_path / "out"
    done = run(MUSIC, *SMALL, "--start", "2", "-o", out, "--json", tmp_path / "all.json")
    assert done.exit_code == 0, done.output
    for words in ("one bin in 2 kept", "one bin in 4 kept", "holds", "all bins", "half-bin"):
        assert words in done.output
    assert sorted(path.name for path in out.iterdir()) == [
        *("ablation.csv", "ablation.html", "ablation.md", "cache")
    ]
    said = json.loads((tmp_path / "all.json").read_text("utf-8"))
    with (out / "ablation.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * len(said["cells"])
    assert {row["stem"] for row in rows} == {"bass", "drums", "other", "vocals"}
    assert {one["holds"] for one in said["statements"]} <= {True, False}
    again = run(MUSIC, *SMALL, "--start", "2", "-o", out, "--decimations", "2,8")
    assert "76 of 148 combinations were computed before" in again.output


def test_axes_choose_what_is_measured(tmp_path):
    done = run(
        *(MUSIC / "vocals.flac", *SMALL, "--start", "2", "-o", tmp_path / "out"),
        *("--families", "complex", "--bounds", "none, tanh", "--decimations", "2"),
        *("--alignments", "half-bin", "--upsampled", "mask", "--json", "-"),
    )
    said = json.loads(done.output[done.output.index("{") : done.output.rindex("}") + 1])
    cells = [cell for cell in said["cells"] if cell["decimation"] == 2]
    assert len(cells) == 2 * 2 * 3  # bounds, spaces, interpolations
    assert {cell["alignment"] for cell in cells} == {"half_bin"}
    assert {cell["bound"] for cell in cells} == {"none", "tanh:0.1"}
    assert "vocals, vocals later" in said["recording"]
    assert "not measured" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere"),
        ([MUSIC, "--families", "irm"], "no mask family named 'irm'"),
        ([MUSIC, "--decimations", "two"], "'two' is no whole number"),
        ([MUSIC, "--stfts", "2048:x"], "'2048:x' should be N:HOP"),
        ([MUSIC, "--stfts", "512:512"], "cannot be inverted"),
        ([MUSIC, "--start", "100"], "expected a stretch"),
        ([MUSIC, "--target", "flute"], "no source 'flute'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(words, message, tmp_path):
    out = tmp_path / "out"
    done = run(*words, "-q", "-o", out)
    assert done.exit_code != 0
    assert message in done.output
    assert not out.exists()


def test_several_processes_find_what_one_finds(tmp_path):
    words = [MUSIC, *SMALL, "--start", "2", "--decimations", "2", "--families", "complex"]
    words += ["--bounds", "none,1", "--upsampled", "mask"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(*words, "-o", one).exit_code == 0
    assert run(*words, "-o", two, "-j", "2").exit_code == 0
    assert (one / "ablation.csv").read_bytes() == (two / "ablation.csv").read_bytes()
