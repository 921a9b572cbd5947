"""Augmentation through pedalboard (Spotify): what a studio does to songs and stems.

`pedalboard` is under the GPL-3, so it is an extra, ``unmask[augment]``, imported only by those who
ask for it; the networks that come out are not affected by its licence. Time stretching and pitch
shifting inside it are Rubber Band's, filters, modulation, compression and reverberation JUCE's.
Everything is drawn from the generator that is given.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from unmask import audio
from unmask.data.example import rms
from unmask.errors import MissingExtraError

#: Effects are heard at this RMS, -20 dB: a compressor and a listener care.
LEVEL = 0.1


def pedals() -> ModuleType:
    """Return the library.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import pedalboard
    except ImportError:
        raise MissingExtraError(
            "data: effects and variants need pedalboard (GPL-3), which is not installed; "
            'pip install "unmask[augment]"'
        ) from None
    return pedalboard


@dataclass(frozen=True, kw_only=True)
class Variation:
    """Another tempo and pitch of a song, the same for all of its parts."""

    stretch: float
    """Faster by that factor, at the same pitch."""
    semitones: float
    """Higher by that, at the same tempo."""
    speed: float
    """Faster by that factor and so much higher, as a tape: resampling."""

    def apply(self, x: Any, sample_rate: int) -> Any:
        """Return `x`, float32 of shape (part, channel, sample), played like that.

        All are the channels of one sound to the stretcher, so they stay aligned (its faster
        engine keeps clicks together to the sample, the other within eight). There are about
        ``n_samples / (stretch * speed)`` samples.
        """
        varied = pedals().time_stretch(
            np.ascontiguousarray(x.reshape(-1, x.shape[-1]), np.float32),
            sample_rate,
            stretch_factor=self.stretch,
            pitch_shift_in_semitones=self.semitones,
            high_quality=False,
            preserve_formants=False,
        )
        varied = audio.resample(varied, sample_rate * self.speed, sample_rate)
        return varied.reshape(*x.shape[:-1], -1)


def draw(rng: np.random.Generator, sample_rate: int, shares: Mapping[str, float]) -> list[Any]:
    """Return a random choice of effects with random settings, in the order of a stem's way.

    Parameters
    ----------
    rng : Generator
        Decides which and how.
    sample_rate : int
        In Hz.
    shares : mapping
        Name of an effect, see :data:`EFFECTS` -> its probability.
    """
    chosen = [name for name in EFFECTS if rng.uniform() < shares.get(name, 0.0)]
    return [plugin for name in chosen for plugin in EFFECTS[name](rng, pedals(), sample_rate)]


def play(board: Sequence[Any], x: Any, sample_rate: int) -> Any:
    """Return a stem after effects, the same on every channel.

    Parameters
    ----------
    board : sequence
        Of :func:`draw`.
    x : float32 array [shape=(channel, sample)]
    sample_rate : int
        In Hz.

    Returns
    -------
    float32 array [shape=(channel, sample)]
        At the level that `x` had, but for what the effects do to it.
    """
    level = rms(x)
    if not board or not level:
        return x
    played = pedals().Pedalboard(list(board))
    gain = np.float32(LEVEL / level)
    # each by itself: of two at once, JUCE's reverberation would give each a room of its own
    return np.stack([played(channel, sample_rate) for channel in gain * x]) / gain


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw so that every octave has the same chance."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _equalise(rng: np.random.Generator, library: Any, rate: int) -> list[Any]:
    """Three peaks or dips of up to 9 dB."""
    return [
        library.PeakFilter(
            cutoff_frequency_hz=_between(rng, 60, 0.35 * rate),
            gain_db=rng.uniform(-9, 9),
            q=_between(rng, 0.4, 2.0),
        )
        for _ in range(3)
    ]


def _filter(rng: np.random.Generator, library: Any, rate: int) -> list[Any]:
    """Take the lows or the highs away, 6 dB an octave."""
    if rng.uniform() < 0.5:
        return [library.HighpassFilter(cutoff_frequency_hz=_between(rng, 50, 500))]
    return [library.LowpassFilter(cutoff_frequency_hz=_between(rng, 0.07 * rate, 0.35 * rate))]


def _compress(rng: np.random.Generator, library: Any, rate: int) -> list[Any]:
    return [
        library.Compressor(
            threshold_db=rng.uniform(-35, -15),
            ratio=rng.uniform(2, 8),
            attack_ms=_between(rng, 1, 30),
            release_ms=_between(rng, 50, 300),
        )
    ]


def _phaser(rng: np.random.Generator, library: Any, rate: int) -> list[Any]:
    return [
        library.Phaser(
            rate_hz=_between(rng, 0.1, 2),
            depth=rng.uniform(0.2, 0.8),
            centre_frequency_hz=_between(rng, 400, 2000),
            feedback=rng.uniform(0, 0.5),
            mix=rng.uniform(0.3, 0.5),
        )
    ]


def _flanger(rng: np.random.Generator, library: Any, rate: int) -> list[Any]:
    return _swept(rng, library, delay_ms=(1, 4), feedback=(0.2, 0.6))


def _chorus(rng: np.random.Generator, library: Any, rate: int) -> list[Any]:
    return _swept(rng, library, delay_ms=(7, 20), feedback=(0.0, 0.1))


def _swept(rng: np.random.Generator, library: Any, *, delay_ms: Any, feedback: Any) -> list[Any]:
    """Add a copy whose delay swings."""
    return [
        library.Chorus(
            rate_hz=_between(rng, 0.1, 2),
            depth=rng.uniform(0.1, 0.4),
            centre_delay_ms=rng.uniform(*delay_ms),
            feedback=rng.uniform(*feedback),
            mix=rng.uniform(0.3, 0.5),
        )
    ]


def _reverb(rng: np.random.Generator, library: Any, rate: int) -> list[Any]:
    return [
        library.Reverb(
            room_size=rng.uniform(0.1, 0.8),
            damping=rng.uniform(0.1, 0.9),
            wet_level=rng.uniform(0.05, 0.5),
            dry_level=0.5,  # 1 in the library's own unit
        )
    ]


#: name -> its plugins, random settings; in the order in which a stem goes through them
EFFECTS: dict[str, Callable[[np.random.Generator, Any, int], list[Any]]] = {
    "equalise": _equalise,
    "filter": _filter,
    "compress": _compress,
    "phaser": _phaser,
    "flanger": _flanger,
    "chorus": _chorus,
    "reverb": _reverb,
}
