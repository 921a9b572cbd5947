"""The command line: every refusal is one line that names the file, and leaves nothing behind."""

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
import soundfile
from click.testing import CliRunner

import onnx_models
from unmask import Settings, __version__, audio
from unmask.cli import main
from unmask.engine.model import load_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    return onnx_models.recurrent(path, n_parts=2, name="tiny")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `unmask` with arguments in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [str(word) for word in arguments])


@pytest.fixture
def noisy(tmp_path, rng):
    path = tmp_path / "noisy.wav"
    audio.write(path, 0.1 * rng.standard_normal((2, 8000)), 16000)
    return path


def waveform(*shape):
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape)


def not_finite(path, value):
    samples = waveform(8000)
    samples[1234] = value
    soundfile.write(path, samples, 16000, subtype="FLOAT")


def truncated(path, whole):
    soundfile.write(whole, waveform(100000, 2), 44100)
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])


# What is wrong with the file -> how to make it, and words of the line that it gets.
BAD = {
    "missing.wav": (lambda path: None, "no such file"),
    "empty.wav": (lambda path: path.write_bytes(b""), "is empty"),
    "no_samples.wav": (lambda path: soundfile.write(path, np.zeros((0, 2)), 16000), "0 samples"),
    "one_sample.wav": (lambda path: soundfile.write(path, [0.5], 16000), "at least 10 ms"),
    "short.wav": (lambda path: soundfile.write(path, np.zeros(159), 16000), "at least 10 ms"),
    "nan.wav": (lambda path: not_finite(path, np.nan), "is nan"),
    "inf.wav": (lambda path: not_finite(path, -np.inf), "is -inf"),
    "text.wav": (lambda path: path.write_text("Dear all,\n"), "is damaged, truncated or no"),
    "eleven.wav": (lambda path: soundfile.write(path, waveform(8000, 11), 16000), "11 channels"),
    "slow.wav": (lambda path: soundfile.write(path, waveform(8000), 7999), "7999 Hz"),
    "fast.wav": (lambda path: soundfile.write(path, waveform(80000), 192001), "192001 Hz"),
    "cut.wav": (lambda path: truncated(path, path.with_name("w.wav")), "is truncated"),
    "cut.flac": (lambda path: truncated(path, path.with_name("w.flac")), "truncated"),
    "cut.ogg": (lambda path: truncated(path, path.with_name("w.ogg")), "truncated"),
}


def refused(result, *words):
    """Check for exit code 1 and one line on standard error that holds `words`."""
    assert result.exit_code == 1, result.output
    [line] = result.stderr.splitlines()
    assert line.startswith("unmask: error: ")
    for word in words:
        assert word in line


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_one_line_and_leaves_nothing(run, tmp_path, model, name):
    make, words = BAD[name]
    folder = tmp_path / "in"
    folder.mkdir()
    make(folder / name)
    result = run("separate", "-m", model, folder / name)
    refused(result, f"{folder / name}: ", words)
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", ["text.wav", "nan.wav"])
def test_one_bad_file_in_a_folder_of_good_ones(run, tmp_path, model, name):
    folder = tmp_path / "in"
    folder.mkdir()
    for good in ("a.wav", "z.wav"):
        soundfile.write(folder / good, waveform(8000), 16000)
    BAD[name][0](folder / name)
    result = run("separate", "-m", model, folder)
    refused(result, f"{folder / name}: ", BAD[name][1])
    expected = [f"separated/tiny/{track}/speech.wav" for track in "az"]
    assert result.stdout.splitlines() == expected
    assert sorted(path.name for path in (tmp_path / "separated/tiny").iterdir()) == ["a", "z"]


def test_a_folder_without_sound(run, tmp_path, model):
    (tmp_path / "in").mkdir()
    refused(run("separate", "-m", model, tmp_path / "in"), f"{tmp_path / 'in'}: no sound file")


@pytest.mark.parametrize("out", ["blocked", "blocked/below"])
def test_a_file_in_place_of_the_output_folder(run, tmp_path, model, noisy, out):
    (tmp_path / "blocked").write_text("mine")
    refused(run("separate", "-m", model, noisy, "-o", out), f"{out}: cannot be made a folder")
    assert (tmp_path / "blocked").read_text() == "mine"


