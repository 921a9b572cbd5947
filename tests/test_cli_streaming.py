"""``unmask stream`` in a shell: the bytes that come out, what is said, the exit codes."""

import contextlib
import io
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import onnx_models
from test_live_device import FakeSound
from unmask import Settings, audio
from unmask.audio.pcm import ENCODINGS
from unmask.cli import main, streaming
from unmask.engine.model import load_model
from unmask.errors import ConfigError

# A shell ignores SIGINT for what it runs in the background, and children inherit that.
PROGRAM = """import signal; signal.signal(signal.SIGINT, signal.default_int_handler)
from unmask.cli import main; main()"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    return onnx_models.recurrent(path, n_parts=2, name="tiny")


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).integers(-9999, 9999, (6001, 2)).astype("<i2")


def run(*words, data=b""):
    return CliRunner().invoke(main, ["stream", *map(str, words)], input=data)


def start(model, *words):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "stream", "-m", str(model), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def separated(model, samples, rate=48000, stem="speech", **controls):
    """What the file path gives, quantised."""
    waveform = (samples.T / 32768).astype(np.float32)
    settings = Settings(**controls)
    parts = load_model(model).separate(waveform, rate, residual=True, settings=settings)
    return np.rint(parts[stem].T * 32768)


RAW = ("--format", "s16le", "--rate", "48000", "--channels", "2")


@pytest.mark.parametrize("size", [1001, 7777])
def test_a_slow_writer_in_a_pipe_gets_the_file(model, samples, size):
    """Odd pieces that cut samples in two, with pauses, through a process."""
    data = samples.tobytes()

    def write(pipe):
        for k in range(0, len(data), size):
            pipe.write(data[k : k + size])
            pipe.flush()
            time.sleep(0.01)
        pipe.close()

    with start(model, *RAW) as process:
        writer = threading.Thread(target=write, args=[process.stdin])
        writer.start()
        out, said = process.stdout.read(), process.stderr.read().decode()
        writer.join()
    assert process.returncode == 0, said
    found = np.frombuffer(out, "<i2").reshape(-1, 2)
    np.testing.assert_array_equal(found, separated(model, samples))
    [line] = said.splitlines()
    assert "unmask: speech: 0.13 s at 48000 Hz in blocks of 96, latency 4.0 ms; " in line


def test_what_is_ready_comes_out_while_the_pipe_is_open(model, samples):
    n_late = 192  # the window at 48 kHz
    with start(model, *RAW, "-q") as process:
        process.stdin.write(samples[:960].tobytes())
        process.stdin.flush()
        first = process.stdout.read((960 - n_late) * 4)  # for ever, if it were kept
        process.stdin.write(samples[960:].tobytes())
        process.stdin.close()
        rest, said = process.stdout.read(), process.stderr.read()
    found = np.frombuffer(first + rest, "<i2").reshape(-1, 2)
    np.testing.assert_array_equal(found, separated(model, samples))
    assert (process.returncode, said) == (0, b"")


def test_a_pipe_that_nobody_reads_ends_quietly(model, samples):
    with start(model, *RAW, "-q") as process:
        process.stdin.write(samples.tobytes())
        process.stdin.flush()
        process.stdout.read(100)
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            for _ in range(1000):
                process.stdin.write(samples.tobytes())
                process.stdin.flush()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT there")
def test_ctrl_c_ends_quietly(model, samples):
    with start(model, *RAW, "-q") as process:
        process.stdin.write(samples.tobytes())
        process.stdin.flush()
        process.stdout.read(100)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_is_one_line(model, samples):
    command = [sys.executable, "-c", PROGRAM, "stream", "-m", str(model), *RAW]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, input=samples.tobytes(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    [line] = done.stderr.decode().splitlines()
    assert line.startswith("unmask: error: standard input or output: No space left on device; ")


def test_a_terminal_or_nothing_is_no_sound():
    for stdin, words in ((None, "is closed"), (io.StringIO(), "is a terminal")):
        if stdin:
            stdin.isatty = lambda: True
        with pytest.raises(ConfigError, match=f"standard input: {words}, expected sound"):
            streaming._binary(stdin, "standard input")


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("known", [True, False])
def test_wav_in_wav_out(model, samples, subtype, known):
    file = io.BytesIO()
    soundfile.write(file, samples / 32768, 44100, subtype=subtype, format="WAV")
    data = file.getvalue()
    if not known:
        place = data.index(b"data") + 4
        data = data[:place] + b"\xff" * 4 + data[place + 4 :]
        data = data[:4] + b"\xff" * 4 + data[8:]
    result = run("-m", model, "--stem", "noise", data=data)
    assert result.exit_code == 0, result.stderr
    with soundfile.SoundFile(io.BytesIO(result.stdout_bytes)) as out:
        assert (out.samplerate, out.channels, out.subtype) == (44100, 2, subtype)
        found = out.read(dtype="float64")
    source, _ = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32")
    expected = load_model(model).separate(source.T, 44100, residual=True)["noise"].T
    step = {"PCM_U8": 2**-7, "PCM_16": 2**-15}.get(subtype, 0)
    expected = np.clip(expected, -1, 1 - step) if subtype != "FLOAT" else expected
    np.testing.assert_allclose(found, expected, rtol=0, atol=step / 2 + 1e-5)
    size = int.from_bytes(result.stdout_bytes[4:8], "little")
    assert size == (len(result.stdout_bytes) - 8 if known else 2**32 - 1)


def test_controls_are_those_of_the_file(model, samples):
    result = run("-m", model, "--sensitivity", 2, "--link", *RAW, data=samples.tobytes())
    assert result.exit_code == 0, result.stderr
    found = np.frombuffer(result.stdout_bytes, "<i2").reshape(-1, 2)
    np.testing.assert_array_equal(found, separated(model, samples, sensitivity=2.0, linked=True))


@pytest.mark.parametrize(
    "controls", [(), ("--sensitivity", 3, "--link"), ("--limit-db", 6, "--no-extend")]
)
def test_stem_and_residual_add_up_to_what_came_in(model, samples, controls):
    data = (samples / 32768).astype("<f4").tobytes()
    words = ("-m", model, "--format", "f32le", "--rate", 48000, "--channels", 2, *controls)
    outs = [run(*words, "--stem", stem, data=data).stdout_bytes for stem in ("speech", "noise")]
    speech, noise = (np.frombuffer(out, "<f4").reshape(-1, 2) for out in outs)
    np.testing.assert_allclose(speech + noise, samples / 32768, rtol=0, atol=1e-6)
    assert min(np.abs(speech).max(), np.abs(noise).max()) > 0.01


def test_a_wav_that_was_streamed_can_be_read_as_a_file(model, samples, tmp_path):
    head = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x02\0"
    head += (48000).to_bytes(4, "little") + (4 * 48000).to_bytes(4, "little") + b"\x04\0\x10\0"
    result = run("-m", model, "-q", data=head + b"data\xff\xff\xff\xff" + samples.tobytes())
    (tmp_path / "out.wav").write_bytes(result.stdout_bytes)
    found, rate = audio.read(tmp_path / "out.wav")
    assert rate == 48000
    np.testing.assert_array_equal(found.T * 32768, separated(model, samples))


def refused(result, *words, code=1):
    assert result.exit_code == code, result.output
    assert result.stdout_bytes == b""
    line = result.stderr.splitlines()[-1]
    assert code != 1 or result.stderr.count("\n") == 1
    for word in words:
        assert word in line


def wav(samples, rate=48000):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize(
    ("words", "data", "expected"),
    [
        ((), b"", "standard input: is empty, expected WAV"),
        ((), b"Dear all,\n", "starts with b'Dear'"),
        (("--rate", 16000), "wav", "sample rate is 48000 Hz by its head, --rate says 16000 Hz"),
        (("--channels", 1), "wav", "has 2 channels by its head, --channels says 1"),
        (("--stem", "drums"), "wav", "stem: 'drums', expected one of speech, noise"),
        (("--max-latency", 3.9), "wav", "tiny: latency is 4.0 ms at 48000 Hz in blocks of 96"),
        (("--max-latency", "nan"), "wav", "tiny: latency is 4.0 ms at 48000 Hz in blocks of 96"),
        (("--format", "s16le", "--rate", 100), b"", "100 Hz, expected 8000 to 192000 Hz"),
        (("--chunk-frames", 3, "--max-latency", 7.9), "wav", "tiny: latency is 8.0 ms"),
        (("--chunk-frames", 10**12), "wav", "expected a multiple of 1, at most 10000"),
        (("--gain", "drums=3"), "wav", "gains: model tiny has no stem drums; there are speech"),
        (("--gain", "speech"), "wav", "--gain speech: expected STEM=DB, as vocals=-6"),
        (("--sensitivity", 0), "wav", "sensitivity: 0.0, expected 0.25 to 4"),
    ],
)
def test_what_cannot_be_is_one_line(model, samples, words, data, expected):
    data = wav(samples) if data == "wav" else data
    refused(run("-m", model, *words, data=data), "unmask: error: ", expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--format", "s16le"), "needs --rate"),
        (("--input-device", "3"), "need --live"),
        (("--live", "--format", "wav"), "--live has none"),
        (("--format", "mp3"), "mp3"),
        (("--block", "0"), "0 is not in the range"),
    ],
)
def test_what_is_no_command(model, words, expected):
    refused(run("-m", model, *words), expected, code=2)


def test_a_network_for_files_needs_permission(tmp_path, samples):
    path = tmp_path / "chunks.onnx"
    onnx_models.constant(path, [[0.5, 0]], name="chunky", context_frames=8, unit_frames=4)
    data = wav(samples, 16000)
    refused(run("-m", path, data=data), "chunky: is a network for files", "--chunk-frames 4")
    words = ("--chunk-frames", 4, "--max-latency", 5)
    refused(run("-m", path, *words, data=data), "chunky: latency is 25.9 ms at 16000 Hz")
    result = run("-m", path, "--chunk-frames", 4, data=data)
    assert result.exit_code == 0, result.stderr
    found, _ = soundfile.read(io.BytesIO(result.stdout_bytes), dtype="int16")
    np.testing.assert_array_equal(found, separated(path, samples, 16000))


def test_warnings_are_said_even_if_quiet(model, samples):
    noise = (samples[:, 0] / 32768).astype("<f4")
    noise[[7, 70]] = np.nan, np.inf
    words = ("-m", model, "-q", "--format", "f32le", "--rate", 16000)
    result = run(*words, data=noise.tobytes() + b"abc")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "unmask: warning: standard input: ends with 3 bytes of a sample, they are dropped",
        "unmask: warning: 2 samples were NaN or infinite, they passed as silence",
    ]
    noise[[7, 70]] = 0
    assert result.stdout_bytes == run(*words, data=noise.tobytes()).stdout_bytes
    assert len(result.stdout_bytes) == len(noise) * 4
    noise[5000] = np.nan
    result = run(*words, "--not-finite", "refuse", data=noise.tobytes())
    assert result.exit_code == 1
    assert result.stderr == (
        "unmask: error: input: sample 5000 of channel 0 is nan, expected a finite number; "
        "let it pass as silence or repair the source\n"
    )


def test_a_wav_that_ends_early_is_used_and_said(model, samples):
    result = run("-m", model, "-q", data=wav(samples)[:-6])
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "unmask: warning: standard input: ends 6 bytes before its head says",
        "unmask: warning: standard input: ends with 2 bytes of a sample, they are dropped",
    ]
    found = np.frombuffer(result.stdout_bytes[44:], "<i2").reshape(-1, 2)
    np.testing.assert_array_equal(found, separated(model, samples[:-2]))


def test_clipping_is_said(tmp_path):
    mask = {"family": "complex", "options": {}}
    path = onnx_models.constant(tmp_path / "double.onnx", [[2, 0]], mask=mask)
    data = np.full(1000, 20000, "<i2").tobytes()
    result = run("-m", path, "-q", "--format", "s16le", "--rate", 16000, data=data)
    [line] = result.stderr.splitlines()
    assert "standard output: 1000 samples beyond full scale were clipped" in line
    assert "the peak was 1.221" in line
    assert set(np.frombuffer(result.stdout_bytes, "<i2")) == {32767}


def test_no_sound_at_all(model):
    result = run("-m", model, "--format", "s16le", "--rate", 16000)
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, b"", "")


def test_live(model, samples, monkeypatch):
    """A module in the place of sounddevice: no sound card has heard this."""
    sound = FakeSound((samples[:3200] / 32768).astype(np.float32))
    monkeypatch.setitem(sys.modules, "sounddevice", sound)
    listed = CliRunner().invoke(main, ["stream", "--list-devices"])
    assert (listed.exit_code, listed.output) == (0, "> 0 A microphone, ALSA (2 in)\n")
    words = ("--live", "--channels", 2, "--input-device", 3, "--output-device", "USB")
    result = run("-m", model, *words)
    assert result.exit_code == 0, result.stderr
    settings = sound.settings
    assert (settings["device"], settings["samplerate"]) == ((3, "USB"), 16000)
    report = result.stderr.splitlines()[-1]
    assert "s at 16000 Hz in blocks of 32, latency 4.0 ms and 10.0 ms of the sound card" in report
    refused(run("-m", model, "--live", "--input-device", "none"), "sound card: No input device")
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    refused(run("-m", model, "--live"), 'pip install "unmask[live]"')


def test_the_formats_are_those_that_there_are():
    [option] = [x for x in streaming.stream.params if x.name == "kind"]
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == ["wav", *ENCODINGS]
