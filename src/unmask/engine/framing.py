"""Samples into overlapping frames and back, as they come."""

import numpy as np

from unmask._arrays import Array
from unmask.frontends import STFT, Frames


class Framing:
    """The time of a stream: what is held, cut into frames, added up, and when it is out.

    With a frame of `length` samples every `hop`, of which `lead` lie before the first sample, frame
    `k` covers the samples from ``k * hop - lead`` on. Output leaves in rows of one hop: row `r` are
    the samples from ``r * hop - lead`` on, and the frames that reach it are ``r - overlap + 1`` to
    ``r``, `overlap` being the hops that a frame touches. So row `r` is complete with frame `r`; the
    first samples of the first rows lie before the signal and are dropped.

    Parameters
    ----------
    frontend : STFT or Frames
    n_sources, n_channels : int
        Of the frames that come back.
    n_slow : int
        Terms of the polynomial that is taken out of every frame, see :func:`slow`.
    """

    def __init__(
        self, frontend: STFT | Frames, n_sources: int, n_channels: int, *, n_slow: int = 0
    ) -> None:
        self.frontend, self._shape = frontend, (n_sources, n_channels)
        self._length, self._hop, self._lead = frontend.length, frontend.hop, frontend.lead
        self._overlap = -(-self._length // self._hop)
        self._analysis, self._synthesis = _windows(frontend)
        self._weights = self._cumulated()
        self._n_slow = n_slow
        self._slow = self._slow_of(0, self._length)
        self._n_early = -(-self._lead // self._hop)  # frames that begin before the signal
        self.reset()

    @property
    def n_missing(self) -> int:
        """Samples that came in and are not out yet."""
        return self._n_in - self._n_out

    @property
    def latency(self) -> int:
        """Largest number of samples that are held back, if frames come back at once."""
        return self._length - 1

    def reset(self) -> None:
        """Forget everything, as if new."""
        # Samples from the first that is not out yet.
        self._held = np.zeros((self._shape[1], self._lead), np.float32)
        self._tail = np.zeros((*self._shape, self._overlap - 1, self._hop), np.float32)
        self._n_ahead = 0  # frames that were cut and have not come back
        self._n_rows = self._n_in = self._n_out = 0

    def cut(self, samples: Array) -> Array:
        """Take in samples (channel, sample); return complete frames (channel, frame, sample)."""
        frames = self._cut(samples)
        if self._n_slow:
            self._take_slow(frames)
        return frames

    def _cut(self, samples: Array) -> Array:
        """Return the frames that samples complete, windowed."""
        self._n_in += samples.shape[1]
        held = self._held = np.concatenate([self._held, samples], axis=1)
        first = self._n_ahead * self._hop
        n_frames = max(0, (held.shape[1] - first - self._length) // self._hop + 1)
        self._n_ahead += n_frames
        if n_frames == 1:  # as below, at a third of the cost
            frames = held[:, None, first : first + self._length]
        else:
            step, (row, column) = self._hop, held.strides
            frames = np.lib.stride_tricks.as_strided(
                held[:, first:],
                (len(held), n_frames, self._length),
                (row, step * column, column),
                writeable=False,
            )
        return frames.copy() if self._analysis is None else frames * self._analysis

    def end(self, samples: Array) -> Array:
        """Take in the last samples; return the frames that they and silence after them complete."""
        n_in = self._n_in + samples.shape[1]
        n_frames = self.frontend.n_frames(n_in)
        n_silent = (n_frames - 1) * self._hop + self._length - self._lead - n_in
        frames = self._cut(np.pad(samples, [(0, 0), (0, n_silent)]))
        self._n_in = n_in
        if self._n_slow:
            self._take_slow(frames)
        return frames

    def add(self, frames: Array) -> tuple[Array, Array]:
        """Take back the next frames (source, channel, frame, sample), which may be overwritten.

        Returns
        -------
        array [shape=(source, channel, sample)]
            The samples that they complete.
        array [shape=(channel, sample)]
            What came in at their places.
        """
        n_frames, overlap = frames.shape[2], self._overlap
        if self._synthesis is not None:
            frames *= self._synthesis
        rows = self._rows(frames)
        rows[:, :, : overlap - 1] += self._tail
        self._tail = rows[:, :, n_frames:] if n_frames == 1 else rows[:, :, n_frames:].copy()
        self._n_ahead -= n_frames
        return self._leave(rows[:, :, :n_frames], last=False)

    def rest(self) -> tuple[Array, Array]:
        """Return what the last frames complete, as :meth:`add`; perhaps too much."""
        sources, mixture = self._leave(self._tail, last=True)
        # Rows are whole hops, where frames may end within one.
        return sources[..., : mixture.shape[1]], mixture

    def _take_slow(self, frames: Array) -> None:
        """Take what is slow out of the frames that were cut last.

        Frames at either end, partly beyond the signal, have a polynomial where the signal is.
        """
        n_frames, terms = frames.shape[1], self._slow
        at = self._n_rows + self._n_ahead - n_frames
        first = self._n_early - at
        last = (self._n_in + self._lead - self._length) // self._hop + 1 - at
        if first > 0 or last < n_frames:
            first = min(max(first, 0), n_frames)
            last = max(first, last)
            for k in (*range(first), *range(last, n_frames)):
                start = (at + k) * self._hop - self._lead
                some = self._slow_of(max(0, -start), min(self._length, self._n_in - start))
                frames[:, k] -= frames[:, k] @ some.T @ some
            frames = frames[:, first:last]
        if frames.shape[1] == 1:  # as below, at half the cost
            for frame in frames[:, 0]:
                frame -= terms.dot(frame).dot(terms)
        else:
            frames -= frames @ terms.T @ terms

    def _slow_of(self, start: int, stop: int) -> Array:
        """Return the terms for a frame that the signal is in from sample `start` to `stop`."""
        window = 1.0 if self._analysis is None else self._analysis
        return slow(within(window * np.ones(self._length), start, stop), self._n_slow)

    def _rows(self, frames: Array) -> Array:
        """Return the sum of frames, hop by hop: (source, channel, n_frames + overlap - 1, hop)."""
        n_frames, overlap, hop = frames.shape[2], self._overlap, self._hop
        if n_frames == 1 and frames.shape[3] == overlap * hop:
            return frames.reshape(*self._shape, overlap, hop)
        rows = np.zeros((*self._shape, n_frames + overlap - 1, hop), np.float32)
        for k in range(overlap):
            part = frames[..., k * hop : (k + 1) * hop]
            rows[:, :, k : k + n_frames, : part.shape[-1]] += part
        return rows

    def _leave(self, rows: Array, *, last: bool) -> tuple[Array, Array]:
        """Return the samples of the next rows, which all frames are in, and those that came in."""
        n_rows, first = rows.shape[2], self._n_rows
        if last or first < self._overlap - 1:
            rows = rows * self._edge(first, n_rows, last=last)
        n_samples = n_rows * self._hop
        sources = rows.reshape(*self._shape, n_samples)
        mixture, self._held = self._held[:, :n_samples], self._held[:, n_samples:]
        skip = max(0, self._lead - first * self._hop)
        self._n_rows += n_rows
        self._n_out += n_samples - min(skip, n_samples)
        return (sources[..., skip:], mixture[:, skip:]) if skip else (sources, mixture)

    def _cumulated(self) -> Array:
        """Return in row b what the b + 1 latest frames weigh, (overlap, hop)."""
        whole = np.zeros(self._overlap * self._hop)
        analysis = 1.0 if self._analysis is None else self._analysis
        synthesis = 1.0 if self._synthesis is None else self._synthesis
        whole[: self._length] = np.ones(self._length) * analysis * synthesis
        return np.cumsum(whole.reshape(self._overlap, self._hop), axis=0)

    def _edge(self, first: int, n_rows: int, *, last: bool) -> Array:
        """Return what makes up for the frames that rows at either end of the stream lack."""
        places = np.minimum(first + np.arange(n_rows), self._overlap - 1)
        weights = self._weights[places]
        if last:
            weights = weights - self._weights[:n_rows]
        # Zero only where the window is, before the first sample or after the last.
        whole = self._weights[-1]
        return (whole / np.where(weights > 1e-9, weights, whole)).astype(np.float32)


def slow(window: Array, n_terms: int) -> Array:
    """Return what a windowed frame has of a constant, a slope, ...: what is below all bins.

    An offset would leak from 0 Hz into the bins of quiet speech, and masks that differ from frame
    to frame make thumps of it. The polynomial that fits the windowed frame best is zero where a
    frame swings more than twice, so that nothing that can be heard is taken.

    Parameters
    ----------
    window : float64 array [shape=(sample,)]
    n_terms : int >= 0

    Returns
    -------
    float32 array [shape=(term, sample)]
        Orthonormal: ``frame @ terms.T @ terms`` is the polynomial under the window. Terms that a
        window of few samples has no room for are zero.
    """
    time = np.linspace(-1, 1, len(window))
    terms = np.zeros((n_terms, len(window)))
    for k in range(n_terms):
        term = window * time**k
        size = np.linalg.norm(term)
        for _ in range(2):  # the second time takes away what rounding left
            term = term - term @ terms[:k].T @ terms[:k]
        if np.linalg.norm(term) > 1e-4 * size:
            terms[k] = term / np.linalg.norm(term)
    return terms.astype(np.float32)


def within(window: Array, start: int, stop: int) -> Array:
    """Return a window that is zero but from sample `start` to `stop`."""
    inside = np.zeros_like(window)
    inside[start:stop] = window[start:stop]
    return inside


def _windows(frontend: STFT | Frames) -> tuple[Array | None, Array | None]:
    """Return what frames are multiplied by on the way in and on the way out, None for nothing."""
    if isinstance(frontend, Frames):
        return None, None
    window, hop = frontend.window_values, frontend.hop
    squares = np.zeros(-(-len(window) // hop) * hop)
    squares[: len(window)] = window**2
    envelope = np.resize(squares.reshape(-1, hop).sum(axis=0), len(window))
    # The network sees a full-scale sine as 1.
    analysis = (window * frontend.unit).astype(np.float32)
    return analysis, (window / envelope / frontend.unit).astype(np.float32)
