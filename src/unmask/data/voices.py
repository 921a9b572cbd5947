"""Voices: recordings of single talkers, who is who, and what they say without the pauses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unmask.data.cache import Cache, quantise
from unmask.data.example import rms
from unmask.data.recordings import Recording, Selection, choose, licences
from unmask.errors import ConfigError

#: What is this far below loud speech is a pause, if it lasts that long; less is part of a word.
PAUSE_DB, PAUSE_S = -30.0, 0.2
#: Speech is kept this long around what is above; shorter sounds are clicks.
_MARGIN_S, _LEAST_S, _FADE_S, _FRAME_S = 0.04, 0.1, 0.005, 0.02
_LOUD_QUANTILE = 0.95


@dataclass(frozen=True, kw_only=True)
class Voices(Selection):
    """Some recordings of single talkers."""

    speaker: str = ""
    """A regular expression: what it finds in a file's path (its first group, if it has one) names
    the speaker. By default each file is somebody else; where nobody knows who talks, a word that
    all paths hold makes them one, who is never mixed with themselves."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            re.compile(self.speaker)
        except re.error as error:
            raise ConfigError(f"data: {self.glob}: speaker {self.speaker!r}: {error}") from None

    def who(self, path: str) -> str:
        """Return the name of who talks in a file.

        Raises
        ------
        ConfigError
            If the expression finds nothing in its path.
        """
        if not self.speaker:
            return path
        if (found := re.search(self.speaker, path)) is None:
            raise ConfigError(
                f"data: {path}: speaker {self.speaker!r} finds nothing in it; change the expression"
            )
        return found[1] if found.lastindex else found[0]


class VoicesPool:
    """Speakers to take excerpts from; a speaker's chance is the weight of their first file.

    Parameters
    ----------
    files : mapping
        Speaker -> their files, and the weight of each.
    cache : Cache
        Where speech without its pauses is kept.
    """

    def __init__(self, files: Mapping[str, Sequence[tuple[Path, float]]], cache: Cache) -> None:
        self._rate, self._files = cache.sample_rate, files
        self.names = sorted(files)
        self._speech = {
            name: [Recording.of(_spoken(path, cache)) for path, _ in files[name]]
            for name in self.names
        }
        self._levels = {
            name: [max(1.0, rms(one.read(0, one.n_samples))) for one in parts]
            for name, parts in self._speech.items()
        }
        chances = np.array([files[name][0][1] for name in self.names])
        self._chances = chances / chances.sum()

    def pair(self, rng: np.random.Generator) -> tuple[str, str]:
        """Return two different speakers."""
        first, second = rng.choice(len(self.names), 2, replace=False, p=self._chances)
        return self.names[first], self.names[second]

    def excerpt(self, rng: np.random.Generator, name: str, n_samples: int) -> Any:
        """Return what somebody says, float32 (sample,), at about RMS 1; said again if too short."""
        parts = self._speech[name]
        lengths = np.array([one.n_samples for one in parts], dtype=float)
        k = int(rng.choice(len(parts), p=lengths / lengths.sum()))
        start = int(rng.integers(max(1, parts[k].n_samples - n_samples + 1)))
        pieces: list[Any] = []
        missing = n_samples
        while missing:
            piece = parts[k].read(start, missing) / self._levels[name][k]
            pieces.append(piece)
            missing, start, k = missing - len(piece), 0, (k + 1) % len(parts)
        return faded(np.concatenate(pieces), round(_FADE_S * self._rate))

    def facts(self, root: Path) -> dict[str, Any]:
        """Return how many speak how long, and under which licences."""
        n_samples = sum(one.n_samples for parts in self._speech.values() for one in parts)
        return {
            "speakers": len(self.names),
            "minutes": round(n_samples / self._rate / 60, 1),
            "licences": licences(root, (p for files in self._files.values() for p, _ in files)),
        }


def find_voices(root: Path, specs: Sequence[Voices], cache: Cache) -> dict[str, VoicesPool]:
    """Return who talks in each split, ``"train"`` and ``"valid"``.

    Raises
    ------
    ConfigError, AudioFileError
        If a split has fewer than two speakers, somebody is in both, or as
        :func:`unmask.data.recordings.choose`.
    """
    found: dict[str, dict[str, list[tuple[Path, float]]]] = {"train": {}, "valid": {}}
    for spec in specs:
        for split, path in choose(root, spec, whose=spec.who):
            name = spec.who(path.relative_to(root).as_posix())
            found[split].setdefault(name, []).append((path, spec.weight))
    if both := sorted(found["train"].keys() & found["valid"].keys()):
        raise ConfigError(
            f"data: {both[0]} would be trained on and validated with; change a glob or a "
            "valid_share"
        )
    for split, speakers in found.items():
        if len(speakers) < 2:
            raise ConfigError(
                f"data: {len(speakers)} speakers for {split}, expected two or more; add some to "
                "data.voices"
            )
    return {split: VoicesPool(speakers, cache) for split, speakers in found.items()}


def _spoken(path: Path, cache: Cache) -> Path:
    """Return the file in the cache of what is said in `path`, without the pauses."""

    def make() -> Any:
        waveform = cache.read(path)[0]
        said = without_pauses(waveform, cache.sample_rate)
        if not len(said):
            raise ConfigError(f"{path}: is silent; take it out of data.voices")
        return quantise(said)

    return cache.keep(make, [path], "spoken", PAUSE_DB, PAUSE_S)


def without_pauses(x: Any, sample_rate: int) -> Any:
    """Return the samples (sample,) of speech without its pauses, each stretch faded in and out."""
    length = max(1, round(_FRAME_S * sample_rate))
    n_frames = len(x) // length
    energies = np.square(x[: n_frames * length].reshape(n_frames, length)).mean(axis=1)
    if not energies.any():
        return x[:0]
    loud = np.quantile(energies[energies > 0], _LOUD_QUANTILE)
    stretches = _stretches(energies > loud * 10 ** (PAUSE_DB / 10))
    margin, n_fade = round(_MARGIN_S * sample_rate), round(_FADE_S * sample_rate)
    pieces = [
        faded(x[max(0, first * length - margin) : last * length + margin], n_fade)
        for first, last in stretches
    ]
    return np.concatenate([x[:0], *pieces])


def _stretches(loud: Any) -> list[tuple[int, int]]:
    """Return from which to which frame somebody talks, pauses that are short counted in."""
    found: list[tuple[int, int]] = []
    for k in np.flatnonzero(loud):
        if found and k - found[-1][1] < PAUSE_S / _FRAME_S:
            found[-1] = found[-1][0], int(k) + 1
        else:
            found.append((int(k), int(k) + 1))
    return [(first, last) for first, last in found if last - first >= _LEAST_S / _FRAME_S]


def faded(x: Any, n_fade: int) -> Any:
    """Return `x` (sample,), of which the first and the last `n_fade` samples come and go."""
    n_fade = min(n_fade, len(x) // 2)
    ramp = (np.arange(n_fade, dtype=np.float32) + 0.5) / max(1, n_fade)
    x = np.array(x, dtype=np.float32)
    x[:n_fade] *= ramp
    x[len(x) - n_fade :] *= ramp[::-1]
    return x
