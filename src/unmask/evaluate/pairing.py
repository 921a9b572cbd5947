"""Which file is compared with which: by names alone, never by position."""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from unmask import audio
from unmask.errors import AudioFileError, ConfigError, SampleRateError, ShapeError, listed
from unmask.folding import check, match
from unmask.order import best_order_of_files
from unmask.stems import (
    MIXTURES,
    STEM_NAMES,
    STREAMS_SUFFIX,
    by_stem,
    canonical,
    is_of_streams,
    locate_stems,
    split_name,
)

#: What sound files are: stems of the track whose folder they lie in, or a track each.
Files = Literal["auto", "stems", "tracks"]

_Stems = Mapping[str, audio.Place]
_Sums = Mapping[str, tuple[audio.Place, ...]]
_MAX_LISTED = 20


class Track(NamedTuple):
    """One recording: estimates, each with its target, and the targets of other stems."""

    name: str
    estimates: _Sums
    """Stem -> the files, or streams of one, that it is the sum of, sorted; what is scored."""
    targets: _Sums
    """Stem -> its files, sorted; those without an estimate count as interferers only."""

    def in_order(self) -> "Track":
        """Return it with the estimates of talkers, who are in no order, where they fit best."""
        order = best_order_of_files(self.estimates, self.targets)
        return self._replace(
            estimates={name: self.estimates[order.get(name, name)] for name in self.estimates}
        )

    @property
    def files(self) -> list[Path]:
        """All its files."""
        sides = (self.targets, self.estimates)
        return [place.path for side in sides for row in side.values() for place in row]


class Pairs(NamedTuple):
    """The tracks that both sides have, and what there is to say about them."""

    tracks: list[Track]
    skipped: list[str]
    """Names of the tracks that only one side has."""
    folded: list[str]
    """What was added up without being told (:mod:`unmask.folding`), a sentence each."""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """How files are found and paired."""

    files: Files = "auto"
    """What files are: stems of their folder's track, or each a track; by default by their names."""
    stem: str = "speech"
    """Name of the stem where every file is a track."""
    stems: tuple[str, ...] | None = None
    """The stems that are scored; by default all, and both sides must have the same."""
    fold: Mapping[str, str] = field(default_factory=dict)
    """Part -> the stem that it is added to, on both sides; see :func:`unmask.folding.match`."""
    allow_missing: bool = False
    """Leave out tracks that only one side has, instead of refusing them."""
    allow_other_stems: bool = False
    """Score the stems that both sides have of a track, instead of refusing others."""


def pair(estimates: str | Path, targets: str | Path, *, how: Pairing | None = None) -> Pairs:
    """Find the tracks in two folders, or ``.stem.mp4`` files, and pair them.

    Read are ``track/stem.wav`` at any depth (MUSDB18-HQ, and ``{model}/{track}/{stem}.wav`` as
    ``unmask separate`` writes it), ``track.stem.mp4`` (MUSDB18), ``stem/track.wav`` (LibriMix,
    WSJ0-2mix), one track's folder of stems, and speech with a file per track, flat or in folders by
    speaker; the two sides may differ in this. A track is called by its folder (a folder
    ``song/mixture`` is the track ``song``); where two folders of a side have one name, all tracks
    are called by their path below the folder that was given. Two folders of stems are one track,
    whatever they are called. Files that say both, as ``song_(Vocals).wav``, are read as
    :func:`unmask.stems.split_name` has it. Stems go by `unmask.stems.canonical`; mixtures are left
    out. Stems that only one side has are added to those that both have, as :mod:`unmask.folding`
    says.

    Raises
    ------
    AudioFileError
        If there is no such folder, or no sound in it.
    ConfigError
        If a track or stem is missing on one side; the message lists them. If `how.fold` names
        stems that no track has.
    """
    how = how or Pairing()
    roots = Path(estimates), Path(targets)
    ours, theirs = _named(_find(roots[0], how), _find(roots[1], how), roots)
    lonely = sorted(ours.keys() ^ theirs.keys())
    common = sorted(ours.keys() & theirs.keys())
    if lonely and not (how.allow_missing and common):
        raise ConfigError(_missing_tracks(roots, ours, theirs))
    check(how.fold, *(stems for side in (ours, theirs) for stems in side.values()))
    folded = [_folded(name, ours[name], theirs[name], how) for name in common]
    tracks = [track for track, _ in folded]
    said = dict.fromkeys(sentence for _, remarks in folded for sentence in remarks)
    return Pairs(_chosen(tracks, how), lonely, list(said))


