"""Masks at a lower frequency resolution, and back.

The ablation of Montesinos (2021) asks what it costs to keep every second bin and to interpolate the
rest: of the mask or of the separated spectrum, over real and imaginary part (cartesian) or over
magnitude and phase (polar).
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from unmask._arrays import Array, check_axes, is_complex, make_complex, namespace, real_dtype
from unmask.errors import ConfigError, ShapeError

Interpolation = Literal["nearest", "linear", "cubic"]
Space = Literal["cartesian", "polar"]
Alignment = Literal["aligned", "half_bin"]


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
    alignment: Alignment = "aligned",
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
        ``nearest`` takes the lower of two that are as near; ``cubic`` is the convolution of Keys
        (1981) with the parameter -0.75 that image libraries call bicubic.
    space : {"cartesian", "polar"}
        Interpolate real and imaginary part, or magnitude and (wrapped) phase. The same for a real
        `x`.
    alignment : {"aligned", "half_bin"}
        ``aligned``: kept bins stand where they were. ``half_bin``: they are taken for the middles
        of `factor` bins, as ``torch.nn.functional.interpolate`` does with its defaults, which puts
        them ``(factor - 1) / 2`` bins too high; its ``nearest`` repeats the bin below.

    Returns
    -------
    array [shape=(..., n_freq, frame)], dtype of `x`

    Raises
    ------
    ShapeError
        If `x` has not ``ceil(n_freq / factor)`` bins.
    ConfigError
        If there is no such interpolation, space or alignment.
    """
    check_axes("freq, frame", x=x)
    n_low = x.shape[-2]
    if n_low != -(-n_freq // factor):
        raise ShapeError(
            f"x has {n_low} bins, expected {-(-n_freq // factor)} = ceil({n_freq} / {factor})"
        )
    _check_choice("space", space, Space)
    found = taps(n_freq, factor, interpolation, alignment)
    if not is_complex(x) or space == "cartesian":
        return _interpolated(x, found)
    xp = namespace(x)
    mag = _interpolated(xp.abs(x), found)
    phase = _interpolated(xp.atan2(xp.imag(x), xp.real(x)), found)
    return make_complex(mag * xp.cos(phase), mag * xp.sin(phase))


class Tap(NamedTuple):
    """One of the kept bins that a bin is made of: for every bin which one, and its weight."""

    index: Any
    """Whole numbers, shape (freq,)."""
    weight: Any
    """Shape (freq,), float64; over all taps they sum to one."""


@lru_cache(maxsize=64)
def taps(
    n_freq: int, factor: int, interpolation: Interpolation, alignment: Alignment
) -> tuple[Tap, ...]:
    """Return what :func:`upsample` makes bins of; beyond the last kept bin it is held.

    Raises
    ------
    ConfigError
        If there is no such interpolation or alignment.
    """
    _check_choice("interpolation", interpolation, Interpolation)
    _check_choice("alignment", alignment, Alignment)
    bins = np.arange(n_freq)
    is_aligned = alignment == "aligned"
    position = bins / factor if is_aligned else (bins + 0.5) / factor - 0.5
    below = np.floor(position).astype(int)
    part = position - below
    if interpolation == "nearest":
        below = np.ceil(position - 0.5).astype(int) if is_aligned else bins // factor
        weights = {0: np.ones(n_freq)}
    elif interpolation == "linear":
        weights = {0: 1 - part, 1: part}
    else:
        weights = {k: _keys(np.abs(part - k)) for k in (-1, 0, 1, 2)}
    last = -(-n_freq // factor) - 1
    return tuple(Tap(np.clip(below + shift, 0, last), weight) for shift, weight in weights.items())


def _check_choice(name: str, value: str, choices: Any) -> None:
    known = get_args(choices)
    if value not in known:
        listed = " or ".join((", ".join(map(repr, known[:-1])), repr(known[-1])))
        raise ConfigError(f"{name}: {value!r}, expected {listed}")


def _interpolated(x: Array, found: tuple[Tap, ...]) -> Array:
    xp = namespace(x)
    total: Array = None
    for index, weight in found:
        part = xp.take(x, xp.asarray(index, device=x.device), axis=-2)
        if len(found) > 1:
            part = part * xp.asarray(weight, dtype=real_dtype(x), device=x.device)[:, None]
        total = part if total is None else total + part
    return total


def _keys(distance: Any, a: float = -0.75) -> Any:
    """Return the weight of the cubic convolution kernel at `distance` >= 0 bins."""
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
