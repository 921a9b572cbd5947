"""A test from folders of sound files: planned first, then written whole or not at all."""

import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, comb
from pathlib import Path

import numpy as np

from unmask import audio
from unmask.errors import ConfigError, FileError
from unmask.files import hidden_folder, make_folder
from unmask.listen import design, pages
from unmask.listen.clips import Sounds, sounds
from unmask.listen.design import Clip, Condition, Headphones, Item, Page, Test
from unmask.listen.excerpts import choose, spread
from unmask.listen.power import judgements_needed
from unmask.listen.questions import PRESETS, Preset, Question, texts
from unmask.listen.recordings import Recording

#: More than a listener can compare, by ITU-R BS.1534-3: systems, anchors and the hidden reference.
_MOST_RATED = 12


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a test is like.

    Raises
    ------
    ConfigError
        If a number is impossible.
    """

    preset: str = "paper"
    title: str = "Listening test"
    items: int | None = None
    """Excerpts; by default one of each recording and stem, at most 12."""
    duration_s: float = 8.0
    """Length of an excerpt."""
    pairs: int | None = None
    """Pairs of systems compared on each excerpt; all by default."""
    pages_per_listener: int | None = None
    """By default all, at most 24."""
    repeats: int = 0
    """How many of them come again, for consistency."""
    none: bool = False
    """Whether "no difference" is an answer."""
    references: tuple[str, ...] | None = None
    """Of ``mixture`` and ``target``; by default those of the preset."""
    anchors: tuple[int, ...] = (3500, 7000)
    """Cut-off frequencies in Hz; MUSHRA only."""
    loudness_lufs: float = -23.0
    min_heard_s: float = 2.0
    """How long each clip must have been heard before a page can be answered; at most all of it."""
    headphones: Headphones = "ask"
    """Whether the headphone check is left out, made, or must be passed."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"preset: {self.preset!r}, expected one of {', '.join(PRESETS)}")
        least = {"items": 1, "repeats": 0, "seed": 0, "pairs": 1, "pages_per_listener": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ConfigError(f"{name}: {value}, expected {low} or more")
        if not 1 <= self.duration_s <= 60:
            raise ConfigError(f"duration: {self.duration_s:g} s, expected 1 to 60")
        if not 0 <= self.min_heard_s <= 60:
            raise ConfigError(f"min_heard: {self.min_heard_s:g} s, expected 0 to 60")
        if not -50 <= self.loudness_lufs <= -10:
            raise ConfigError(f"loudness: {self.loudness_lufs:g} LUFS, expected -50 to -10")


@dataclass(frozen=True)
class Plan:
    """What will be made, before a sample is read."""

    settings: Settings
    systems: tuple[str, ...]
    excerpts: Sequence[tuple[Recording, int]] = field(hash=False)
    """Recordings and how many excerpts of each."""
    pairs: Sequence[Sequence[tuple[str, str]]] = field(hash=False)
    """Of each item; empty for MUSHRA."""

    @property
    def preset(self) -> Preset:
        """What the test follows."""
        return PRESETS[self.settings.preset]

    @property
    def n_items(self) -> int:
        """Excerpts."""
        return sum(count for _, count in self.excerpts)

    @property
    def n_pages(self) -> int:
        """Different pages."""
        return sum(map(len, self.pairs)) if self.pairs else self.n_items

    @property
    def pages_per_listener(self) -> int:
        """Different pages of a listener."""
        return self.settings.pages_per_listener or min(24, self.n_pages)

    @property
    def references(self) -> tuple[str, ...]:
        """What listeners can go back to."""
        asked = self.settings.references
        return self.preset.references if asked is None else asked

    def listeners_needed(self, preference: float) -> int:
        """Return how many listeners give as many judgements a pair and question as it takes."""
        a_pair = self.pages_per_listener / comb(len(self.systems), 2)
        return ceil(judgements_needed(preference) / a_pair)


def plan(systems: Sequence[str], recordings: Sequence[Recording], settings: Settings) -> Plan:
    """Settle what is heard and compared.

    Raises
    ------
    ConfigError
        If there are too few systems or recordings, or numbers that do not fit them.
    """
    preset = PRESETS[settings.preset]
    rated = preset.kind == "mushra"
    if len(systems) < 2 and not rated:
        raise ConfigError("systems: 1, expected 2 or more to compare; or use --preset mushra")
    shown = len(systems) + 1 + len(settings.anchors)
    if rated and shown > _MOST_RATED:
        raise ConfigError(
            f"systems: {len(systems)}, with anchors and hidden reference {shown} clips a page, "
            f"expected at most {_MOST_RATED} (BS.1534); leave some out, or compare pairs"
        )
    if not recordings:
        raise ConfigError("systems: have no stem in common; name files as the stems they hold")
    every = comb(len(systems), 2)
    if settings.pairs is not None and (rated or settings.pairs > every):
        there_are = "none, clips are rated" if rated else f"1 to {every} pairs of systems"
        raise ConfigError(f"pairs: {settings.pairs} an excerpt, expected {there_are}")
    rng = np.random.default_rng([settings.seed, 0])
    n_items = settings.items or min(12, len(recordings))
    chosen = spread(recordings, n_items, rng)
    pairs = [] if rated else pages.pairs_of_items(n_items, systems, settings.pairs, rng)
    made = Plan(settings, tuple(systems), chosen, pairs)
    _check_numbers(made)
    return made


def _check_numbers(made: Plan) -> None:
    settings, unknown = made.settings, set(made.references) - {"mixture", "target"}
    if unknown:
        raise ConfigError(f"references: {', '.join(unknown)}, expected of mixture, target")
    if made.preset.kind == "mushra" and "target" not in made.references:
        raise ConfigError("references: MUSHRA needs the target, it is the reference; name it")
    if made.pages_per_listener > made.n_pages:
        raise ConfigError(
            f"pages: {made.pages_per_listener} a listener, expected 1 to {made.n_pages}, which is "
            "all there are; ask for fewer, or for more --items"
        )
    if settings.repeats > made.pages_per_listener // 2:
        raise ConfigError(
            f"repeats: {settings.repeats} of {made.pages_per_listener} pages, expected 0 to "
            f"{made.pages_per_listener // 2}, half of them"
        )


def make(made: Plan, out: str | Path, *, progress: Callable[[str], None] = lambda _: None) -> Test:
    """Write a test.

    Parameters
    ----------
    made : Plan
    out : path
        Folder; must not exist, or be empty.
    progress : callable
        Called with the name of each excerpt.

    Raises
    ------
    FileError
        If there is something already, or it cannot be written.
    ConfigError, SignalError, ShapeError, SampleRateError, AudioFileError
        If a clip cannot be made; the message names it.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileError(f"{out}: is there already, a test is never replaced; choose another --out")
    make_folder(out.parent)
    with hidden_folder(out.parent) as hidden:
        folder = make_folder(hidden / "test")
        make_folder(folder / design.AUDIO)
        test, clips = _written(made, folder, progress)
        design.write(folder, test, design.new_secret(test.id, clips))
        if out.exists():
            out.rmdir()
        os.replace(folder, out)
    return test


def _written(
    made: Plan, folder: Path, progress: Callable[[str], None]
) -> tuple[Test, dict[str, Clip]]:
    """Write the clips; return the design, and what is what."""
    settings, preset = made.settings, made.preset
    rng = np.random.default_rng([settings.seed, 1])
    anchors = settings.anchors if preset.kind == "mushra" else ()
    items: list[Item] = []
    sheets: list[Page] = []
    clips: dict[str, Clip] = {}
    for recording, count in made.excerpts:
        for excerpt in choose(recording, count, settings.duration_s, rng):
            progress(recording.name)
            found = sounds(excerpt, made.references, anchors, settings.loudness_lufs)
            names = {name: secrets.token_hex(8) for name in found.waveforms}
            item = Item(
                f"i{len(items) + 1:02d}",
                recording.track,
                recording.stem,
                excerpt.start_s,
                excerpt.duration_s,
                found.sample_rate,
                {name: names[name] for name in made.references},
            )
            _write_clips(folder, found, names)
            clips |= {
                key: Clip(item.id, _system(name), _condition(name), round(found.gains_db[name], 4))
                for name, key in names.items()
            }
            for shown in _compared(made, len(items), names):
                sheets.append(Page(f"p{len(sheets) + 1:03d}", item.id, shown))
            items.append(item)
    return _test(made, items, sheets, rng), clips


def _system(name: str) -> str:
    return "reference" if name == "target" else name


def _condition(name: str) -> Condition:
    if name.startswith("anchor"):
        return "anchor"
    if name == "target":
        return "reference"
    return "mixture" if name == "mixture" else "system"


def _compared(made: Plan, k: int, names: Mapping[str, str]) -> Iterable[tuple[str, ...]]:
    """Return the clips of the pages of item `k`."""
    if made.pairs:
        return [(names[a], names[b]) for a, b in made.pairs[k]]
    return [tuple(key for name, key in names.items() if name != "mixture")]


def _write_clips(folder: Path, found: Sounds, names: Mapping[str, str]) -> None:
    for name, key in names.items():
        path = folder / design.AUDIO / f"{key}{design.SUFFIX}"
        audio.write(path, found.waveforms[name], found.sample_rate, subtype="PCM_24")
        os.utime(path, (0, 0))  # the order in which they were made


def _test(made: Plan, items: list[Item], sheets: list[Page], rng: np.random.Generator) -> Test:
    settings, preset = made.settings, made.preset
    can_be_none = settings.none and preset.kind != "mushra"
    return Test(
        id=secrets.token_hex(8),
        kind=preset.kind,
        preset=settings.preset,
        seed=settings.seed,
        systems=made.systems,
        questions=tuple(Question(one.id, one.text, can_be_none) for one in preset.questions),
        items=tuple(items),
        pages=tuple(sheets),
        training=(sheets[int(rng.integers(len(sheets)))].id,),
        pages_per_listener=made.pages_per_listener,
        repeats=settings.repeats,
        min_heard_s=settings.min_heard_s,
        loudness_lufs=settings.loudness_lufs,
        headphones=settings.headphones,
        texts=texts(settings.title, preset),
    )
