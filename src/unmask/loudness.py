"""How loud recordings are (ITU-R BS.1770-4), and the gains that make them equally loud."""

import math
from collections.abc import Sequence

import numpy as np

from unmask._arrays import Array
from unmask.errors import MissingExtraError, ShapeError, SignalError

_BLOCK_S = 0.4
_MOST_CHANNELS = 5


def integrated_loudness(waveform: Array, sample_rate: int, *, name: str = "waveform") -> float:
    """Return the gated loudness of a whole recording, in LUFS.

    Parameters
    ----------
    waveform : array [shape=(channel, sample)], real floating point
        At most five channels: left, right, centre, left and right surround.
    sample_rate : int
        In Hz.
    name : str
        What errors call it.

    Raises
    ------
    ShapeError
        If it has other axes, more channels, or less than 400 ms.
    SignalError
        If no 400 ms of it are above -70 LUFS.
    MissingExtraError
        If pyloudnorm is not installed.
    """
    try:
        import pyloudnorm
    except ImportError:
        raise MissingExtraError(
            'pyloudnorm is not installed, loudness needs it; pip install "unmask[loudness]"'
        ) from None
    if waveform.ndim != 2 or not 1 <= waveform.shape[0] <= _MOST_CHANNELS:
        raise ShapeError(
            f"{name}: has shape {waveform.shape}, expected (channel, sample) of 1 to "
            f"{_MOST_CHANNELS} channels"
        )
    length_s = waveform.shape[1] / sample_rate
    if length_s < _BLOCK_S:
        raise ShapeError(
            f"{name}: is {1000 * length_s:.0f} ms long, expected at least {1000 * _BLOCK_S:.0f} ms "
            "to measure its loudness"
        )
    meter = pyloudnorm.Meter(sample_rate, block_size=_BLOCK_S)
    loudness = float(meter.integrated_loudness(np.asarray(waveform.T, np.float64)))
    if not math.isfinite(loudness):
        raise SignalError(f"{name}: is silent, expected sound above -70 LUFS; leave it out")
    return loudness


def equal_gains(loudness: Sequence[float], peaks: Sequence[float]) -> list[float]:
    """Return the factors that make recordings as loud as the first.

    All are lower alike where a peak would exceed full scale.

    Parameters
    ----------
    loudness : sequence of float
        In LUFS.
    peaks : sequence of float
        Largest magnitudes; 1 is full scale.

    Examples
    --------
    >>> equal_gains([-20.0, -40.0], [0.25, 0.02])
    [1.0, 10.0]
    >>> equal_gains([-20.0, -40.0], [0.25, 0.2])
    [0.5, 5.0]
    """
    gains = [10 ** ((loudness[0] - level) / 20) for level in loudness]
    highest = max(gain * peak for gain, peak in zip(gains, peaks, strict=True))
    return [gain / max(1.0, highest) for gain in gains]
