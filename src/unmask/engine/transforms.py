"""Transforms of frames of a stream, of one or of many: the same numbers as ``scipy.fft``.

For one frame, what SciPy does around its compiled transform takes as long as the transform. So that
is called directly, where this version of SciPy has it in its place.
"""

from typing import Any

import scipy.fft

from unmask._arrays import Array

try:
    from scipy.fft._pocketfft import pypocketfft as _compiled
except ImportError:  # it is private
    _compiled: Any = None  # type: ignore[no-redef]

_LAST = (-1,)


def rfft(frames: Array) -> Array:
    """Return the spectrum (..., freq) of frames (..., sample) in the same precision."""
    if _compiled is None:
        return scipy.fft.rfft(frames)
    return _compiled.r2c(frames, _LAST, True, 0, None, 1)


def irfft(spectrum: Array, n_fft: int) -> Array:
    """Return the frames (..., sample) of `n_fft` samples of a spectrum (..., freq)."""
    if _compiled is None:
        return scipy.fft.irfft(spectrum, n=n_fft)
    return _compiled.c2r(spectrum, _LAST, n_fft, False, 2, None, 1)
