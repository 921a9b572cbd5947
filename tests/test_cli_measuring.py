import json

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
from unmask import audio
from unmask.cli import main


@pytest.fixture
def folder(tmp_path, rng):
    for name in ("speech", "noise"):
        waveform = rng.uniform(-0.4, 0.4, size=(1, 9000)).astype("float32")
        audio.write(tmp_path / "song" / f"{name}.wav", waveform, 16000, subtype="FLOAT")
    return tmp_path / "song"


@pytest.fixture(autouse=True)
def _folders(tmp_path):
    (tmp_path / "song").mkdir()


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_oracle_prints_every_family_and_writes_audio_and_json(folder, tmp_path):
    result = run(
        "oracle", folder, "-m", "irm1", "-m", "hybrid:complex:2000:irm1", "--n-fft", 256, "--hop",
        64, "-o", tmp_path / "out", "--json", tmp_path / "b.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    said = json.loads((tmp_path / "b.json").read_text())
    assert {row["mask"] for row in said["bounds"]} == {
        "mixture",
        "irm1",
        "hybrid:complex:2000:irm1",
    }
    assert said["stft"]["n_fft"] == 256
    assert set(said["w_disjoint_orthogonality"]) == {"speech", "noise"}
    for row in said["bounds"]:
        assert f"{row['sdr']:.2f} ({row['si_sdr']:.2f})" in result.stdout
    waveform, _ = audio.read(tmp_path / "out" / "irm1" / "speech.wav")
    truth, _ = audio.read(folder / "speech.wav")
    score = 10 * np.log10(np.sum(truth**2) / np.sum((truth - waveform) ** 2))
    written = [r["sdr"] for r in said["bounds"] if (r["mask"], r["stem"]) == ("irm1", "speech")]
    assert score == pytest.approx(written[0], abs=1e-3)


def test_oracle_shows_all_families_by_default(folder):
    from unmask import masks

    result = run("oracle", folder, "--n-fft", 128, "--hop", 64)
    assert result.exit_code == 0, result.output
    assert all(f" {name} " in result.stdout for name in (*masks.names(), "multichannel_wiener"))
    order = [
        result.stdout.index(f" {name} ") for name in ("mixture", "irm1", "psm_unit", "complex ")
    ]
    assert order == sorted(order)


def test_gap_prints_cases_and_losses(folder, tmp_path):
    model = tmp_path / "model.onnx"
    onnx_models.constant(model, [[0.5, 0.2]])
    result = run("gap", folder, "-m", model, "--json", tmp_path / "g.json")
    assert result.exit_code == 0, result.output
    said = json.loads((tmp_path / "g.json").read_text())
    whole = {
        (s["stem"], s["case"]): s["sdr"]
        for s in said["scores"]
        if s["high_hz"] - s["low_hz"] == 8000
    }
    assert whole["speech", "family oracle"] > whole["speech", "model"] > -6
    assert "lost to phase" in result.stdout
    assert f"{whole['speech', 'model']:.2f}" in result.stdout
    assert "4000-8000 Hz" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("oracle", "nowhere"), "nowhere: not a folder"),
        (("oracle", "{song}", "-m", "best"), "no mask family named 'best'"),
        (("oracle", "{song}", "--hop", "3000"), "hop: 3000 with n_fft = 2048"),
        (("gap", "{song}", "-m", "nothing"), "no model named 'nothing'"),
        (("oracle", "{song}", "-m", "irm1", "-o", "{song}/noise.wav"), "noise.wav"),
    ],
)
def test_bad_input_is_one_line(arguments, message, folder):
    result = run(*(argument.format(song=folder) for argument in arguments))
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("unmask: error: ")


def test_masks_lists_the_registry(tmp_path):
    from unmask.masks import names

    result = run("masks", "--json", tmp_path / "m.json")
    assert result.exit_code == 0, result.output
    said = json.loads((tmp_path / "m.json").read_text())
    assert [row["name"] for row in said] == names()
    assert all(f" {name} " in result.stdout for name in names())
