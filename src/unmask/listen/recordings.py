"""The files that a test is made of: estimates of every system, targets, mixtures, by name."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from unmask import audio
from unmask.audio import Place
from unmask.errors import AudioFileError, ConfigError, listed
from unmask.evaluate import Pairing, Track, pair
from unmask.evaluate.pairing import check_agree
from unmask.stems import MIXTURES, canonical

_MAX_LISTED = 10
_TAKEN = ("reference", "mixture", "target")


@dataclass(frozen=True)
class Recording:
    """One stem of one track, by every system; what has several files is their sum."""

    track: str
    stem: str
    estimates: Mapping[str, tuple[Place, ...]] = field(hash=False)
    """System -> files."""
    target: tuple[Place, ...]
    """Empty if it is not known."""
    mixture: tuple[Place, ...]
    """Empty if there is none."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.track}/{self.stem}"

    @property
    def sounding(self) -> tuple[Place, ...]:
        """The files whose energy says where something is to be heard."""
        return self.target or next(iter(self.estimates.values()))

    def check(self) -> None:
        """Refuse files that differ in rate, channels or length.

        Raises
        ------
        SampleRateError, ShapeError, AudioFileError
            The message names the two.
        """
        references = {"target": self.target, "mixture": self.mixture}
        known = {name: files for name, files in references.items() if files}
        check_agree(Track(self.name, self.estimates, known or dict(self.estimates)))


class Found(NamedTuple):
    """What all systems have made of the same recordings, and what there is to say about it."""

    recordings: list[Recording]
    remarks: list[str]


def system_names(folders: Sequence[Path], names: Sequence[str]) -> list[str]:
    """Return what the systems are called: as their folders, or as is asked.

    Raises
    ------
    ConfigError
        If there are too few, or two have one name, or one that means something else.
    """
    if names and len(names) != len(folders):
        raise ConfigError(f"names: {len(names)} for {len(folders)} systems; give one for each")
    called = list(names) or [folder.resolve().name for folder in folders]
    if twice := {name for name in called if called.count(name) > 1}:
        raise ConfigError(
            f"systems: {len(called)} folders, two or more are called {listed(twice)}; "
            "give names that differ (--names)"
        )
    for name in called:
        if not name.strip() or name in _TAKEN or name.startswith("anchor"):
            raise ConfigError(
                f"systems: {name!r} is the name of no system; give another name (--names)"
            )
    return called


def find(
    systems: Mapping[str, Path], targets: Path | None, mixtures: Path | None, how: Pairing
) -> Found:
    """Find what all systems have made of the same stems of the same tracks.

    Parameters
    ----------
    systems : mapping of str to Path
        Name -> folder, as ``unmask separate`` writes it or any that ``unmask evaluate`` reads.
    targets : Path or None
        Folder of the true stems; without it the tracks are those of the first system.
    mixtures : Path or None
        Folder of the mixtures, each called as its track (or in a folder that is); without it they
        are looked for beside the targets, and the sum of all stems there stands for one that lacks.
    how : Pairing

    Raises
    ------
    AudioFileError, ConfigError
        If a folder, a track, a stem or a mixture is missing.
    """
    truth = targets or next(iter(systems.values()))
    pairs = {name: pair(folder, truth, how=how) for name, folder in systems.items()}
    found = {name: {track.name: track for track in one.tracks} for name, one in pairs.items()}
    remarks = list(dict.fromkeys(said for one in pairs.values() for said in one.folded))
    first, common = _common(found, how)
    by_name = _by_name(mixtures) if mixtures else {}
    recordings = []
    for name in common:
        mixture = _mixture(first[name], by_name, mixtures, targets)
        tracks = {system: tracks[name] for system, tracks in found.items()}
        for stem, target in first[name].targets.items():
            # Parts may be added up for one system and not for another: then it is not one stem.
            if all(stem in t.estimates and t.targets[stem] == target for t in tracks.values()):
                made = {system: track.estimates[stem] for system, track in tracks.items()}
                recordings.append(Recording(name, stem, made, target if targets else (), mixture))
    return Found(recordings, remarks)


def _common(
    found: Mapping[str, Mapping[str, Track]], how: Pairing
) -> tuple[Mapping[str, Track], list[str]]:
    """Return the tracks of the first system, and the names of those that all have."""
    first = next(iter(found.values()))
    common = sorted(set.intersection(*(set(tracks) for tracks in found.values())))
    for name, tracks in found.items():
        lacking = set().union(*found.values()) - tracks.keys()
        if lacking and not how.allow_missing:
            raise ConfigError(
                f"system {name}: lacks the tracks {listed(lacking, _MAX_LISTED)}, which others "
                "have; add them, or leave them out (--allow-missing)"
            )
    if not common:
        raise ConfigError("systems: have no track in common; give results of the same recordings")
    return first, common


def _by_name(folder: Path) -> dict[str, Path]:
    """Return the sound files of a folder by the names of their tracks, with and without folders."""
    if not folder.is_dir():
        raise AudioFileError(f"{folder}: not a folder; give the folder that holds the mixtures")
    full, short = {}, defaultdict(list)
    for path in audio.find(folder):
        is_mixture = canonical(path.stem) in MIXTURES
        name = path.relative_to(folder).parent if is_mixture else path.relative_to(folder)
        full[(name if is_mixture else name.with_suffix("")).as_posix()] = path
        short[name.name if is_mixture else path.stem].append(path)
    return {name: paths[0] for name, paths in short.items() if len(paths) == 1} | full


def _mixture(
    track: Track, by_name: Mapping[str, Path], folder: Path | None, targets: Path | None
) -> tuple[Place, ...]:
    """Return the files that add up to the mixture of a track."""
    if folder is not None:
        if track.name not in by_name:
            raise ConfigError(
                f"track {track.name}: no mixture of that name in {folder}; add it, or leave out "
                "--mixtures if the targets sum to it"
            )
        return (Place(by_name[track.name]),)
    files = sorted({path for stem in track.targets.values() for path in stem})
    # In a flat folder, a file per track, what lies beside a file is another track.
    is_flat = len(files) == 1 and canonical(files[0].path.stem) not in track.targets
    if targets is None or is_flat:
        return ()
    beside = [path for path in files[0].path.parent.iterdir() if canonical(path.stem) in MIXTURES]
    beside = [path for path in audio.find(beside) if path.suffix.lower() in audio.SUFFIXES]
    if len(beside) == 1:
        return (Place(beside[0]),)
    return tuple(files) if len(files) > 1 else ()
