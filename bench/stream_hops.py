"""How long a hop takes in ``unmask stream``, from the bytes that come to the bytes that go.

One thread, a minute of noise fed hop by hop as fast as it is taken. Prints two Markdown tables:
median and 99.9 percentile of a hop in wall-clock and in processor time, and the share of the hop;
then what a hop at the model's own rate is spent on, what it costs with several in a block, and the
least that it could cost: ONNX Runtime's call of the bare network on buffers that stay.

    python bench/stream_hops.py denoise-16k [MODEL.onnx ...]
"""

import io
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np

from unmask.audio.pcm import ENCODINGS, PipeFormat
from unmask.engine import masking
from unmask.engine.bound import Bound
from unmask.engine.model import Model, load_model
from unmask.engine.stream import Streamer
from unmask.live.pipe import relay
from unmask.live.tap import Tap, delay, hop

SECONDS = 60
PARTS = ("STFT", "network", "inverse STFT")
BLOCKS = (1, 2, 4, 8, 16)


class Loop(io.RawIOBase):
    """A source that gives one hop at a time and a sink that takes it, both on the clock."""

    def __init__(self, data: bytes, size: int) -> None:
        self._parts = iter([data[k : k + size] for k in range(0, len(data), size)])
        self._start = None
        self.taken = []

    def read1(self, _size: int) -> bytes:
        """Stop the clock of the hop before, start that of the next."""
        now = time.perf_counter(), time.thread_time()
        if self._start:
            self.taken.append(np.subtract(now, self._start))
        part = next(self._parts, b"")
        self._start = time.perf_counter(), time.thread_time()
        return part

    def write(self, data: bytes) -> int:
        """Take everything."""
        return len(data)


def row(name: str, rate: int, n_channels: int) -> str:
    streamer = Streamer(load_model(name), sample_rate=rate, n_channels=n_channels)
    step, encoding = hop(streamer), ENCODINGS["s16le"]
    noise = np.random.default_rng(0).normal(0, 3000, SECONDS * rate * n_channels)
    loop = Loop(noise.astype("<i2").tobytes(), 2 * n_channels * step)
    tap = Tap(streamer, streamer.stems[0])
    relay(loop, loop, tap, PipeFormat(rate, n_channels, encoding), block=step)
    taken = 1000 * np.array(loop.taken[10:])
    (wall, cpu), (wall_late, cpu_late) = np.median(taken, 0), np.quantile(taken, 0.999, 0)
    hop_ms = 1000 * step / rate
    return (
        f"| {streamer.model.name} | {rate} | {n_channels} | {hop_ms:.1f} | "
        f"{1000 * delay(streamer, step) / rate:.1f} | {wall:.2f} | {wall_late:.2f} | {cpu:.2f} | "
        f"{cpu_late:.2f} | {100 * cpu_late / hop_ms:.0f} % | {hop_ms / taken[:, 1].mean():.1f} |"
    )


def parts(name: str) -> str:
    """Return a row: median µs of a hop and its parts, then CPU µs of a hop in longer blocks."""
    model = load_model(name)
    size = hop(Streamer(model))
    noise = np.random.default_rng(0).normal(0, 0.1, (1, SECONDS * model.sample_rate))
    noise = noise.astype(np.float32)
    cells = [f"{1e6 * per_hop(Streamer(model), noise, n * size) / n:.0f}" for n in BLOCKS]
    streamer = Streamer(model)
    owners = (
        (masking, "rfft"),
        (Bound, "__call__"),
        (masking, "irfft"),
        (streamer, "process"),
    )
    with ExitStack() as stack:
        spent = [stack.enter_context(clocked(*owner)) for owner in owners]
        per_hop(streamer, noise, size)
    *mine, whole = (1e6 * np.median(times[10:]) for times in spent)
    numbers = [f"{x:.0f}" for x in (*mine, whole - sum(mine))]
    return f"| {model.name} | " + " | ".join([*numbers, *cells, f"{floor(model):.0f}"]) + " |"


def floor(model: Model) -> float:
    """Return the median processor time in µs of the network alone, one frame a call."""
    bound, taken = model.bound(1), []
    bound.given[...] = np.random.default_rng(0).normal(0, 0.1, bound.given.shape)
    state = model.start(1)
    for _ in range(2000):
        before = time.thread_time()
        _, state = bound(state)
        taken.append(time.thread_time() - before)
    return 1e6 * np.median(taken)


def per_hop(streamer: Streamer, samples: np.ndarray, size: int) -> float:
    """Return the median processor time in seconds of a block of `size` samples."""
    taken = []
    for start in range(0, samples.shape[1] - size + 1, size):
        before = time.thread_time()
        streamer.process(samples[:, start : start + size])
        taken.append(time.thread_time() - before)
    return np.median(taken[2:])


@contextmanager
def clocked(owner: object, method: str) -> Iterator[list[float]]:
    """Give a list that every call of `method` adds its wall-clock seconds to."""
    call, taken = getattr(owner, method), []

    def timed(*arguments, **options):
        before = time.perf_counter()
        result = call(*arguments, **options)
        taken.append(time.perf_counter() - before)
        return result

    with mock.patch.object(owner, method, timed):
        yield taken


def heads(*names: str) -> str:
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


if __name__ == "__main__":
    models = sys.argv[1:] or ["denoise-16k"]
    times = ("median ms", "99.9 % ms", "median CPU ms", "99.9 % CPU ms")
    about = ("model", "Hz", "channels", "hop ms", "latency ms")
    print(heads(*about, *times, "of the hop", "times real time, CPU"))
    for name in models:
        ways = {(load_model(name).sample_rate, 1): None, (48000, 1): None, (48000, 2): None}
        for rate, n_channels in ways:
            print(row(name, rate, n_channels), flush=True)
    blocks = ("1 hop a block, CPU µs", *(f"{n} hops" for n in BLOCKS[1:]))
    blocks += ("bare network, CPU µs",)
    print("\n" + heads("model", *(f"{part} µs" for part in PARTS), "rest µs", *blocks))
    for name in models:
        print(parts(name), flush=True)
