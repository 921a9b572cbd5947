"""What is mixed: the stems of a folder, files, or one recording and itself at another place.

Sources of unlike length are cut to the shortest.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unmask import audio
from unmask._arrays import Array
from unmask.errors import AudioFileError, ConfigError, SampleRateError, ShapeError
from unmask.mixtures import stretch
from unmask.stems import STREAMS_SUFFIX, canonical, locate_stems


class Waves(NamedTuple):
    """Known sources in memory."""

    names: tuple[str, ...]
    samples: Array
    """(source, channel, sample), float32."""
    sample_rate: int
    """In Hz."""

    @property
    def sha256(self) -> str:
        """Of names, samples and rate, in hexadecimal digits."""
        head = f"{self.names} {self.sample_rate} {self.samples.shape} {self.samples.dtype}"
        digest = hashlib.sha256(head.encode())
        digest.update(np.ascontiguousarray(self.samples).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Material:
    """Where sources come from, in few words that can be sent to another process."""

    name: str
    """Of the recording."""
    files: tuple[tuple[str, Path, int], ...]
    """Name, file and stream of every source; of one, it is mixed with itself half a turn later."""
    start_s: float = 0.0
    duration_s: float | None = None
    """Stretch of it, in seconds."""
    sample_rate: int | None = None
    """In Hz; its own if None."""
    mono: bool = False
    """Whether channels are averaged."""
    target: str = ""
    """A source against the sum of all others; empty: each by itself."""

    def load(self) -> Waves:
        """Return the sources.

        Raises
        ------
        AudioFileError, SampleRateError, ShapeError
            If files cannot be read or have unlike rates or channels.
        ConfigError
            If nothing lies in the stretch, a source is silent there, or there is no such target.
        """
        return _load(self)


@lru_cache(maxsize=1)
def _load(material: Material) -> Waves:
    heard = [_read(material, path, stream) for _, path, stream in material.files]
    if len(rates := {rate for _, rate in heard}) > 1:
        raise SampleRateError(
            f"{material.name}: sources have {sorted(rates)} Hz, expected one; take --sample-rate"
        )
    if len(counts := {len(x) for x, _ in heard}) > 1:
        raise ShapeError(
            f"{material.name}: sources have {sorted(counts)} channels, expected as many in all; "
            "take --mono"
        )
    # The mixture is made here: whatever plays at a time is one, also where files end unevenly.
    n_samples, rate = min(x.shape[-1] for x, _ in heard), rates.pop()
    waves = {
        name: x[:, :n_samples] for (name, *_), (x, _) in zip(material.files, heard, strict=True)
    }
    waves = _against(_with_itself(waves), material.target)
    if silent := [name for name, x in waves.items() if not np.any(x)]:
        raise ConfigError(
            f"{material.name}: {silent[0]} is silent in this stretch, its scores are undefined; "
            "take another --start or a longer --duration"
        )
    return Waves(tuple(waves), np.stack(list(waves.values())).astype(np.float32), rate)


def _read(material: Material, path: Path, stream: int) -> tuple[Array, int]:
    found = audio.info(path, stream=stream)
    part = stretch(
        found.n_samples,
        found.sample_rate,
        material.start_s,
        material.duration_s,
        subject=path,
    )
    rate = found.sample_rate
    x, _ = audio.read(path, start_s=part.start / rate, stop_s=part.stop / rate, stream=stream)
    if material.mono:
        x = x.mean(axis=0, keepdims=True)
    if material.sample_rate is None:
        return x, rate
    return audio.resample(x, rate, material.sample_rate), material.sample_rate


def _with_itself(waves: dict[str, Array]) -> dict[str, Array]:
    """Return several sources as they are, and of one a second that is itself half a turn later."""
    if len(waves) > 1:
        return waves
    ((name, x),) = waves.items()
    return {name: x, f"{name} later": np.roll(x, x.shape[-1] // 2, axis=-1)}


def _against(waves: dict[str, Array], target: str) -> dict[str, Array]:
    if not target:
        return waves
    if target not in waves:
        raise ConfigError(f"target: no source {target!r}; there are {', '.join(waves)}")
    rest = sum(x for name, x in waves.items() if name != target)
    return {target: waves[target], "everything else": rest}


def find_material(paths: Sequence[str | Path]) -> tuple[str, tuple[tuple[str, Path, int], ...]]:
    """Return the name of a recording, and name, file and stream of its sources.

    Parameters
    ----------
    paths : sequence of path
        A folder of stems; a ``.stem.mp4`` file; or sound files, a source each.

    Raises
    ------
    AudioFileError
        If something is not there, or a folder is among files.
    ConfigError
        If two files go by the same name.
    """
    first = Path(paths[0])
    is_whole = first.is_dir() or first.name.lower().endswith(STREAMS_SUFFIX)
    if is_whole and len(paths) == 1:
        found = locate_stems(first)
        name = first.resolve().name.removesuffix(STREAMS_SUFFIX)
        return name, tuple((stem, path, stream) for stem, (path, stream) in found.items())
    files: dict[str, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            raise AudioFileError(f"{path}: is a folder among files; give one folder, or files")
        if (stem := canonical(path.stem)) in files:
            raise ConfigError(f"{path}: {files[stem]} goes by the name {stem!r} too; rename one")
        files[stem] = path
    return "+".join(files), tuple((stem, path, 0) for stem, path in files.items())
