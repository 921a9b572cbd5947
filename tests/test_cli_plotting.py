import json

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
from unmask import audio
from unmask.cli import main

pytest.importorskip("matplotlib")

RATE = 16000


@pytest.fixture
def folder(tmp_path, rng):
    (tmp_path / "song").mkdir()
    for name in ("Speech", "noise", "hum"):
        waveform = rng.uniform(-0.4, 0.4, size=(2, RATE)).astype("float32")
        audio.write(tmp_path / "song" / f"{name}.wav", waveform, RATE, subtype="FLOAT")
    return tmp_path / "song"


def run(*arguments):
    return CliRunner().invoke(main, ["plot", "masks", *(str(argument) for argument in arguments)])


@pytest.fixture
def model(tmp_path):
    return onnx_models.constant(tmp_path / "model.onnx", [[0.0, 0.5]])


def whole(source):
    return next(place for place in source["places"] if place["kind"] == "whole")


def test_a_family_is_drawn_printed_and_written(folder, tmp_path):
    out = tmp_path / "figure.png"
    options = ("--n-fft", 512, "--start", 0.2, "--duration", 0.5, "--scale", "mel")
    result = run("psm", folder, "-o", out, *options, "--json", tmp_path / "m.json")
    assert result.exit_code == 0, result.output
    assert out.read_bytes().startswith(b"\x89PNG")
    assert result.stdout.endswith(f"{out}\n")
    said = json.loads((tmp_path / "m.json").read_text())
    assert said["stft"] == {"n_fft": 512, "hop": 128, "window": "hann"}
    assert said["start_s"] == pytest.approx(0.2)
    assert said["n_frames"] == 62
    (masks,) = said["masks"]
    assert masks["name"] == "oracle of psm"
    assert [source["source"] for source in masks["sources"]] == ["hum", "noise", "speech"]
    for source in masks["sources"]:
        one = whole(source)
        assert 0.1 < one["rotated_bins"] < 0.5
        assert one["mean_deg"] == pytest.approx(180 * one["rotated_energy"])
        assert (
            f"100.0 %  {one['mean_deg']:5.1f}°  {100 * one['rotated_bins']:5.1f} %" in result.stdout
        )


def test_a_model_stands_beside_its_oracle(folder, tmp_path, model):
    out = tmp_path / "figure.svg"
    result = run(model, folder, "-o", out, "--oracle", "--json", tmp_path / "m.json")
    assert result.exit_code == 0, result.output
    assert "</svg>" in out.read_text()
    said = json.loads((tmp_path / "m.json").read_text())
    assert [masks["name"] for masks in said["masks"]] == ["test", "oracle of complex_tanh"]
    learned = {source["source"]: whole(source) for source in said["masks"][0]["sources"]}
    assert learned["speech"]["mean_deg"] == pytest.approx(90)
    assert learned["noise"]["mean_deg"] == pytest.approx(np.degrees(np.arctan(0.5)))
    assert "hum" not in learned
    best = whole(said["masks"][1]["sources"][0])
    assert 20 < best["mean_deg"] < 80


def test_the_bundled_model_works(folder, tmp_path):
    result = run("denoise-16k", folder, "-o", tmp_path / "f.pdf", "--duration", 0.3)
    assert result.exit_code == 0, result.output
    assert "denoise-16k" in result.stdout


def test_only_some_stems(folder, tmp_path):
    options = ("--stems", "Hum,dialogue", "--channel", 2)
    result = run("irm1", folder, "-o", tmp_path / "f.png", *options, "--json", tmp_path / "m.json")
    assert result.exit_code == 0, result.output
    said = json.loads((tmp_path / "m.json").read_text())
    assert [source["source"] for source in said["masks"][0]["sources"]] == ["hum", "speech"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("complx", "{song}"), "no mask family named 'complx'; there are"),
        (("complx", "{song}"), "as models denoise-16k, denoise-48k-"),
        (("nothing.onnx", "{song}"), "nothing.onnx: no such file"),
        (("irm1", "nowhere"), "nowhere: not a folder"),
        (("irm1", "{song}", "--start", "2"), "which is 1.0 s long"),
        (("irm1", "{song}", "--channel", "3"), "--channel: 3, the stems have 2"),
        (("irm1", "{song}", "--stems", "bass"), "no mask of bass; there are hum, noise, speech"),
        (("irm1", "{song}", "--oracle"), "--oracle: irm1 is an oracle already; give a model"),
        (("irm1", "{song}", "--hop", "3000"), "hop: 3000 with n_fft = 2048"),
        (("irm1", "{song}", "--highest", "0"), "highest_hz: 0.0"),
        (("denoise-16k", "{song}", "--n-fft", "64"), "denoise-16k: has its own STFT"),
        (("irm1", "{song}", "-o", "{song}/nowhere/f.png"), "nowhere/f.png: cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, message, folder, tmp_path):
    out = tmp_path / "figure.png"
    result = run("-o", out, *(argument.format(song=folder) for argument in arguments))
    assert result.exit_code == 1, result.output
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("unmask: error: ")
    assert not out.exists()


def test_a_figure_of_an_unknown_kind_is_refused_before_any_work(tmp_path):
    result = run("irm1", "nowhere", "-o", tmp_path / "figure.gif")
    assert result.exit_code == 2
    assert "should end in one of .pdf .png .svg" in result.stderr


def test_learning_curves_are_drawn_of_run_folders(tmp_path):
    pytest.importorskip("lightning_fabric")
    (tmp_path / "run").mkdir()
    lines = '{"step": 1, "valid": {"loss": 2.0}}\n{"step": 2, "valid": {"loss": 1.0}}\n'
    (tmp_path / "run" / "records.jsonl").write_text(lines)
    out = tmp_path / "learning.svg"
    drawn = CliRunner().invoke(main, ["plot", "learning", str(tmp_path / "run"), "-o", str(out)])
    assert drawn.exit_code == 0, drawn.stderr
    assert out.read_text().startswith("<?xml")
    refused = CliRunner().invoke(main, ["plot", "learning", str(tmp_path), "-o", str(out)])
    assert refused.exit_code == 1
    assert "has no records.jsonl" in refused.stderr
