"""Recordings on disk: which may be trained on, and excerpts of them."""

import codecs
import csv
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unmask.data.cache import Cache
from unmask.data.store import Piece, Recording
from unmask.errors import ConfigError

ROLES = ("speech", "noise")

FilesOf = Callable[[Path], Sequence[Path]]

#: Recordings that others measure on: training on them would make the published figures worthless.
TEST_MATERIAL = {
    "MUSDB18 (Falcon 69)": r"falcon[\s_-]*69",
    "MUSDB18 (Music Delta - 80s Rock)": r"music[\s_-]*delta[\s_-]*80s[\s_-]*rock",
    "VoiceBank-DEMAND test speakers": r"(?<![a-z0-9])p(232|257)(?!\d)",
    "the demonstration of unmask": r"_4_knight_desc_bg",
    "Everything is Free, song 7": r"(?<!\d)7[\s._-]*francium|(?<![a-z])francium",
    "LibriSpeech": r"(?<![a-z0-9])test-(clean|other)(?![a-z0-9])",
}
#: Folder of a collection that is for tests -> what it lies beside: MUSDB18 and LibriMix, WSJ0-2mix.
TEST_SPLITS = {"test": "train*", "tt": "tr"}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Some files or folders below the data root, and what they are for."""

    glob: str
    """Relative to the data root, as ``speech/*/*.ogg``."""
    weight: float = 1.0
    """How often they are taken, relative to others of the same role and length."""
    source: str = ""
    """What they are and whose; goes into the model's metadata."""
    valid_share: float = 0.0
    """Share that is never trained on but used for validation; 1 takes all."""

    def __post_init__(self) -> None:
        if Path(self.glob).is_absolute() or ".." in Path(self.glob).parts:
            raise ConfigError(f"data: glob {self.glob!r} must be relative to the data root")
        if not self.glob or "\0" in self.glob:
            raise ConfigError(f"data: glob {self.glob!r} finds nothing; as speech/*.wav")
        if not (0 < self.weight < np.inf and 0 <= self.valid_share <= 1):
            raise ConfigError(f"data: {self.glob}: weight must be > 0, valid_share in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class Recordings(Selection):
    """Some recordings below the data root."""

    role: str
    """What they are used as: ``speech`` or ``noise``."""
    lower_floor_db: float = 0.0
    """By how much the steady noise in them is lowered, see :func:`unmask.data.floor.lower_floor`: a
    target that hisses teaches to leave hiss."""

    def __post_init__(self) -> None:
        if not 0 <= self.lower_floor_db < np.inf:
            raise ConfigError(
                f"data: {self.glob}: lower_floor_db = {self.lower_floor_db}, expected >= 0"
            )
        if self.role not in ROLES:
            raise ConfigError(f"data: role {self.role!r} is unknown; there are {list(ROLES)}")
        super().__post_init__()


class Chosen(NamedTuple):
    """A file and how it is used."""

    path: Path
    weight: float = 1.0
    lower_floor_db: float = 0.0


def refuse_test_material(path: Path) -> None:
    """Refuse a recording that others measure on, by its name.

    Raises
    ------
    ConfigError
        If `path` is one of :data:`TEST_MATERIAL`.
    """
    for name, pattern in TEST_MATERIAL.items():
        if re.search(pattern, str(path).lower()):
            raise ConfigError(f"{path}: is test material of {name}; take it out of the data folder")


def refuse_test_split(root: Path, path: Path) -> None:
    """Refuse what lies in the test part of a collection, such as ``test`` beside ``train``.

    Raises
    ------
    ConfigError
        If `path`, or a folder between it and `root`, is one of :data:`TEST_SPLITS`.
    """
    for folder in (path, *path.parents):
        if folder == root:
            return
        beside = TEST_SPLITS.get(folder.name.lower())
        if beside and (found := next(folder.parent.glob(beside), None)):
            raise ConfigError(
                f"{path}: lies in {folder}, beside {found.name}: it is for tests; name "
                f"{found.name}/ in the glob"
            )


def find(root: Path, recordings: Iterable[Recordings]) -> dict[str, list[Chosen]]:
    """Return the files of every split and role (``"train speech"``, …), and how they are used.

    Raises
    ------
    ConfigError
        As :func:`choose`.
    """
    found: dict[str, list[Chosen]] = {}
    for spec in recordings:
        for split, path in choose(root, spec):
            chosen = Chosen(path, spec.weight, spec.lower_floor_db)
            found.setdefault(f"{split} {spec.role}", []).append(chosen)
    return found


def itself(path: Path) -> list[Path]:
    """Return the files that are used of what a glob of files found."""
    return [path] if path.is_file() else []


def choose(
    root: Path,
    spec: Selection,
    *,
    files_of: FilesOf = itself,
    whose: Callable[[str], str] = str,
) -> list[tuple[str, Path]]:
    """Return what `spec` selects, each with its split, ``"train"`` or ``"valid"``.

    A `manifest.csv` in `root` with the columns `path` and `split` is binding: what it marks
    ``train`` may be used for both, ``valid`` only for validation, anything else is refused.

    Parameters
    ----------
    root : Path
        The data root.
    spec : Selection
        What to look for.
    files_of : callable
        path -> the sound files that are used of it, none if it is nothing to use.
    whose : callable
        path, relative to `root` -> a name; all of one name are of one split.

    Raises
    ------
    ConfigError
        If the glob finds nothing, or a file may not be used as the recipe wants.
    """
    marks = {name: row["split"] for name, row in read_manifest(root).items() if "split" in row}
    try:
        found = sorted(root.glob(spec.glob))
    except (ValueError, NotImplementedError, IndexError) as error:
        raise ConfigError(f"data: glob {spec.glob!r}: {error}; as speech/*.wav") from None
    matches = [path for path in found if not path.name.startswith(".")]
    chosen: list[tuple[str, Path]] = []
    for path in matches:
        refuse_test_material(path.relative_to(root))
        refuse_test_split(root, path)
        # a hash of the name, so that a file that is added moves no other
        share = zlib.crc32(whose(path.relative_to(root).as_posix()).encode()) / 2**32
        split = "valid" if share < spec.valid_share else "train"
        for file in (files := files_of(path)):
            refuse_test_material(file.relative_to(root))
            name = file.relative_to(root).as_posix()
            mark = marks.get(composed(name), "unlisted") if marks else split
            if mark not in {"train", split}:
                raise ConfigError(
                    f"{name}: the manifest says {mark!r}, the recipe wants to use it as {split!r}; "
                    "change the glob or valid_share"
                )
        if files:
            chosen.append((split, path))
    if not chosen:
        raise ConfigError(f"data: no file matches {spec.glob!r} below {root}")
    return chosen


def read_manifest(root: Path) -> dict[str, dict[str, str]]:
    """Read `manifest.csv`: file -> what is said about it; empty where there is no manifest.

    It may be as spreadsheets write it: with a byte order mark, in UTF-16, with semicolons or tabs.

    Raises
    ------
    ConfigError
        If it is no such text, or has no column ``path``.
    """
    manifest = root / "manifest.csv"
    if not manifest.is_file():
        return {}
    try:
        content = manifest.read_bytes()
        wide = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        lines = content.decode("utf-16" if wide else "utf-8-sig").splitlines()
        mark = max(",;\t", key=(lines or [""])[0].count)
        rows = list(csv.DictReader(lines, delimiter=mark, restval=""))
    except (OSError, UnicodeError, csv.Error) as error:
        raise ConfigError(f"{manifest}: cannot be read: {error}; save it as CSV, UTF-8") from error
    if rows and "path" not in rows[0]:
        raise ConfigError(f"{manifest}: has the columns {list(rows[0])}, expected path and split")
    return {composed(row["path"]): row for row in rows}


def licences(root: Path, paths: Iterable[Path]) -> list[str]:
    """Return under which licences files are, ``unknown`` where no manifest tells."""
    manifest = read_manifest(root)
    rows = [manifest.get(composed(path.relative_to(root).as_posix()), {}) for path in paths]
    return sorted({row.get("licence", "unknown") for row in rows})


def composed(name: str) -> str:
    """Return a name with its accents composed: file systems and programs differ in that."""
    return unicodedata.normalize("NFC", name)


class Pool:
    """Recordings to take excerpts from; a recording's chance is its length times its weight."""

    def __init__(self, files: Sequence[Chosen], cache: Cache) -> None:
        self.recordings = [
            Recording.of(cache.mono(one.path, lower_floor_db=one.lower_floor_db)) for one in files
        ]
        self.bands = [cache.band(one.path) for one in files]
        self._energies = [_Energy(one, cache) for one in self.recordings]
        self.levels = [energy.rms(0, energy.n_samples) for energy in self._energies]
        pairs = zip(files, self.recordings, strict=True)
        chance = [one.weight * recording.n_samples for one, recording in pairs]
        self.chance = np.array(chance, dtype=float) / sum(chance)

    @property
    def n_samples(self) -> int:
        """Samples of all recordings together."""
        return sum(one.n_samples for one in self.recordings)

    def draw(self, rng: np.random.Generator, n_samples: int) -> tuple[list[Piece], float]:
        """Return where `n_samples` are read: in one recording, in several where one is too short.

        And the band of the narrowest of them, as a share of half the sample rate.
        """
        pieces: list[Piece] = []
        missing, band = n_samples, 1.0
        while missing:
            piece, k = self._piece(rng, missing)
            pieces.append(piece)
            missing, band = missing - piece.n_samples, min(band, self.bands[k])
        return pieces, band

    def _piece(self, rng: np.random.Generator, n_samples: int) -> tuple[Piece, int]:
        """At most `n_samples` of a recording, not silent if eight tries find that, and which."""
        for _ in range(8):
            k = int(rng.choice(len(self.chance), p=self.chance))
            recording = self.recordings[k]
            start = int(rng.integers(max(1, recording.n_samples - n_samples + 1)))
            count = min(n_samples, recording.n_samples - start)
            if self._energies[k].rms(start, count) > 0.2 * self.levels[k] > 0:
                break
        return Piece(recording, start, count, max(self.levels[k], 1.0)), k


class _Energy:
    """How loud a recording is from any sample to any other, found without reading it again.

    The energy up to every so many samples is noted once in the cache; only the ends are read.
    """

    step = 1024

    def __init__(self, recording: Recording, cache: Cache) -> None:
        self.recording, self.n_samples = recording, recording.n_samples
        noted = cache.keep(self._sums, [recording.file], "energy up to", self.step)
        self.sums = np.load(noted)

    def rms(self, start: int, n_samples: int) -> float:
        """Return the RMS of some samples, in steps of the 16 bits; 0 of none."""
        energy = self._up_to(start + n_samples) - self._up_to(start)
        return float(np.sqrt(energy / n_samples)) if n_samples else 0.0

    def _up_to(self, sample: int) -> int:
        block, rest = divmod(sample, self.step)
        return int(self.sums[block]) + _energy(self.recording.read(sample - rest, rest))

    def _sums(self) -> Any:
        starts = range(0, self.n_samples - self.step + 1, self.step)
        energies = [_energy(self.recording.read(start, self.step)) for start in starts]
        return np.cumsum([0, *energies])


def _energy(samples: Any) -> int:
    """Return the sum of squares of int16, exactly."""
    wide = samples.astype(np.int64)
    return int(wide @ wide)
