"""Fourier transforms of real signals along the last axis, in the precision of what comes in.

For one frame of a stream, what NumPy does around its compiled transform takes longer than the
transform, and it transforms float32 forward in float64. So the compiled one is called directly,
where this version of NumPy has it in its place.
"""

from typing import Any

import numpy as np

#: NumPy array, real or complex, of single or double precision.
Signal = Any

_HALVES = {np.dtype(np.float32): np.complex64, np.dtype(np.float64): np.complex128}
_REALS = {np.dtype(np.complex64): np.float32, np.dtype(np.complex128): np.float64}
_ONES = {dtype: np.ones((), dtype) for dtype in _HALVES}

try:
    _compiled: Any = np.fft._pocketfft_umath  # type: ignore[attr-defined]
    _FORWARD: Any = (_compiled.rfft_n_even, _compiled.rfft_n_odd)
    _BACKWARD: Any = _compiled.irfft
except AttributeError:  # it is private
    _FORWARD = _BACKWARD = None


def rfft(signal: Signal) -> Signal:
    """Return the spectrum (..., freq) of real samples (..., sample)."""
    if _FORWARD is None:
        return np.fft.rfft(signal)
    n, dtype = signal.shape[-1], signal.dtype
    out = np.empty((*signal.shape[:-1], n // 2 + 1), _HALVES[dtype])
    return _FORWARD[n % 2](signal, _ONES[dtype], out)


def irfft(spectrum: Signal, n_fft: int) -> Signal:
    """Return the `n_fft` samples (..., sample) of a spectrum (..., freq)."""
    if _BACKWARD is None:
        return np.fft.irfft(spectrum, n_fft)
    real = _REALS[spectrum.dtype]
    out = np.empty((*spectrum.shape[:-1], n_fft), real)
    return _BACKWARD(spectrum, real(1 / n_fft), out)


def padded(signal: Signal, n_samples: int) -> Signal:
    """Return `signal` with silence behind it, `n_samples` long."""
    out = np.zeros((*signal.shape[:-1], n_samples), signal.dtype)
    out[..., : signal.shape[-1]] = signal
    return out


def is_quick(n: int) -> bool:
    """Tell whether `n` samples transform fast: no prime factor above 11."""
    for prime in (2, 3, 5, 7, 11):
        while n % prime == 0:
            n //= prime
    return n == 1


def quick_length(n: int) -> int:
    """Return the least number from `n` on whose only prime factors are 2, 3 and 5.

    Examples
    --------
    >>> quick_length(4097)
    4320
    """
    best = 1 << max(0, n - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            rest = -(-n // three)
            best = min(best, three << max(0, rest - 1).bit_length())
            three *= 3
        five *= 5
    return best
