"""Random changes of sounds, each in two halves: what is drawn, and what is then done.

The first draws numbers from the generator of one example. The second does what they say to the
sounds (example, channel, sample) of many examples at once, on NumPy or on a device.
"""

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from unmask._arrays import namespace, safe_divide
from unmask.data.example import column
from unmask.data.store import Row, Store
from unmask.transforms import irfft, padded, quick_length, rfft

#: Where a low-pass begins to fade, relative to its end: about what resamplers keep.
_LOW_PASS_FADE = 0.92
#: Where a smooth filter has its gains, as a share of half the rate: closer at low frequencies.
_KNOTS = np.linspace(0, 1, 9) ** 2
#: Samples that a hum's sines are computed for exactly; the others follow by turning them.
_TURN = 512


class Excerpt(NamedTuple):
    """What is read of recordings, and how it is played."""

    rows: Sequence[Row]
    """One for each channel."""
    n_samples: int
    """As many are read, and played so fast that they last as long as an example."""
    gains: Any = None
    """Of a smooth filter at its knots; none is applied where they are not given."""
    n_fade: int = 0
    """First and last samples that come and go as they are read."""
    span: tuple[int, int] | None = None
    """From where to where in the example it is heard; all of it where it is not said."""


class Synthetic(NamedTuple):
    """A sound that is made, not recorded."""

    samples: Any
    """Float32 of shape (channel, sample)."""
    slope: float = 0.0
    """Exponent of frequency that it is filtered by; 0 leaves it as it is."""
    knee: float = 0.0
    """Below that share of the sample rate it is flat."""


class Crowd(NamedTuple):
    """Several sounds at once."""

    excerpts: Sequence[Excerpt]


class Rumble(NamedTuple):
    """An offset and brown noise below 60 Hz."""

    white: Any
    """What it is made of, float32 of shape (sample,)."""
    offset: float
    """Beside noise of RMS 1."""
    level_db: float


Sound = Excerpt | Synthetic | Crowd


def draw_filter(rng: np.random.Generator, range_db: float) -> Any:
    """Return the gains of a smooth filter at its knots, linear."""
    return 10 ** (rng.uniform(-range_db, range_db, len(_KNOTS)) / 20)


def draw_room(rng: np.random.Generator, n_channels: int, sample_rate: int) -> Any:
    """Return a room's answer to a click, (channel, sample): a tail with a decay of 0.1 to 0.5 s."""
    decay_s = rng.uniform(0.1, 0.5)
    n_tail = int(decay_s * sample_rate)
    tail = rng.standard_normal((n_channels, n_tail), dtype=np.float32)
    tail *= 10 ** (-3 * np.linspace(0, 1, n_tail, dtype=np.float32))
    tail *= rng.uniform(0.1, 0.7) / np.linalg.norm(tail, axis=1, keepdims=True)
    tail[:, 0] = 1.0
    return tail


def draw_noise(rng: np.random.Generator, n_samples: int, sample_rate: int) -> Synthetic:
    """Return coloured noise from white to brown, or a hum with harmonics."""
    if rng.uniform() < 0.25:
        frequency = rng.choice([50.0, 60.0, rng.uniform(80, 400)])
        orders = np.arange(1, max(2, int(min(16, sample_rate / 2 / frequency))))
        gains = rng.uniform(0, 1, len(orders)) / orders
        phases = rng.uniform(0, 2 * np.pi, len(orders))
        turns = 2 * np.pi * frequency * orders / sample_rate
        return Synthetic(_sines(turns, gains, phases, n_samples)[None])
    white = rng.standard_normal((1, n_samples), dtype=np.float32)
    return Synthetic(white, slope=-rng.uniform(0, 1), knee=20 / sample_rate)


def draw_rumble(rng: np.random.Generator, n_samples: int) -> Rumble:
    """Return a rumble, 0 to 20 dB below what it comes to."""
    white = rng.standard_normal(n_samples, dtype=np.float32)
    return Rumble(white, rng.uniform(-1, 1), -rng.uniform(0, 20))


def draw_clipping(rng: np.random.Generator) -> float:
    """Return how far below its peak something is clipped, in dB."""
    return float(rng.uniform(3, 12))


