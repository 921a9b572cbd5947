"""A sound card that is none: what is played keeps its distance from what is heard.

There is no sound card where tests run. These drive the callback as PortAudio does, and a module in
the place of sounddevice; no sound has ever gone through.
"""

import sys
import threading
import time
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnx_models
from unmask.engine.model import load_model
from unmask.engine.stream import Streamer
from unmask.errors import ConfigError, MissingExtraError, SignalError
from unmask.live import device
from unmask.live.device import Duplex
from unmask.live.ring import Ring
from unmask.live.tap import Tap, delay

RATE, BLOCK = 16000, 32
FRONT = {"kind": "stft", "n_fft": 64, "hop": 32, "window": "sqrt_hann"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    return load_model(onnx_models.recurrent(path, n_parts=2, lookahead_frames=1, frontend=FRONT))


@pytest.fixture
def heard(rng):
    return (0.1 * rng.standard_normal((100 * BLOCK, 2))).astype(np.float32)


def duplex_of(model, block=BLOCK, **options):
    return Duplex(Tap(Streamer(model, n_channels=2), "speech", **options), block=block)


def play(duplex, heard, works, block=BLOCK):
    """Call the callback block by block; after those where `works(k)`, let the worker work."""
    played = np.full_like(heard, np.nan)
    for k, start in enumerate(range(0, len(heard), block)):
        part = slice(start, start + block)
        duplex.callback(heard[part], played[part], block, None, None)
        if works(k):
            duplex.separate()
    return played


def separated(model, heard):
    return model.separate(np.ascontiguousarray(heard.T), RATE)["speech"].T


def shifted(samples, n):
    return np.concatenate([np.zeros((n, samples.shape[1]), samples.dtype), samples])[: len(samples)]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=40))
def test_a_ring_is_a_queue_of_a_fixed_size(moves):
    ring, queue, count = Ring(13, 2), deque(), 0
    for pushes, n in moves:
        if pushes:
            frames = np.arange(2 * count, 2 * (count + n)).reshape(n, 2)
            count += n
            taken = ring.push(frames)
            assert taken == min(n, 13 - len(queue))
            queue.extend(frames[:taken].tolist())
        else:
            expected = [queue.popleft() for _ in range(min(n, len(queue)))]
            assert ring.pull(n).tolist() == expected
        assert len(ring) == len(queue)


