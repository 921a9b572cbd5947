"""Composite measures of speech enhancement: CSIG, CBAK, COVL of Hu and Loizou (2008).

Linear fits of listeners' opinions (1 to 5) to PESQ, segmental SNR, the log-likelihood ratio of
linear prediction (LLR) and Klatt's weighted spectral slope (WSS). Computed as Loizou's
``composite.m`` does, with wide-band PESQ, as everyone has since 2017; frames that are digital
silence in either signal are left out of LLR, where ``composite.m`` adds 2e-16 to every sample.

Limits: fitted to 2006's spectral subtraction and Wiener filters on narrow-band speech; PESQ's
limits are theirs too. The spectral slope ends at 3.8 kHz.

References
----------
Hu, Loizou, "Evaluation of objective quality measures for speech enhancement", IEEE TASLP 16(1),
2008. Klatt, "Prediction of perceived phonetic distance from critical-band spectra", ICASSP 1982.
"""

import math
from typing import NamedTuple

import numpy as np

from unmask._arrays import Array, namespace
from unmask.metrics.segmental import channel_segmental_snr, hann_frames
from unmask.metrics.single import Real, check_sample_rate, score_each
from unmask.metrics.speech import pesq

#: Klatt's 25 critical bands: first the constant, then the growing ones, Hz
# fmt: off
_CENTRES = np.array([
    50, 120, 190, 260, 330, 400, 470, 540, 617.372, 703.378, 798.717, 904.128, 1020.38, 1148.30,
    1288.72, 1442.54, 1610.70, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17,
    3597.63,
])
_WIDTHS = np.array([
    70, 70, 70, 70, 70, 70, 70, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423,
    153.823, 168.154, 183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465,
    346.136,
])
# fmt: on
#: the best frames that count
_SHARE = 0.95
_ORDER = 16
_TOEPLITZ = np.abs(np.subtract.outer(np.arange(_ORDER), np.arange(_ORDER)))


class Composite(NamedTuple):
    """Predicted opinions, 1 (bad) to 5 (excellent): arrays (..., channel)."""

    csig: Array
    """How little the speech is distorted."""
    cbak: Array
    """How little the background intrudes."""
    covl: Array
    """Overall."""


def composite(estimate: Array, target: Array, *, sample_rate: int = 16000) -> Composite:
    """CSIG, CBAK and COVL of 16 kHz speech.

    Parameters
    ----------
    estimate, target : array [shape=(..., channel, sample)], real, linear, full scale 1
    sample_rate : int, Hz
        16000.

    Returns
    -------
    Composite
        NaN for a silent target.

    Raises
    ------
    MissingExtraError, SampleRateError, ConfigError
        As `unmask.metrics.pesq`.
    """
    check_sample_rate(sample_rate, 16000)
    quality = pesq(estimate, target, sample_rate=sample_rate)
    likelihood = score_each(_log_likelihood_ratio, estimate, target)
    slope = score_each(_spectral_slope, estimate, target)
    snr = score_each(_segmental_snr, estimate, target)
    return Composite(
        _opinion(3.093 - 1.029 * likelihood + 0.603 * quality - 0.009 * slope),
        _opinion(1.634 + 0.478 * quality - 0.007 * slope + 0.063 * snr),
        _opinion(1.594 + 0.805 * quality - 0.512 * likelihood - 0.007 * slope),
    )


def _opinion(x: Array) -> Array:
    """Limit to the scale of opinions; NaN stays."""
    return namespace(x).clip(x, 1.0, 5.0)


def _segmental_snr(estimate: Real, target: Real) -> float:
    """Segmental SNR at 16 kHz."""
    return channel_segmental_snr(estimate, target, sample_rate=16000)


def _best_mean(distortions: Real) -> float:
    """Mean of the 95 % smallest."""
    kept = np.sort(distortions)[: round(len(distortions) * _SHARE)]
    return float(kept.mean()) if kept.size else math.nan


def _log_likelihood_ratio(estimate: Real, target: Real) -> float:
    """LLR: how much worse the estimate's prediction filter predicts the target than its own."""
    pairs = zip(hann_frames(estimate, 16000), hann_frames(target, 16000), strict=True)
    return _best_mean(np.array([_frame_ratio(*pair) for pair in pairs if all(map(np.any, pair))]))


def _frame_ratio(estimate: Real, target: Real) -> float:
    """LLR of one frame."""
    lags = [
        np.array([x[: len(x) - k] @ x[k:] for k in range(_ORDER + 1)]) for x in (estimate, target)
    ]
    errors = []
    for own in lags:
        filter_ = np.concatenate([[1.0], -np.linalg.solve(own[_TOEPLITZ], own[1:])])
        both = np.convolve(filter_, filter_[::-1])[_ORDER:]
        errors.append(both[0] * lags[1][0] + 2 * both[1:] @ lags[1][1:])
    return float(np.log(errors[0] / errors[1]))


def _spectral_slope(estimate: Real, target: Real) -> float:
    """WSS: weighted difference of the slopes between neighbouring critical bands."""
    bands = [_band_levels(x) for x in (estimate, target)]
    slopes = [np.diff(levels) for levels in bands]
    weights = _weights(bands[0], slopes[0]) + _weights(bands[1], slopes[1])
    squares = weights * (slopes[0] - slopes[1]) ** 2
    return _best_mean(squares.sum(axis=-1) / weights.sum(axis=-1))


def _band_levels(x: Real) -> Real:
    """Level of each frame in critical bands of Gaussian shape, dB: (frame, band)."""
    n_fft = 1024
    bins = np.arange(n_fft // 2)
    centres, widths = (f[:, None] * n_fft / 16000 for f in (_CENTRES, _WIDTHS))
    shapes = np.exp(-11 * ((bins - np.floor(centres)) / widths) ** 2) * (widths[0] / widths)
    shapes[shapes <= math.exp(-30 / (2 * 2.303))] = 0
    power = np.abs(np.fft.rfft(hann_frames(x, 16000), n_fft)[:, :-1]) ** 2
    return np.asarray(10 * np.log10(np.maximum(power @ shapes.T, 1e-10)))


def _weights(levels: Real, slopes: Real) -> Real:
    """Klatt's weights: large near the highest peak of a frame and near each local one."""
    near_top = 20 / (20 + levels.max(axis=-1, keepdims=True) - levels[:, :-1])
    return np.asarray(near_top / (1 + _local_peaks(levels, slopes) - levels[:, :-1]))


def _local_peaks(levels: Real, slopes: Real) -> Real:
    """Level at the end of the way up from each band, one short of the top on the way right.

    That the peak to the right is read one band early is ``composite.m``'s, and kept.
    """
    rising = slopes > 0
    peaks = np.empty_like(slopes)
    left = levels[:, 0]
    for i in range(slopes.shape[1]):
        left = np.where(rising[:, i], levels[:, i + 1], left)
        peaks[:, i] = left
    right = levels[:, -2]
    for i in reversed(range(slopes.shape[1])):
        if i + 1 < slopes.shape[1]:
            right = np.where(rising[:, i + 1], right, levels[:, i])
        peaks[:, i] = np.where(rising[:, i], right, peaks[:, i])
    return peaks
