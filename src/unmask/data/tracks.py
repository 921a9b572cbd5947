"""Tracks: songs as folders of stems, and recordings of one stem; which part plays when."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unmask import audio
from unmask.data.cache import Cache, quantise
from unmask.data.effects import Variation
from unmask.data.recordings import Selection, choose
from unmask.data.store import Piece, Recording
from unmask.errors import AudioFileError, ConfigError, ShapeError
from unmask.stems import MIXTURES, STREAMS_SUFFIX, canonical, check_aligned, locate_stems
from unmask.workers import map_tasks

#: Where stems go that are none of the sources.
REST = "other"


@dataclass(frozen=True, kw_only=True)
class Tracks(Selection):
    """Some tracks: folders with one file a stem, ``.stem.mp4`` files, or recordings of one stem."""

    stem: str = ""
    """What the recordings are that the glob finds; left out where it finds songs."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Stem -> what it is taken for; stems that get one name are summed, the unknown are other."""
    contains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Stem -> all sources that are in it. Where they are targets, all of them, their sum is what is
    known; where some are and some are not, it is never used."""
    lacks: tuple[str, ...] = ()
    """Targets that its songs may be without; others must be there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [*self.rename.values(), *self.lacks]
        names += [name for held in self.contains.values() for name in held]
        if not all(isinstance(name, str) and name == canonical(name) for name in names):
            raise ConfigError(
                f"data: {self.glob}: stems {names}, expected names as "
                f"{sorted({canonical(str(name)) for name in names})}"
            )

    def holds(self, name: str, sources: Collection[str]) -> tuple[str, frozenset[str]]:
        """Return the part of a track that the file of stem `name` goes to, and what is in it."""
        name = _by_stem(self.rename).get(name, name)
        contains = _by_stem(self.contains)
        if name in contains:
            return name, frozenset(s if s in sources else REST for s in contains[name])
        known = name in sources or name == canonical("instrumental")  # holds what others hold too
        name = name if known else REST
        return name, frozenset([name])


