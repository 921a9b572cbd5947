"""Sounds for a page: how loud each is played, and as which bytes it travels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from unmask import audio
from unmask._arrays import Array
from unmask.errors import ConfigError, SignalError
from unmask.loudness import equal_gains, integrated_loudness

#: Format -> whether all samples come back, to 16 bits.
FORMATS = {"flac": True, "ogg": False}
#: What is quieter than the mixture by more than this is not made as loud: it would be noise.
MOST_DB = 30.0
_MOST_CHANNELS = 5


@dataclass(frozen=True)
class Levels:
    """The gains of sounds that are compared."""

    gains: tuple[float, ...]
    """With which they are as loud as the first, or 30 dB up; none exceeds full scale."""
    measure: str
    """By which they are: ``"BS.1770"`` or ``"RMS"``."""


def levels(waveforms: Sequence[Array], sample_rate: int) -> Levels:
    """Return gains that make sounds equally loud.

    By ITU-R BS.1770 where pyloudnorm is installed and they are of a second or more and at most five
    channels, else by their root mean square.

    Parameters
    ----------
    waveforms : sequence of array [shape=(channel, sample)], real
    sample_rate : int
        In Hz.
    """
    peaks = [float(np.abs(x).max(initial=0)) for x in waveforms]
    by_standard = find_spec("pyloudnorm") is not None and waveforms[0].shape[-1] >= sample_rate
    by_standard = by_standard and waveforms[0].shape[0] <= _MOST_CHANNELS
    loud = [_loudness(x, sample_rate) if by_standard else _rms_db(x) for x in waveforms]
    first = loud[0] if np.isfinite(loud[0]) else max(loud)
    measure = "BS.1770" if by_standard else "RMS"
    if not np.isfinite(first):
        return Levels((1.0,) * len(peaks), measure)
    lifted = [max(level, first - MOST_DB) for level in loud]
    return Levels(tuple(equal_gains(lifted, peaks, target=first)), measure)


def _loudness(x: Array, sample_rate: int) -> float:
    try:
        return integrated_loudness(x, sample_rate)
    except SignalError:  # silence
        return -math.inf


def _rms_db(x: Array) -> float:
    power = float(np.mean(np.square(x, dtype=np.float64)))
    return 10 * math.log10(power) if power > 0 else -math.inf


def encoded(waveform: Array, sample_rate: int, kind: str) -> bytes:
    """Return a sound file that browsers decode; samples beyond full scale are clipped.

    Parameters
    ----------
    waveform : array [shape=(channel, sample)], real
    sample_rate : int
        In Hz.
    kind : {"flac", "ogg"}
        FLAC of 16 bits; or Ogg Vorbis, about a third as large, whose noise is heard
        where little is left.

    Raises
    ------
    ConfigError
        If there is no such format.
    """
    if kind not in FORMATS:
        raise ConfigError(f"format: {kind!r}, expected one of {', '.join(FORMATS)}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"sound.{kind}"
        audio.write(path, waveform, sample_rate)
        return path.read_bytes()
