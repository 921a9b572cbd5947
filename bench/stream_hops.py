"""How long a hop takes in ``unmask stream``, from the bytes that come to the bytes that go.

One thread, a minute of noise fed hop by hop as fast as it is taken. Prints a Markdown table: median
and 99.9 percentile of a hop in wall-clock and in processor time, and the share of the hop.

    python bench/stream_hops.py denoise-16k [MODEL.onnx ...]
"""

import io
import sys
import time

import numpy as np

from unmask.audio.pcm import ENCODINGS, PipeFormat
from unmask.live.pipe import relay
from unmask.live.tap import Tap, delay, hop
from unmask.model import load_model
from unmask.stream import Streamer

SECONDS = 60


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


if __name__ == "__main__":
    print(
        "| model | Hz | channels | hop ms | latency ms | median ms | 99.9 % ms | median CPU ms | "
        "99.9 % CPU ms | of the hop | times real time, CPU |\n|---" + "|---" * 10 + "|"
    )
    for name in sys.argv[1:] or ["denoise-16k"]:
        for rate, n_channels in ((16000, 1), (48000, 1), (48000, 2)):
            print(row(name, rate, n_channels), flush=True)
