"""The level that a network hears a recording at: the same for a whisper and for a shout.

What is separated does not depend on the level of a recording, a network does: it has learned from
recordings of some levels. Masks have no unit, so it is enough that what the *network* is given is
brought to one level; what masks are applied to stays as it is.
"""

import math
from dataclasses import dataclass

import numpy as np

from unmask._arrays import Array
from unmask.frontends import STFT, Frames

# RMS that counts as silence, 240 dB below full scale: it says nothing about a level.
_SILENCE = 1e-12


@dataclass(frozen=True)
class Level:
    """What the running level of a recording is brought to."""

    rms: float
    """RMS that the network hears, where full scale is 1."""
    seconds: float
    """Time constant of the mean that the running level is."""


class RunningLevel:
    """Gains, frame by frame, that bring signals to a level: a frame and those before decide.

    The running level is the mean of the RMS of frames, exponentially forgotten with the time
    constant; until that is reached, the plain mean. A mean of amplitudes, not of energies, so that
    a click or a loud passage is forgotten sooner; frames of digital silence do not count. It is
    proportional to the signal, and it is computed frame by frame in double precision: however a
    stream is cut, the gains are the same.

    Parameters
    ----------
    level : Level
    frontend : STFT or Frames
        Of the model, at its own rate.
    hop_s : float
        Seconds between frames.
    n_signals : int
        Each has its own level, that of all its channels.
    n_channels : int
        Of a signal.
    """

    def __init__(
        self,
        level: Level,
        frontend: STFT | Frames,
        *,
        hop_s: float,
        n_signals: int,
        n_channels: int,
    ) -> None:
        self._rms = level.rms
        self._forgotten = -math.expm1(-hop_s / level.seconds)
        self._unit = 1 / (n_channels * _energy_of_one(frontend))
        self._n_channels = n_channels
        self._mean, self._count = [0.0] * n_signals, [0] * n_signals

    def gains(self, frames: Array) -> Array:
        """Return the gains of the next frames, float32 (signal, frame, 1).

        Parameters
        ----------
        frames : float32 array [shape=(channel, frame, value)]
            Samples, or real and imaginary parts. The channels of the first signal come first.
        """
        if frames.shape[0] == frames.shape[1] == 1:  # as below, at a third of the cost
            return np.array([[[self._next(0, _energy(frames[0, 0]))]]], np.float32)
        gains = np.empty((len(self._mean), frames.shape[1], 1), np.float32)
        for signal, own in enumerate(gains):
            first = signal * self._n_channels
            for k in range(len(own)):
                energy = _energy(frames[first, k])
                for channel in range(first + 1, first + self._n_channels):
                    energy += _energy(frames[channel, k])
                own[k] = self._next(signal, energy)
        return gains

    def _next(self, signal: int, energy: float) -> float:
        """Return the gain of the next frame of a signal."""
        rms, mean = math.sqrt(self._unit * energy), self._mean[signal]
        if rms > _SILENCE:
            count = self._count[signal] = self._count[signal] + 1
            mean += max(1 / count, self._forgotten) * (rms - mean)
            self._mean[signal] = mean
        return self._rms / mean if mean else 0.0


def _energy(row: Array) -> float:
    """Return the sum of squares, also of what single precision cannot hold."""
    energy = float(row.dot(row))
    if 1e-30 < energy < math.inf or (energy == 0 and not row.any()):
        return energy
    precise = row.astype(np.float64)
    return float(precise.dot(precise))


def _energy_of_one(frontend: STFT | Frames) -> float:
    """Return the mean energy of a frame of noise whose RMS is 1."""
    if isinstance(frontend, Frames):
        return frontend.length
    window: Array = frontend.window_values * frontend.unit
    return float(frontend.n_fft / 2 * np.dot(window, window))
