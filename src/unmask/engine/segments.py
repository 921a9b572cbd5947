"""Networks that hear a segment by itself: segments overlap, and what they give is joined.

A network that normalises over a whole segment, or reads it backwards, knows nothing of the one
before. Cut side by side its masks would jump, and sources in no order would change places.
"""

import numpy as np

from unmask._arrays import Array
from unmask.engine.asking import Network
from unmask.metrics import best_permutation

#: Segments that a frame is in, by whether sources are in no order. With two an order that changes
#: within a segment is handed on from half to half (measured: docs/deep_masks.md).
_OVERLAP = {False: 2, True: 4}


class Segments:
    """Asks a network for segments that overlap, and hands out the mean of what they give.

    Every segment counts most in its middle, so that it comes and goes slowly. If the sources are in
    no order, those of a segment are put in the order that differs least from what the earlier ones
    gave, signal by signal; at the beginning, from that of the first signal. What has no energy says
    nothing. Segments begin at multiples of a step and the last ends with the stream: what comes out
    does not depend on how the stream is cut.

    Parameters
    ----------
    model : Network
        Whose `segment` is above 0.
    n_signals : int
        Signals that it hears side by side.
    """

    def __init__(self, model: Network, n_signals: int) -> None:
        self._model, self._state = model, model.start(n_signals)
        self._step = max(1, model.segment // _OVERLAP[model.is_in_no_order])
        place = np.arange(model.segment, dtype=np.float32) + 0.5
        self._weights = np.minimum(place, place[::-1])
        self._n_in = self._n_out = self._next = 0
        # What came in, from frame `_first` on; sums of what came of it and of its weights, from
        # frame `_n_out` on.
        self._first, self._x = 0, np.zeros(0, np.float32)
        self._made: Array | None = None
        self._total = np.zeros(0, np.float32)

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
        if last and self._n_out + len(self._total) < self._n_in:
            self._join(max(0, self._n_in - length))
        if last and self._made is not None:
            due.append(self._leave(self._n_in))
        # The last segment may begin before the next would.
        keep = max(0, self._next - self._step) - self._first
        self._x, self._first = self._x[..., keep:], self._first + keep
        return np.concatenate(due, axis=-1) if due else None

    def _join(self, start: int) -> None:
        """Run the segment from frame `start` on, and add what it gives to what there is."""
        length, skip = self._model.segment, self._n_out - start
        x = self._x[..., start - self._first : start - self._first + length]
        n_frames = x.shape[-1]
        silence = [(0, 0)] * (x.ndim - 1) + [(0, length - n_frames)]
        output, _ = self._model.step(np.pad(x, silence), self._state)
        new, x, weights = output[..., skip:n_frames], x[..., skip:], self._weights[skip:n_frames]
        n_both = len(self._total) if self._made is not None else new.shape[-1]
        if self._model.is_in_no_order:
            like = new[:1] if self._made is None else self._made / self._total
            new = _ordered(new, like, x if self._model.masks_outside else None, n_both)
        new = new * weights
        if self._made is not None:
            new[..., :n_both] += self._made
            weights = weights.copy()
            weights[:n_both] += self._total
        self._made, self._total = new, weights

    def _leave(self, stop: int) -> Array:
        """Return what came of the frames before `stop` that are not out yet."""
        assert self._made is not None
        n = stop - self._n_out
        self._n_out = stop
        due: Array = self._made[..., :n] / self._total[:n]
        self._made, self._total = self._made[..., n:], self._total[n:]
        return due


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
