"""Sound under way: through pipes it is its file, through a sound card it keeps its time."""

import gc
import io
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnx_models
from unmask.audio.pcm import ENCODINGS, PipeFormat
from unmask.engine.model import load_model
from unmask.engine.stream import Streamer
from unmask.errors import ConfigError, SignalError
from unmask.live import tap
from unmask.live.pipe import Ending, relay
from unmask.live.tap import Tap, check_delay, delay, hop

RATE = 16000
FRONT = {"kind": "stft", "n_fft": 64, "hop": 32, "window": "sqrt_hann"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    return load_model(onnx_models.recurrent(path, n_parts=2, lookahead_frames=1, frontend=FRONT))


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "identity.onnx"
    mask = {"family": "complex", "options": {}}
    return load_model(onnx_models.constant(path, [[1, 0]], mask=mask, frontend=FRONT))


@pytest.fixture
def mixture(rng):
    return (0.1 * rng.standard_normal((2, 3001))).astype(np.float32)


class Dribble:
    """A source that gives its bytes in pieces of the sizes `sizes`, over and over."""

    def __init__(self, data, sizes):
        self._data, self._sizes, self._turn = data, sizes, 0
        self.n_given = 0

    def read1(self, size):
        size = min(size, self._sizes[self._turn % len(self._sizes)])
        self._turn += 1
        data = self._data[self.n_given : self.n_given + size]
        self.n_given += len(data)
        return data


def through(model, data, form, *, sizes=(1 << 16,), block=32, stem="speech", refuse=False):
    """Relay `data`; return what came out, how it ended, and the tap."""
    streamer = Streamer(
        model,
        sample_rate=form.sample_rate,
        n_channels=form.n_channels,
        residual=stem not in model.stems,
    )
    counted, sink = Tap(streamer, stem, refuse=refuse), io.BytesIO()
    ending = relay(Dribble(data, sizes), sink, counted, form, block=block)
    return sink.getvalue(), ending, counted


FLOATS = PipeFormat(RATE, 2, ENCODINGS["f32le"])
SIZES = st.lists(st.integers(1, 5000), min_size=1, max_size=5)


@given(SIZES, st.integers(1, 200), st.sampled_from([8000, RATE, 44100]), st.integers(0, 2000))
def test_however_it_dribbles_in_a_pipe_is_its_file(model, sizes, block, rate, n_samples):
    mixture = np.random.default_rng(0).standard_normal((2, n_samples)).astype(np.float32)
    form = PipeFormat(rate, 2, ENCODINGS["f32le"])
    data, ending, _ = through(model, mixture.T.tobytes(), form, sizes=sizes, block=block)
    found = ENCODINGS["f32le"].decode(data, 2)
    assert ending == (0, 0)
    assert found.shape == mixture.shape
    expected = model.separate(mixture, rate)["speech"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["u8", "s16le", "s24be", "f32be"])
def test_a_mask_of_one_changes_no_bit(identity, name, rng):
    samples = rng.integers(-100, 100, (1000, 2)) / 128
    data, _ = ENCODINGS[name].encode(samples.T)
    form = PipeFormat(RATE, 2, ENCODINGS[name])
    out, _, counted = through(identity, data, form, sizes=(13, 500))
    if name.startswith("f"):
        expected = np.frombuffer(data, ">f4")
        np.testing.assert_allclose(np.frombuffer(out, ">f4"), expected, rtol=0, atol=1e-6)
    elif name == "s24be":  # single precision ends at 24 bits
        back, sent = (ENCODINGS[name].decode(x, 2) for x in (out, data))
        np.testing.assert_allclose(back, sent, rtol=0, atol=4 / 2**23)
    else:
        assert out == data
    assert counted.n_samples == 1000
    assert counted.peak == pytest.approx(np.abs(samples).max(), abs=1e-6)


def test_the_residual_is_what_the_stem_leaves(model, mixture):
    data = mixture.T.tobytes()
    stem, noise = (
        ENCODINGS["f32le"].decode(through(model, data, FLOATS, stem=stem)[0], 2)
        for stem in ("speech", "noise")
    )
    assert np.abs(noise).max() > 0.01
    np.testing.assert_allclose(stem + noise, mixture, rtol=0, atol=1e-6)
    with pytest.raises(ConfigError, match=r"stem: 'drums', expected one of speech, noise"):
        Tap(Streamer(model, residual=True), "drums")


@pytest.mark.parametrize(("size", "block"), [(1, 32), (8, 1), (33, 32), (5000, 32), (256, 7)])
def test_what_is_ready_is_out_before_more_is_read(model, mixture, size, block):
    streamer = Streamer(model, n_channels=2)
    sink, late = io.BytesIO(), []
    source = Dribble(mixture.T.tobytes(), [size])
    give = source.read1

    def read1(n_bytes):
        late.append(source.n_given // 8 - len(sink.getvalue()) // 8)
        return give(n_bytes)

    source.read1 = read1
    relay(source, sink, Tap(streamer, "speech"), FLOATS, block=block)
    n_at_a_time = max(1, size // 8)
    assert max(late[:-1]) < delay(streamer, block) + 1 + n_at_a_time


@given(
    st.sampled_from([(64, 32), (64, 16), (96, 32), (66, 22)]),
    st.integers(0, 2),
    st.sampled_from([8000, 11025, RATE]),
    st.integers(1, 150),
)
def test_the_delay_is_that_of_the_latest_sample(tmp_path_factory, front, ahead, rate, block):
    n_fft, step = front
    path = tmp_path_factory.mktemp("front") / "model.onnx"
    frontend = FRONT | {"n_fft": n_fft, "hop": step}
    model = load_model(
        onnx_models.recurrent(path, n_parts=2, lookahead_frames=ahead, frontend=frontend)
    )
    streamer = Streamer(model, sample_rate=rate)
    assert hop(streamer) == model.frontend.scaled(rate / RATE).hop
    n_blocks = 2 * hop(streamer) + 1000 // block
    silence = np.zeros((1, block), np.float32)
    n_out = np.cumsum([streamer.process(silence)["speech"].shape[1] for _ in range(n_blocks)])
    comes = np.searchsorted(n_out, np.arange(1, n_out[-1] + 1))  # in which block sample n comes
    latest = (block * (comes + 1) - 1 - np.arange(n_out[-1])).max()
    assert latest == delay(streamer, block)


def test_too_late_is_refused_in_numbers(model):
    streamer = Streamer(model, sample_rate=RATE)
    check_delay(streamer, 32, name="tiny", max_ms=5.94)  # 64 - 1 + 32 samples are 5.9375 ms
    with pytest.raises(ConfigError, match=r"tiny: latency is 5.9 ms at 16000 Hz .* at most 5.93"):
        check_delay(streamer, 32, name="tiny", max_ms=5.93)
    with pytest.raises(ConfigError, match=r"latency is 7.9 ms at 16000 Hz in blocks of 64"):
        check_delay(streamer, 64, name="tiny", max_ms=6)


@pytest.mark.parametrize("n_stray", [1, 2, 7])
def test_half_a_sample_at_the_end_is_dropped_and_said(model, mixture, n_stray):
    data = mixture.T.tobytes()
    whole, ending, _ = through(model, data, FLOATS, sizes=(1001,))
    assert ending == (0, 0)
    assert through(model, data + bytes(n_stray), FLOATS, sizes=(1001,))[:2] == (
        whole,
        Ending(n_stray, 0),
    )


def test_a_length_ends_the_samples_and_what_is_behind_is_read_away(identity):
    form = PipeFormat(RATE, 1, ENCODINGS["u8"], 101, b"head")
    source, sink = Dribble(bytes(range(101)) + b"\0LIST and more", [40]), io.BytesIO()
    assert relay(source, sink, Tap(Streamer(identity), "speech"), form, block=1) == (0, 0)
    assert sink.getvalue() == b"head" + bytes(range(101)) + b"\0"
    assert source.n_given == 115
    out, ending, _ = through(identity, bytes(range(60)), form)
    assert ending == Ending(0, 41)
    assert out == b"head" + bytes(range(60)) + b"\0"


def test_samples_that_are_no_number_pass_as_silence_and_are_counted(model, mixture):
    broken, silenced = mixture.copy(), mixture.copy()
    broken[0, 5:8], broken[1, 2000] = np.nan, -np.inf
    silenced[0, 5:8] = silenced[1, 2000] = 0
    data, _, counted = through(model, broken.T.tobytes(), FLOATS)
    assert counted.n_not_finite == 4
    assert data == through(model, silenced.T.tobytes(), FLOATS)[0]
    with pytest.raises(SignalError, match=r"input: sample 5 of channel 0 is nan, expected a fin"):
        through(model, broken.T.tobytes(), FLOATS, sizes=(16,), refuse=True)


def test_clipping_is_counted(tmp_path, rng):
    mask = {"family": "complex", "options": {}}
    double = onnx_models.constant(tmp_path / "double.onnx", [[2, 0]], mask=mask, frontend=FRONT)
    samples = rng.integers(-30000, 30000, (900, 2)).astype("<i2")
    form = PipeFormat(RATE, 2, ENCODINGS["s16le"])
    data, _, counted = through(load_model(double), samples.tobytes(), form)
    wanted = 2 * samples.astype(int)
    found = np.frombuffer(data, "<i2").reshape(-1, 2)
    np.testing.assert_array_equal(found, np.clip(wanted, -32768, 32767))
    assert counted.n_clipped == np.count_nonzero(np.abs(wanted) > 32768)
    assert counted.peak == pytest.approx(np.abs(wanted).max() / 32768, rel=1e-6)


def test_threads_share_a_model(model):
    rng = np.random.default_rng(0)
    signals = [rng.standard_normal((2, 20000)).astype(np.float32) for _ in range(4)]

    def run(signal):
        return through(model, signal.T.tobytes(), FLOATS, sizes=(801, 3))[0]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, signals))
    assert together == [run(signal) for signal in signals]
    assert len(set(together)) == 4


class Hour:
    """An hour of noise at 8 kHz in a pipe, four seconds at a time."""

    def __init__(self, look):
        noise = np.random.default_rng(0).integers(-9999, 9999, 4 * 8000, np.int16)
        self._data, self._second, self._look = noise.tobytes(), 0, look

    def read1(self, size):
        assert size >= len(self._data)
        self._look(self._second)
        self._second += 4
        return self._data if self._second <= 3600 else b""


class Nowhere(io.RawIOBase):
    """A sink that counts."""

    n_bytes = 0

    def write(self, data):
        self.n_bytes += len(data)
        return len(data)


def resident_bytes():
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
    return 1024 * int(line.split()[1])


def test_an_hour_does_not_grow(tmp_path):
    """The whole hour, 28.8 million samples: neither Python's memory nor the process grows."""
    small = {
        "frontend": FRONT | {"n_fft": 512, "hop": 256},
        "mask": {"family": "iam", "options": {}},
    }
    model = load_model(onnx_models.loudness(tmp_path / "m.onnx", delay=1, **small))
    used = {}

    def look(second):
        if second in (300, 3600):
            gc.collect()
            used[second] = np.array([tracemalloc.get_traced_memory()[0], resident_bytes()])

    sink, form = Nowhere(), PipeFormat(8000, 1, ENCODINGS["s16le"])
    counted = Tap(Streamer(model, sample_rate=8000), "speech")
    tracemalloc.start()
    try:
        relay(Hour(look), sink, counted, form, block=8)
    finally:
        tracemalloc.stop()
    assert sink.n_bytes == 2 * 8000 * 3600
    assert counted.n_samples == 8000 * 3600
    traced, resident = used[3600] - used[300]
    assert traced < 50_000  # the samples alone would be 52.8 MB
    assert resident < 5_000_000


def test_quantiles_are_those_of_the_times(identity, monkeypatch):
    times = np.random.default_rng(0).lognormal(-7, 1, 5000)
    clock = np.repeat(np.concatenate([[0], np.cumsum(times)]), 2)[1:-1]
    ticks = iter(clock)
    monkeypatch.setattr(tap, "perf_counter", lambda: next(ticks))
    counted = Tap(Streamer(identity), "speech")
    assert np.isnan(counted.quantile_s(0.5))
    assert np.isnan(counted.speed)
    for _ in times:
        counted.process(np.zeros((1, 32), np.float32))
    for share in (0.5, 0.99, 0.999, 1):
        expected = np.quantile(times, share, method="inverted_cdf")
        assert counted.quantile_s(share) == pytest.approx(expected, rel=0.011)
    assert counted.n_steps == 5000
    assert counted.busy_s == pytest.approx(times.sum())
    assert counted.speed == pytest.approx(32 * 5000 / RATE / times.sum())
