"""Tracks: songs as folders of stems, and recordings of one stem; which part plays when."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unmask.data.cache import Cache
from unmask.data.recordings import Selection, choose
from unmask.errors import AudioFileError, ConfigError
from unmask.stems import MIXTURES, STREAMS_SUFFIX, canonical, check_aligned, locate_stems

#: Where stems go that are none of the sources.
REST = "other"


@dataclass(frozen=True, kw_only=True)
class Tracks(Selection):
    """Some tracks: folders with one file a stem, ``.stem.mp4`` files, or recordings of one stem."""

    stem: str = ""
    """What the recordings are that the glob finds; left out where it finds songs."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Stem -> what it is taken for; stems that get one name are summed, the unknown are other."""
    contains: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Stem -> all sources that are in it. It is never used where one of them is a target."""
    lacks: tuple[str, ...] = ()
    """Targets that its songs may be without; others must be there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [*self.rename.values(), *self.contains, *self.lacks]
        names += [name for held in self.contains.values() for name in held]
        if not all(isinstance(name, str) and name == canonical(name) for name in names):
            raise ConfigError(
                f"data: {self.glob}: stems {names}, expected names as "
                f"{sorted({canonical(str(name)) for name in names})}"
            )

    def holds(self, name: str, sources: Collection[str]) -> tuple[str, frozenset[str]]:
        """Return the part of a track that the file of stem `name` goes to, and what is in it."""
        name = self.rename.get(name, name)
        if name not in self.contains and name not in sources:
            name = REST
        held = {s if s in sources else REST for s in self.contains.get(name, [name])}
        return name, frozenset(held)


@dataclass(frozen=True)
class Song:
    """A track on disk."""

    path: Path
    spec: Tracks
    files: Mapping[str, tuple[tuple[Path, int], ...]]
    """Part -> files and streams that add up to it."""
    contents: Mapping[str, frozenset[str]]
    """Part -> the sources that are in it."""

    @property
    def paths(self) -> list[Path]:
        """Its files."""
        return sorted({path for files in self.files.values() for path, _ in files})

    @property
    def whole(self) -> bool:
        """Whether its parts belong together."""
        return not self.spec.stem

    def check(self, cache: Cache) -> None:
        """Refuse files that are not aligned, unless the cache has them.

        Raises
        ------
        SampleRateError, ShapeError
            As :func:`unmask.stems.check_aligned`.
        """
        if not cache.place(self.paths, *self.files.items()).is_file():
            check_aligned(file for part in self.files.values() for file in part)

    def load(self, cache: Cache) -> Any:
        """Return its parts, int16 of shape (part, sample); their relative levels are kept."""
        return cache.fetch(self.paths, lambda: self._decode(cache), *self.files.items())

    def _decode(self, cache: Cache) -> Any:
        parts = np.stack(
            [
                sum(cache.read_mono(path, stream=stream) for path, stream in files)
                for files in self.files.values()
            ]
        )
        if self.whole and not parts.any():
            raise AudioFileError(f"{self.path}: is silent; take the song out of the data folder")
        return parts


def find_songs(
    root: Path, specs: Sequence[Tracks], *, sources: Collection[str], targets: Collection[str]
) -> Iterator[tuple[str, Song]]:
    """Yield every track with its part, ``"train"`` or ``"valid"``.

    Raises
    ------
    ConfigError, AudioFileError
        As :func:`unmask.data.recordings.choose`; or if a song lacks a target.
    """
    for spec in specs:
        for part, path in choose(root, spec, files_of=_files_of(spec)):
            song = _song(path, spec, sources)
            held = frozenset[str]().union(*song.contents.values(), spec.lacks)
            if song.whole and (missing := [name for name in targets if name not in held]):
                raise AudioFileError(
                    f"{path}: no file for the stem {', '.join(missing)}; add it, or allow for it "
                    f"with lacks = {missing}".replace("'", '"')
                )
            yield part, song


def _files_of(spec: Tracks) -> Any:
    """Return what tells the files of a path that the glob found."""

    def files(path: Path) -> list[Path]:
        if path.is_dir():
            return [] if spec.stem else sorted({file for file, _ in locate_stems(path).values()})
        is_used = spec.stem or path.name.lower().endswith(STREAMS_SUFFIX)
        return [path] if is_used and canonical(path.stem) not in MIXTURES else []

    return files


def _song(path: Path, spec: Tracks, sources: Collection[str]) -> Song:
    located = {spec.stem: (path, 0)} if spec.stem else locate_stems(path)
    files: dict[str, tuple[tuple[Path, int], ...]] = {}
    contents: dict[str, frozenset[str]] = {}
    for name, file in located.items():
        part, held = spec.holds(name, sources)
        if not held <= set(sources):
            raise ConfigError(
                f"{file[0]}: {part!r} is none of the sources {sorted(sources)}; "
                "add it to data.sources or rename it"
            )
        files[part] = (*files.get(part, ()), file)
        contents[part] = held
    return Song(path, spec, files, contents)


class Track:
    """A loaded track: its parts, how loud they are and where they play.

    Parameters
    ----------
    song : Song
        What it is.
    waveforms : int16 array [shape=(part, sample)]
        Its parts.
    n_samples : int
        Samples of an excerpt.
    """

    def __init__(self, song: Song, waveforms: Any, *, n_samples: int) -> None:
        self.song, self.waveforms, self.n_samples = song, waveforms, n_samples
        self.contents = list(song.contents.values())
        self.block = max(1, n_samples // 16)
        activity = [_activity(row, n_samples, self.block) for row in waveforms]
        self.levels = [level for level, _ in activity]
        self.active = np.stack([active for _, active in activity])

    def excerpt(self, rng: np.random.Generator, parts: Sequence[int], where: Any) -> Any:
        """Return at most `n_samples` of some parts, float32 of shape (part, sample).

        `where` tells for every block whether an excerpt may start in it.
        """
        start = int(rng.choice(np.flatnonzero(where))) * self.block
        last = max(0, self.waveforms.shape[1] - self.n_samples)
        start += int(rng.integers(min(self.block, last - start + 1)))
        cut = self.waveforms[parts, start : start + self.n_samples]
        return cut.astype(np.float32) / 32767


def _activity(x: Any, n_samples: int, block: int) -> tuple[float, Any]:
    """Return how loud `x` (sample,) is where it plays, and the blocks where excerpts may start.

    An excerpt plays if its mean square is above a hundredth of that level (-20 dB), counting only
    the blocks that are in it wherever in its first block it starts.
    """
    n_blocks = len(x) // block
    energy = [
        np.mean(np.square(x[k * block : (k + 1) * block], dtype=np.float32))
        for k in range(max(1, n_blocks))
    ]
    energies = np.array(energy) / 32767**2
    heard = energies[energies > 1e-6 * energies.max()]  # -60 dB
    level = float(np.sqrt(heard.mean())) if len(heard) else 0.0
    n_starts = max(0, len(x) - n_samples) // block + 1
    inside = min(n_samples // block, len(energies))
    sums = np.concatenate([[0.0], np.cumsum(energies)])
    starts = np.arange(n_starts)
    first = np.minimum(starts + (inside > 1), len(energies) - 1)
    last = np.minimum(starts + inside, len(energies))
    return level, sums[last] - sums[first] > inside * (0.1 * level) ** 2
