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
    flux = Flux(float(np.abs(spectrum).max(initial=0.0)))
    flux.add(spectrum)
    return flux.onsets(frame_s=frame_s)


class Flux:
    """Spectral flux of a spectrum that comes in pieces, and the onsets in it.

    Parameters
    ----------
    loudest : float
        Magnitude of the loudest bin of the whole spectrum.
    """

    def __init__(self, loudest: float) -> None:
        self._loudest = loudest
        self._flux: list[Any] = []
        self._level: Any = 0.0

    def add(self, spectrum: Array) -> None:
        """Add the next frames (channel, freq, frame)."""
        if not self._loudest:
            self._flux.append(np.zeros(spectrum.shape[-1]))
            return
        level = np.log1p(np.abs(spectrum) / (self._loudest * 10 ** (_FLOOR_DB / 20)))
        before = np.broadcast_to(self._level, (*level.shape[:-1], 1))
        rise = np.diff(level, axis=-1, prepend=before)
        self._flux.append(np.maximum(rise, 0.0).sum(axis=(0, 1)))
        self._level = level[..., -1:]

    def onsets(self, *, frame_s: float) -> Array:
        """Return the frames in which something begins, of all that was added."""
        flux = np.concatenate(self._flux)
        if not self._loudest:
            return np.zeros(len(flux), bool)
        near, far = (max(1, round(reach / frame_s)) for reach in (_NEAR_S, _FAR_S))
        is_largest = flux == _windows(flux, near).max(axis=-1)
        threshold = np.nanmean(_windows(flux, far, fill=np.nan), axis=-1) + _HEIGHT * flux.max()
        return is_largest & (flux > threshold)


def _windows(x: Any, reach: int, *, fill: float = 0.0) -> Any:
    """Return for every element those within `reach` of it, (element, 2 reach + 1)."""
    padded = np.pad(x, reach, constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
