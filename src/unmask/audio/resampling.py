"""Change the sample rate, with soxr."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import SampleRateError, ShapeError


class Resampler:
    """Change the sample rate of a stream: push any block, get what is ready.

    However the input is cut, the concatenated output is that of `resample`.

    Parameters
    ----------
    sample_rate, new_sample_rate
        In Hz.
    n_channels
        Rows of every block.
    dtype
        float32 or float64; blocks are taken as that.
    """

    def __init__(
        self,
        sample_rate: float,
        new_sample_rate: float,
        n_channels: int,
        *,
        dtype: str = "float32",
    ) -> None:
        import soxr

        _check_rates(sample_rate, new_sample_rate)
        self._dtype = np.dtype(dtype)
        self._n_channels = n_channels
        self._stream = soxr.ResampleStream(
            sample_rate, new_sample_rate, n_channels, dtype=self._dtype.name
        )

    def process(self, block: ArrayLike) -> NDArray[Any]:
        """Take `block` (channel, sample), give what is ready (channel, sample)."""
        return self._step(np.asarray(block), last=False)

    def flush(self) -> NDArray[Any]:
        """Give what is owed (channel, sample), and start anew."""
        owed = self._step(np.zeros((self._n_channels, 0)), last=True)
        self._stream.clear()
        return owed

    def _step(self, block: NDArray[Any], *, last: bool) -> NDArray[Any]:
        if block.ndim != 2 or block.shape[0] != self._n_channels:
            raise ShapeError(f"block: {block.shape}, should be ({self._n_channels}, n)")
        frames = np.ascontiguousarray(block.T, dtype=self._dtype)
        ready: NDArray[Any] = self._stream.resample_chunk(frames, last=last).T
        return ready


def resample(waveform: ArrayLike, sample_rate: float, new_sample_rate: float) -> NDArray[Any]:
    """Change the sample rate of `waveform` (..., channel, sample) with soxr's high quality filter.

    The result has ``n_samples * new_sample_rate / sample_rate`` samples, rounded to the nearest,
    in the dtype of `waveform` (float32 or float64). Equal rates give an unchanged copy.

    Raises
    ------
    SampleRateError
        A rate is not a positive number.
    """
    import soxr

    _check_rates(sample_rate, new_sample_rate)
    x = np.asarray(waveform)
    if x.ndim == 0 or x.dtype not in (np.float32, np.float64):
        raise ShapeError(
            f"waveform: {x.dtype} {x.shape}, should be float32 or float64 (..., channel, sample)"
        )
    if x.size == 0:
        return x.copy()
    rows = [soxr.resample(row, sample_rate, new_sample_rate) for row in x.reshape(-1, x.shape[-1])]
    return np.stack(rows).reshape(*x.shape[:-1], -1)


def _check_rates(*rates: float) -> None:
    for rate in rates:
        if not 0 < rate < np.inf:
            raise SampleRateError(f"sample rate: {rate} Hz, should be a positive number")
