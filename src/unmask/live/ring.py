"""Samples on their way from one thread to another, of which neither waits."""

import numpy as np

from unmask._arrays import Array


class Ring:
    """A queue of a fixed size between one thread that pushes and one that pulls.

    There is no lock: each side moves only its own count, after it has copied the samples, and an
    assignment of an integer is seen whole or not at all.

    Parameters
    ----------
    n_samples : int >= 1
        How many samples (of all channels) it holds.
    n_channels : int >= 1
    """

    def __init__(self, n_samples: int, n_channels: int) -> None:
        self._frames = np.zeros((n_samples, n_channels), np.float32)
        self._n_pushed = self._n_pulled = 0

    def __len__(self) -> int:
        return self._n_pushed - self._n_pulled

    def push(self, frames: Array) -> int:
        """Append `frames` (sample, channel) as far as there is room; return how many."""
        n_taken = min(len(frames), len(self._frames) - len(self))
        self._frames[self._places(self._n_pushed, n_taken)] = frames[:n_taken]
        self._n_pushed += n_taken
        return n_taken

    def pull(self, n_samples: int) -> Array:
        """Return the oldest `n_samples`, or as many as there are: (sample, channel)."""
        n_given = min(n_samples, len(self))
        frames: Array = self._frames[self._places(self._n_pulled, n_given)]
        self._n_pulled += n_given
        return frames

    def _places(self, start: int, n_samples: int) -> Array:
        return np.arange(start, start + n_samples) % len(self._frames)
