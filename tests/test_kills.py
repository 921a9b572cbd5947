"""Killed at any moment, no command leaves half a file under its name, and the next run sweeps."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import onnx_models
from unmask import audio
from unmask.files import sha256
from unmask.listen import design

RATE = 16000
RECIPE = """
name = "tiny"
frontend = {n_fft = 128, hop = 64}
backbone = {kind = "crn", channels = [8, 12], hidden = 16, layers = 1}
train = {steps = 6, batch = 2, valid_every = 2, log = []}
[data]
sample_rate = 16000
seconds = 0.5
valid_examples = 2
recordings = [{role = "speech", glob = "true/*/speech.wav", valid_share = 0.5},
              {role = "noise", glob = "true/*/noise.wav", valid_share = 0.5}]
"""
COMMANDS = {
    "separate": ["separate", "-m", "m.onnx", "mixtures", "-o", "OUT", "-q"],
    "denoise": ["denoise", "-m", "denoise-48k-tiny", "mixtures", "-o", "OUT", "-j", "2", "-q"],
    "evaluate": ["evaluate", "mine", "true", "-o", "OUT", "-j", "2", "-q"],
    "listen": ["listen", "make", "mine", "theirs", "--targets", "true", "-o", "OUT"],
    "train": ["train", "recipe.toml", "--data", ".", "-o", "OUT"],
}
NEEDS = {"listen": "pyloudnorm", "train": "lightning_fabric"}
#: What is not the same twice: times, tokens and names that are drawn.
DRAWN = {"listen", "train"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all that the commands are given."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    for track in "abcd":
        stems = {name: 0.1 * rng.standard_normal((1, 3 * RATE)) for name in ("speech", "noise")}
        made = {f"true/{track}/{name}": x for name, x in stems.items()}
        made |= {f"mine/{track}/{name}": 0.9 * x for name, x in stems.items()}
        made |= {f"theirs/{track}/{name}": np.roll(x, 9) for name, x in stems.items()}
        made[f"mixtures/{track}"] = sum(stems.values())
        for name, samples in made.items():
            path = folder / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            audio.write(path, samples, RATE)
    onnx_models.constant(folder / "m.onnx", [[0.5, 0.1]])
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def started(name, place, out, *more):
    words = [out if word == "OUT" else word for word in COMMANDS[name]]
    command = [sys.executable, "-m", "unmask", *words, *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=place, start_new_session=True, **pipes)


def finished(process):
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()


def files(folder):
    """Files under final names: path in the folder -> path."""
    hidden = [p for p in folder.rglob(".unmask-*") if p.is_dir()]
    found = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".unmask-"))
    whole = (p for p in found if not any(top in p.parents for top in hidden))
    return {p.relative_to(folder).as_posix(): p for p in whole}


def check_whole(name, found, reference):
    """Every file is as the run that nobody killed writes it."""
    for relative, path in found.items():
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix in (".wav", ".flac"):
            audio.read(path)
        elif path.suffix == ".safetensors":
            pytest.importorskip("torch")
            from unmask import checkpoint

            checkpoint.load(path)
        if name not in DRAWN and path.suffix == ".wav":
            assert sha256(path) == sha256(reference[relative])


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_moment_nothing_half_has_a_name(name, place, tmp_path):
    pytest.importorskip(NEEDS.get(name, "unmask"))
    start = time.monotonic()
    finished(started(name, place, tmp_path / "whole"))
    usual_s = time.monotonic() - start
    reference = files(tmp_path / "whole")
    assert reference
    rng = random.Random(name)
    for k in range(2):
        out = tmp_path / f"killed {k}"
        process = started(name, place, out)
        # The second half: before it, most of the time, Python loads.
        time.sleep(usual_s * rng.uniform(0.5, 0.95))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        check_whole(name, files(out), reference)
        if name == "listen" and out.exists():  # killed at its end; a test is never replaced
            design.read(out)
            continue
        more = ["--resume"] if name == "train" and any(files(out)) else []
        finished(started(name, place, out, *more))
        again = files(out)
        check_whole(name, again, reference)
        assert not [*out.rglob(".unmask-*")]
        assert not [*tmp_path.glob(".unmask-*")]
        # Names of a test's clips are drawn, those in a cache say where files are and from when.
        named = {path for path in reference if name != "listen" and not path.startswith("cache/")}
        assert again.keys() >= named
        assert len(again) >= len(reference)
