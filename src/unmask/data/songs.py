"""Examples of songs: what is drawn of them, and the mixtures that are made of it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from unmask.data import augment, effects
from unmask.data.augment import Excerpt
from unmask.data.example import Example, column, known_sums, single
from unmask.data.stem_settings import StemMixturesConfig
from unmask.data.store import Piece, Recording, Store
from unmask.data.tracks import Track
from unmask.transforms import quick_length


class Part(NamedTuple):
    """What is random in a part of an example."""

    held: frozenset[str]
    """The sources that are in it."""
    sound: Excerpt
    gain: float
    is_swapped: bool = False
    """Whether left and right change places."""
    board: Sequence[Any] = ()
    """Effects on it."""
    room: Any = None
    """Answer of the room that it is in, None where there is none."""


class Drawn(NamedTuple):
    """What is random in an example of a song."""

    parts: Sequence[Part]
    level_db: float


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

    @property
    def recordings(self) -> list[Recording]:
        """What excerpts are read of."""
        return [track.recording for track in self.tracks]

    def __getitem__(self, index: int) -> Example:
        """Return example `index`."""
        return single(self, index)

    def draw(self, index: int) -> Drawn:
        """Return what is random in example `index`."""
        config = self.config
        rng = np.random.default_rng([self.seed, index])
        coherent = self.plain or rng.uniform() < config.coherent_share
        n_read = self._n_read(rng)
        parts = self._coherent(rng, n_read) if coherent else self._across(rng, n_read)
        if not self.plain:
            parts = [self._augment(rng, part) for part in parts]
        return Drawn(parts, rng.uniform(*config.level_db))

    def render(self, drawn: Sequence[Drawn], store: Store) -> Example:
        """Return the examples that were drawn, a batch of them."""
        config, targets = self.config, self.config.targets
        sounds = self._parts([part for one in drawn for part in one.parts], store)
        sums = np.stack([known_sums(targets, [p.held for p in one.parts]) for one in drawn])
        shape = (config.channels, config.samples)
        mixture = column([0.0] * len(drawn), store) + store.array(np.zeros(shape))
        known = mixture[:, None] + store.array(np.zeros((len(targets), 1, 1)))
        places = [(k, part) for k, one in enumerate(drawn) for part in one.parts]
        for (k, part), sound in zip(places, sounds, strict=True):
            mixture[k] += sound
            if within := [t for t, name in enumerate(targets) if name in part.held]:
                known[k, int(sums[k, :, within[0]].argmax())] += sound
        wanted = column([10 ** (one.level_db / 20) for one in drawn], store)
        gain = augment.gains(wanted, augment.levels(mixture))
        return {
            "mixture": gain * mixture,
            "targets": gain[:, None] * known,
            "sums": store.array(sums),
        }

    def _parts(self, parts: Sequence[Part], store: Store) -> Any:
        """Return parts of examples, shape (part, channel, sample)."""
        x = augment.sounds([part.sound for part in parts], self.config.samples, store)
        x = x * column([part.gain for part in parts], store)
        x = augment.swapped(x, [part.is_swapped for part in parts])
        for k, part in enumerate(parts):
            if part.board:  # never on a device, a recipe sees to that
                x[k] = effects.play(part.board, x[k], self.config.sample_rate)
        return augment.in_rooms(x, [part.room for part in parts], store)

    def _n_read(self, rng: np.random.Generator) -> int:
        """Return how many samples of the recordings an example lasts."""
        low, high = self.config.excerpt_speed
        if self.plain or low == high == 1:
            return self.config.samples
        return quick_length(round(self.config.samples * rng.uniform(low, high)))

    def _augment(self, rng: np.random.Generator, part: Part) -> Part:
        """Return a part with what is drawn for it: a filter, other sides, effects, a room."""
        config, sound = self.config, part.sound
        is_swapped = bool(config.swap_share) and rng.uniform() < config.swap_share
        board = effects.draw(rng, config.sample_rate, config.effects) if config.effects else ()
        if config.equalise_db or sound.n_samples != config.samples:
            sound = sound._replace(gains=augment.draw_filter(rng, config.equalise_db))
        room = None
        if config.reverb_share and rng.uniform() < config.reverb_share:
            room = augment.draw_room(rng, config.channels, config.sample_rate)
        return part._replace(sound=sound, is_swapped=is_swapped, board=board, room=room)

    def _coherent(self, rng: np.random.Generator, n_read: int) -> list[Part]:
        """Return all parts of one song at one time."""
        chances = self.song_chances / self.song_chances.sum()
        track, where = self.songs[int(rng.choice(len(chances), p=chances))]
        if not self.plain and rng.uniform() < self.config.silent_share:
            where = np.ones_like(where)
        start = min(track.draw(rng, where), max(0, track.length - n_read))
        n_parts = len(track.contents)
        gains = np.ones(n_parts) if self.plain else self._gains(rng, n_parts)
        return [
            Part(held, Excerpt([[p] for p in track.pieces(k, start, n_read)], n_read), gains[k])
            for k, held in enumerate(track.contents)
        ]

    def _across(self, rng: np.random.Generator, n_read: int) -> list[Part]:
        """Return sources from tracks of their own; none is there twice, at least one is there."""
        parts: list[Part] = []
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
            first, excerpt = self._string(rng, open_to, n_read)
            covered |= self.holds[first]
            track, k = self.parts[first]
            sign = rng.choice([-1, 1])
            parts.append(Part(track.contents[k], excerpt, sign * self._gains(rng, 1)[0]))
        return parts

    def _string(self, rng: np.random.Generator, open_to: Any, n_read: int) -> tuple[int, Excerpt]:
        """Return a part and an excerpt at loudness 1, filled up from its like if it is short."""
        rows: list[list[Piece]] = [[] for _ in range(self.config.channels)]
        missing, first = n_read, -1
        while missing:
            chances = self.chances * open_to
            drawn = int(rng.choice(len(chances), p=chances / chances.sum()))
            track, k = self.parts[drawn]
            start = track.draw(rng, track.active[k])
            pieces = track.pieces(k, start, missing, level=track.levels[k])
            if first < 0:
                first = drawn
                open_to = open_to & (self.holds == self.holds[first]).all(axis=1)
            for row, piece in zip(rows, pieces, strict=True):
                row.append(piece)
            missing -= pieces[0].n_samples
        return first, Excerpt(rows, n_read)

    def _gains(self, rng: np.random.Generator, n: int) -> Any:
        """Return `n` linear gains."""
        return 10 ** (rng.uniform(*self.config.gain_db, size=n) / 20)
