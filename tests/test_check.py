"""`unmask check`: the identity passes, each fault is found by its own check, our models pass."""

import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
from unmask import audio, check
from unmask.check import CHECKS, CallableSeparator, CommandSeparator, ModelSeparator
from unmask.cli import main
from unmask.engine.model import bundled
from unmask.errors import ConfigError

#: Those that need what is inside of a model.
INSIDE = {"cut", "chunk", "batch", "threads"}


def results(separator, only=(), **options):
    return {row.check: row for row in check.check(separator, seconds=0.5, only=only, **options)}


def of(function):
    return CallableSeparator(function, name="test", sample_rate=8000)


def test_the_identity_passes_everything():
    rows = results(of(check.identity))
    assert rows.keys() == CHECKS.keys()
    for name, row in rows.items():
        assert row.result == ("does not apply" if name in INSIDE else "pass"), row


def test_a_single_channel_leaves_out_what_needs_two():
    rows = results(of(check.identity), n_channels=1)
    left_out = {name for name, row in rows.items() if row.result == "does not apply"}
    assert left_out == INSIDE | {"twins", "mono", "swap"}


class Counting:
    """A separator that is louder every time."""

    gain = 1.0

    def __call__(self, mixture, sample_rate):
        self.gain *= 1.01
        return self.gain * mixture


def offset(mixture, sample_rate):
    return mixture + 0.01


def one_short(mixture, sample_rate):
    return mixture[:, 1:]


def rounded(mixture, sample_rate):
    return mixture[:, : mixture.shape[1] // 4 * 4]


def mono(mixture, sample_rate):
    return mixture.mean(axis=0, keepdims=True)


def left(mixture, sample_rate):
    return mixture * np.linspace(1, 0.5, len(mixture))[:, None]


def clipped(mixture, sample_rate):
    return np.clip(mixture, -0.1, 0.1)


def upwards(mixture, sample_rate):
    return np.maximum(mixture, 0)


def fading(mixture, sample_rate):
    return mixture * np.linspace(1, 0, mixture.shape[1])


def smooth(mixture, sample_rate):
    before = np.pad(mixture, [(0, 0), (2, 0)])
    return (before[:, :-2] + before[:, 1:-1] + before[:, 2:]) / 3


def broken(mixture, sample_rate):
    return np.full_like(mixture, np.nan)


def half(mixture, sample_rate):
    return {"a": 0.5 * mixture, "b": 0.4 * mixture}


FAULTS = {
    "determinism": (Counting(), "fail"),
    "silence": (offset, "fail"),
    "length": (rounded, "fail"),
    "sum": (half, "differs"),
    "twins": (left, "differs"),
    "swap": (left, "differs"),
    "mono": (lambda x, rate: x / len(x), "differs"),
    "level": (clipped, "differs"),
    "polarity": (upwards, "differs"),
    "delay": (fading, "differs"),
    "rate": (smooth, "differs"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name):
    function, result = FAULTS[name]
    row = results(of(function), only=[name])[name]
    assert row.result == result
    assert row.value > row.bound


@pytest.mark.parametrize(
    ("function", "value"), [(one_short, 1), (mono, 1), (rounded, 3), (check.identity, 0)]
)
def test_missing_samples_and_channels_are_counted(function, value):
    assert results(of(function), only=["length"])["length"].value == value


def test_what_is_not_finite_fails_in_words():
    row = results(of(broken), only=["determinism"])["determinism"]
    assert row.result == "fail"
    assert "NaN or infinity" in row.said


def test_a_known_difference_has_its_decibels():
    row = results(of(half), only=["sum"])["sum"]
    assert row.value == pytest.approx(-20, abs=0.01)  # a tenth is missing


@pytest.mark.parametrize("name", bundled())
def test_bundled_models_pass_what_is_required(name):
    only = [one.name for one in CHECKS.values() if one.is_required or one.name in {"sum", "twins"}]
    rows = results(ModelSeparator(name), only=only)
    assert check.is_passed(rows.values()), [row for row in rows.values() if row.result == "fail"]


@pytest.mark.parametrize("name", sorted(INSIDE))
def test_what_is_inside_a_model_is_turned(tmp_path, name):
    models = {
        "memory": onnx_models.recurrent(tmp_path / "a.onnx", n_parts=2),
        "context": onnx_models.hourglass(tmp_path / "b.onnx", n_parts=2),
        "learned": onnx_models.decoded(tmp_path / "c.onnx"),
    }
    for path in models.values():
        row = results(ModelSeparator(path), only=[name])[name]
        assert row.result == "pass", (path, row)


def test_a_program_is_run_on_files():
    copy = "import shutil, sys; shutil.copy(*sys.argv[1:])"
    command = f'"{sys.executable}" -c "{copy}" {{input}} {{output}}.wav'
    separator = CommandSeparator(command, sample_rate=8000)
    rows = results(separator, only=["length", "determinism", "container"])
    assert {row.result for row in rows.values()} == {"pass"}


def test_rounding_of_files_is_no_difference():
    code = (
        "import sys; from unmask import audio; x, rate = audio.read(sys.argv[1]); "
        "audio.write(sys.argv[2], 0.3 * x, rate, subtype='PCM_16')"
    )
    command = f'"{sys.executable}" -c "{code}" {{input}} {{output}}.wav'
    row = results(CommandSeparator(command, sample_rate=8000), only=["level"])["level"]
    assert row.bound == -60
    row = results(CommandSeparator(command, sample_rate=8000), only=["determinism"])["determinism"]
    assert row.bound == pytest.approx(20 * np.log10(2.0**-14))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("false {input} {output}", "ended with code 1"),
        ("no-such-program {input} {output}", "cannot be run"),
        ("true {input} {output}", "wrote no sound file"),
    ],
)
def test_programs_that_fail_are_rows(command, words):
    row = results(CommandSeparator(command), only=["silence"])["silence"]
    assert row.result == "fail"
    assert words in row.said


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CommandSeparator("cp {input}"), r"expected \{input\} and \{output\}"),
        (lambda: CommandSeparator("cp '{input} {output}"), "check the quotes"),
        (lambda: CallableSeparator.find("unmask.check:nothing"), "cannot be imported"),
        (lambda: CallableSeparator.find("unmask.check:CHECKS"), "is no callable"),
        (lambda: check.check(of(check.identity), only=["sums"]), "there is no sums"),
        (lambda: check.check(of(check.identity), seconds=0.1), "at least 0.5 s"),
    ],
)
def test_what_cannot_be_checked_is_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_the_command_line_says_what_failed(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def f(x, rate):\n    return x[:, 1:]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    audio.write("x.wav", check.recording(8000, 8000), 8000)
    words = ["check", "mine:f", "--input", "x.wav", "--only", "length,silence", "--json", "c.json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "FAIL" in result.stdout
    said = json.loads((tmp_path / "c.json").read_text())
    assert not said["passed"]
    assert [row["result"] for row in said["checks"]] == ["fail", "pass"]
    passed = CliRunner().invoke(main, ["check", "unmask.check:identity", "--rate", "8000"])
    assert passed.exit_code == 0
    assert CliRunner().invoke(main, ["check"]).exit_code == 1
