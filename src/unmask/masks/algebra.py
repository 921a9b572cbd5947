"""What can be done to masks of any family: apply, complement, normalise, threshold, sharpen.

All are functions on arrays. Masks are ``(..., source, channel, freq, frame)``, real or complex; a
mixture is ``(..., channel, freq, frame)``, complex.
"""

from unmask._arrays import (
    SOURCE_AXIS,
    Array,
    check_axes,
    clip,
    is_complex,
    namespace,
    safe_divide,
)
from unmask.errors import ConfigError, ShapeError

_MASK_AXES = "source, channel, freq, frame"


def apply(masks: Array, mixture: Array) -> Array:
    """Return every masked source, ``masks * mixture``.

    A real mask keeps the mixture's phase; a complex one scales and turns every bin.

    Parameters
    ----------
    masks : array [shape=(..., source, channel, freq, frame)], real or complex
    mixture : array [shape=(..., channel, freq, frame)], complex

    Returns
    -------
    array [shape=(..., source, channel, freq, frame)], complex

    Raises
    ------
    ShapeError
        If the last three axes differ.
    """
    check_axes(_MASK_AXES, masks=masks)
    check_axes("channel, freq, frame", mixture=mixture)
    if tuple(masks.shape[-3:]) != tuple(mixture.shape[-3:]):
        raise ShapeError(
            f"masks{tuple(masks.shape)} and mixture{tuple(mixture.shape)} must agree in "
            "(channel, freq, frame); make the masks from this mixture's spectrum"
        )
    return masks * mixture[..., None, :, :, :]


def complement(masks: Array) -> Array:
    """Return ``1 - masks``: what each mask leaves, so that the two parts add up to the mixture.

    Examples
    --------
    >>> import numpy as np
    >>> complement(np.array([0.25, 1.0]))
    array([0.75, 0.  ])
    """
    return 1 - masks


def normalise(masks: Array) -> Array:
    """Return masks that sum to one over sources, so that masked sources add up to the mixture.

    Real masks, >= 0, are divided by their sum (silent bins are shared out evenly). Complex masks
    get an equal share of what is missing, see :func:`share_missing`.

    Parameters
    ----------
    masks : array [shape=(..., source, channel, freq, frame)]

    Returns
    -------
    array [shape and dtype of `masks`]

    Raises
    ------
    ShapeError
        If there are fewer axes.
    """
    check_axes(_MASK_AXES, masks=masks)
    xp = namespace(masks)
    if is_complex(masks):
        return share_missing(masks)
    # By the largest first, so that no level overflows.
    peak = xp.max(masks, axis=SOURCE_AXIS, keepdims=True)
    shares = safe_divide(masks, peak, fill=1.0)
    return shares / xp.sum(shares, axis=SOURCE_AXIS, keepdims=True)


def share_missing(masks: Array) -> Array:
    """Return the nearest masks that sum to one, ``M_j + (1 - sum M) / n_sources``.

    Every source takes an equal share of what is missing, the least change that does it (mixture
    consistency, Wisdom et al., 2019). Real masks may leave [0, 1].

    Parameters
    ----------
    masks : array [shape=(..., source, channel, freq, frame)], real or complex

    Returns
    -------
    array [shape and dtype of `masks`]
    """
    missing = 1 - namespace(masks).sum(masks, axis=SOURCE_AXIS, keepdims=True)
    return masks + missing / masks.shape[SOURCE_AXIS]


def threshold(masks: Array, level: float = 0.5) -> Array:
    """Return the binary mask that is 1 where the real mask is at least `level`.

    Raises
    ------
    ConfigError
        If the mask is complex.

    Examples
    --------
    >>> import numpy as np
    >>> threshold(np.array([0.2, 0.5, 0.9]))
    array([0., 1., 1.])
    """
    if is_complex(masks):
        raise ConfigError("threshold: the mask is complex, expected a real one; take its magnitude")
    xp = namespace(masks)
    return xp.astype(masks >= level, masks.dtype)


def sharpen(masks: Array, exponent: float) -> Array:
    """Return masks whose magnitudes below 1 are raised to a power, ``M min(|M|, 1)^(s - 1)``.

    An `exponent` s above 1 takes more out, one below 1 less. Sign and phase stay, and so does what
    a mask passes whole or amplifies.

    Parameters
    ----------
    masks : array [shape=(..., source, channel, freq, frame)], real or complex
    exponent : float > 0

    Returns
    -------
    array [shape and dtype of `masks`]

    Examples
    --------
    >>> import numpy as np
    >>> sharpen(np.array([0.0, -0.5, 1.0, 2.0]), 2.0)
    array([ 0.  , -0.25,  1.  ,  2.  ])
    """
    xp = namespace(masks)
    magnitude = xp.abs(masks)
    least = xp.finfo(magnitude.dtype).smallest_normal  # 0 has no negative powers
    return masks * clip(magnitude, least, 1.0) ** (exponent - 1)


def project_on_mixture(estimates: Array, mixture: Array, *, weights: Array | None = None) -> Array:
    """Return the nearest estimates that add up to the mixture (Wisdom et al., 2019).

    Parameters
    ----------
    estimates : array
        Waveforms, real, ``(..., source, channel, sample)``, or spectra, complex,
        ``(..., source, channel, freq, frame)``.
    mixture : array
        As `estimates` without the source axis.
    weights : array, optional
        Share of the missing part that each source takes, summing to one over sources, broadcastable
        to `estimates`; even by default.

    Returns
    -------
    array [shape and dtype of `estimates`]

    Raises
    ------
    ShapeError
        If `mixture` is not `estimates` without its source axis.
    """
    axis = SOURCE_AXIS if is_complex(estimates) else SOURCE_AXIS + 1
    shape = list(estimates.shape)
    if len(shape) < -axis or tuple(shape[:axis] + shape[axis + 1 :]) != tuple(mixture.shape):
        raise ShapeError(
            f"estimates{tuple(shape)} must be mixture{tuple(mixture.shape)} "
            f"with a source axis at {axis}"
        )
    xp = namespace(estimates, mixture)
    missing = xp.expand_dims(mixture - xp.sum(estimates, axis=axis), axis=axis)
    return estimates + (missing / shape[axis] if weights is None else missing * weights)
