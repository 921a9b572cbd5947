"""Examples of two talkers: mixed from recordings of single ones, as far apart as is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unmask.data import augment
from unmask.data.augment import Excerpt
from unmask.data.cache import Cache
from unmask.data.example import Example, column, known_apart, single
from unmask.data.recordings import Chosen, Pool, Selection, choose
from unmask.data.rooms import Rooms
from unmask.data.store import Recording, Store
from unmask.data.voices import Voices, VoicesPool, find_voices
from unmask.errors import ConfigError
from unmask.transforms import quick_length

#: Names of the talkers, who are in no order.
TALKERS = ("speaker1", "speaker2")
#: Share of an example that either talker speaks at least.
_LEAST_SHARE = 0.25


@dataclass(frozen=True, kw_only=True)
class TalkersConfig:
    """How two talkers are mixed. Ranges are drawn from evenly, shares are probabilities."""

    sample_rate: int = 8000
    seconds: float = 4.0
    voices: tuple[Voices, ...] = ()
    noises: tuple[Selection, ...] = ()
    rooms: tuple[Selection, ...] = ()
    """Responses to an impulse; a file of two channels is two talkers in one room."""
    overlap: tuple[float, float] = (0.0, 1.0)
    """Share of an example in which both talk; in the rest one of them does."""
    level_difference_db: tuple[float, float] = (-5.0, 5.0)
    """Of the second talker to the first, where each talks."""
    level_db: tuple[float, float] = (-35.0, -15.0)
    """RMS of the mixture, dB below full scale: wide, so that level does not matter later."""
    noise_share: float = 0.0
    """Examples with noise; above 0 the residual is noise, else the talkers are all there is."""
    snr_db: tuple[float, float] = (5.0, 25.0)
    """Both talkers over the noise."""
    room_share: float = 0.0
    """Examples in a room; it stays in the targets."""
    equalise_db: float = 4.0
    """Largest gain of a random smooth filter on a voice."""
    speed: tuple[float, float] = (0.9, 1.1)
    """Speech is played that much faster: other voices, other pitches."""
    valid_examples: int = 64
    """Without filters and changes of speed, overlaps spread evenly; the same for every seed."""

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or not self.seconds > 0 or self.valid_examples < 1:
            raise ConfigError(
                f"data: sample_rate = {self.sample_rate}, seconds = {self.seconds} and "
                f"valid_examples = {self.valid_examples}, expected > 0"
            )
        ranges = (self.level_difference_db, self.level_db, self.snr_db, self.speed, self.overlap)
        for low, high in ranges:
            if not low <= high:
                raise ConfigError(f"data: a range must be [low, high], got [{low}, {high}]")
        if self.overlap[0] < 0 or self.overlap[1] > 1 or not self.speed[0] > 0:
            raise ConfigError(
                f"data: overlap = {list(self.overlap)} and speed = {list(self.speed)}, expected "
                "shares from 0 to 1, and more than 0"
            )
        for name, found in (("noise_share", self.noises), ("room_share", self.rooms)):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ConfigError(f"data: {name} = {share}, expected 0 to 1")
            if share and not found:
                of = {"noise_share": "noises", "room_share": "rooms"}[name]
                raise ConfigError(f"data: {name} = {share}, but no data.{of}; add some")

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
        return "noise" if self.noise_share else None

    @property
    def task(self) -> str:
        """What a model is for that was trained on this."""
        return "separate"


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What is random in an example of two talkers."""

    names: tuple[str, str]
    overlap: float
    difference_db: float
    """Of the second talker to the first, where each talks."""
    speech: Sequence[Excerpt]
    room: Any
    """Its answers to a click, (talker, sample); None where there is none."""
    noise: tuple[Excerpt, float] | None
    """And how far it is below the talkers, dB."""
    level_db: float

    def answer(self, talker: int) -> Any:
        """Return the room's answer at the place of a talker, (channel, sample)."""
        return None if self.room is None else self.room[talker % len(self.room)][None]

    def level(self, talker: int, n_samples: int) -> float:
        """Return the RMS over an example of a talker; that of the first is 1 while they talk."""
        start, stop = self.speech[talker].span or (0, n_samples)
        share = (stop - start) / n_samples
        return float(10 ** (talker * self.difference_db / 20) * np.sqrt(share))


