"""Change the sample rate, with soxr."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import SampleRateError, ShapeError


def resample(waveform: ArrayLike, sample_rate: float, new_sample_rate: float) -> NDArray[Any]:
    """Change the sample rate of `waveform` (..., channel, sample) with soxr's high quality filter.

    The result has ``n_samples * new_sample_rate / sample_rate`` samples, rounded to the nearest,
    in the dtype of `waveform` (float32 or float64). Equal rates give an unchanged copy.

    Raises
    ------
    SampleRateError
        A rate is not a positive number.
    ShapeError
        `waveform` is not of floating point.
    """
    import soxr

    for rate in (sample_rate, new_sample_rate):
        if not 0 < rate < np.inf:
            raise SampleRateError(f"sample rate: {rate} Hz, should be a positive number")
    x = np.asarray(waveform)
    if x.ndim == 0 or x.dtype not in (np.float32, np.float64):
        raise ShapeError(
            f"waveform: {x.dtype} {x.shape}, should be float32 or float64 (..., channel, sample)"
        )
    if x.size == 0:
        return x.copy()
    rows = [soxr.resample(row, sample_rate, new_sample_rate) for row in x.reshape(-1, x.shape[-1])]
    return np.stack(rows).reshape(*x.shape[:-1], -1)
