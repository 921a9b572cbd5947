"""The only file that knows array libraries: namespaces, shape checks, division without epsilons.

Everything numeric in the package is written once against the Python array API standard and runs on
NumPy, PyTorch (with gradients, on any device) and any other library that follows it.
"""

import math
from typing import Any

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray

from unmask.errors import ShapeError

#: An array of any library that follows the array API standard. Shapes stand in the docstrings.
Array = Any

#: masks and targets are ``(..., source, channel, freq, frame)``
SOURCE_AXIS, CHANNEL_AXIS, FREQ_AXIS, FRAME_AXIS = -4, -3, -2, -1


#: Most channels of a recording. Files have up to 8; arrays of microphones up to this.
MOST_CHANNELS = 64
_FEW_CHANNELS = 8


def namespace(*arrays: Array) -> Any:
    """Return the array-API namespace that all `arrays` share."""
    # NumPy 2 follows the standard by itself. A look-up costs as much as a hop's tanh, and the first
    # one imports all of NumPy.
    if all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        return np
    return compat.array_namespace(*arrays)


def is_complex(x: Array) -> bool:
    """Tell whether `x` has a complex floating-point type."""
    if isinstance(x, np.ndarray):
        return bool(x.dtype.kind == "c")
    return bool(namespace(x).isdtype(x.dtype, "complex floating"))


def check_same_shape(**arrays: Array) -> None:
    """Refuse arrays of different shapes, naming them as the caller does.

    Raises
    ------
    ShapeError
        If they differ.
    """
    if len({tuple(array.shape) for array in arrays.values()}) > 1:
        found = ", ".join(f"{name}{tuple(array.shape)}" for name, array in arrays.items())
        raise ShapeError(f"shapes must agree, got {found}")


def check_channels(**waveforms: Array) -> None:
    """Refuse waveforms (..., channel, sample) whose axes lie as in other libraries.

    A recording read as (sample, channel) would be thousands of channels of two samples. Up to 8
    channels may be longer than their samples are many: blocks of a stream are short.

    Raises
    ------
    ShapeError
        If there are more than 64 channels, or more than 8 and more than samples.
    """
    for name, waveform in waveforms.items():
        n_channels, n_samples = waveform.shape[-2:]
        is_turned = n_samples > 0 and n_channels > max(n_samples, _FEW_CHANNELS)
        if is_turned or n_channels > MOST_CHANNELS:
            raise ShapeError(
                f"{name} has shape {tuple(waveform.shape)}, which is {n_channels} channels of "
                f"{n_samples} samples, expected (..., channel, sample) with at most "
                f"{MOST_CHANNELS} channels; transpose it"
            )


def check_axes(axes: str, **arrays: Array) -> None:
    """Refuse arrays that have fewer axes than `axes`, as in ``"channel, sample"``.

    Raises
    ------
    ShapeError
        If one has fewer.
    """
    n_axes = axes.count(",") + 1
    for name, array in arrays.items():
        if array.ndim < n_axes:
            raise ShapeError(
                f"{name} has shape {tuple(array.shape)}, expected (..., {axes}); "
                "a single signal still needs its leading axes of length 1"
            )


def to_numpy(x: Array) -> NDArray[Any]:
    """Return `x` as a NumPy array on the CPU, without gradients; not to be written to."""
    if compat.is_torch_array(x):
        x = compat.to_device(x.detach(), "cpu")
    return np.asarray(x) if compat.is_numpy_array(x) else np.from_dlpack(x)


def device(x: Array) -> Any:
    """Return the device that `x` lies on."""
    return compat.device(x)


def real_dtype(x: Array) -> Any:
    """Return the real floating-point type of the same precision as `x`."""
    xp = namespace(x)
    if x.dtype == xp.complex64:
        return xp.float32
    return xp.float64 if x.dtype == xp.complex128 else x.dtype


def tiny(x: Array) -> float:
    """Return the smallest normal number of the precision of `x`; below it, division is noise."""
    return float(namespace(x).finfo(real_dtype(x)).smallest_normal)


