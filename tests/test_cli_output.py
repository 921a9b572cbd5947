"""What all commands print: whole names in tables of any width, JSON alone, pipes that close."""

import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
import unmask
from unmask import audio, evaluate
from unmask.cli import main, show
from unmask.cli.tables import Column, lines
from unmask.engine.model import bundled, load_model
from unmask.files import json_text

pytest.importorskip("matplotlib")
pytest.importorskip("pyloudnorm")

RATE = 16000
LONG = "hybrid:complex_tanh:4000:psm_unit"
#: Every command that has --json, with arguments that make it print all that it can.
COMMANDS = {
    "ablate": ["song", "-o", "ablated", "--stfts", "512:256:hann", "--decimations", "1,2"],
    "check": ["m.onnx", "--seconds", "0.5"],
    "combine": ["song", "song", "--mean", "0.5", "-o", "both", "--reference", "song"],
    "denoise": ["-m", "m.onnx", "song/mixture.wav", "--reference", "song", "--residual"],
    "evaluate": ["mine", "song", "-o", "scored/mine", "--stems", "speech", "-j", "1"],
    "gap": ["-m", "m.onnx", "song"],
    "info": [],
    "listen analyse": ["judgements.csv", "--resamples", "99", "--by", "stem"],
    "loudness": ["song/speech.wav", "song/noise.wav", "-o", "loud"],
    "masks apply": ["kept.npz", "song/mixture.wav", "-o", "applied"],
    "masks inspect": ["kept.npz"],
    "masks list": [],
    "masks save": ["song/mixture.wav", "-m", "m.onnx", "-o", "saved.npz"],
    "models list": [],
    "models show": ["m.onnx"],
    "models verify": ["m.onnx"],
    "oracle": ["song", "-m", LONG, "-m", "irm1", "--n-fft", "512", "--hop", "256"],
    "plot difference": [LONG, "irm1", "song", "--stem", "speech", "-o", "page"],
    "plot masks": [LONG, "song", "-o", "masks.svg", "--n-fft", "512"],
    "plot phase-benefit": ["song", "-o", "benefit.svg", "--n-fft", "512"],
    "report": ["song/mixture.wav", "-m", "m.onnx", "--reference", "song", "-o", "page.html"],
    "scores": [
        "scores/first",
        "scores/a_system_of_a_long_name",
        "--compare",
        "--aggregate",
        "both",
    ],
    "separate": ["-m", "m.onnx", "song/mixture.wav", "--reference", "song", "-o", "apart"],
}
#: Those whose --json is tested where they are: they make something once, or answer people.
ELSEWHERE = {"listen make", "listen export", "models pull"}
WIDTHS = [40, 80, 120]


