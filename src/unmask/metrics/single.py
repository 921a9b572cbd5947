"""Metrics that are defined for one channel of NumPy: checks, loop and library around them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask._arrays import Array, device, namespace, to_numpy
from unmask.errors import SampleRateError, SignalError
from unmask.metrics.energy import check_pair

Real = NDArray[np.float64]


def score_each(metric: Callable[[Real, Real], float], estimate: Array, target: Array) -> Array:
    """Score every channel on its own; a silent target is NaN and is not looked at.

    Parameters
    ----------
    metric : function (estimate, target) -> float
        Of two float64 arrays (sample,).
    estimate, target : array [shape=(..., channel, sample)], real

    Returns
    -------
    array [shape=(..., channel), type and library of `target`]

    Raises
    ------
    SignalError
        If a signal has NaN or infinite samples.
    ConfigError, ShapeError
        If the two are no real signals of one shape.
    """
    check_pair(estimate=estimate, target=target)
    pairs = [to_numpy(x).astype(np.float64) for x in (estimate, target)]
    for name, x in zip(("estimate", "target"), pairs, strict=True):
        if not np.isfinite(x).all():
            raise SignalError(f"{name} contains NaN or infinite samples, expected finite ones")
    rows = (x.reshape(-1, x.shape[-1]) for x in pairs)
    scores = [
        metric(guess, truth) if truth.any() else math.nan
        for guess, truth in zip(*rows, strict=True)
    ]
    xp = namespace(estimate, target)
    shaped = np.array(scores, np.float64).reshape(pairs[0].shape[:-1])
    return xp.asarray(shaped, dtype=target.dtype, device=device(target))


def check_sample_rate(sample_rate: float, *allowed: int) -> None:
    """Refuse a sample rate that is not positive, or not one of `allowed`.

    Raises
    ------
    SampleRateError
        If it is so.
    """
    if allowed and sample_rate not in allowed:
        rates = " or ".join(str(rate) for rate in allowed)
        raise SampleRateError(
            f"sample_rate is {sample_rate} Hz, expected {rates}; resample both signals first"
        )
    if not 0 < sample_rate < math.inf:
        raise SampleRateError(f"sample_rate is {sample_rate} Hz, expected a positive number")


def frames(x: NDArray[Any], length: int, hop: int) -> NDArray[Any]:
    """Frames that lie wholly in the signal, as a view: (..., frame, sample)."""
    return np.lib.stride_tricks.sliding_window_view(x, length, axis=-1)[..., ::hop, :]
