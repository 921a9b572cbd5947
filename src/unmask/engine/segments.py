"""Networks that hear a segment by itself: segments overlap, and what they give is joined.

A network that normalises over a whole segment, or reads it backwards, knows nothing of the one
before. Cut side by side its masks would jump, and sources in no order would change places.
"""

import numpy as np

from unmask._arrays import Array
from unmask.engine.asking import Network
from unmask.metrics import best_permutation


class Segments:
    """Asks a network for segments, each half over the one before; hands out each frame once.

    Where two segments overlap the later one comes in as the earlier one goes. If the sources are in
    no order, those of the later one are put in the order that differs least from the earlier one's,
    signal by signal; at the beginning, from that of the first signal. What has no energy says
    nothing. Segments begin at multiples of half of one and the last ends with the stream: what
    comes out does not depend on how the stream is cut.

    Parameters
    ----------
    model : Network
        Whose `segment` is above 0.
    n_signals : int
        Signals that it hears side by side.
    """

    def __init__(self, model: Network, n_signals: int) -> None:
        self._model, self._state = model, model.start(n_signals)
        self._step = max(1, model.segment // 2)
        self._n_in = self._n_out = self._next = 0
        # What came in, from frame `_first` on; what came of it, from `_n_out` on.
        self._first, self._x = 0, np.zeros(0, np.float32)
        self._made: Array | None = None

    @property
    def n_held(self) -> int:
        """Frames that came in and are not out."""
        return self._n_in - self._n_out

    def ask(self, x: Array, *, last: bool) -> Array | None:
        """Return the network's output for the frames that are due after `x` (..., frame), if any.

        Raises
        ------
        ModelError
            If the network fails.
        """
        length, due = self._model.segment, []
        self._n_in += x.shape[-1]
        self._x = np.concatenate([self._x, x], axis=-1) if self._x.ndim > 1 else x
        while self._next + length <= self._n_in:
            self._join(self._next)
            self._next += self._step
            due.append(self._leave(self._next))
        if last and self._n_made < self._n_in:
            self._join(max(0, self._n_in - length))
        if last and self._made is not None:
            due.append(self._leave(self._n_in))
        # The last segment may begin before the next would.
        keep = max(0, self._next - self._step) - self._first
        self._x, self._first = self._x[..., keep:], self._first + keep
        return np.concatenate(due, axis=-1) if due else None

    @property
    def _n_made(self) -> int:
        """Frames that the network has heard."""
        return self._n_out + (0 if self._made is None else self._made.shape[-1])

    def _join(self, start: int) -> None:
        """Run the segment from frame `start` on, and join what it gives to what there is."""
        length, skip = self._model.segment, self._n_out - start
        x = self._x[..., start - self._first : start - self._first + length]
        n_frames = x.shape[-1]
        silence = [(0, 0)] * (x.ndim - 1) + [(0, length - n_frames)]
        output, _ = self._model.step(np.pad(x, silence), self._state)
        new, x, old = output[..., skip:n_frames], x[..., skip:], self._made
        n_both = new.shape[-1] if old is None else old.shape[-1]
        if self._model.is_in_no_order:
            like = new[:1] if old is None else old
            new = _ordered(new, like, x if self._model.masks_outside else None, n_both)
        if old is not None:
            new[..., :n_both] = old + _rise(n_both) * (new[..., :n_both] - old)
        self._made = new

    def _leave(self, stop: int) -> Array:
        """Return what came of the frames before `stop` that are not out yet."""
        assert self._made is not None
        n_frames = stop - self._n_out
        self._n_out = stop
        due, self._made = self._made[..., :n_frames], self._made[..., n_frames:]
        return due


def _rise(n_frames: int) -> Array:
    """Return a straight rise from 0 to 1."""
    rise: Array = (np.arange(n_frames, dtype=np.float32) + 0.5) / n_frames
    return rise


def _ordered(new: Array, like: Array, spectrum: Array | None, n_both: int) -> Array:
    """Return the sources of a segment in the order in which they differ least from others.

    The sum of squared differences is least where that of inner products is greatest; of masks, it
    is that of what they leave of the spectrum.

    Parameters
    ----------
    new : array [shape=(signal, source, ..., frame)]
        Masks in real parts, or frames of sources.
    like : array [shape=(signal or 1, source, ..., frame)]
        What they are compared with.
    spectrum : array [shape=(signal, part, channel, freq, frame)], optional
        What masks are for.
    n_both : int
        Frames that are compared, the first.
    """
    now, before = new[..., :n_both], like[..., :n_both]
    if spectrum is not None:
        now = now * np.square(spectrum[..., :n_both]).sum(axis=1)[:, None, None]
    now, before = (x.reshape(*x.shape[:2], -1) for x in (now, before))
    order = best_permutation(now @ before.swapaxes(-1, -2))
    places = order.reshape(*order.shape, *[1] * (new.ndim - 2))
    return np.take_along_axis(new, places, axis=1)