def _sines(turns: Any, gains: Any, phases: Any, n_samples: int) -> Any:
    """Return a sum of sines, `turns` radians a sample: one product of matrices, not a sine each."""
    starts = _TURN * np.arange(-(-n_samples // _TURN))[:, None] * turns + phases
    inside = np.arange(_TURN) * turns[:, None]
    waves = (gains * np.sin(starts)) @ np.cos(inside) + (gains * np.cos(starts)) @ np.sin(inside)
    return waves.reshape(-1)[:n_samples].astype(np.float32)


def sounds(drawn: Sequence[Sound], n_samples: int, store: Store) -> Any:
    """Return what was drawn, shape (sound, channel, sample).

    Sounds of one length are read, filtered and played together.
    """
    groups: dict[Hashable, list[int]] = {}
    for k, sound in enumerate(drawn):
        groups.setdefault(_alike(sound), []).append(k)
    parts = [_made([drawn[k] for k in group], n_samples, store) for group in groups.values()]
    if len(parts) == 1:
        return parts[0]
    xp, order = namespace(parts[0]), [k for group in groups.values() for k in group]
    return xp.concat(parts)[np.argsort(order).tolist()]


def _alike(sound: Sound) -> Hashable:
    """Return what sounds must have in common to be made together."""
    if isinstance(sound, Synthetic):
        return "synthetic", sound.slope == 0
    if isinstance(sound, Crowd):
        return "crowd", len(sound.excerpts)
    return sound.n_samples, sound.gains is None, sound.n_fade, sound.span


def _made(group: Sequence[Any], n_samples: int, store: Store) -> Any:
    """Return sounds that are alike."""
    if isinstance(group[0], Synthetic):
        samples = store.array(np.stack([sound.samples for sound in group]))
        if group[0].slope == 0:
            return samples
        slopes = [sound.slope for sound in group]
        return coloured(samples, slopes, store, knee=group[0].knee)
    if isinstance(group[0], Crowd):
        heard = sounds([one for crowd in group for one in crowd.excerpts], n_samples, store)
        crowds = heard.reshape(len(group), -1, *heard.shape[1:])
        return namespace(crowds).sum(crowds, axis=1)
    first, (start, stop) = group[0], group[0].span or (0, n_samples)
    x = store.rows([row for excerpt in group for row in excerpt.rows], first.n_samples)
    x = x.reshape(len(group), -1, first.n_samples)
    if first.n_fade:
        x = x * store.array(_fade(first.n_samples, first.n_fade))
    if first.gains is not None:
        filters = [excerpt.gains for excerpt in group]
        x = smooth_filter(x, filters, store, n_samples=stop - start)
    if stop - start == n_samples:
        return x
    silence = store.array(np.zeros((*x.shape[:2], n_samples)))
    silence[..., start:stop] = x
    return silence


def _fade(n_samples: int, n_fade: int) -> Any:
    """Return gains of samples, the first and the last of which come and go."""
    n_fade = min(n_fade, n_samples // 2)
    ramp = (np.arange(n_fade) + 0.5) / max(1, n_fade)
    return np.concatenate([ramp, np.ones(n_samples - 2 * n_fade), ramp[::-1]])


def coloured(x: Any, slopes: Sequence[float], store: Store, *, knee: float) -> Any:
    """Return sounds that fall with frequency to a power each, flat below `knee` (of the rate)."""
    xp, n = namespace(x), x.shape[-1]
    spectrum = _rfft(x, n)
    bins = store.array(np.maximum(np.arange(spectrum.shape[-1], dtype=np.float32), knee * n))
    return _irfft(spectrum * xp.pow(bins, column(slopes, store)), n)


def smooth_filter(x: Any, gains: Sequence[Any], store: Store, *, n_samples: int) -> Any:
    """Apply smooth gains over frequency, and play `x` so fast that it lasts `n_samples`.

    Both happen on the spectrum of the whole excerpt: no change of phase, and a change of speed is
    a spectrum that is cut or continued with zeros.
    """
    xp, n = namespace(x), x.shape[-1]
    spectrum = _rfft(x, n)
    last = spectrum.shape[-1] - 1
    knots = store.array(np.stack(gains))[:, :, None] * (n_samples / n)
    starts = [0, *np.ceil(_KNOTS[1:-1] * last).astype(int).tolist(), last + 1]
    pieces = []
    for k, (first, end) in enumerate(pairwise(starts)):
        share = (np.arange(first, end) / last - _KNOTS[k]) / (_KNOTS[k + 1] - _KNOTS[k])
        pieces.append(knots[:, k] + (knots[:, k + 1] - knots[:, k]) * store.array(share))
    return _irfft(spectrum * xp.concat(pieces, axis=-1)[:, None], n_samples)


def low_pass(x: Any, bands: Sequence[float], store: Store) -> Any:
    """Return `x` without what is above `bands`, shares of half the sample rate; it fades below."""
    rows = [k for k, band in enumerate(bands) if band < 1]
    if not rows:
        return x
    xp, n_fft = namespace(x), quick_length(x.shape[-1])
    spectrum = _rfft(x[rows], n_fft)
    n_bins = spectrum.shape[-1]
    ends = n_bins * column([bands[k] for k in rows], store)
    left = (ends - store.array(np.arange(n_bins))) / ((1 - _LOW_PASS_FADE) * ends)
    low = _irfft(spectrum * xp.clip(left, 0, 1), n_fft)[..., : x.shape[-1]]
    return _put(x, rows, low)


def swapped(x: Any, which: Sequence[bool]) -> Any:
    """Return `x`, some of which change their sides."""
    rows = [k for k, is_swapped in enumerate(which) if is_swapped]
    return _put(x, rows, namespace(x).flip(x[rows], axis=1)) if rows else x


def in_rooms(x: Any, rooms: Sequence[Any], store: Store) -> Any:
    """Return `x` in rooms, whose answers (channel, sample) may differ in length; None is none."""
    rows = [k for k, room in enumerate(rooms) if room is not None]
    if not rows:
        return x
    n_tail = max(rooms[k].shape[1] for k in rows)
    n_fft = quick_length(x.shape[-1] + n_tail)
    answers = store.array(np.stack([padded(rooms[k], n_tail) for k in rows]))
    spectrum = _rfft(x[rows], n_fft) * _rfft(answers, n_fft)
    return _put(x, rows, _irfft(spectrum, n_fft)[..., : x.shape[-1]])


def rumbling(x: Any, rumbles: Sequence[Rumble | None], store: Store, *, sample_rate: int) -> Any:
    """Return noises, some of them with a rumble, whose level is relative to theirs."""
    found = [(k, rumble) for k, rumble in enumerate(rumbles) if rumble]
    if not found:
        return x
    rows, n = [k for k, _ in found], x.shape[-1]
    spectrum = _rfft(store.array(np.stack([rumble.white for _, rumble in found]))[:, None], n)
    frequency = np.arange(spectrum.shape[-1]) * (sample_rate / n)
    brown = _irfft(spectrum * store.array((frequency < 60) / np.maximum(frequency, 5.0)), n)
    brown = brown * gains(1 + 0 * levels(brown), levels(brown))
    brown = brown + column([rumble.offset for _, rumble in found], store)
    gain = column([10 ** (rumble.level_db / 20) for _, rumble in found], store)
    return _put(x, rows, x[rows] + gain * levels(x[rows]) * brown)


def clipped(x: Any, below_db: Sequence[float], store: Store) -> Any:
    """Return `x`, some of it clipped so far below its peak; 0 dB leaves it as it is."""
    rows = [k for k, db in enumerate(below_db) if db]
    if not rows:
        return x
    xp, loud = namespace(x), x[rows]
    peaks = xp.max(xp.abs(loud.reshape(len(rows), -1)), axis=1)[:, None, None]
    most = peaks * column([10 ** (-below_db[k] / 20) for k in rows], store)
    return _put(x, rows, xp.minimum(xp.maximum(loud, -most), most))


def levels(x: Any) -> Any:
    """Return the RMS of sounds (example, channel, sample), shape (example, 1, 1)."""
    xp = namespace(x)
    flat = x.reshape(len(x), -1)
    return xp.sqrt(xp.mean(xp.square(flat), axis=-1))[:, None, None]


def gains(wanted: Any, levels: Any) -> Any:
    """Return what brings sounds of some levels to those that are wanted; silence stays silent."""
    return safe_divide(wanted, levels, fill=0.0)


def _put(x: Any, rows: list[int], changed: Any) -> Any:
    """Return `x` with some of its rows changed."""
    if len(rows) == len(x):
        return changed
    x = namespace(x).asarray(x, copy=True)
    x[rows] = changed
    return x


def _rfft(x: Any, n_fft: int) -> Any:
    if isinstance(x, np.ndarray):
        return rfft(padded(x, n_fft) if n_fft > x.shape[-1] else x)
    return namespace(x).fft.rfft(x, n=n_fft)


def _irfft(spectrum: Any, n_fft: int) -> Any:
    if isinstance(spectrum, np.ndarray):
        return irfft(spectrum, n_fft)
    return namespace(spectrum).fft.irfft(spectrum, n=n_fft)
