"""What a separator should keep: one function each, which returns how far it is from that.

Differences are energies of the worst output, in dB of the mixture's energy.
"""

import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from unmask import audio
from unmask._arrays import Array
from unmask.check.separators import ModelSeparator, Separator, Stems
from unmask.engine.stream import Streamer
from unmask.errors import ShapeError, SignalError

_GAIN = 0.1
_DELAY_S = 0.2601  # no whole number of frames
_SHORT_S = 0.1
#: Of a band that resampling keeps; above it filters fall off.
_BELOW = 0.75


@dataclass(frozen=True)
class Trial:
    """A separator and what it is given."""

    separator: Separator
    mixture: Array
    """(channel, sample), float32."""
    sample_rate: int

    @cached_property
    def base(self) -> Stems:
        """What comes of the mixture as it is."""
        return self.of(self.mixture)

    def of(self, mixture: Array, sample_rate: int | None = None) -> Stems:
        """Return what comes of a mixture of the trial's rate, or of another."""
        return checked(self.separator.separate(mixture, sample_rate or self.sample_rate))

    @property
    def n_channels(self) -> int:
        """Channels of the mixture."""
        return int(self.mixture.shape[0])

    def distance(self, found: Stems, expected: Stems) -> float:
        """Return the energy of the largest difference in dB of the mixture's.

        Raises
        ------
        ShapeError
            If they have other names or shapes.
        """
        if found.keys() != expected.keys():
            raise ShapeError(
                f"outputs: {', '.join(found)}, before there were {', '.join(expected)}"
            )
        for name, stem in found.items():
            if stem.shape != expected[name].shape:
                raise ShapeError(
                    f"output {name}: has shape {stem.shape}, expected {expected[name].shape}"
                )
        return self.db(*(found[name] - expected[name] for name in found))

    def db(self, *signals: Array) -> float:
        """Return the energy of the loudest signal, a sample, in dB of the mixture's."""
        return _db(max(map(_power, signals))) - _db(_power(self.mixture))


def checked(stems: Stems) -> Stems:
    """Refuse outputs that are no finite (channel, sample).

    Raises
    ------
    ShapeError, SignalError
        If one is not, or there is none.
    """
    if not stems:
        raise ShapeError("outputs: there are none")
    for name, stem in stems.items():
        if stem.ndim != 2:
            raise ShapeError(f"output {name}: has shape {stem.shape}, expected (channel, sample)")
        if not np.isfinite(stem).all():
            raise SignalError(f"output {name}: holds NaN or infinity, expected finite samples")
    return stems


def length(trial: Trial) -> float:
    """Return by how many samples or channels outputs differ from the input, at most."""
    n_short = round(_SHORT_S * trial.sample_rate)
    worst = 0
    for n in (trial.mixture.shape[1], trial.mixture.shape[1] - 1, n_short + 1, n_short):
        given = trial.mixture[:, :n]
        found = trial.base if n == trial.mixture.shape[1] else trial.of(given)
        sizes = [np.abs(np.subtract(stem.shape, given.shape)).max() for stem in found.values()]
        worst = max(worst, *map(int, sizes))
    return worst


def determinism(trial: Trial) -> float:
    """Give the same twice."""
    return trial.distance(trial.of(trial.mixture), trial.base)


def silence(trial: Trial) -> float:
    """Give digital silence."""
    found = trial.of(np.zeros_like(trial.mixture))
    return _db(max(map(_power, found.values())))


def total(trial: Trial) -> float:
    """Add up all outputs."""
    outputs = np.stack(_alike(trial, trial.base)).sum(axis=0)
    return trial.db(outputs - trial.mixture)


def level(trial: Trial) -> float:
    """Give it 20 dB softer, and make what comes out louder."""
    found = trial.of(np.float32(_GAIN) * trial.mixture)
    return trial.distance(_scaled(found, 1 / _GAIN), trial.base)


def polarity(trial: Trial) -> float:
    """Give it upside down."""
    return trial.distance(_scaled(trial.of(-trial.mixture), -1), trial.base)


def delay(trial: Trial) -> float:
    """Give it after some silence."""
    n_silent = round(_DELAY_S * trial.sample_rate)
    found = trial.of(np.pad(trial.mixture, [(0, 0), (n_silent, 0)]))
    return trial.distance({name: stem[:, n_silent:] for name, stem in found.items()}, trial.base)


def twins(trial: Trial) -> float | None:
    """Give two equal channels: the two of every output."""
    if trial.n_channels == 1:
        return None
    found = trial.of(np.repeat(trial.mixture[:1], 2, axis=0))
    return trial.db(*(stem[:1] - stem[1:] for stem in found.values()))


def mono(trial: Trial) -> float | None:
    """Give one channel alone, and twice."""
    if trial.n_channels == 1:
        return None
    twice = trial.of(np.repeat(trial.mixture[:1], 2, axis=0))
    return trial.distance(trial.of(trial.mixture[:1]), _first(twice))


def swap(trial: Trial) -> float | None:
    """Exchange left and right."""
    if trial.n_channels == 1:
        return None
    found = trial.of(trial.mixture[::-1].copy())
    return trial.distance({name: stem[::-1] for name, stem in found.items()}, trial.base)


