"""One stem of a stream, with what went through it counted, and how late it is."""

import math
from bisect import bisect_left
from time import perf_counter

import numpy as np

from unmask._arrays import Array
from unmask.engine.stream import Streamer, is_finite
from unmask.errors import ConfigError, SignalError

# Edges of the histogram of times: 1 µs to 100 s, each 1 % above the one before.
_EDGES_S = np.geomspace(1e-6, 1e2, 1852).tolist()


class Tap:
    """Take one stem out of a stream; count, and measure the time that it takes.

    Its size does not depend on how much went through.

    Parameters
    ----------
    streamer : Streamer
        Must give the stem; made with ``residual=True`` it gives the residual too.
    stem : str
        The one that is returned.
    refuse : bool
        Refuse samples that are NaN or infinite; else they pass as silence and are counted, because
        a stream that is heard should not end for one of them.

    Attributes
    ----------
    n_samples, n_not_finite, n_clipped : int
        Samples in each channel; samples that were silenced; samples that a sink has clamped.
    peak : float
        Largest magnitude that came out.
    busy_s : float
        Time in the network and all around it, without waiting for input and output.
    """

    def __init__(self, streamer: Streamer, stem: str, *, refuse: bool = False) -> None:
        if stem not in streamer.stems:
            raise ConfigError(f"stem: {stem!r}, expected one of {', '.join(streamer.stems)}")
        self.streamer = streamer
        self.stem = stem
        self.refuse = refuse
        self.n_samples = self.n_not_finite = self.n_clipped = 0
        self.peak = self.busy_s = 0.0
        self._times = np.zeros(len(_EDGES_S) + 1, np.int64)

    def process(self, samples: Array) -> Array:
        """Take in `samples` (channel, sample) of floating point and return what is ready.

        Raises
        ------
        SignalError
            If a sample is NaN or infinite and that is refused.
        """
        start = perf_counter()
        ready: Array = self.streamer.process(self._finite(samples))[self.stem]
        taken_s = perf_counter() - start
        self.n_samples += samples.shape[1]
        self.busy_s += taken_s
        self._times[bisect_left(_EDGES_S, taken_s)] += 1
        self._heard(ready)
        return ready

    def flush(self) -> Array:
        """Return the rest of the stream."""
        start = perf_counter()
        rest: Array = self.streamer.flush()[self.stem]
        self.busy_s += perf_counter() - start
        self._heard(rest)
        return rest

    def quantile_s(self, share: float) -> float:
        """Return the time that `share` of the calls of `process` took at most, to 1 %."""
        counts = np.cumsum(self._times)
        place = int(np.searchsorted(counts, share * counts[-1]))
        return float(_EDGES_S[min(place, len(_EDGES_S) - 1)]) if counts[-1] else math.nan

    @property
    def n_steps(self) -> int:
        """Return how often `process` was called."""
        return int(self._times.sum())

    @property
    def speed(self) -> float:
        """Return how many times faster than real time it was; NaN before anything went through."""
        duration_s = self.n_samples / self.streamer.sample_rate
        return duration_s / self.busy_s if self.busy_s else math.nan

    def _finite(self, samples: Array) -> Array:
        if is_finite(samples):
            return samples
        bad = ~np.isfinite(samples)
        if self.refuse:
            channel, sample = np.argwhere(bad)[0]
            raise SignalError(
                f"input: sample {self.n_samples + sample} of channel {channel} is "
                f"{samples[channel, sample]}, expected a finite number; "
                "let it pass as silence or repair the source"
            )
        self.n_not_finite += int(np.count_nonzero(bad))
        return np.where(bad, samples.dtype.type(0), samples)

    def _heard(self, samples: Array) -> None:
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0)))


def hop(streamer: Streamer) -> int:
    """Return the samples between two frames at the rate of the stream."""
    return streamer.frontend.hop


def delay(streamer: Streamer, block: int) -> int:
    """Return after how many samples at most a sample comes out, if it is fed blocks of `block`.

    Frame k is whole after ``k * hop + length - lead`` samples and waits for the end of its
    block. To the latency comes the longest of these waits; it is 0 for a block of one hop and most
    front-ends.
    """
    frontend = streamer.frontend
    step = math.gcd(frontend.hop, block)
    return streamer.latency + block - step + (frontend.lead - frontend.length) % step


def check_delay(streamer: Streamer, block: int, *, name: str, max_ms: float) -> None:
    """Refuse a model whose `delay` is above `max_ms`.

    Raises
    ------
    ConfigError
        In one line that says what it has.
    """
    delay_ms = 1000 * delay(streamer, block) / streamer.sample_rate
    if not delay_ms <= max_ms:  # nor is anything below NaN
        raise ConfigError(
            f"{name}: latency is {delay_ms:.1f} ms at {streamer.sample_rate} Hz in blocks of "
            f"{block}, should be at most {max_ms:g} ms; choose another model or a smaller block"
        )
