"""Segmental SNR: the mean of the SNR of short frames, each clipped."""

from functools import partial

import numpy as np

from unmask._arrays import Array
from unmask.errors import ShapeError
from unmask.metrics.single import Real, check_sample_rate, frames, score_each

#: Loizou's limits of one frame, dB
_LOWEST, _HIGHEST = -10.0, 35.0


def segmental_snr(estimate: Array, target: Array, *, sample_rate: float) -> Array:
    """Mean over 30 ms Hann frames of the SNR in dB, each frame limited to -10 ... 35 dB.

    Of Hansen and Pellom (1998), with the frames, overlap (75 %) and limits of Loizou's programs.
    Limits: pauses, where the target is quiet or zero, count with -10 dB however little noise is
    left, so that values compare only between recordings with the same share of pauses.

    Parameters
    ----------
    estimate, target : array [shape=(..., channel, sample)], real
        At least 38 ms.
    sample_rate : float, Hz

    Returns
    -------
    array [shape=(..., channel)]
        dB. 35 for a perfect estimate without pauses; NaN for a silent target.

    References
    ----------
    Loizou, "Speech Enhancement: Theory and Practice", 2nd ed., CRC Press, 2013, ch. 11.
    """
    check_sample_rate(sample_rate)
    return score_each(partial(channel_segmental_snr, sample_rate=sample_rate), estimate, target)


def channel_segmental_snr(estimate: Real, target: Real, *, sample_rate: float) -> float:
    """`segmental_snr` of one channel."""
    signal = (hann_frames(target, sample_rate) ** 2).sum(axis=-1)
    noise = (hann_frames(target - estimate, sample_rate) ** 2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = 10 * np.log10(signal / noise)
    ratios[signal == 0] = _LOWEST
    return float(np.clip(ratios, _LOWEST, _HIGHEST).mean())


def hann_frames(x: Real, sample_rate: float) -> Real:
    """Cut into 30 ms Hann frames with 75 % overlap, all but the last, as Loizou does.

    Raises
    ------
    ShapeError
        If there is not one whole frame.
    """
    length = round(0.03 * sample_rate)
    hop = length // 4
    n_frames = int(len(x) / hop - length / hop)
    if n_frames < 1:
        raise ShapeError(
            f"target has {len(x)} samples, expected at least {length + hop} (38 ms); "
            "it is too short for frames"
        )
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1))
    return np.asarray(frames(x, length, hop)[:n_frames] * window)
