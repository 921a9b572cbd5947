"""The additions of docs/extending.md apply to the sources as they are, and work."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unmask import audio

ROOT = Path(__file__).parents[1]
DIFFS = re.findall(
    r"^```diff\n(.*?)^```$", (ROOT / "docs/extending.md").read_text("utf-8"), re.M | re.S
)
RECIPE = """
name = "extended"
frontend = { kind = "stft", n_fft = 512, hop = 256, window = "sqrt_hann" }
backbone = { kind = "frame_gru", hidden = 32 }
head = { mask = "irm_floor", depth = 3 }
loss = { kind = "si_sdr" }
data = { kind = "pairs", seconds = 1.0 }
train = { steps = 40, batch = 2, learning_rate = 1e-2, valid_every = 40, workers = 0 }
"""
COMMANDS = """
import sys
from click.testing import CliRunner
from unmask import cli
assert cli.__file__.startswith(sys.argv[1]), cli.__file__
for line in sys.stdin:
    done = CliRunner().invoke(cli.main, line.split())
    assert done.exit_code == 0, f"{line}{done.output}{done.exception!r}"
"""

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


def apply(folder, diff, *options):
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    return subprocess.run(
        ["git", "apply", *options],
        input=diff,
        text=True,
        cwd=folder,
        env=environment,
        capture_output=True,
    )


@pytest.fixture
def sources(tmp_path):
    """A copy of the sources."""
    kept_out = shutil.ignore_patterns("*.onnx", "__pycache__")
    shutil.copytree(ROOT / "src", tmp_path / "clone" / "src", ignore=kept_out)
    return tmp_path / "clone"


def test_there_is_a_network_a_mask_a_metric_data_and_a_head():
    heads = [re.search(r"^\+\+\+ b/src/unmask/(\w+)/", diff, re.M)[1] for diff in DIFFS]
    assert heads == ["nets", "masks", "evaluate", "data", "nets"]


def test_each_addition_applies_by_itself_and_a_broken_one_does_not(sources):
    for diff in DIFFS:
        assert apply(sources, diff, "--check").stderr == ""
    assert apply(sources, DIFFS[0].replace(" from unmask", " from unmasked"), "--check").returncode


def test_together_they_train_export_separate_and_score(sources, tmp_path, rng):
    pytest.importorskip("torch")
    for diff in DIFFS:
        assert apply(sources, diff).stderr == ""
    times = np.arange(16000) / 16000
    for k in range(4):
        clean = 0.1 * np.sin(2 * np.pi * (300 + 200 * k) * times)[None]
        noisy = clean + 0.05 * rng.standard_normal(clean.shape)
        for folder, sound in (("clean", clean), ("noisy", noisy)):
            (tmp_path / folder).mkdir(exist_ok=True)
            audio.write(tmp_path / folder / f"{k}.wav", sound, 16000)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    commands = """train recipe.toml --data . -o run
        export run model.onnx
        denoise noisy/3.wav -m model.onnx -o ours/track/speech.wav
        evaluate ours true --metric lsd --json scores.json
    """
    (tmp_path / "ours" / "track").mkdir(parents=True)
    (tmp_path / "true" / "track").mkdir(parents=True)
    shutil.copy(tmp_path / "clean" / "3.wav", tmp_path / "true" / "track" / "speech.wav")
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, str(sources)],
        input="".join(line.strip() + "\n" for line in commands.strip().splitlines()),
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(sources / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "scores.json").read_text())
    training = json.loads((tmp_path / "run" / "run.json").read_text())
    assert training["data"]["train"] == {"pairs": 3}
    ours, noisy = (audio.read(tmp_path / f)[0] for f in ("ours/track/speech.wav", "noisy/3.wav"))
    assert 0.05 < np.std(ours) / np.std(noisy) < 0.99  # between the floor of the mask and one