def everything(group, *path):
    """Every command that can be run, by the words that one types."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from everything(command, *path, name)
        else:
            yield " ".join([*path, name]), command


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all that the commands are given."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    stems = {name: rng.uniform(-0.4, 0.4, (1, RATE)) for name in ("speech", "noise")}
    (folder / "song").mkdir()
    for name, waveform in {**stems, "mixture": sum(stems.values())}.items():
        audio.write(folder / "song" / f"{name}.wav", waveform, RATE, subtype="FLOAT")
    (folder / "mine").mkdir()
    audio.write(folder / "mine/speech.wav", 0.9 * stems["speech"] + 0.1 * stems["noise"], RATE)
    onnx_models.constant(folder / "m.onnx", [[0.5, 0.1]])
    words = ["masks", "save", str(folder / "song/mixture.wav"), "-m", str(folder / "m.onnx")]
    CliRunner().invoke(main, [*words, "-o", str(folder / "kept.npz")])
    tracks = [
        evaluate.Track(
            f"t{k}",
            {"speech": (audio.Place(folder / "mine/speech.wav"),)},
            {n: (audio.Place(p),) for n, (p,) in targets(folder)},
        )
        for k in range(3)
    ]
    for system in ("first", "a_system_of_a_long_name"):
        settings = evaluate.Settings(metrics=("sdr", "si_sdr", "si_sir", "bleed"))
        list(evaluate.evaluate(tracks, out=folder / "scores" / system, settings=settings))
    rows = [
        f"L{who},i{item},s{item % 2},quality,a_system_of_a_long_name,{other},{'ab'[who % 2]}\n"
        for who, item, other in itertools.product(range(3), range(4), ("first", "second"))
    ]
    header = "listener,item,stem,question,system_a,system_b,answer\n"
    (folder / "judgements.csv").write_text(header + "".join(rows))
    return folder


def targets(folder):
    yield from ((name, (folder / "song" / f"{name}.wav",)) for name in ("speech", "noise"))


@pytest.fixture
def run(place, monkeypatch):
    monkeypatch.chdir(place)
    return lambda name, *more: CliRunner().invoke(main, [*name.split(), *COMMANDS[name], *more])


@pytest.fixture(scope="module")
def printed():
    """Name -> what a command printed to a pipe: figures take their time."""
    return {}


def test_every_command_with_json_is_here():
    taking = {
        name
        for name, command in everything(main)
        if any(parameter.name == "json_file" for parameter in command.params)
    }
    assert taking == COMMANDS.keys() | ELSEWHERE


def refuse(word):
    raise ValueError(f"{word} is no JSON")


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_alone_on_standard_output_and_the_rest_is_still_said(run, name):
    plain, alone = run(name), run(name, "--json", "-")
    assert (plain.exit_code, alone.exit_code) == (0, 0), alone.output
    json.loads(alone.stdout, parse_constant=refuse)
    said = [line for line in plain.stdout.splitlines() if line.strip()]
    assert said
    assert set(said) <= set(alone.stderr.splitlines())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", COMMANDS)
def test_no_word_is_cut_in_a_terminal_of_any_width(run, printed, monkeypatch, name, width):
    """Nothing is broken but between words, so the words are the same."""
    if name not in printed:
        printed[name] = run(name).stdout
    words = {word for word in printed[name].split() if set(word) != {"─"}}
    monkeypatch.setattr(show, "_room", lambda _: width)
    narrow = run(name).stdout
    assert {word for word in narrow.split() if set(word) != {"─"}} == words
    # In 40 columns there are lines with no space between two words to break at.
    assert width < 80 or max(map(len, narrow.splitlines())) <= width


CLOSED = """
import contextlib, io, os, sys
from unmask.cli import main
for line in sys.stdin.read().splitlines():
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 1)
    os.close(writing)
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False))
    try:
        main(line.split(), prog_name="unmask")
    except SystemExit as end:
        print("ended", end.code, line, file=sys.stderr)