class Talkers:
    """Examples of two talkers, by index; never the same person twice.

    One of them begins, the other one ends, and both talk as long as is drawn. In what each says
    there are no pauses, so that the overlap of an example is what it is said to be.

    Parameters
    ----------
    config : TalkersConfig
        How to mix.
    voices : VoicesPool
        Who talks.
    noises : Pool or None
        What is in the background.
    rooms : Rooms or None
        Where they talk.
    seed : int
        Together with the index, decides an example.
    n_examples : int
        Length.
    plain : bool
        Voices as they are, overlaps spread evenly over the set: for validation.
    """

    def __init__(
        self,
        config: TalkersConfig,
        voices: VoicesPool,
        noises: Pool | None = None,
        rooms: Rooms | None = None,
        *,
        seed: int,
        n_examples: int,
        plain: bool = False,
    ) -> None:
        self.config, self.voices, self.noises, self.rooms = config, voices, noises, rooms
        self.seed, self.n_examples, self.plain = seed, n_examples, plain
        self.n_samples = round(config.seconds * config.sample_rate)

    def __len__(self) -> int:
        """Return the number of examples."""
        return self.n_examples

    @property
    def recordings(self) -> list[Recording]:
        """What excerpts are read of."""
        return [*self.voices.recordings, *(self.noises.recordings if self.noises else ())]

    def __getitem__(self, index: int) -> Example:
        """Return example `index`."""
        return single(self, index)

    def example(self, index: int) -> tuple[Example, dict[str, Any]]:
        """Return example `index` and what is in it: speakers, overlap, level difference."""
        drawn = self.draw(index)
        return single(self, index), {
            "speakers": list(drawn.names),
            "overlap": round(drawn.overlap, 4),
            "level_difference_db": round(drawn.difference_db, 2),
        }

    def draw(self, index: int) -> Drawn:
        """Return what is random in example `index`."""
        config, rng = self.config, np.random.default_rng([self.seed, index])
        names = self.voices.pair(rng)
        low, high = config.overlap
        place = (index + 0.5) / self.n_examples if self.plain else rng.uniform()
        overlap = low + (high - low) * place
        spans = turns(rng, overlap, self.n_samples)
        difference_db = rng.uniform(*config.level_difference_db)
        room = None
        if rng.uniform() < config.room_share and self.rooms:
            room = self.rooms.draw(rng)
        return Drawn(
            names=names,
            overlap=overlap,
            difference_db=difference_db,
            speech=[self._speech(rng, name, span) for name, span in zip(names, spans, strict=True)],
            room=room,
            noise=self._noise(rng),
            level_db=rng.uniform(*config.level_db),
        )

    def render(self, drawn: Sequence[Drawn], store: Store) -> Example:
        """Return the examples that were drawn, a batch of them."""
        voices = [(one, k) for one in drawn for k in range(2)]
        heard = augment.sounds([one.speech[k] for one, k in voices], self.n_samples, store)
        heard = augment.in_rooms(heard, [one.answer(k) for one, k in voices], store)
        wanted = column([one.level(k, self.n_samples) for one, k in voices], store)
        heard = heard * augment.gains(wanted, augment.levels(heard))
        talkers = heard.reshape(len(drawn), 2, 1, self.n_samples)
        mixture = talkers[:, 0] + talkers[:, 1]
        rows = [k for k, one in enumerate(drawn) if one.noise]
        if rows:
            mixture[rows] += self._background([drawn[k] for k in rows], mixture[rows], store)
        wanted = column([10 ** (one.level_db / 20) for one in drawn], store)
        gain = augment.gains(wanted, augment.levels(mixture))
        return {
            "mixture": gain * mixture,
            "targets": gain[:, None] * talkers,
            "sums": known_apart(len(drawn), 2, store),
        }

    def _speech(self, rng: np.random.Generator, name: str, span: tuple[int, int]) -> Excerpt:
        """Return a voice without pauses, heard from where to where."""
        n_samples = span[1] - span[0]
        if self.plain:
            return self.voices.draw(rng, name, n_samples)._replace(span=span)
        n_read = quick_length(round(n_samples * rng.uniform(*self.config.speed)))
        speech = self.voices.draw(rng, name, n_read)
        gains = augment.draw_filter(rng, self.config.equalise_db)
        return speech._replace(gains=gains, span=span)

    def _noise(self, rng: np.random.Generator) -> tuple[Excerpt, float] | None:
        """Return a noise and how far it is below the talkers in dB, at times none."""
        if not (self.noises and rng.uniform() < self.config.noise_share):
            return None
        pieces, _ = self.noises.draw(rng, self.n_samples)
        return Excerpt([pieces], self.n_samples), rng.uniform(*self.config.snr_db)

    def _background(self, drawn: Sequence[Drawn], talkers: Any, store: Store) -> Any:
        """Return the noise below talkers of some examples."""
        pairs = [one.noise for one in drawn if one.noise]
        noise = augment.sounds([excerpt for excerpt, _ in pairs], self.n_samples, store)
        below = column([10 ** (-snr_db / 20) for _, snr_db in pairs], store)
        return noise * augment.gains(augment.levels(talkers) * below, augment.levels(noise))


