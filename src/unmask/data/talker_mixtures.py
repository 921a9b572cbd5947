"""Examples of two talkers that somebody mixed: excerpts of LibriMix, WSJ0-2mix and their like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unmask import audio
from unmask.data.cache import Cache, quantise
from unmask.data.example import Example, ratio, rms
from unmask.data.recordings import licences, refuse_test_material, refuse_test_split
from unmask.data.talkers import TALKERS
from unmask.errors import ConfigError
from unmask.stems import by_stem, check_aligned


@dataclass(frozen=True, kw_only=True)
class TalkerMixturesConfig:
    """What is read of folders that hold a folder a stem, and in each a file a mixture."""

    sample_rate: int = 8000
    seconds: float = 4.0
    train: tuple[str, ...] = ("train-100",)
    """Folders below the data root, as ``tr`` of WSJ0-2mix."""
    valid: tuple[str, ...] = ("dev",)
    """What is never trained on, as ``cv`` of WSJ0-2mix."""
    mixture: str = "mix_clean"
    """Folder of the mixtures in each of them, as ``mix`` of WSJ0-2mix; what ``mix_both`` holds
    beside the talkers is the residual, noise."""
    level_db: tuple[float, float] = (-35.0, -15.0)
    """RMS of the mixture, dB below full scale."""
    valid_examples: int = 64
    """From the middles of as many mixtures, spread over all; the same for every seed."""

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or not self.seconds > 0 or self.valid_examples < 1:
            raise ConfigError(
                f"data: sample_rate = {self.sample_rate}, seconds = {self.seconds} and "
                f"valid_examples = {self.valid_examples}, expected > 0"
            )
        if not self.level_db[0] <= self.level_db[1]:
            raise ConfigError(f"data: level_db must be [low, high], got {list(self.level_db)}")
        for folder in (*self.train, *self.valid):
            if Path(folder).is_absolute() or ".." in Path(folder).parts:
                raise ConfigError(f"data: folder {folder!r} must be relative to the data root")

    @property
    def channels(self) -> int:
        """Of the examples: recordings become mono."""
        return 1

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the targets."""
        return TALKERS

    @property
    def residual(self) -> str | None:
        """Name of what the targets leave."""
        return "noise" if self.mixture == "mix_both" else None

    @property
    def task(self) -> str:
        """What a model is for that was trained on this."""
        return "separate"


class _Mixture(NamedTuple):
    """Files of a mixture, and of who talks in it."""

    files: tuple[Path, ...]

    def keep(self, cache: Cache) -> Path:
        """Return the file in the cache, int16 (mixture and talkers, sample), levels as they are."""

        def make() -> Any:
            return quantise(np.concatenate([cache.read(path) for path in self.files]))

        return cache.keep(make, self.files, "talkers")