def test_a_file_in_place_of_a_folder_below(run, tmp_path, model, noisy):
    (tmp_path / "separated").mkdir()
    (tmp_path / "separated/tiny").write_text("mine")
    refused(run("separate", "-m", model, noisy), "separated/tiny/noisy: cannot be made a folder")
    assert [path.name for path in (tmp_path / "separated").iterdir()] == ["tiny"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a model at all"])
def test_a_model_file_of_another_kind(run, tmp_path, noisy, content):
    (tmp_path / "bad.onnx").write_bytes(content)
    refused(run("separate", "-m", "bad.onnx", noisy), "bad.onnx: ")
    assert not (tmp_path / "separated").exists()


def test_a_foreign_onnx_file(run, tmp_path, model, noisy):
    foreign = onnx.load(model)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    refused(run("separate", "-m", "foreign.onnx", noisy), "foreign.onnx: ", "unmask export")


def test_a_provider_that_is_not_there(run, model, noisy, tmp_path):
    for command in (["separate", noisy], ["stream"]):
        result = run(*command, "-m", model, "--provider", "cpu", "--provider", "abacus")
        refused(result, "providers: abacus not in", "there are", "cpu")
    assert not (tmp_path / "separated").exists()


def test_a_model_that_is_not_there(run, noisy):
    refused(run("separate", "-m", "none", noisy), "no model named 'none'")
    refused(run("separate", "-m", "none.onnx", noisy), "none.onnx: no such file")
    refused(run("models", "show", "none"), "no model named 'none'")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--filename", "{song}/{stem}.wav"), "'song'"),
        (("--filename", "../{stem}.wav"), "leads out"),
        (("--two-stems", "guitar"), "'guitar': model tiny has speech, noise"),
        (("--subtype", "PCM_17"), "PCM_17"),
        (("--sensitivity", "9"), "sensitivity: 9.0, expected 0.25 to 4"),
        (("--json", "nowhere/scores.json"), "nowhere/scores.json: cannot be written"),
    ],
)
def test_options_that_cannot_work(run, tmp_path, model, noisy, options, words):
    refused(run("separate", "-m", model, noisy, *options), words)


@pytest.mark.parametrize(
    "options",
    [
        *[("-f", "m4a"), ("-j", "0"), ("--threads", "0"), ("--reference", "no"), ()],
        ("--start", "soon"),
        ("--limit-db", "much"),
    ],
)
def test_wrong_usage_is_exit_code_2(run, model, noisy, options):
    files = [noisy] if options else []
    assert run("separate", "-m", model, *files, *options).exit_code == 2


def test_a_remix_takes_gains_in_decibels(run, tmp_path, model, noisy):
    gains = ("--gain", "speech=-inf", "--gain", "noise=-6.0206")
    result = run("separate", "-m", model, noisy, "--remix", *gains, "--json", "r.json")
    assert result.exit_code == 0
    assert result.stdout == "separated/tiny/noisy/remix.wav\n"
    [record] = json.loads((tmp_path / "r.json").read_text())
    assert record["outputs"][0]["parts"] == ["speech", "noise"]
    gains = record["settings"]["gains"]
    assert gains == {"speech": 0.0, "noise": pytest.approx(0.5, abs=1e-6)}
    stems = load_model(model).separate(*audio.read(noisy), residual=True)
    written, _ = audio.read(tmp_path / "separated/tiny/noisy/remix.wav")
    np.testing.assert_allclose(written, 0.5 * stems["noise"], rtol=0, atol=4e-5)


def test_the_noise_is_taken_down_by_a_limit_in_a_part_of_the_file(run, tmp_path, model, noisy):
    result = run("denoise", "-m", model, noisy, "--limit-db", 0, "--start", 0.1, "--end", 0.3)
    assert result.exit_code == 0
    written, _ = audio.read(tmp_path / "separated/tiny/noisy/speech.wav")
    np.testing.assert_allclose(written, audio.read(noisy)[0][:, 1600:4800], rtol=0, atol=4e-5)


def test_controls_reach_the_model(run, tmp_path, model, noisy):
    result = run("denoise", "-m", model, noisy, "--sensitivity", 2, "--link", "--format", "wav")
    assert result.exit_code == 0
    expected = load_model(model).separate(
        *audio.read(noisy), settings=Settings(sensitivity=2.0, linked=True)
    )
    written, _ = audio.read(tmp_path / "separated/tiny/noisy/speech.wav")
    np.testing.assert_allclose(written, expected["speech"], rtol=0, atol=4e-5)