"""


def test_a_pipe_that_nobody_reads_is_no_error_and_the_work_is_done(place):
    asked = [" ".join([name, *words]) for name, words in COMMANDS.items()]
    asked += ["--help", "denoise --help", "--version", "masks --json -"]
    done = subprocess.run(
        [sys.executable, "-c", CLOSED],
        input="\n".join(asked),
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(Path(unmask.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    ended = [line for line in done.stderr.splitlines() if line.startswith("ended ")]
    assert ended == [f"ended 0 {line}" for line in asked]
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_a_full_disk_behind_standard_output_is_one_line(place):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "unmask", "masks"],
            stdout=full,
            stderr=subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("unmask: error: standard output: cannot be written: No space")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_names_that_are_not_utf8_are_read_and_printed_with_escapes(place, tmp_path):
    (tmp_path / "song").mkdir()
    for path in (place / "song").iterdir():
        (tmp_path / "song" / path.name).write_bytes(path.read_bytes())
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/so\xffng")
    os.rename(tmp_path / "song", odd)
    for words in (["oracle", odd, "-m", "irm1"], ["gap", "-m", str(place / "m.onnx"), odd]):
        result = CliRunner().invoke(main, [*words, "--json", "-"])
        assert result.exit_code == 0, result.output
        assert r"so\udcffng" in result.stderr
        assert os.path.basename(json.loads(result.stdout)["folder"]) == "so\udcffng"


def test_a_table_is_split_into_parts_that_fit_and_all_have_the_keys():
    columns = [Column("name", ["a_rather_long_name", "b"], False, False)]
    columns += [Column(f"metric {k}", ["-12.34", "5.67"], True, False) for k in range(6)]
    for room in (30, 45, 60):
        made = list(lines(columns, room))
        assert max(map(len, made)) <= room
        parts = made.count("") + 1
        assert sum("a_rather_long_name" in line for line in made) == parts > 1
    assert "" not in lines(columns, None)


def test_json_is_strict_and_takes_numbers_of_numpy():
    value = {
        "a": np.float32(1.5),
        "b": np.arange(3),
        "c": [math.inf, -math.inf, np.nan, np.float64("inf")],
        "d": Path("x") / "y",
        "e": np.array([[np.nan, 1.0]]),
        "f": (np.bool_(True), np.int64(7), None),
    }
    assert json.loads(json_text(value), parse_constant=refuse) == {
        "a": 1.5,
        "b": [0, 1, 2],
        "c": ["Infinity", "-Infinity", None, "Infinity"],
        "d": str(Path("x/y")),
        "e": [[None, 1.0]],
        "f": [True, 7, None],
    }
    assert float(json.loads(json_text(-math.inf))) == -math.inf


@pytest.mark.parametrize("name", bundled())
def test_every_bundled_model_has_a_card_of_a_page_with_measured_speeds(name):
    result = CliRunner().invoke(main, ["models", "show", name])
    assert "take it when" in result.stdout
    assert len(result.stdout.splitlines()) <= 30
    everything = CliRunner().invoke(main, ["models", "show", name, "--all"]).stdout
    assert f"{load_model(name).metadata['macs_per_second']}" in everything
    page = (Path(__file__).parents[1] / "bench/speed.md").read_text("utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| **{name}** |"))
    _, files, streams = (float(cell.split()[0]) for cell in row.split("|")[2:5])
    assert f"{files:.0f} (files), {streams:.0f} (streams) times real time" in result.stdout


#: Words that need a library -> the library, the extra; nothing that they name is there.
NEEDING = {
    "plot masks irm1 nowhere -o x.png": ("matplotlib", "plot"),
    "plot phase-benefit nowhere -o x.png": ("matplotlib", "plot"),
    "plot difference irm1 irm2 nowhere -o x": ("matplotlib", "plot"),
    "scores nowhere --plot x.png": ("matplotlib", "plot"),
    "evaluate nowhere neither --plot x.png": ("matplotlib", "plot"),
    "evaluate nowhere neither --metric pesq": ("pesq", "speech"),
    "evaluate nowhere neither --metric sdr --metric composite": ("pesq", "speech"),
    "evaluate nowhere neither --metric estoi": ("pystoi", "speech"),
    "loudness nowhere.wav -o x": ("pyloudnorm", "loudness"),
    "stream --live": ("sounddevice", "live"),
}


@pytest.mark.parametrize("words", NEEDING)
def test_a_missing_library_is_said_before_any_work(words, tmp_path, monkeypatch):
    library, extra = NEEDING[words]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, library, None)
    result = CliRunner().invoke(main, words.split())
    assert result.exit_code == 1, result.output
    assert "not installed" in result.stderr
    assert library in result.stderr
    assert f'pip install "unmask[{extra}]"' in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell):
    environment = os.environ | {
        "_UNMASK_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "unmask den",
        "COMP_CWORD": "den" if shell == "fish" else "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from unmask.cli import main; main(prog_name='unmask')"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "denoise" in done.stdout
    assert "separate" not in done.stdout


def test_a_stream_takes_the_model_of_denoise_unless_told_otherwise():
    def default(command):
        return next(p.default for p in main.commands[command].params if p.name == "model")

    assert default("stream") == default("denoise") in bundled()