def _folded(name: str, ours: _Stems, theirs: _Stems, how: Pairing) -> tuple[Track, list[str]]:
    """Return a track with the files of each stem, and what is to be said about its stems."""
    folding = match(ours, theirs, asked=how.fold, only=how.stems)
    sides = (
        {stem: tuple(side[part] for part in rows[stem]) for stem in sorted(rows)}
        for side, rows in ((ours, folding.estimates), (theirs, folding.targets))
    )
    return Track(name, *sides), list(folding.remarks())


def check_agree(track: Track) -> None:
    """Refuse files of a track that differ in sample rate, channels or length; reads headers only.

    Raises
    ------
    AudioFileError
        If a file cannot be read.
    SampleRateError, ShapeError, listed
        If two files do not agree; the message names them.
    """
    first, *others = map(audio.info, track.files)
    for found in others:
        if found.sample_rate != first.sample_rate:
            raise SampleRateError(
                f"{found.path}: sample rate is {found.sample_rate} Hz, {first.path} has "
                f"{first.sample_rate} Hz; resample one"
            )
        if (found.n_channels, found.n_samples) != (first.n_channels, first.n_samples):
            raise ShapeError(
                f"{found.path}: {found.n_channels} channels of {found.n_samples} samples, "
                f"{first.path} has {first.n_channels} of {first.n_samples}; all files of a track "
                "must be aligned and equally long; if each is a track, say --files tracks"
            )


def _find(root: Path, how: Pairing) -> dict[Path, _Stems]:
    """Track's path -> its stems; the only track of a folder of stems has the path ``root``."""
    if is_of_streams(root) and root.is_file():
        return {root: _stems(root)}
    if not root.is_dir():
        raise AudioFileError(f"{root}: not a folder; give the folder that holds the tracks")
    found = [path for path in audio.find(root) if canonical(path.stem) not in MIXTURES]
    if songs := [path for path in found if is_of_streams(path)]:
        if len(songs) < len(found):
            rest = next(path for path in found if path not in songs)
            raise ConfigError(f"{root}: holds {songs[0].name} and {rest.name}; keep one kind")
        return {path: _stems(path) for path in songs}
    direct = [path for path in found if path.parent == root]
    if how.files != "tracks" and direct and len(direct) < len(found):
        raise ConfigError(
            f"{root}: holds {direct[0].name} and folders with sound; expected files or folders, "
            "not both; move one of them, or say that each file is a track (--files tracks)"
        )
    if how.files == "auto" and (named := _by_name(found)):
        return named
    if how.files == "auto" and (tracks := by_stem(root, found)):
        return {
            root / name: {stem: audio.Place(path) for stem, path in stems.items()}
            for name, stems in tracks.items()
        }
    if _are_tracks(root, found, how):
        return _one_a_file(found, _one_form(canonical(how.stem)))
    folders = sorted({path.parent for path in found})
    return {folder: _stems(folder) for folder in folders}


def _by_name(files: Sequence[Path]) -> dict[Path, _Stems]:
    """Return the tracks of files that all say track and stem, of which a track has several."""
    tracks: dict[Path, dict[str, audio.Place]] = {}
    for path in files:
        if (said := split_name(path.stem)) is None:
            return {}
        track, stem = path.parent / said[0], _one_form(said[1])
        if stem in tracks.setdefault(track, {}):
            twice = tracks[track][stem].path.name
            raise ConfigError(f"{path.parent}: {twice} and {path.name} are one stem; keep one")
        tracks[track][stem] = audio.Place(path)
    return dict(tracks) if any(len(stems) > 1 for stems in tracks.values()) else {}


def _stems(folder: Path) -> _Stems:
    return {_one_form(name): place for name, place in locate_stems(folder).items()}


