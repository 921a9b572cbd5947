"""What is heard and seen of a recording and its stems: samples and pictures of a stretch."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask import audio
from unmask.report import images
from unmask.ui.jobs import Job

#: Samples of all sounds of a stretch in a browser's memory, in bytes: six minutes of a song.
MOST_BYTES = 640_000_000
_BLOCK = 1 << 18
_MOST_POWERS = 24


class Stretches:
    """Stretches of the sounds of jobs, as a browser can hold them.

    Parameters
    ----------
    most_bytes : int
        Of the samples of one stretch, all sounds together.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._powers: OrderedDict[tuple[Path, int], NDArray[np.float64]] = OrderedDict()
        self._lock = threading.Lock()

    def sounds(self, job: Job) -> dict[str, Path]:
        """Return what can be heard of a job: the mixture, and what was written."""
        return {"": job.recording.path} | job.files()

    def length(self, job: Job) -> int:
        """Return the samples of a stretch: whole seconds, but for the last one."""
        recording = job.recording
        frame_bytes = 4 * recording.n_channels * len(self.sounds(job))
        seconds = self._most_bytes // (frame_bytes * recording.sample_rate)
        return min(recording.n_samples, max(1, seconds) * recording.sample_rate)

    def said(self, job: Job, start: int) -> dict[str, Any]:
        """Return a stretch as the player of reports takes it.

        Parameters
        ----------
        job : Job
        start : int
            The first sample.
        """
        recording, most = job.recording, self.length(job)
        n = min(most, recording.n_samples - start)
        files = [(name or "mixture", f"{k}") for k, name in enumerate(self.sounds(job))]
        versions = [
            {
                "kind": f"sound:{'mixture' if k == 0 else f's{k}'}",
                "label": name,
                "about": "what was given" if k == 0 else f"{name}, as it was written",
                "sound": k,
                "mask": f"mask/{place}" if k else None,
            }
            for k, (name, place) in enumerate(files)
        ]
        return {
            "name": recording.path.name,
            "rate": recording.sample_rate,
            "channels": recording.n_channels,
            "first": start,
            "n": n,
            "start": start / recording.sample_rate,
            "duration": n / recording.sample_rate,
            "starts": list(range(0, recording.n_samples, most)),
            "band": [images.LOWEST_HZ, recording.sample_rate / 2],
            "range": images.RANGE_DB,
            "sounds": [{"picture": f"spectrogram/{place}"} for _, place in files],
            "stems": [{"name": "", "versions": versions, "limit": 1, "scores": {}}],
        }

    def samples(self, job: Job, path: Path, start: int) -> tuple[int, Iterator[bytes]]:
        """Return the number of bytes of a stretch, and them: float32, one channel beside another.

        Raises
        ------
        AudioFileError
            While they are read, if they cannot be.
        """
        n = min(self.length(job), job.recording.n_samples - start)
        blocks = _blocks(job, path, start, n)
        return 4 * n * job.recording.n_channels, (
            block.T.astype("<f4").tobytes() for block in blocks
        )

    def spectrogram(self, job: Job, path: Path, start: int) -> bytes:
        """Return a picture of levels below the loudest of the mixture; PNG."""
        mixture = self._power(job, job.recording.path, start)
        return images.spectrogram(self._power(job, path, start), float(mixture.max(initial=0)))

    def mask(self, job: Job, path: Path, start: int) -> bytes:
        """Return a picture of what part of the mixture's magnitude passes; PNG."""
        mixture = self._power(job, job.recording.path, start)
        return images.mask(self._power(job, path, start), mixture, 1.0)

    def _power(self, job: Job, path: Path, start: int) -> NDArray[np.float64]:
        with self._lock:  # one at a time: the next asks for the mixture of the same stretch
            key = path, start
            if key not in self._powers:
                n = min(self.length(job), job.recording.n_samples - start)
                grid = images.Grid(job.recording.sample_rate, n)
                self._powers[key] = power(_blocks(job, path, start, n), grid)
            self._powers.move_to_end(key)
            while len(self._powers) > _MOST_POWERS:
                self._powers.popitem(last=False)
            return self._powers[key]


def _blocks(job: Job, path: Path, start: int, n: int) -> Iterator[NDArray[Any]]:
    rate = job.recording.sample_rate
    return audio.read_blocks(path, block=_BLOCK, start_s=start / rate, stop_s=(start + n) / rate)


def power(blocks: Iterable[NDArray[Any]], grid: images.Grid) -> NDArray[np.float64]:
    """Return what :meth:`Grid.power` does for the whole signal, which comes in blocks.

    Parameters
    ----------
    blocks : iterable of array [shape=(channel, sample)], real
    grid : Grid
        Of the whole signal.
    """
    columns = np.concatenate(list(_columns(blocks, grid)), axis=1)
    return images.in_columns(columns, min(images.MOST_COLUMNS, columns.shape[1]))


def _columns(blocks: Iterable[NDArray[Any]], grid: images.Grid) -> Iterator[NDArray[np.float64]]:
    """Yield the columns of frames; those that reach beyond a block wait for the next."""
    hop, reach = grid.stft.hop, grid.stft.n_fft // grid.stft.hop // 2
    rows: Callable[[NDArray[Any]], NDArray[np.float64]] = grid.rows
    held, done = None, 0
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=-1)
        n_frames = held.shape[-1] // hop + 1 - reach  # frames that end within it
        if n_frames > done:
            yield rows(held)[:, done:n_frames]
            keep = n_frames - reach  # from here on the next frames begin
            held, done = held[:, max(0, keep) * hop :], n_frames - max(0, keep)
    if held is not None:
        yield rows(held)[:, done:]
