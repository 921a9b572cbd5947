"""The study of mask heads: all arms are trained once, a stop loses nothing, a table is made."""

import importlib.util
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

ROOT, RATE = Path(__file__).parents[1], 8000
SMALL = (
    *("frontend.n_fft=32", "frontend.hop=16", "backbone.channels=4", "backbone.hidden=6"),
    *(
        "backbone.skip=4",
        "backbone.blocks=2",
        "backbone.segment=129",
        "head.hidden=5",
        "train.steps=2",
    ),
)
DATA = """
[data]
kind = "stems"
sample_rate = 8000
samples = 2048
sources = ["one", "two"]
targets = ["one", "two"]
valid_examples = 3
tracks = [{ glob = "a" }, { glob = "b", valid_share = 1.0 }]
"""


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("deep_masks", ROOT / "bench/deep_masks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path):
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    for song in "ab":
        (tmp_path / song).mkdir()
        for stem in ("one", "two"):
            soundfile.write(tmp_path / song / f"{stem}.wav", 0.1 * rng.standard_normal(RATE), RATE)
    (tmp_path / "on.toml").write_text(DATA)
    return tmp_path


def call(study, *arguments):
    result = CliRunner().invoke(study.main, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


ARMS = ("shallow", "sum-4", "groups-8", "mixit-8", "learned-8", "deep-64")


def test_every_arm_is_trained_once_and_stands_in_the_table(study, folder):
    where = (ROOT / "bench/deep_masks.toml", folder / "out", "--on", folder / "on.toml")
    small = [word for setting in SMALL for word in ("-s", setting)]
    only = [word for arm in ARMS for word in ("--only", arm)]
    call(study, "run", *where, "--data", folder, *only, *small)
    path = folder / "out" / study.RESULTS
    lines = list(map(json.loads, path.read_text().splitlines()))
    assert [(line["seed"], line["arm"]) for line in lines] == [
        (seed, arm) for seed in (0, 1, 2) for arm in ARMS
    ]
    assert all(
        np.isfinite([row["improvement_db"] for row in line["examples"]]).all() for line in lines
    )
    # a line that was lost is scored again, not trained again
    written = path.read_text()
    path.write_text("".join(written.splitlines(keepends=True)[:-1]))
    before = (folder / "out/deep-64-2/last.safetensors").stat().st_mtime_ns
    call(study, "run", *where, "--data", folder, *only, *small)
    again = json.loads(path.read_text().splitlines()[-1])
    for line in (again, lines[-1]):
        line.pop("cpu_seconds_per_second")
    assert again == lines[-1]
    assert (folder / "out/deep-64-2/last.safetensors").stat().st_mtime_ns == before
    rows = call(study, "table", folder / "out").splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [f"| {arm}" for arm in ARMS]


def test_all_arms_are_recipes_and_the_pairs_are_of_equal_size(study, tmp_path):
    (tmp_path / "on.toml").write_text(DATA)
    said = tomllib.loads((ROOT / "bench/deep_masks.toml").read_text())
    sizes = {}
    for arm in said["arms"]:
        made = study.recipe_of(tmp_path / "on.toml", said, arm, 0, ())
        sizes[arm] = sum(parameter.numel() for parameter in made.system().net.parameters())
    assert sizes["shallow"] == pytest.approx(240_000, rel=0.05)
    assert sizes["deep-128"] == pytest.approx(sizes["sum-8"], rel=0.05)
    assert sizes["deep-256"] == pytest.approx(sizes["sum-16"], rel=0.1)


def test_overlap_is_the_share_of_frames_in_which_all_talk(study):
    one, two = np.zeros((2, 1, 8000))
    one[0, :4000], two[0, 2000:6000] = 1, 0.1
    assert study.overlap(np.stack([one, two]), 8000) == pytest.approx(2000 / 6000, abs=0.02)
    assert study.overlap(np.zeros((2, 1, 8000)), 8000) == 0


def test_an_interval_is_around_the_mean(study):
    assert study.interval(np.full((3, 5), 2.0)) == "2.00 [2.00, 2.00]"
    low, high = study.interval(np.random.default_rng(0).standard_normal((3, 200)))[6:-1].split(", ")
    assert float(low.strip("[ ")) < 0 < float(high)