class TalkerMixtures:
    """Excerpts in which both talk, by index; recordings that are shorter end with silence.

    Parameters
    ----------
    config : TalkerMixturesConfig
    files : sequence of Path
        Mixtures with their talkers in the cache.
    seed : int
        Together with the index, decides an example.
    n_examples : int
        Length.
    plain : bool
        Take middles, of mixtures spread over all: for validation.
    """

    def __init__(
        self,
        config: TalkerMixturesConfig,
        files: Sequence[Path],
        *,
        seed: int,
        n_examples: int,
        plain: bool = False,
    ) -> None:
        self.config, self.files, self.seed = config, files, seed
        self.n_examples, self.plain = n_examples, plain
        self.n_samples = round(config.seconds * config.sample_rate)

    def __len__(self) -> int:
        """Return the number of examples."""
        return self.n_examples

    def __getitem__(self, index: int) -> Example:
        """Return example `index`."""
        rng = np.random.default_rng([self.seed, index])
        rows = self._middle(index) if self.plain else self._excerpt(rng)
        missing = self.n_samples - rows.shape[1]
        rows = np.pad(rows.astype(np.float32), [(0, 0), (0, missing)])
        gain = ratio(10 ** (rng.uniform(*self.config.level_db) / 20), rms(rows[0]))
        rows *= np.float32(gain)
        return {"mixture": rows[:1], "targets": rows[1:, None], "sums": np.eye(2, dtype=np.float32)}

    def _middle(self, index: int) -> Any:
        """Return the middle of a mixture (row, sample)."""
        rows = np.load(self.files[index * len(self.files) // self.n_examples], mmap_mode="r")
        start = max(0, rows.shape[1] - self.n_samples) // 2
        return rows[:, start : start + self.n_samples]

    def _excerpt(self, rng: np.random.Generator) -> Any:
        """Return an excerpt in which both talk, if eight tries find one."""
        for _ in range(8):
            rows = np.load(self.files[int(rng.integers(len(self.files)))], mmap_mode="r")
            start = int(rng.integers(max(1, rows.shape[1] - self.n_samples + 1)))
            found = rows[:, start : start + self.n_samples]
            levels = [rms(row.astype(np.float32)) for row in found]
            if min(levels[1:]) > 0.05 * levels[0] > 0:
                break
        return found


def make(
    config: TalkerMixturesConfig, root: Path, cache: Path, *, seed: int, n_examples: int
) -> tuple[TalkerMixtures, TalkerMixtures, Mapping[str, Any]]:
    """Return the training set, the validation set, and what they are made of.

    Raises
    ------
    ConfigError, AudioFileError, SampleRateError, ShapeError
        If folders are not there, not allowed, or hold no two talkers and their mixtures.
    """
    store = Cache(cache, config.sample_rate)
    found = {
        "train": _mixtures(root, config.train, config.mixture),
        "valid": _mixtures(root, config.valid, config.mixture),
    }
    if both := {m.files for m in found["train"]} & {m.files for m in found["valid"]}:
        path = min(both)[0]
        raise ConfigError(f"data: {path} would be trained on and validated with; change data.valid")
    kept = {split: [one.keep(store) for one in mixtures] for split, mixtures in found.items()}
    sets = {"train": (seed, n_examples), "valid": (0, config.valid_examples)}
    train, valid = (
        TalkerMixtures(config, kept[split], seed=seed, n_examples=length, plain=split == "valid")
        for split, (seed, length) in sets.items()
    )
    facts = {split: _facts(root, found[split], kept[split], config) for split in found}
    return train, valid, facts


def _mixtures(root: Path, folders: Sequence[str], mixture: str) -> list[_Mixture]:
    """Return the mixtures of some folders, refused by name if others measure on them."""
    found = []
    for folder in folders:
        here = root / folder
        refuse_test_split(root, here)
        for name, stems in by_stem(here, audio.find(here)).items():
            if missing := [talker for talker in TALKERS if talker not in stems]:
                raise ConfigError(f"{here}: {name} lacks {missing}; add it, or take it out")
            files = [stems[talker] for talker in TALKERS]
            files.insert(0, here / mixture / files[0].name)
            refuse_test_material(files[0].relative_to(root))
            if not files[0].is_file():
                raise ConfigError(f"{files[0]}: no such mixture; set data.mixture to its folder")
            check_aligned((path, 0) for path in files)
            found.append(_Mixture(tuple(files)))
    if not found:
        raise ConfigError(
            f"data: no folders s1 and s2 in {[str(root / folder) for folder in folders]}; "
            "set data.train and data.valid to folders that hold them"
        )
    return found


def _facts(
    root: Path, found: Sequence[_Mixture], kept: Sequence[Path], config: TalkerMixturesConfig
) -> dict[str, Any]:
    """Return how much there is, and under which licences if a manifest tells."""
    n_samples = sum(np.load(file, mmap_mode="r").shape[1] for file in kept)
    return {
        "mixtures": len(found),
        "minutes": round(n_samples / config.sample_rate / 60, 1),
        "licences": licences(root, (path for one in found for path in one.files)),
    }
