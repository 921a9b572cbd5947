"""Energy ratios between an estimate and its target: SDR of whole recordings, also called SNR.

Rules that hold for every metric of this folder that compares energies:

* the order is always ``(estimate, target)``, shaped ``(..., channel, sample)``;
* all channels together are one long signal, unless ``per_channel=True``;
* sums are taken in float64, the result has the type of the input;
* there is no epsilon: levels from 1e-150 to 1e150 give the same value;
* a silent target has no score: the result is NaN, which `unmask.metrics.summary` counts.
"""

import math

from unmask._arrays import Array, check_axes, check_same_shape, namespace, safe_divide, tiny
from unmask.errors import ConfigError, ShapeError

# No recording has more: those that seem to have are (sample, channel), as other libraries have it.
_MOST_CHANNELS = 128


def sdr(estimate: Array, target: Array, *, per_channel: bool = False) -> Array:
    """Signal-to-distortion ratio of a whole recording, in dB.

    ``10 log10(sum target**2 / sum (target - estimate)**2)`` with the sums over all channels and
    samples: the "new SDR" or uSDR of the MDX 2021 and SDX 2023 challenges, whose δ = 1e-7 is left
    out (it moves quiet recordings). It is not the SDR of BSSEval before version 3, which allows the
    target to be filtered; it equals BSSEval's SDR of version 4 with one window for the whole
    signal.

    Parameters
    ----------
    estimate, target : array [shape=(..., channel, sample)], real, linear
        Any level, same shape.
    per_channel : bool
        Score each channel on its own instead of all together.

    Returns
    -------
    array [shape=(...), or (..., channel) per channel]
        dB. ``inf`` for a perfect estimate, 0 for a silent one, NaN for a silent target.

    Raises
    ------
    ShapeError
        If the shapes differ or the channel axis is missing.
    ConfigError
        If the arrays are not real floating point.

    References
    ----------
    Mitsufuji et al., "Music Demixing Challenge 2021", Frontiers in Signal Processing, 2022.

    Examples
    --------
    >>> import numpy as np
    >>> target = np.array([[3.0, 4.0]])
    >>> float(sdr(0.9 * target, target).round(9))
    20.0
    """
    check_pair(estimate=estimate, target=target)
    truth = as_signal(target, per_channel=per_channel)
    error = truth - as_signal(estimate, per_channel=per_channel)
    scores = decibels(energy(truth), energy(error))
    return as_scores(scores, target_energy=energy(truth), like=target)


def snr(estimate: Array, target: Array, *, per_channel: bool = False) -> Array:
    """Signal-to-noise ratio in dB, where the noise is ``estimate - target``.

    The name that speech enhancement gives to `sdr`: the same number, with the same parameters,
    edges and errors.
    """
    return sdr(estimate, target, per_channel=per_channel)


def check_pair(**arrays: Array) -> None:
    """Refuse estimate and target that are no real signals of one shape.

    Raises
    ------
    ConfigError
        If samples are not real floating point.
    ShapeError
        If the shapes differ or lack axes, or the last two axes seem to be swapped.
    """
    check_axes("channel, sample", **arrays)
    check_same_shape(**arrays)
    for name, array in arrays.items():
        if array.shape[-2] > _MOST_CHANNELS:
            raise ShapeError(
                f"{name} has shape {tuple(array.shape)}, which is {array.shape[-2]} channels of "
                f"{array.shape[-1]} samples, expected at most {_MOST_CHANNELS} channels; axes are "
                "(..., channel, sample): transpose the last two"
            )
        if not namespace(array).isdtype(array.dtype, "real floating"):
            raise ConfigError(
                f"{name} has type {array.dtype}, expected real floating point; "
                "convert it first (16-bit samples: divide by 32768)"
            )


def as_signal(x: Array, *, per_channel: bool) -> Array:
    """Return (..., channel, sample) as float64, with the channels joined to one axis or not."""
    xp = namespace(x)
    x = xp.astype(x, xp.float64)
    return x if per_channel else xp.reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))


def as_scores(scores: Array, *, target_energy: Array, like: Array) -> Array:
    """Return `scores` in the type of `like`, NaN where the target is silent."""
    xp = namespace(scores, target_energy)
    silent = target_energy <= tiny(target_energy)
    scores = xp.where(silent, xp.full_like(scores, math.nan), scores)
    return xp.astype(scores, like.dtype)


def energy(x: Array) -> Array:
    """Sum of squares over the last axis."""
    return namespace(x).sum(x * x, axis=-1)


def decibels(num: Array, den: Array) -> Array:
    """``10 log10(num / den)`` of energies: -inf where `num` is zero, else inf where `den` is."""
    xp = namespace(num, den)
    ratio = safe_divide(num, den, fill=math.inf)
    zero = (num <= 0) | (ratio <= 0)
    log = 10 * xp.log10(xp.where(zero, xp.ones_like(ratio), ratio))
    return xp.where(zero, xp.full_like(log, -math.inf), log)
