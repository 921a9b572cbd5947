"""Frames of samples as they are, for networks that bring their own transform."""

from dataclasses import dataclass
from typing import ClassVar

from unmask._arrays import Array, check_axes, device, namespace
from unmask.errors import ConfigError, ShapeError


@dataclass(frozen=True)
class Frames:
    """Overlapping frames of a waveform, and their sum.

    Frame ``k`` ends with sample ``(k + 1) * hop - 1``; before and after the signal is silence, so
    that every sample is in as many frames as any other. Nothing is windowed: what comes back is the
    plain sum, which a learned decoder knows (Luo and Mesgarani, 2019).

    Parameters
    ----------
    length : int
        Samples of a frame; 16 are 2 ms at 8 kHz.
    hop : int
        Step between frames in samples, at most `length`.

    Raises
    ------
    ConfigError
        If `hop` is not from 1 to `length`.

    Examples
    --------
    >>> import numpy as np
    >>> frames = Frames(length=4, hop=2).analyze(np.array([[1.0, 2.0, 3.0]]))
    >>> frames.shape  # channel, sample, frame
    (1, 4, 3)
    >>> Frames(length=4, hop=2).synthesize(frames, 3)
    array([[2., 4., 6.]])
    """

    length: int
    hop: int
    kind: ClassVar[str] = "frames"

    def __post_init__(self) -> None:
        if not 1 <= self.hop <= self.length:
            raise ConfigError(
                f"frames: hop = {self.hop} and length = {self.length}, expected 1 <= hop <= length"
            )

    @property
    def lead(self) -> int:
        """Samples of silence before the signal that the first frame begins with."""
        return self.length - self.hop

    def n_frames(self, n_samples: int) -> int:
        """Return the number of frames of a signal of `n_samples`."""
        return -(-(n_samples + self.lead) // self.hop)

    def analyze(self, waveform: Array) -> Array:
        """Return the frames of a waveform.

        Parameters
        ----------
        waveform : array [shape=(..., channel, sample)], real

        Returns
        -------
        array [shape=(..., channel, sample, frame)]

        Raises
        ------
        ShapeError
            If there are fewer than two axes.
        """
        check_axes("channel, sample", waveform=waveform)
        frames = cut(
            waveform, self.n_frames(waveform.shape[-1]), self.length, self.hop, lead=self.lead
        )
        return namespace(waveform).matrix_transpose(frames)

    def synthesize(self, frames: Array, n_samples: int) -> Array:
        """Return the sum of frames, each at its place.

        Parameters
        ----------
        frames : array [shape=(..., channel, sample, frame)]
            As :meth:`analyze` returns them for a waveform of `n_samples`, changed or not.
        n_samples : int

        Returns
        -------
        array [shape=(..., channel, sample)]

        Raises
        ------
        ShapeError
            If their length or number is not that of `n_samples`.
        """
        check_axes("channel, sample, frame", frames=frames)
        expected = (self.length, self.n_frames(n_samples))
        if tuple(frames.shape[-2:]) != expected:
            raise ShapeError(
                f"frames have (sample, frame) = {tuple(frames.shape[-2:])}, expected {expected} "
                f"for {n_samples} samples with length = {self.length}, hop = {self.hop}"
            )
        total = add(namespace(frames).matrix_transpose(frames), self.hop)
        return total[..., self.lead : self.lead + n_samples]


def cut(waveform: Array, n_frames: int, length: int, hop: int, *, lead: int) -> Array:
    """Return the frames (..., frame, sample) of a waveform (..., sample).

    The first begins `lead` samples before the waveform; beyond its ends is silence.
    """
    # Cut into blocks of one hop, frame k is block k and the `overlap` - 1 blocks after it, so all
    # frames are `overlap` shifted views of the blocks side by side. They are whole hops long; what
    # they have more than `length` samples is cut off.
    xp, overlap = namespace(waveform), -(-length // hop)
    n_blocks = n_frames - 1 + overlap
    padded = _pad(waveform, lead, n_blocks * hop - lead - waveform.shape[-1])
    blocks = xp.reshape(padded, (*padded.shape[:-1], n_blocks, hop))
    frames = xp.concat([blocks[..., k : k + n_frames, :] for k in range(overlap)], axis=-1)
    return frames[..., :length]


def add(frames: Array, hop: int) -> Array:
    """Return the sum (..., sample) of frames (..., frame, sample), each `hop` after the last."""
    # The other way round than in `cut`: the k-th hops of all frames, one after another, are a
    # signal that begins k hops late. The last hop of a frame may be short: zeros fill it.
    xp, length = namespace(frames), frames.shape[-1]
    overlap = -(-length // hop)
    frames = _pad(frames, 0, overlap * hop - length)
    total: Array = 0
    for k in range(overlap):
        part = frames[..., k * hop : (k + 1) * hop]
        flat = xp.reshape(part, (*part.shape[:-2], -1))
        total = total + _pad(flat, k * hop, (overlap - 1 - k) * hop)
    return total


def _pad(x: Array, left: int, right: int) -> Array:
    """Return `x` with zeros before and after its last axis."""
    if left == right == 0:
        return x
    xp = namespace(x)
    zeros = [xp.zeros((*x.shape[:-1], n), dtype=x.dtype, device=device(x)) for n in (left, right)]
    return xp.concat([zeros[0], x, zeros[1]], axis=-1)