def container(trial: Trial) -> float:
    """Give the same samples in WAV of 16, 24 and 32 bits, FLAC and AIFF."""
    forms = [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT")]
    forms += [("flac", "PCM_16"), ("aiff", "PCM_16")]
    whole = np.round(trial.mixture * 2**15) / np.float32(2**15)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix, subtype in forms:
            path = Path(folder, f"{subtype.lower()}.{suffix}")
            audio.write(path, whole, trial.sample_rate, subtype=subtype)
            found.append(checked(trial.separator.separate_file(path)))
    return max(trial.distance(other, found[0]) for other in found[1:])


def rate(trial: Trial) -> float:
    """Give it at another sample rate; compare what lies well below half of the lower of the two."""
    own = trial.sample_rate
    other = 44100 if own == 48000 else 48000
    found = trial.of(audio.resample(trial.mixture, own, other), other)
    low = round(_BELOW * min(own, other))
    ours, theirs = (
        {name: audio.resample(stem, at, low) for name, stem in stems.items()}
        for stems, at in ((trial.base, own), (found, other))
    )
    n_samples = min(stem.shape[1] for stem in (*ours.values(), *theirs.values()))
    return trial.distance(_cut(theirs, n_samples), _cut(ours, n_samples))


def chunk(trial: Trial) -> float | None:
    """Give the network more or fewer frames at a time."""
    if not isinstance(trial.separator, ModelSeparator):
        return None
    unit, context = trial.separator.model.unit, trial.separator.model.context
    least = unit * max(1, context // (2 * unit))
    sizes = (least, 5 * least + 2 * unit)
    return max(trial.distance(_streamed(trial, [], n), trial.base) for n in sizes)


def cut(trial: Trial) -> float | None:
    """Push it in blocks of many sizes, of none and one sample among them."""
    if not isinstance(trial.separator, ModelSeparator):
        return None
    rng, n_samples = np.random.default_rng(0), trial.mixture.shape[1]
    places = np.sort([0, 0, 1, *rng.integers(0, n_samples, 20)])
    return trial.distance(_streamed(trial, places.tolist(), None), trial.base)


def batch(trial: Trial) -> float | None:
    """Give channels side by side and each alone, if the network hears them one by one."""
    own = trial.separator
    if not isinstance(own, ModelSeparator) or own.model.channels > 1 or trial.n_channels == 1:
        return None
    alone = [trial.of(channel[None]) for channel in trial.mixture]
    joined = {name: np.concatenate([stems[name] for stems in alone]) for name in alone[0]}
    return trial.distance(joined, trial.base)


def threads(trial: Trial) -> float | None:
    """Run the network on two threads."""
    if not isinstance(trial.separator, ModelSeparator):
        return None
    model = trial.separator.threaded(2)
    return trial.distance(
        model.separate(trial.mixture, trial.sample_rate, residual=True), trial.base
    )


@dataclass(frozen=True)
class Check:
    """One thing to be kept."""

    name: str
    law: str
    """What is turned, and what should stay."""
    bound: float
    """Greatest value that passes."""
    measure: Callable[[Trial], float | None]
    """None where it does not apply."""
    is_required: bool = True
    """Whether any separator that does otherwise is broken; else it is as it was made or learned."""
    unit: str = "dB"


#: In the order that they are made.
CHECKS: Mapping[str, Check] = {
    check.name: check
    for check in (
        Check("length", "as many samples and channels as came in", 0, length, unit="samples"),
        Check("determinism", "the same again", -120, determinism),
        Check("silence", "silence stays silent (dB of full scale)", -100, silence),
        Check("sum", "outputs add up to the mixture", -100, total, is_required=False),
        Check("container", "WAV of 16, 24, 32 bits, FLAC, AIFF", -120, container),
        Check("twins", "equal channels stay equal", -100, twins, is_required=False),
        Check("cut", "blocks of a stream: cut anywhere", -100, cut),
        Check("chunk", "frames given to the network at a time", -100, chunk),
        Check("batch", "channels side by side, and alone", -100, batch),
        Check("threads", "one thread, two threads", -100, threads),
        Check("mono", "one channel, and the same twice", -60, mono, is_required=False),
        Check("swap", "left and right exchanged", -60, swap, is_required=False),
        Check("level", "20 dB softer", -60, level, is_required=False),
        Check("polarity", "upside down", -60, polarity, is_required=False),
        Check("delay", "0.26 s later", -40, delay, is_required=False),
        Check("rate", "another sample rate", -30, rate, is_required=False),
    )
}


def _streamed(trial: Trial, places: list[int], chunk_frames: int | None) -> Stems:
    """Return what a stream gives that is cut at some places."""
    assert isinstance(trial.separator, ModelSeparator)
    streamer = Streamer(
        trial.separator.model,
        sample_rate=trial.sample_rate,
        n_channels=trial.n_channels,
        residual=True,
        chunk_frames=chunk_frames,
    )
    parts = [streamer.process(block) for block in np.split(trial.mixture, places, axis=1)]
    parts.append(streamer.flush())
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in streamer.stems}


def _alike(trial: Trial, stems: Stems) -> list[Array]:
    for name, stem in stems.items():
        if stem.shape != trial.mixture.shape:
            raise ShapeError(
                f"output {name}: has shape {stem.shape}, the mixture {trial.mixture.shape}"
            )
    return list(stems.values())


def _scaled(stems: Stems, gain: float) -> Stems:
    return {name: np.float32(gain) * stem for name, stem in stems.items()}


def _first(stems: Stems) -> Stems:
    return {name: stem[:1] for name, stem in stems.items()}


def _cut(stems: Stems, n_samples: int) -> Stems:
    return {name: stem[:, :n_samples] for name, stem in stems.items()}


def _power(x: Array) -> float:
    return float(np.mean(np.square(x, dtype=np.float64))) if x.size else 0.0


def _db(power: float) -> float:
    return 10 * math.log10(power) if power else -math.inf