@pytest.mark.parametrize("block", [1, 7, 32, 64, 100])
def test_what_is_played_is_the_file_after_the_delay(model, heard, block):
    heard = heard[: len(heard) // block * block]
    duplex = duplex_of(model, block)
    played = play(duplex, heard, lambda _: True, block)
    assert duplex.delay == delay(duplex.tap.streamer, block) + 1
    expected = shifted(separated(model, heard), duplex.delay)
    np.testing.assert_allclose(played, expected, rtol=0, atol=1e-5)
    assert (duplex.n_underruns, duplex.n_overruns, duplex.n_faults) == (0, 0, 0)


@given(st.sets(st.integers(5, 60)))
def test_a_late_worker_leaves_gaps_and_no_shift(model, idle):
    heard = np.random.default_rng(0).standard_normal((100 * BLOCK, 2)).astype(np.float32)
    duplex = duplex_of(model)
    played = play(duplex, heard, lambda k: k not in idle)
    expected = shifted(separated(model, heard), duplex.delay)
    silent = ~played.any(axis=1)
    silent[: duplex.delay] = False
    assert duplex.n_silent == silent.sum()
    assert duplex.n_overruns == 0
    assert (duplex.n_underruns > 0) == bool(idle)
    np.testing.assert_allclose(played[~silent], expected[~silent], rtol=0, atol=1e-4)
    assert not silent[62 * BLOCK :].any()


def test_sound_that_finds_no_room_is_lost_and_time_goes_on(tmp_path, heard, monkeypatch):
    mask = {"family": "complex", "options": {}}
    identity = load_model(
        onnx_models.constant(tmp_path / "identity.onnx", [[1, 0]], mask=mask, frontend=FRONT)
    )
    monkeypatch.setattr(device, "_PATIENCE_S", 10 * BLOCK / RATE)
    duplex = duplex_of(identity)
    played = play(duplex, heard, lambda k: not 20 <= k < 50)
    assert (duplex.n_overruns, duplex.n_lost) == (21, 21 * BLOCK)
    assert duplex.n_silent >= 27 * BLOCK
    late = slice(60 * BLOCK, None)
    expected = shifted(heard, duplex.delay)
    np.testing.assert_allclose(played[late], expected[late], rtol=0, atol=1e-5)
    early = slice(None, 20 * BLOCK)
    np.testing.assert_allclose(played[early], expected[early], rtol=0, atol=1e-5)


def test_the_callback_does_not_wait_for_the_network(model, heard):
    """The worker is stuck; a callback that waited for it would wait for ever."""
    duplex, stuck, inside = duplex_of(model), threading.Event(), threading.Event()
    process = duplex.tap.process

    def wait_inside(samples):
        inside.set()
        stuck.wait()
        return process(samples)

    duplex.tap.process = wait_inside
    worker = threading.Thread(target=duplex.work)
    worker.start()
    played = np.full((BLOCK, 2), np.nan, np.float32)
    duplex.callback(heard[:BLOCK], played, BLOCK, None, None)
    assert inside.wait(10)
    for k in range(1, 100):
        duplex.callback(heard[k * BLOCK : (k + 1) * BLOCK], played, BLOCK, None, None)
    assert not played.any()
    duplex.stop()
    stuck.set()
    worker.join(10)
    assert not worker.is_alive()
    assert duplex.n_underruns > 90


class PortAudioError(Exception):
    """What sounddevice raises."""


class FakeSound:
    """In place of the module sounddevice: a microphone that hears `heard` and then is unplugged.

    After every block it calls `after`.
    """

    PortAudioError = PortAudioError

    def __init__(self, heard, *, after=lambda: time.sleep(0.003), fault=None, refuses=None):
        self.heard, self.played, self.settings = heard, [], {}
        self.after, self.fault, self.refuses, self.closed = after, fault, refuses, False

    def query_devices(self, name=None, kind=None):
        if name == "none":
            raise ValueError("No input device matching 'none'")
        return {"default_samplerate": float(RATE)} if kind else "> 0 A microphone, ALSA (2 in)"

    def Stream(self, **settings):  # noqa: N802
        if self.refuses == "open":
            raise PortAudioError("Invalid number of channels [PaErrorCode -9998]")
        self.settings = settings
        self.latency = (0.004, 0.006)
        self.active = True
        self._thread = threading.Thread(target=self._sound)
        return self

    def start(self):
        if self.refuses == "start":
            raise PortAudioError("Unanticipated host error")
        self._thread.start()

    def close(self):
        self.closed = True
        if self._thread.ident:
            self._thread.join()

    def _sound(self):
        block = self.settings["blocksize"]
        for start in range(0, len(self.heard) - block + 1, block):
            if self.closed:
                break
            out = np.full((block, self.heard.shape[1]), np.nan, np.float32)
            part = self.heard[start : start + block]
            self.settings["callback"](part, out, block, None, self.fault)
            self.played.append(out)
            self.after()
        self.active = False


def test_from_microphone_to_loudspeaker(model, heard):
    duplex, done = duplex_of(model), threading.Semaphore(0)
    separate = duplex.separate

    def separate_and_tell():
        separate()
        done.release()

    duplex.separate = separate_and_tell
    sound = FakeSound(heard, after=lambda: done.acquire(timeout=10), fault="input overflow")
    device.run(duplex, sound, devices=(3, "Speaker"))
    callback = sound.settings.pop("callback")
    assert callback == duplex.callback
    assert sound.settings == {
        "samplerate": RATE,
        "blocksize": BLOCK,
        "device": (3, "Speaker"),
        "channels": 2,
        "dtype": "float32",
        "latency": "low",
    }
    assert sound.closed
    assert duplex.n_faults == 100
    assert duplex.device_s == pytest.approx(0.01)
    played = np.concatenate(sound.played)
    expected = shifted(separated(model, heard), duplex.delay)
    np.testing.assert_allclose(played, expected, rtol=0, atol=1e-5)
    assert duplex.n_underruns == duplex.n_overruns == 0


def test_an_error_of_the_worker_ends_it(model, heard):
    heard[100] = np.nan
    endless = np.concatenate([heard, np.zeros((10**6, 2), np.float32)])
    with pytest.raises(SignalError, match="sample 100 of channel 0 is nan"):
        device.run(duplex_of(model, refuse=True), FakeSound(endless))


@pytest.mark.parametrize("when", ["open", "start"])
def test_what_the_sound_card_refuses_is_one_line(model, heard, when):
    with pytest.raises(ConfigError, match=r"sound card: .*; see --list-devices"):
        device.run(duplex_of(model), FakeSound(heard, refuses=when))
    with pytest.raises(ConfigError, match=r"sound card: No input device matching 'none'"):
        device.default_rate(FakeSound(heard), "none")


def test_without_sounddevice(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r'pip install "unmask\[live\]"'):
        device.sound_card()
