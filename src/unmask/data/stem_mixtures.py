"""Examples of songs: mixtures of stems, as they were or across songs."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unmask.data.cache import Cache
from unmask.data.effects import EFFECTS, Variation, apply, pedals
from unmask.data.example import Example, known_sums, ratio, rms
from unmask.data.recordings import licences
from unmask.data.tracks import Track, Tracks, find_songs, load_tracks
from unmask.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class StemMixturesConfig:
    """How stems are mixed. Ranges are drawn from evenly, shares are probabilities."""

    sample_rate: int = 22050
    samples: int = 65280
    """Length of an example; 255 hops of 256 are 256 frames, the patch of Jansson et al., 2021."""
    channels: int = 1
    """Of an example: 1, the mean of those of a file, or 2, where mono is the same on both sides."""
    targets: tuple[str, ...] = ("vocals",)
    """Stems that the network estimates, in this order."""
    sources: tuple[str, ...] = ("vocals", "drums", "bass", "other")
    """What a mixture is made of; any other stem is taken for ``other``."""
    tracks: tuple[Tracks, ...] = ()
    coherent_share: float = 0.5
    """Examples that are one song at one time; elsewhere each source is of a track of its own."""
    gain_db: tuple[float, float] = (-6.0, 6.0)
    """Of every source: as it was in its song, or from equal loudness across songs."""
    absent_share: float = 0.1
    """Sources across songs that are left out, if they are no targets."""
    silent_share: float = 0.05
    """The same for targets; and of songs, excerpts taken anywhere, also where no target plays."""
    level_db: tuple[float, float] = (-35.0, -12.0)
    """RMS of the mixture, dB below full scale: wide, so that level does not matter later."""
    variants: int = 1
    """Versions of every track to train on: itself, and others of a tempo and pitch of their own."""
    stretch: tuple[float, float] = (0.85, 1.15)
    """Tempo of the others, at the same pitch."""
    semitones: tuple[float, float] = (-2.0, 2.0)
    """Pitch of the others, at the same tempo."""
    speed: tuple[float, float] = (0.95, 1.05)
    """Tempo and pitch of the others together: resampling."""
    swap_share: float = 0.0
    """Sources whose left and right change places; 0.5 makes both sides alike to a network."""
    effects: Mapping[str, float] = field(default_factory=dict)
    """Name of an effect on a stem -> its probability in an example, see `data.effects.EFFECTS`."""
    jobs: int = 1
    """Processes that decode and vary tracks which the cache lacks; changes no example."""
    valid_examples: int = 64
    """Coherent excerpts, as they were, in which every target plays; the same for every seed."""

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.samples, self.valid_examples, self.jobs) < 1:
            raise ConfigError(
                f"data: sample_rate = {self.sample_rate}, samples = {self.samples}, "
                f"valid_examples = {self.valid_examples} and jobs = {self.jobs}, expected > 0"
            )
        if self.channels not in (1, 2):
            raise ConfigError(f"data: channels = {self.channels}, expected 1 or 2")
        if self.swap_share and self.channels == 1:
            raise ConfigError(
                f"data: swap_share = {self.swap_share}, expected 0 in mono; set channels = 2"
            )
        for name in ("targets", "sources"):
            names = getattr(self, name)
            if not names or len(set(names)) < len(names):
                raise ConfigError(f"data: {name} = {list(names)}, expected different stems")
        if unknown := [name for name in self.targets if name not in self.sources]:
            raise ConfigError(f"data: targets {unknown} are not among the sources {self.sources}")
        if self.variants < 1 or min(self.stretch[0], self.speed[0]) <= 0:
            raise ConfigError(
                f"data: variants = {self.variants}, stretch = {list(self.stretch)} and "
                f"speed = {list(self.speed)}, expected > 0"
            )
        ranges = (self.gain_db, self.level_db, self.stretch, self.semitones, self.speed)
        for low, high in ranges:
            if not low <= high:
                raise ConfigError(f"data: a range must be [low, high], got [{low}, {high}]")
        if unknown := sorted(self.effects.keys() - EFFECTS.keys()):
            raise ConfigError(f"data: no effects {unknown}; there are {list(EFFECTS)}")
        shares = {f"effects.{name}": share for name, share in self.effects.items()}
        for name in ("coherent_share", "absent_share", "silent_share", "swap_share"):
            shares[name] = getattr(self, name)
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ConfigError(f"data: {name} = {share}, expected 0 to 1")

    def variation(self, track: str, variant: int) -> Variation | None:
        """Return how a variant of a track differs; it depends on the two alone."""
        if variant == 0:
            return None
        rng = np.random.default_rng([variant, zlib.crc32(track.encode())])
        return Variation(
            stretch=rng.uniform(*self.stretch),
            semitones=rng.uniform(*self.semitones),
            speed=rng.uniform(*self.speed),
        )

    @property
    def seconds(self) -> float:
        """Length of an example."""
        return self.samples / self.sample_rate

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.targets

    @property
    def residual(self) -> str | None:
        """Name of what the targets leave, None if they are all there is."""
        left = [name for name in self.sources if name not in self.targets]
        if len(left) <= 1:
            return left[0] if left else None
        return f"no_{self.targets[0]}" if len(self.targets) == 1 else "rest"

    @property
    def task(self) -> str:
        """What a model is for that was trained on this."""
        return "separate"


class StemMixtures:
    """Examples of songs, by index.

    A part that holds several targets tells their sum, and that is what is known of a mixture with
    it. One that holds targets and other sources as well tells nothing of use, and is not used.

    Parameters
    ----------
    config : StemMixturesConfig
        How to mix.
    tracks : sequence of Track
        What to mix.
    seed : int
        Together with the index, decides an example.
    n_examples : int
        Length.
    plain : bool
        Only coherent excerpts in which every target plays, as they were: for validation.
    """

    def __init__(
        self,
        config: StemMixturesConfig,
        tracks: Sequence[Track],
        *,
        seed: int,
        n_examples: int,
        plain: bool = False,
    ) -> None:
        self.config, self.tracks = config, tracks
        self.seed, self.n_examples, self.plain = seed, n_examples, plain
        self._find_parts()
        self._find_songs()

    def _find_parts(self) -> None:
        """List the parts that may be drawn across songs: what they hold, and their chances."""
        self.parts: list[tuple[Track, int]] = []
        chances = []
        for track in self.tracks:
            for k, held in enumerate(track.contents):
                plays = track.active[k].mean() * track.length
                if plays and self._tells(held):
                    self.parts.append((track, k))
                    chances.append(track.song.spec.weight * plays)
        self.chances = np.array(chances)
        self.holds = np.array(
            [[s in t.contents[k] for s in self.config.sources] for t, k in self.parts], bool
        )

    def _find_songs(self) -> None:
        """List the songs that give coherent excerpts, where they start, and their chances."""
        self.songs: list[tuple[Track, Any]] = []
        chances = []
        join = np.all if self.plain else np.any
        for track in self.tracks:
            rows = [[name in held for held in track.contents] for name in self.config.targets]
            where = join([track.active[row].any(0) for row in rows], axis=0)
            if track.song.whole and all(map(self._tells, track.contents)) and where.any():
                self.songs.append((track, where))
                chances.append(track.song.spec.weight * where.sum())
        self.song_chances = np.array(chances, dtype=float)

    def _tells(self, held: frozenset[str]) -> bool:
        """Return whether a part is wholly made of targets, or of other sources."""
        return held.isdisjoint(self.config.targets) or held.issubset(self.config.targets)

    def __len__(self) -> int:
        """Return the number of examples."""
        return self.n_examples

    def __getitem__(self, index: int) -> Example:
        """Return example `index`."""
        config = self.config
        rng = np.random.default_rng([self.seed, index])
        coherent = self.plain or rng.uniform() < config.coherent_share
        parts = self._coherent(rng) if coherent else self._across(rng)
        if not self.plain:
            parts = [(held, self._augment(rng, x)) for held, x in parts]
        shape = (config.channels, config.samples)
        mixture = sum((x for _, x in parts), np.zeros(shape, np.float32))
        targets = np.zeros((len(config.targets), *shape), np.float32)
        sums = known_sums(config.targets, [held for held, _ in parts])
        for held, x in parts:
            if within := [k for k, name in enumerate(config.targets) if name in held]:
                targets[sums[:, within[0]].argmax()] += x
        gain = np.float32(ratio(10 ** (rng.uniform(*config.level_db) / 20), rms(mixture)))
        return {"mixture": gain * mixture, "targets": gain * targets, "sums": sums}

    def _augment(self, rng: np.random.Generator, x: Any) -> Any:
        """Return a source (channel, sample), at times with its sides swapped or effects on it."""
        config = self.config
        if config.swap_share and rng.uniform() < config.swap_share:
            x = x[::-1]
        return apply(rng, x, config.sample_rate, config.effects) if config.effects else x

    def _coherent(self, rng: np.random.Generator) -> list[tuple[frozenset[str], Any]]:
        """Return all parts of one song at one time: what each holds, and its samples."""
        chances = self.song_chances / self.song_chances.sum()
        track, where = self.songs[int(rng.choice(len(chances), p=chances))]
        if not self.plain and rng.uniform() < self.config.silent_share:
            where = np.ones_like(where)
        rows = range(len(track.contents))
        excerpt = track.excerpt(rng, rows, where)
        if not self.plain:
            excerpt *= self._gains(rng, len(rows))
        return list(zip(track.contents, excerpt, strict=True))

    def _across(self, rng: np.random.Generator) -> list[tuple[frozenset[str], Any]]:
        """Return sources from tracks of their own; none is there twice, at least one is there."""
        parts: list[tuple[frozenset[str], Any]] = []
        covered = np.zeros(len(self.config.sources), bool)
        shares = {True: self.config.silent_share, False: self.config.absent_share}
        order = rng.permutation(len(self.config.sources))
        absent = [
            rng.uniform() < shares[self.config.sources[s] in self.config.targets] for s in order
        ]
        if all(absent):
            absent[0] = False
        for s, is_absent in zip(order, absent, strict=True):
            open_to = self.holds[:, s] & ~self.holds[:, covered].any(axis=1)
            if is_absent or covered[s] or not open_to.any():
                continue
            first, x = self._string(rng, open_to)
            covered |= self.holds[first]
            track, k = self.parts[first]
            sign = np.float32(rng.choice([-1, 1]))
            parts.append((track.contents[k], x * sign * self._gains(rng, 1)[0]))
        return parts

    def _string(self, rng: np.random.Generator, open_to: Any) -> tuple[int, Any]:
        """Return a part and its samples at loudness 1, filled up from its like if it is short."""
        pieces: list[Any] = []
        missing, first = self.config.samples, -1
        while missing:
            chances = self.chances * open_to
            drawn = int(rng.choice(len(chances), p=chances / chances.sum()))
            track, k = self.parts[drawn]
            piece = track.excerpt(rng, [k], track.active[k])[0, :, :missing] / track.levels[k]
            if first < 0:
                first = drawn
                open_to = open_to & (self.holds == self.holds[first]).all(axis=1)
            pieces.append(piece)
            missing -= piece.shape[1]
        return first, np.concatenate(pieces, axis=1)

    def _gains(self, rng: np.random.Generator, n: int) -> Any:
        """Return linear gains, float32 of shape (n, 1, 1)."""
        gains_db = rng.uniform(*self.config.gain_db, size=(n, 1, 1))
        return (10 ** (gains_db / 20)).astype(np.float32)


def make(
    config: StemMixturesConfig, root: Path, cache: Path, *, seed: int, n_examples: int
) -> tuple[StemMixtures, StemMixtures, Mapping[str, Any]]:
    """Return the training set, the validation set, and what they are made of.

    Raises
    ------
    ConfigError, AudioFileError, SampleRateError, ShapeError
        If the tracks cannot give what `config` asks for; before anything is trained.
    """
    if config.effects or config.variants > 1:
        pedals()
    store = Cache(cache, config.sample_rate)
    asked = {"sources": config.sources, "targets": config.targets}
    songs = list(find_songs(root, config.tracks, **asked, channels=config.channels))
    tracks = {}
    for split, n_variants in (("train", config.variants), ("valid", 1)):
        versions = [
            (song, config.variation(song.name, variant))
            for where, song in songs
            if where == split
            for variant in range(n_variants)
        ]
        loaded = load_tracks(versions, store, n_samples=config.samples, jobs=config.jobs)
        tracks[split] = list(loaded)
    train = StemMixtures(config, tracks["train"], seed=seed, n_examples=n_examples)
    valid = StemMixtures(
        config, tracks["valid"], seed=0, n_examples=config.valid_examples, plain=True
    )
    _check_enough(config, train, valid)
    facts = {split: _facts(root, tracks[split], config) for split in tracks}
    return train, valid, facts


def _check_enough(config: StemMixturesConfig, train: StemMixtures, valid: StemMixtures) -> None:
    """Refuse tracks that never show a target."""
    pure = [train.holds[train.holds.sum(axis=1) == 1].any(axis=0)] if train.parts else []
    held = {s for s, there in zip(config.sources, *pure, strict=True) if there} if pure else set()
    if missing := [name for name in config.targets if name not in held]:
        raise ConfigError(f"data: no track to train on in which {missing} plays alone; add some")
    if config.coherent_share and not train.songs:
        raise ConfigError(
            f"data: no song to train on keeps {list(config.targets)} apart from other sources; "
            "set coherent_share = 0"
        )
    if not valid.songs:
        raise ConfigError(
            f"data: no song to validate with in which {list(config.targets)} play at one time, "
            "apart from other sources; give one valid_share = 1"
        )


def _facts(root: Path, tracks: Sequence[Track], config: StemMixturesConfig) -> dict[str, Any]:
    """Return how much there is, variants counted, and under which licences if a manifest tells."""
    paths = {path for track in tracks for path in track.song.paths}
    minutes = {
        name: sum(
            track.length for track in tracks if any(held == {name} for held in track.contents)
        )
        / (60 * config.sample_rate)
        for name in config.sources
    }
    return {
        "tracks": len({track.song.name for track in tracks}),
        "minutes": {name: round(value, 1) for name, value in minutes.items()},
        "licences": licences(root, paths),
    }