def turns(
    rng: np.random.Generator, overlap: float, n_samples: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return from where to where each of two talkers speaks; who begins is drawn.

    Together they speak all the time, and both at once for the share `overlap` of it.
    """
    low, high = max(overlap, _LEAST_SHARE), min(1.0, 1.0 + overlap - _LEAST_SHARE)
    first = rng.uniform(low, high)
    stop = round(first * n_samples)
    start = max(0, stop - round(overlap * n_samples))
    spans = (0, stop), (start, n_samples)
    return spans if rng.uniform() < 0.5 else spans[::-1]


def make(
    config: TalkersConfig, root: Path, cache: Path, *, seed: int, n_examples: int
) -> tuple[Talkers, Talkers, Mapping[str, Any]]:
    """Return the training set, the validation set, and what they are made of.

    Raises
    ------
    ConfigError, AudioFileError
        If there are fewer than two speakers to train on or to validate with, somebody would be
        both, or recordings may not be used or cannot be read.
    """
    store = Cache(cache, config.sample_rate)
    voices = find_voices(root, config.voices, store)
    noises = {
        split: Pool(files, store) for split, files in _split(root, config.noises).items() if files
    }
    rooms = {split: Rooms(files, store) for split, files in _split(root, config.rooms).items()}
    if config.noise_share and (missing := [s for s in voices if s not in noises]):
        raise ConfigError(f"data: no noises for {missing}; add them to data.noises")
    sets = {"train": (seed, n_examples), "valid": (0, config.valid_examples)}
    train, valid = (
        Talkers(
            config,
            voices[split],
            noises.get(split),
            rooms.get(split) or rooms.get("train"),
            seed=seed,
            n_examples=length,
            plain=split == "valid",
        )
        for split, (seed, length) in sets.items()
    )
    return train, valid, {split: pool.facts(root) for split, pool in voices.items()}


def _split(root: Path, specs: tuple[Selection, ...]) -> dict[str, list[Chosen]]:
    """Return the files of each split with their weights."""
    found: dict[str, list[Chosen]] = {}
    for spec in specs:
        for split, path in choose(root, spec):
            found.setdefault(split, []).append(Chosen(path, spec.weight))
    return found