def _by_stem(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return `table` by the names that stems have here, so that "instrumental" may be written."""
    return {canonical(stem): entry for stem, entry in table.items()}


@dataclass(frozen=True)
class Song:
    """A track on disk."""

    name: str
    """Where it is, relative to the data root."""
    path: Path
    spec: Tracks
    files: Mapping[str, tuple[tuple[Path, int], ...]]
    """Part -> files and streams that add up to it."""
    contents: Mapping[str, frozenset[str]]
    """Part -> the sources that are in it."""
    channels: int
    """Of its decoded parts."""

    @property
    def paths(self) -> list[Path]:
        """Its files."""
        return sorted({path for files in self.files.values() for path, _ in files})

    @property
    def whole(self) -> bool:
        """Whether its parts belong together."""
        return not self.spec.stem

    def check(self, cache: Cache) -> None:
        """Refuse files that are not aligned or have too many channels, unless the cache has them.

        Raises
        ------
        SampleRateError, ShapeError
            As :func:`unmask.stems.check_aligned`; or if two channels are asked for and a file has
            more.
        """
        if cache.has(self.paths, *self._about):
            return
        files = [file for part in self.files.values() for file in part]
        check_aligned(files)
        if self.channels > 1:
            _check_channels(files)

    def keep(self, cache: Cache, variation: Variation | None = None) -> Path:
        """Return the file of its parts, int16 (part, channel, sample), levels as they were."""
        if variation is None:
            return cache.keep(lambda: quantise(self._decode(cache)), self.paths, *self._about)

        def vary() -> Any:
            return quantise(variation.apply(self._decode(cache), cache.sample_rate))

        return cache.keep(vary, self.paths, *self._about, variation)

    @property
    def _about(self) -> list[object]:
        """What the cache keeps of its files."""
        return [*self.files.items(), f"{self.channels} channels"]

    def _decode(self, cache: Cache) -> Any:
        parts = np.stack(
            [
                sum(
                    cache.read(path, stream=stream, channels=self.channels)
                    for path, stream in files
                )
                for files in self.files.values()
            ]
        )
        if self.whole and not parts.any():
            raise AudioFileError(f"{self.path}: is silent; take the song out of the data folder")
        return parts


def find_songs(
    root: Path,
    specs: Sequence[Tracks],
    *,
    sources: Collection[str],
    targets: Collection[str],
    channels: int,
) -> Iterator[tuple[str, Song]]:
    """Yield every track with its split, ``"train"`` or ``"valid"``.

    Raises
    ------
    ConfigError, AudioFileError
        As :func:`unmask.data.recordings.choose`; or if a song lacks a target, holds what is none
        of the sources, or would be trained on and validated with.
    """
    splits: dict[Path, str] = {}
    for spec in specs:
        for split, path in choose(root, spec, files_of=_files_of(spec)):
            song = _song(path.relative_to(root).as_posix(), path, spec, sources, channels)
            if {splits.setdefault(file, split) for file in song.paths} != {split}:
                raise ConfigError(
                    f"data: {song.name}: would be trained on and validated with; "
                    "change a glob or a valid_share"
                )
            held = frozenset[str]().union(*song.contents.values(), spec.lacks)
            if song.whole and (missing := [name for name in targets if name not in held]):
                raise AudioFileError(
                    f"{path}: no file for the stem {', '.join(missing)}; add it, or allow for it "
                    f"with lacks = {missing}".replace("'", '"')
                )
            yield split, song


def _files_of(spec: Tracks) -> Any:
    """Return what tells the files of a path that the glob found."""

    def files(path: Path) -> list[Path]:
        if path.is_dir():
            return [] if spec.stem else sorted({file for file, _ in locate_stems(path).values()})
        is_used = spec.stem or path.name.lower().endswith(STREAMS_SUFFIX)
        return [path] if is_used and canonical(path.stem) not in MIXTURES else []

    return files


def _song(name: str, path: Path, spec: Tracks, sources: Collection[str], channels: int) -> Song:
    located = {spec.stem: (path, 0)} if spec.stem else locate_stems(path)
    files: dict[str, tuple[tuple[Path, int], ...]] = {}
    contents: dict[str, frozenset[str]] = {}
    for stem, file in located.items():
        part, held = spec.holds(stem, sources)
        if not held <= set(sources):
            raise ConfigError(
                f"{file[0]}: {part!r} is none of the sources {sorted(sources)}; "
                "add it to data.sources or rename it"
            )
        files[part] = (*files.get(part, ()), file)
        contents[part] = contents.get(part, frozenset()) | held
    return Song(name, path, spec, files, contents, channels)


def _check_channels(files: Sequence[tuple[Path, int]]) -> None:
    """Refuse files that are neither mono nor stereo."""
    for path, stream in files:
        if (found := audio.info(path, stream=stream).n_channels) > 2:
            raise ShapeError(
                f"{path}: has {found} channels, expected 1 or 2 with data.channels = 2; mix it "
                "down, or set data.channels = 1"
            )


class Track:
    """A decoded track: its parts, how loud they are and where they play.

    Parameters
    ----------
    song : Song
        What it is.
    file : Path
        Its parts in the cache, int16 of shape (part, channel, sample).
    n_samples : int
        Samples of an excerpt.
    cache : Cache
        Where it is noted when the parts play.
    """

    def __init__(self, song: Song, file: Path, *, n_samples: int, cache: Cache) -> None:
        self.song, self.file, self.n_samples = song, file, n_samples
        self.contents = list(song.contents.values())
        self.block = max(1, n_samples // 16)
        self.recording = Recording.of(file)
        header = np.load(file, mmap_mode="r")  # not kept: a file open for each track is too many
        _, self.channels, self.length = header.shape
        noted = cache.keep(lambda: _energies(header, self.block), [file], "energies", self.block)
        activity = [_activity(row, self.length, n_samples, self.block) for row in np.load(noted)]
        self.levels = [level for level, _ in activity]
        self.active = np.stack([active for _, active in activity])

    def draw(self, rng: np.random.Generator, where: Any) -> int:
        """Return where an excerpt starts; `where` tells for every block whether it may be there."""
        start = int(rng.choice(np.flatnonzero(where))) * self.block
        last = max(0, self.length - self.n_samples)
        return start + int(rng.integers(min(self.block, last - start + 1)))

    def pieces(self, part: int, start: int, n_samples: int, *, level: float = 1.0) -> list[Piece]:
        """Return a piece of every channel of a part, at most `n_samples`; `level` counts as 1."""
        count = min(n_samples, self.length - start)
        rows = range(part * self.channels, (part + 1) * self.channels)
        return [
            Piece(self.recording, row * self.length + start, count, 32767 * level) for row in rows
        ]


def load_tracks(
    versions: Sequence[tuple[Song, Variation | None]], cache: Cache, *, n_samples: int, jobs: int
) -> Iterator[Track]:
    """Yield songs as they are and as they are varied, from the cache, which is filled first.

    Parameters
    ----------
    versions : sequence of (Song, Variation or None)
        What to load.
    cache : Cache
        Where it is kept.
    n_samples : int
        Samples of an excerpt; a variation that is shorter is left out.
    jobs : int
        Processes that fill the cache.

    Raises
    ------
    SampleRateError, ShapeError, AudioFileError
        If the stems of a song are not aligned, all silent, or too short.
    """
    for song, _ in versions:
        song.check(cache)
    for _ in map_tasks(partial(_fill, cache), versions, jobs=jobs):
        pass
    for song, variation in versions:
        track = Track(song, song.keep(cache, variation), n_samples=n_samples, cache=cache)
        if not song.whole or track.length >= n_samples:
            yield track
        elif variation is None:
            raise AudioFileError(
                f"{song.path}: has {track.length} samples at {cache.sample_rate} Hz, an "
                f"example needs {n_samples}; take it out or make data.samples less"
            )


def _fill(cache: Cache, version: tuple[Song, Variation | None]) -> None:
    song, variation = version
    song.keep(cache, variation)


def _energies(waveforms: Any, block: int) -> Any:
    """Return the mean square of every whole block of every part, float32 of (part, block)."""
    n_blocks = max(1, waveforms.shape[-1] // block)
    return np.array(
        [
            [np.mean(np.square(part[:, k * block : (k + 1) * block], dtype=np.float32)) / 32767**2
            for k in range(n_blocks)]
            for part in waveforms
        ],
        np.float32,
    )  # fmt: skip


def _activity(energies: Any, length: int, n_samples: int, block: int) -> tuple[float, Any]:
    """Return how loud a part is where it plays, and the blocks where excerpts may start.

    An excerpt plays if its mean square is above a hundredth of that level (-20 dB), counting only
    the blocks that are in it wherever in its first block it starts.
    """
    heard = energies[energies > 1e-6 * energies.max()]  # -60 dB
    level = float(np.sqrt(heard.mean(dtype=np.float64))) if len(heard) else 0.0
    inside = min(n_samples // block, len(energies))
    sums = np.concatenate([[0.0], np.cumsum(energies, dtype=np.float64)])
    starts = np.arange(max(0, length - n_samples) // block + 1)
    first = np.minimum(starts + (inside > 1), len(energies) - 1)
    last = np.minimum(starts + inside, len(energies))
    return level, sums[last] - sums[first] > inside * (0.1 * level) ** 2
