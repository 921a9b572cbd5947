"""Onsets of notes and beats, by spectral flux."""

from typing import Any

import numpy as np

from unmask._arrays import Array, check_axes

# Magnitudes below this share of the loudest bin hardly count: log(1 + mag / floor).
_FLOOR_DB = -40.0
# A peak is the largest of the frames within this time, and stands out of the mean of those within
# the longer one by this share of the largest peak.
_NEAR_S, _FAR_S, _HEIGHT = 0.03, 0.15, 0.1


def onsets(spectrum: Array, *, frame_s: float) -> Array:
    """Return the frames in which something begins.

    Spectral flux of the log-magnitude, half-wave rectified, with an adaptive threshold (Bello et
    al., 2005; Dixon, 2006).

    Parameters
    ----------
    spectrum : array [shape=(channel, freq, frame)], complex
        Of one source.
    frame_s : float
        Step between frames in seconds.

    Returns
    -------
    bool array [shape=(frame,)]
        The first frame counts as preceded by silence. None in a silent spectrum; level does not
        matter.

    Examples
    --------
    >>> spectrum = np.zeros((1, 5, 40))
    >>> spectrum[:, :, 20:30] = 1
    >>> np.flatnonzero(onsets(spectrum, frame_s=0.01))
    array([20])
    """
    check_axes("channel, freq, frame", spectrum=spectrum)
    mag = np.abs(spectrum)
    if not mag.max(initial=0.0):
        return np.zeros(mag.shape[-1], bool)
    level = np.log1p(mag / (mag.max() * 10 ** (_FLOOR_DB / 20)))
    flux = np.maximum(np.diff(level, axis=-1, prepend=0.0), 0.0).sum(axis=(0, 1))
    near, far = (max(1, round(reach / frame_s)) for reach in (_NEAR_S, _FAR_S))
    is_largest = flux == _windows(flux, near).max(axis=-1)
    threshold = np.nanmean(_windows(flux, far, fill=np.nan), axis=-1) + _HEIGHT * flux.max()
    return is_largest & (flux > threshold)


def _windows(x: Any, reach: int, *, fill: float = 0.0) -> Any:
    """Return for every element those within `reach` of it, (element, 2 reach + 1)."""
    padded = np.pad(x, reach, constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