@pytest.mark.parametrize("gain", ["vocals", "=3", "speech=loud", "speech=nan", "speech=9999999"])
def test_a_gain_that_is_none_is_refused(run, model, noisy, gain):
    result = run("separate", "-m", model, noisy, "--remix", "--gain", gain)
    refused(result, f"--gain {gain}: expected STEM=DB")


def test_a_part_is_not_scored(run, tmp_path, model, noisy):
    result = run("separate", "-m", model, noisy, "--reference", tmp_path, "--start", "0.1")
    refused(result, "--reference: scores whole stems")


def test_the_files_that_were_written_are_printed(run, tmp_path, model, noisy):
    result = run("denoise", "-m", model, noisy, "--residual", "-o", "clean", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    written = result.stdout.split()
    assert written == ["clean/tiny/noisy/speech.wav", "clean/tiny/noisy/noise.wav"]
    parts = [audio.read(tmp_path / path)[0] for path in written]
    np.testing.assert_allclose(sum(parts), audio.read(noisy)[0], rtol=0, atol=1e-6)


def test_a_second_run_replaces_the_first(run, tmp_path, model, noisy):
    for _ in range(2):
        assert run("separate", "-m", model, noisy).exit_code == 0
    names = sorted(path.name for path in (tmp_path / "separated/tiny/noisy").iterdir())
    assert names == ["job.json", "speech.wav"]


def test_an_interrupted_run_goes_on(run, tmp_path, model):
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", waveform(8000), 16000)
    words = ("separate", "-m", model, "a.wav", "b.wav", "c.wav", "--resume", "--json", "r.json")
    stems = [tmp_path / f"separated/tiny/{name}/speech.wav" for name in "abc"]
    assert run(*words[:4], "--resume").stderr == ""
    before = stems[0].stat().st_mtime_ns
    result = run(*words)
    assert result.exit_code == 0
    assert result.stderr == "unmask: 1 of 3 files were done already\n"
    assert [f"{tmp_path}/{line}" for line in result.stdout.split()] == [str(x) for x in stems]
    records = json.loads((tmp_path / "r.json").read_text())
    assert [record["input"]["path"] for record in records] == ["a.wav", "b.wav", "c.wav"]
    assert "3 of 3" in run(*words, "-j", 2).stderr
    assert stems[0].stat().st_mtime_ns == before
    soundfile.write(tmp_path / "b.wav", 0.5 * waveform(8000), 16000)
    assert "2 of 3" in run(*words).stderr
    assert run(*words, "--sensitivity", 2).stderr == ""
    assert "3 of 3" in run(*words, "--sensitivity", 2).stderr
    assert run(*words[:-3], "--json", "r.json", "--sensitivity", 2).stderr == ""
    assert stems[0].stat().st_mtime_ns > before


def test_clipping_is_said(run, tmp_path):
    mask = {"family": "complex", "options": {}}
    loud = onnx_models.constant(tmp_path / "loud.onnx", [[20, 0]], mask=mask, name="loud")
    soundfile.write(tmp_path / "a.wav", waveform(8000), 16000)
    result = run("separate", "-m", loud, "a.wav")
    assert result.exit_code == 0
    assert "samples beyond full scale were clipped" in result.stderr
    assert "separated/loud/a/speech.wav" in result.stderr


def test_scores_are_printed_and_written(run, tmp_path, model):
    stems = {"speech": waveform(16000), "noise": 0.1 * waveform(16000)[::-1]}
    for name, samples in {**stems, "mixture": sum(stems.values())}.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 16000)
    arguments = ("denoise", "-m", model, "mixture.wav", "--json", "scores.json")
    result = run(*arguments, "--reference", tmp_path, "--residual")
    assert result.exit_code == 0
    for word in ("SI-SDR in dB", "speech", "noise", "improvement", "oracle complex_tanh"):
        assert word in result.stdout
    [record] = json.loads((tmp_path / "scores.json").read_text())
    assert record["outputs"][0]["stem"] == "speech"
    speech, noise = (row for row in record["reference"] if row["metric"] == "SI-SDR")
    assert speech["mixture"] == pytest.approx(20, abs=1)
    assert speech["oracle"] > 25 > speech["estimate"]
    assert noise["improvement"] == pytest.approx(noise["estimate"] - noise["mixture"])
    (tmp_path / "noise.wav").unlink()
    soundfile.write(tmp_path / "speech.wav", waveform(16001), 16000)
    refused(run(*arguments, "--reference", tmp_path), "16001")
    soundfile.write(tmp_path / "speech.wav", stems["speech"], 16000)
    result = run(*arguments, "--reference", tmp_path, "--residual")
    assert "no stem noise" in result.stderr
    [record] = json.loads((tmp_path / "scores.json").read_text())
    assert record["reference"][-1]["estimate"] is None


