"""Loudness: the standard's own numbers, and copies that a listener compares fairly."""

import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from unmask import audio
from unmask.cli import main
from unmask.errors import MissingExtraError, ShapeError, SignalError
from unmask.loudness import equal_gains, integrated_loudness

RATE = 48000


def tone(level_db, seconds=2.0, n_channels=1):
    time = np.arange(round(seconds * RATE)) / RATE
    return np.tile(10 ** (level_db / 20) * np.sin(2 * np.pi * 997 * time), (n_channels, 1))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, ["loudness", *map(str, words)])


def write(path, waveform):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, waveform, RATE, subtype="FLOAT")


def refused(result, *words):
    assert (result.exit_code, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    for word in ("unmask: error: ", *words):
        assert word in line


def test_a_full_scale_sine_is_as_loud_as_the_standard_says():
    """BS.1770: a sine of 997 Hz at full scale in one front channel reads -3.01 LKFS."""
    pytest.importorskip("pyloudnorm")
    assert integrated_loudness(tone(0), RATE) == pytest.approx(-3.01, abs=0.05)
    assert integrated_loudness(tone(-20, n_channels=2), RATE) == pytest.approx(-20, abs=0.05)


def test_pauses_do_not_count():
    pytest.importorskip("pyloudnorm")
    paused = np.concatenate([tone(-20, 6.0), np.zeros((1, 10 * RATE))], axis=1)
    assert integrated_loudness(paused, RATE) == pytest.approx(-23, abs=0.2)


def test_what_has_no_loudness_is_refused():
    pytest.importorskip("pyloudnorm")
    with pytest.raises(SignalError, match="waveform: is silent"):
        integrated_loudness(np.zeros((1, RATE)), RATE)
    with pytest.raises(SignalError, match="a: is silent"):
        integrated_loudness(tone(-80), RATE, name="a")
    with pytest.raises(ShapeError, match="is 399 ms long, expected at least 400 ms"):
        integrated_loudness(tone(0, 0.399), RATE)
    for shape in ((RATE,), (6, RATE), (0, RATE)):
        with pytest.raises(ShapeError, match="expected \\(channel, sample\\) of 1 to 5 channels"):
            integrated_loudness(np.ones(shape), RATE)


def test_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyloudnorm", None)
    with pytest.raises(MissingExtraError, match=r'pip install "unmask\[loudness\]"'):
        integrated_loudness(tone(0), RATE)


@pytest.mark.parametrize("peaks", [(0.1, 0.1, 0.1), (0.1, 0.9, 0.1), (2.0, 0.1, 0.1)])
def test_gains_make_all_equal_and_none_clip(peaks):
    loudness = np.array([-20.0, -33.0, -8.0])
    gains = np.array(equal_gains(loudness, peaks))
    after = loudness + 20 * np.log10(gains)
    np.testing.assert_allclose(after, after[0])
    highest = (gains * peaks).max()
    assert highest <= 1 + 1e-12
    assert gains[0] == 1 or highest == pytest.approx(1)


@pytest.mark.parametrize(("first", "second"), [(-30, -12), (-3, -12)])
def test_copies_are_equally_loud(run, tmp_path, first, second):
    """The second has a peak that would clip when it is turned up to the louder first."""
    pytest.importorskip("pyloudnorm")
    noisy, clean = tone(first, n_channels=2), tone(second, n_channels=2)
    clean[:, 1000] = 0.8
    write(tmp_path / "noisy.wav", noisy)
    write(tmp_path / "out/speech.wav", clean)
    result = run("noisy.wav", "out/speech.wav", "-o", "ab", "--json", "r.json")
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "ab/loudness.json").read_text())
    assert json.loads((tmp_path / "r.json").read_text()) == rows
    copies = [audio.read(tmp_path / "ab" / f"{name}.wav")[0] for name in ("noisy", "speech")]
    levels = [integrated_loudness(copy, RATE) for copy in copies]
    assert levels[1] == pytest.approx(levels[0], abs=0.01)
    for copy, source, row in zip(copies, (noisy, clean), rows, strict=True):
        gain = 10 ** (row["gain_db"] / 20)
        np.testing.assert_allclose(copy, gain * source, rtol=0, atol=2e-7)
        assert np.abs(copy).max() == pytest.approx(row["peak"], abs=1e-6)
    highest = max(row["peak"] for row in rows)
    assert (rows[0]["gain_db"] == 0) == (first == -30)
    assert highest <= 1
    assert highest == pytest.approx(1) or first == -30


def test_bad_input_is_one_line_and_leaves_nothing(run, tmp_path):
    pytest.importorskip("pyloudnorm")
    write(tmp_path / "a.wav", tone(-20))
    write(tmp_path / "b/a.wav", tone(-20))
    write(tmp_path / "stereo.wav", tone(-20, n_channels=2))
    write(tmp_path / "silent.wav", np.zeros((1, RATE)))
    write(tmp_path / "short.wav", tone(-20, 0.3))
    for words, said in (
        (("a.wav", "silent.wav"), "silent.wav: is silent"),
        (("a.wav", "short.wav"), "short.wav: is 300 ms long, expected at least 400 ms"),
        (("a.wav", "stereo.wav"), "files have 1, 2 channels"),
        (("a.wav", "none.wav"), "none.wav: no such file"),
        (("a.wav", "b/a.wav"), "names: a, a, expected file names that differ"),
        (("a.wav", "b/a.wav", "--names", "x,../y"), "expected file names that differ"),
        (("a.wav", "b/a.wav", "--names", "x"), "names: 1 names, expected 2"),
    ):
        refused(run(*words, "-o", "ab"), said)
    refused(run("a.wav", "stereo.wav", "-o", "."), "a.wav: is an input")
    assert not (tmp_path / "ab").exists()
    refused(run("a.wav", "-o", "a.wav/below"), "a.wav/below: cannot be made a folder")


def test_without_its_extra_the_command_says_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyloudnorm", None)
    write(tmp_path / "a.wav", tone(-20))
    refused(
        run("a.wav", "-o", "ab"), "pyloudnorm is not installed", 'pip install "unmask[loudness]"'
    )
    assert not (tmp_path / "ab").exists()


def test_a_loudness_can_be_asked_for_and_what_is_out_of_reach_is_said(tmp_path, rng, monkeypatch):
    monkeypatch.chdir(tmp_path)
    audio.write("a.wav", 0.05 * rng.standard_normal((1, 48000)), 48000, subtype="FLOAT")
    words = ("loudness", "a.wav", "-o", "out", "--target-lufs")
    result = CliRunner().invoke(main, [*words, "-30"])
    assert (result.exit_code, result.stderr) == (0, "")
    waveform, rate = audio.read("out/a.wav")
    assert integrated_loudness(waveform, rate) == pytest.approx(-30, abs=0.01)
    result = CliRunner().invoke(main, [*words, "-1"])
    assert "not -1: louder, a peak would exceed full scale" in result.stderr
    assert np.abs(audio.read("out/a.wav")[0]).max() == pytest.approx(1, abs=1e-5)
    for wrong in ("1", "-80", "nan"):
        result = CliRunner().invoke(main, [*words, wrong])
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert "LUFS, expected -70 to 0, as -16" in result.stderr