def _are_tracks(root: Path, files: Sequence[Path], how: Pairing) -> bool:
    """Tell whether every file is a track of its own, as it is in corpora of speech.

    Unless told: if files in the folder itself do not all have names of stems; or if none of many
    folders does, nor has a name twice, as stems would.
    """
    if how.files != "auto":
        return how.files == "tracks"
    names = [canonical(path.stem) for path in files]
    known = STEM_NAMES | set(map(canonical, how.fold))
    if any(path.parent == root for path in files):
        return not set(names) <= known
    n_folders = len({path.parent for path in files})
    return n_folders > 1 and len(set(names)) == len(names) and known.isdisjoint(names)


def _one_a_file(files: Iterable[Path], stem: str) -> dict[Path, _Stems]:
    tracks: dict[Path, _Stems] = {}
    for path in files:
        if (name := path.parent / path.stem) in tracks:
            twice = tracks[name][stem].path.name
            raise ConfigError(f"{path.parent}: {twice} and {path.name} have one name; keep one")
        tracks[name] = {stem: audio.Place(path)}
    return tracks


def _named(
    ours: dict[Path, _Stems], theirs: dict[Path, _Stems], roots: tuple[Path, Path]
) -> tuple[dict[str, _Stems], dict[str, _Stems]]:
    """Call the tracks of both sides by one rule."""
    if (list(ours), list(theirs)) == ([roots[0]], [roots[1]]):
        name = _name(roots[1])
        return {name: ours[roots[0]]}, {name: theirs[roots[1]]}
    sides = tuple(zip((ours, theirs), roots, strict=True))
    by_folder = [{_name(path): stems for path, stems in side.items()} for side, _ in sides]
    if all(len(named) == len(side) for named, (side, _) in zip(by_folder, sides, strict=True)):
        return by_folder[0], by_folder[1]
    by_path = [_by_path(side, root) for side, root in sides]
    return by_path[0], by_path[1]


def _by_path(side: dict[Path, _Stems], root: Path) -> dict[str, _Stems]:
    named: dict[str, _Stems] = {}
    for path, stems in side.items():
        folder = path if path == root else _folder(path)
        if (name := _one_form(folder.relative_to(root).as_posix())) in named:
            raise ConfigError(f"{path}: a second track {name!r} below {root}; keep one")
        named[name] = stems
    return named


def _name(path: Path) -> str:
    name = Path(os.path.abspath(_folder(path))).name
    return _one_form(name[: -len(STREAMS_SUFFIX)] if is_of_streams(path) else name)


def _one_form(name: str) -> str:
    """Return a name in the composed form: file systems keep the same text in either."""
    return unicodedata.normalize("NFC", name)


def _folder(path: Path) -> Path:
    """``song/mixture`` is what a separator makes of ``song/mixture.wav``."""
    return path.parent if canonical(path.name) in MIXTURES else path


def _missing_tracks(
    roots: tuple[Path, Path], ours: Mapping[str, _Stems], theirs: Mapping[str, _Stems]
) -> str:
    sides = ((roots[0], theirs.keys() - ours.keys()), (roots[1], ours.keys() - theirs.keys()))
    said = " and ".join(
        f"{root} lacks {listed(names, _MAX_LISTED)}" for root, names in sides if names
    )
    return (
        f"tracks must be the same on both sides: {said}; add them, or leave them out "
        "(--allow-missing)"
    )


def _chosen(tracks: list[Track], how: Pairing) -> list[Track]:
    """Keep the stems that are scored; refuse tracks that lack one."""
    wanted = None if how.stems is None else {_one_form(canonical(stem)) for stem in how.stems}
    missing, chosen = [], []
    for track in tracks:
        ours, theirs = track.estimates.keys(), track.targets.keys()
        scored = wanted or (ours & theirs if how.allow_other_stems else ours | theirs)
        for side, found in (("estimate", ours), ("target", theirs)):
            missing += [f"{track.name}: {side} of {name}" for name in scored - found]
        if not scored:
            missing.append(f"{track.name}: any stem of both sides")
        kept = {stem: paths for stem, paths in track.estimates.items() if stem in scored}
        chosen.append(track._replace(estimates=kept))
    if missing:
        raise ConfigError(
            f"stems must be the same on both sides, missing are {listed(missing, _MAX_LISTED)}; "
            "add them, or name those to score (--stems)"
        )
    return chosen