def test_models_say_what_they_are(run, tmp_path, model):
    result = run("models", "show", model, "--json", "-")
    assert result.exit_code == 0
    assert "complex_tanh" in result.stderr
    said = json.loads(result.stdout)
    assert said["frontend"]["n_fft"] == 64
    result = run("models", "list", "--json", tmp_path / "list.json")
    assert result.exit_code == 0
    assert isinstance(json.loads((tmp_path / "list.json").read_text()), list)


def test_info_names_versions(run, tmp_path):
    result = run("info", "--json", tmp_path / "info.json")
    assert result.exit_code == 0
    found = json.loads((tmp_path / "info.json").read_text())
    assert found["unmask"] == __version__
    assert {"python", "numpy", "onnxruntime", "torch", "models"} <= found.keys()


def test_the_version_is_printed(run):
    first, second = run("--version").output.splitlines()
    assert first == f"unmask {__version__}"
    assert f"numpy {np.__version__}" in second


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT there")
def test_ctrl_c_leaves_nothing_half_written(tmp_path, model):
    """The process is interrupted as soon as its hidden folder appears."""
    soundfile.write(tmp_path / "long.wav", np.zeros((16000 * 600, 2)), 16000)
    # A shell ignores SIGINT for what it runs in the background, and children inherit that.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{program}; from unmask.cli import main; main()"]
    command += ["separate", "-m", str(model), "long.wav"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("separated/.unmask-*/*/*")):
        pass
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert said == "unmask: stopped; nothing half-written is left\n"
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]


def test_training_and_export_refuse_what_is_not_there(run, tmp_path):
    pytest.importorskip("torch")
    refused(run("train", "none.toml", "--data", tmp_path, "-o", "run"), "none.toml: no such recipe")
    assert not (tmp_path / "run").exists()
    refused(run("export", "none", "model.onnx"), "none")
    assert not (tmp_path / "model.onnx").exists()


def test_training_without_its_extra_says_what_to_install():
    program = "import sys; sys.modules['torch'] = None; from unmask.cli import main; main()"
    command = [sys.executable, "-c", program, "train", "recipe.toml", "--data", ".", "-o", "run"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    [line] = said.stderr.splitlines()
    assert line.endswith('torch is not installed; pip install "unmask[train]"')


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_signals_clean_up_as_ctrl_c_does(tmp_path, model, name, jobs):
    for track in "ab":
        soundfile.write(tmp_path / f"{track}.wav", np.zeros((16000 * 600, 2)), 16000)
    number = getattr(signal, name)
    # What starts the tests may ignore it, and children inherit that.
    program = f"import signal; signal.signal({int(number)}, signal.SIG_DFL)"
    command = [sys.executable, "-c", f"{program}; from unmask.cli import main; main()"]
    command += ["separate", "-m", str(model), "a.wav", "b.wav", "-j", jobs]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("separated/.unmask-*/*/*")):
        pass
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number, said
    assert said == "unmask: stopped; nothing half-written is left\n"
    assert not (tmp_path / "separated").exists()


def test_links_to_folders_are_left_out_with_a_word(run, tmp_path, model, noisy):
    (tmp_path / "in").mkdir()
    shutil.copy(noisy, tmp_path / "in/a.wav")
    (tmp_path / "in/album").symlink_to(tmp_path)
    result = run("separate", "-m", model, "in")
    assert result.stdout.split() == ["separated/tiny/a/speech.wav"]
    assert result.stderr.startswith("unmask: in/album: is a link to a folder, left out")