def make_complex(re: Array, im: Array) -> Array:
    """Return ``re + 1j * im`` with gradients through both parts."""
    xp = namespace(re, im)
    if compat.is_torch_array(re):
        return xp.complex(re, im)
    dtype = xp.complex64 if re.dtype == xp.float32 else xp.complex128
    if isinstance(re, np.ndarray) and re.shape == im.shape:  # without two complex copies
        both = np.empty(re.shape, dtype)
        both.real, both.imag = re, im
        return both
    return xp.astype(re, dtype) + 1j * xp.astype(im, dtype)


def to_complex(x: Array) -> Array:
    """Return `x` as a complex array of the same precision."""
    return x if is_complex(x) else make_complex(x, 0 * x)


def safe_divide(num: Array, den: Array, *, fill: float) -> Array:
    """Return ``num / den`` for real ``den >= 0``, and `fill` where `den` is zero or denormal.

    NaN stays NaN. The gradient is zero, not NaN, where `fill` was put.

    Examples
    --------
    >>> import numpy as np
    >>> safe_divide(np.array([1.0, 1.0]), np.array([2.0, 0.0]), fill=math.inf)
    array([0.5, inf])
    """
    xp = namespace(num, den)
    zero = den <= tiny(den)
    ratio = num / xp.where(zero, xp.ones_like(den), den)
    return xp.where(zero, xp.full_like(ratio, fill), ratio)


def complex_divide(num: Array, den: Array, *, limit: float = math.inf) -> Array:
    """Return the complex quotient ``num / den``, 0 where it is undefined, at most `limit` large.

    Both are first divided by the larger part of `den`, so that squares neither overflow at 1e20
    nor vanish at 1e-30 in single precision. Undefined means: `den` is zero or denormal, or the
    quotient is not finite.
    """
    xp = namespace(num, den)
    den = to_complex(den)
    scale = xp.maximum(xp.abs(xp.real(den)), xp.abs(xp.imag(den)))
    if xp is np:
        quotient = _numpy_quotient(to_complex(num), den, scale)
        if math.isinf(limit):
            return quotient
        one = xp.ones_like(xp.abs(quotient))
        return quotient * safe_divide(limit * one, xp.maximum(xp.abs(quotient), limit), fill=1.0)
    zero = scale <= tiny(scale)
    one = xp.ones_like(scale)
    scale = xp.where(zero, one, scale)
    den_re = xp.where(zero, one, xp.real(den) / scale)
    den_im = xp.where(zero, 0 * one, xp.imag(den) / scale)
    num_re, num_im = xp.real(to_complex(num)) / scale, xp.imag(to_complex(num)) / scale
    power = den_re**2 + den_im**2
    re = (num_re * den_re + num_im * den_im) / power
    im = (num_im * den_re - num_re * den_im) / power
    bad = zero | ~xp.isfinite(re) | ~xp.isfinite(im)
    bad = bad & ~(xp.isnan(num_re) | xp.isnan(num_im))  # NaN stays NaN
    quotient = make_complex(xp.where(bad, 0 * one, re), xp.where(bad, 0 * one, im))
    if math.isinf(limit):
        return quotient
    return quotient * safe_divide(limit * one, xp.maximum(xp.abs(quotient), limit * one), fill=1.0)


def _numpy_quotient(num: Array, den: Array, scale: Array) -> Array:
    """Return the quotient of :func:`complex_divide` with as few large arrays as can be.

    The reciprocal is taken of `den` alone, which is the smaller one where it is broadcast.
    """
    zero = scale <= tiny(scale)
    scale = np.where(zero, np.ones_like(scale), scale)
    with np.errstate(all="ignore"):  # what is not finite is found below
        unit = np.where(zero, np.ones_like(den), den / scale)
        reciprocal = unit.conj() / (unit.real**2 + unit.imag**2)
        reciprocal[zero] = 0
        quotient = np.asarray(num / scale * reciprocal)
        if not np.isfinite(np.sum(quotient)):
            quotient[~np.isfinite(quotient) & ~np.isnan(num / scale)] = 0
    return quotient


def clip(x: Array, low: float, high: float) -> Array:
    """Return `x` limited to ``[low, high]``; either bound may be infinite."""
    xp = namespace(x)
    if xp is np:
        return np.clip(x, low, high)
    if not math.isinf(low):
        x = xp.where(x < low, xp.full_like(x, low), x)
    if not math.isinf(high):
        x = xp.where(x > high, xp.full_like(x, high), x)
    return x
