"""Sound decoded once, into 16-bit memory maps that several runs can share."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unmask import audio
from unmask.data.floor import lower_floor
from unmask.files import make_folder, replacing


class Cache:
    """A folder of decoded sound at one sample rate.

    Two processes may fill it at the same time: a file is written under a name of its own and then
    renamed, so whoever comes last replaces it by the same.
    """

    def __init__(self, folder: Path, sample_rate: int) -> None:
        self.folder, self.sample_rate = folder, sample_rate

    def place(self, paths: Sequence[Path], *about: object) -> Path:
        """Return where the cache keeps what is made of `paths`; `about` tells how it is made."""
        facts = [(str(path.resolve()), path.stat()) for path in paths]
        lines = [f"{name}|{fact.st_size}|{fact.st_mtime_ns}" for name, fact in facts]
        key = "\n".join([*lines, *map(str, about)]) + f"|{self.sample_rate}"
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"

    def has(self, paths: Sequence[Path], *about: object) -> bool:
        """Return whether the cache holds what is made of `paths`."""
        return _is_whole(self.place(paths, *about))

    def keep(self, make: Callable[[], Any], paths: Sequence[Path], *about: object) -> Path:
        """Return the file that holds the array that `make` makes of `paths`; made once.

        One that is cut, as by a full disk or a copy that broke off, is made again.
        """
        kept = self.place(paths, *about)
        if not _is_whole(kept):
            made = make()  # what cannot be read leaves no folder behind
            make_folder(self.folder)
            with replacing(kept) as partial:
                np.save(partial, made)
        return kept

    def open(self, path: Path) -> Any:
        """Return the mono samples of `path`, int16 of shape (sample,), with peak 1."""
        return np.load(self.mono(path), mmap_mode="r")

    def mono(self, path: Path, *, lower_floor_db: float = 0.0) -> Path:
        """Return the file of the mono samples of `path`, its noise floor lowered by so much."""
        if not lower_floor_db:
            return self.keep(lambda: quantise(self.read(path)[0]), [path])

        def lowered() -> Any:
            return quantise(lower_floor(self.read(path)[0], self.sample_rate, lower_floor_db))

        return self.keep(lowered, [path], f"floor lowered by {lower_floor_db} dB")

    def band(self, path: Path) -> float:
        """Return up to where `path` can have sound, as a share of half the rate of the cache."""
        return min(1.0, audio.info(path).sample_rate / self.sample_rate)

    def read(self, path: Path, *, stream: int = 0, channels: int = 1) -> Any:
        """Return a file at the sample rate of the cache, float of shape (channel, sample).

        One channel is the mean of those of the file; of more, a mono file has the same in each.
        """
        waveform, found = audio.read(path, stream=stream)
        if channels == 1:
            waveform = waveform.mean(axis=0, keepdims=True)
        if found != self.sample_rate:
            waveform = audio.resample(waveform, found, self.sample_rate)
        return np.broadcast_to(waveform, (channels, waveform.shape[1]))


def _is_whole(file: Path) -> bool:
    try:
        np.load(file, mmap_mode="r")  # refuses a header or length that cannot be
    except (OSError, ValueError, EOFError):
        return False
    return True


def quantise(x: Any) -> Any:
    """Return `x` as int16 with peak 1; what is kept together keeps its relative levels."""
    peak = float(np.abs(x).max(initial=0.0)) or 1.0
    return np.round(x * (32767 / peak)).astype(np.int16)
