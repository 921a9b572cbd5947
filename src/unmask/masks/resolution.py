"""Masks at a lower frequency resolution, and back.

The ablation of Montesinos (2021) asks what it costs to keep every second bin and to interpolate the
rest: of the mask or of the separated spectrum, over real and imaginary part (cartesian) or over
magnitude and phase (polar).
"""

from functools import lru_cache
from typing import Any, Literal

import numpy as np

from unmask._arrays import Array, check_axes, is_complex, make_complex, namespace, real_dtype
from unmask.errors import ConfigError, ShapeError

Interpolation = Literal["nearest", "linear", "cubic"]
Space = Literal["cartesian", "polar"]


def downsample(x: Array, factor: int = 2) -> Array:
    """Return every `factor`-th bin of `x`, from 0 Hz on.

    Parameters
    ----------
    x : array [shape=(..., freq, frame)], real or complex
        A mask or a spectrum.
    factor : int >= 1

    Returns
    -------
    array [shape=(..., ceil(freq / factor), frame)]

    Raises
    ------
    ShapeError
        If there are fewer than two axes.
    ConfigError
        If `factor` is below 1.
    """
    check_axes("freq, frame", x=x)
    if factor < 1:
        raise ConfigError(f"factor: {factor}, expected a whole number >= 1")
    return x[..., ::factor, :]


def upsample(
    x: Array,
    n_freq: int,
    factor: int = 2,
    *,
    interpolation: Interpolation = "nearest",
    space: Space = "cartesian",
) -> Array:
    """Return `x` interpolated to `n_freq` bins, the kept bins at every `factor`-th.

    Parameters
    ----------
    x : array [shape=(..., freq, frame)], real or complex
        As :func:`downsample` returns it.
    n_freq : int
        Number of bins to return.
    factor : int >= 1
        As it was given to :func:`downsample`.
    interpolation : {"nearest", "linear", "cubic"}
        ``nearest`` repeats the bin below; ``cubic`` is the convolution of Keys (1981) with the
        parameter -0.75 that image libraries call bicubic.
    space : {"cartesian", "polar"}
        Interpolate real and imaginary part, or magnitude and (wrapped) phase. The same for a real
        `x`.

    Returns
    -------
    array [shape=(..., n_freq, frame)], dtype of `x`

    Raises
    ------
    ShapeError
        If `x` has not ``ceil(n_freq / factor)`` bins.
    ConfigError
        If there is no such interpolation or space.
    """
    check_axes("freq, frame", x=x)
    n_low = x.shape[-2]
    if n_low != -(-n_freq // factor):
        raise ShapeError(
            f"x has {n_low} bins, expected {-(-n_freq // factor)} = ceil({n_freq} / {factor})"
        )
    if space not in ("cartesian", "polar"):
        raise ConfigError(f"space: {space!r}, expected 'cartesian' or 'polar'")
    xp = namespace(x)
    matrix = xp.asarray(
        _matrix(n_low, n_freq, factor, interpolation), dtype=real_dtype(x), device=x.device
    )
    if not is_complex(x):
        return matrix @ x
    if space == "cartesian":
        return make_complex(matrix @ xp.real(x), matrix @ xp.imag(x))
    mag, phase = matrix @ xp.abs(x), matrix @ xp.atan2(xp.imag(x), xp.real(x))
    return make_complex(mag * xp.cos(phase), mag * xp.sin(phase))


def _keys(distance: Any, a: float = -0.75) -> Any:
    """Return the weight of the cubic convolution kernel at `distance` >= 0 bins."""
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


@lru_cache(maxsize=32)
def _matrix(n_low: int, n_freq: int, factor: int, interpolation: str) -> Any:
    """Return the (n_freq, n_low) matrix that interpolates; beyond the last bin it is held."""
    position = np.arange(n_freq) / factor
    below = np.floor(position).astype(int)
    part = position - below
    if interpolation == "nearest":
        taps = {0: np.ones(n_freq)}
    elif interpolation == "linear":
        taps = {0: 1 - part, 1: part}
    elif interpolation == "cubic":
        taps = {k: _keys(np.abs(part - k)) for k in (-1, 0, 1, 2)}
    else:
        raise ConfigError(
            f"interpolation: {interpolation!r}, expected 'nearest', 'linear' or 'cubic'"
        )
    matrix = np.zeros((n_freq, n_low))
    for shift, weight in taps.items():
        np.add.at(matrix, (np.arange(n_freq), np.clip(below + shift, 0, n_low - 1)), weight)
    return matrix
