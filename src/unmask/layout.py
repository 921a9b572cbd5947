"""Where stems go: the names of all files of a run, settled before it begins."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from unmask import audio
from unmask.errors import ConfigError
from unmask.stems import MIXTURES, STREAMS_SUFFIX, canonical, split_mixture

#: Formats that can be asked for.
FORMATS = ("wav", "flac", "ogg", "mp3")
_FIELDS = ("model", "track", "stem", "ext")
# What these hold is kept exactly in the same format; stems of any other file become WAV.
_LOSSLESS = {".aif", ".aiff", ".au", ".caf", ".flac", ".rf64", ".w64", ".wav", ".wave"}
_FILENAME = "{model}/{track}/{stem}.{ext}"
#: Most collisions that a message lists.
_MAX_LISTED = 20


class Names(Protocol):
    """What the names of a model's files depend on."""

    name: str
    stems: tuple[str, ...]
    residual: str
    residual_is_source: bool


@dataclass(frozen=True, kw_only=True)
class Output:
    """Which stems are written, where, and as what.

    Raises
    ------
    ConfigError
        If settings cannot work, alone or together.
    """

    out: Path = Path("separated")
    """Folder; made if missing. Files that are there already are replaced. A name with the suffix
    of a sound file is that file; its record is beside it, ``clean.job.json`` of ``clean.wav``."""
    filename: str = _FILENAME
    """Names below it. The run record takes the same name with stem ``job`` and ext ``json``."""
    format: str | None = None
    """One of `FORMATS`; default: the input's, or WAV if that loses sound (MP3, OGG, video)."""
    subtype: str | None = None
    """PCM_16, PCM_24, FLOAT, …; default: the input's, or the nearest that the format holds."""
    two_stems: str | None = None
    """Write only this stem, and everything else as ``no_{stem}``."""
    residual: bool | None = None
    """Also write what the stems leave of the mixture; default: if it is a source, as "other"."""
    remix: bool = False
    """Write one file ``remix`` instead: the sum of all stems, the input itself but for their gains
    (:class:`unmask.Settings`)."""
    start_s: float = 0.0
    """Where the part of the recording begins that is separated, as if it were a file of its own."""
    end_s: float | None = None
    """Where it ends; default: with the recording."""

    def __post_init__(self) -> None:
        try:
            self.filename.format(**dict.fromkeys(_FIELDS, "x"))
        except (AttributeError, IndexError, KeyError, ValueError) as error:
            raise ConfigError(
                f"file name {self.filename!r}: {error} cannot be filled in, the fields are "
                f"{' '.join(f'{{{name}}}' for name in _FIELDS)}"
            ) from None
        if self.format not in (None, *FORMATS):
            raise ConfigError(f"format: {self.format!r}, expected one of {', '.join(FORMATS)}")
        suffix = self.out.suffix.lower()
        if self.is_file and (self.filename != _FILENAME or self.format not in (None, suffix[1:])):
            raise ConfigError(f"out: {self.out} is a file; leave out format and filename")
        self._check_parts()

    def _check_parts(self) -> None:
        if self.remix and {self.two_stems, self.residual} != {None}:
            raise ConfigError("remix: is one file, leave out two_stems and residual")
        if not 0 <= self.start_s < (math.inf if self.end_s is None else self.end_s):
            raise ConfigError(
                f"start, end: {self.start_s:g} s to {self.end_s} s, expected 0 <= start < end"
            )

    @property
    def is_file(self) -> bool:
        """Whether `out` names the only file that is written."""
        known = {*_LOSSLESS, *(f".{name}" for name in FORMATS)}
        return self.out.suffix.lower() in known and not self.out.is_dir()

    @property
    def folder(self) -> Path:
        """The folder that all goes to."""
        return self.out.parent if self.is_file else self.out

    def path(self, model: str, track: str, stem: str, ext: str) -> Path:
        """Return where a stem goes; refuse what lies outside the folder.

        Raises
        ------
        ConfigError
            If it lies outside the folder.
        """
        if self.is_file:
            return self.out.with_suffix(".job.json") if stem == "job" else self.out
        name = Path(self.filename.format(model=model, track=track, stem=stem, ext=ext))
        if name.is_absolute() or ".." in name.parts:
            raise ConfigError(f"file name {name} leads out of the folder {self.out}")
        return self.out / name


@dataclass(frozen=True)
class Job:
    """One recording and where its stems go."""

    source: Path
    track: str
    """Name of the recording: its path in the folder that was given, without suffix."""
    targets: Mapping[str, Path] = field(hash=False)
    """Stem -> file."""
    rows: Mapping[str, tuple[str, ...]] = field(hash=False)
    """Stem -> the outputs of the model that it adds up, and their factors; see :func:`written`."""
    record: Path
    """Where the run record goes."""


def plan(paths: Iterable[str | Path], model: Names, output: Output) -> list[Job]:
    """Return the jobs for files and folders, before any is begun.

    Folders are searched with everything below them and keep their structure. Left out are linked
    folders (:func:`linked_folders`), what lies in the output folder, and, where that is the folder
    itself, what the records in it say was written by an earlier run. A link to a file is a file
    of its own.

    Of a folder of stems, ``mixture.wav`` beside ``vocals.wav``, …, the mixture is taken, and the
    track has the name of the folder. Files that differ only in their suffix keep it in the name.

    Raises
    ------
    AudioFileError
        If a folder has no sound file.
    ConfigError
        If two files would be written to the same place, or one over an input; or if no path, or
        standard input, is named.
    """
    rows = written(model, output)
    sources: dict[Path, tuple[Path, str]] = {}  # what is named twice is done once
    for path in paths:
        for source, track in _sources(_named(path), output):
            sources.setdefault(_place(source), (source, track))
    jobs = [
        _job(source, track, model.name, rows, output)
        for source, track in _told_apart(list(sources.values()))
    ]
    _check_one(jobs, output)
    _check_places(jobs, sources, output)
    return jobs


def linked_folders(path: str | Path) -> list[Path]:
    """Return the links to folders below a folder: they are not followed, since they may lead back.

    Hidden ones do not count.
    """
    return sorted(
        Path(parent, name)
        for parent, names, _ in os.walk(path)
        for name in names
        if os.path.islink(os.path.join(parent, name)) and not name.startswith(".")
    )


def _told_apart(sources: Sequence[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    """Let tracks of one name keep their suffixes, if those differ: host.wav beside host.mp3."""
    counts = Counter(track for _, track in sources)
    full = Counter(track + source.suffix for source, track in sources)
    for source, track in sources:
        name = track + source.suffix
        yield source, name if counts[track] > 1 and full[name] == 1 else track


def _named(path: str | Path) -> Path:
    if str(path) == "-":
        raise ConfigError("-: expected a file or folder; `unmask stream` reads standard input")
    if not str(path):
        raise ConfigError("'': is no file or folder; is a variable of the shell not set?")
    return Path(path)


def _place(path: Path) -> Path:
    """Return the one path of a file; a link to a file has a place of its own."""
    return path.parent.resolve() / path.name


def _sources(path: Path, output: Output) -> Iterator[tuple[Path, str]]:
    """Yield the files that a path names, and what the tracks are called."""
    if not os.path.isdir(path):
        mixtures, _ = split_mixture(_beside(path))
        yield path, _track(path, mixtures)
        return
    found = _without_outputs(path, audio.find(path), output)
    folders: dict[Path, list[Path]] = {}
    for source in found:
        folders.setdefault(source.parent, []).append(source)
    for parent, files in folders.items():
        mixtures, stems = split_mixture(files)
        folder = parent.relative_to(path)
        for source in files:
            is_folder = source in mixtures and folder != Path()
            if source not in stems:
                track = folder if is_folder else folder / _track(source, mixtures)
                yield source, track.as_posix()


def _beside(path: Path) -> list[Path]:
    """Return the files of the folder of a mixture, since its name says little."""
    if canonical(path.stem) not in MIXTURES:
        return []
    return [path, *(other for other in path.parent.glob("*") if other.name != path.name)]


def _track(source: Path, mixtures: Sequence[Path]) -> str:
    """Return what a recording is called: as its file, or its folder if that is one of stems."""
    if source in mixtures:
        return source.parent.resolve().name or source.stem
    name = source.name
    is_streams = name.lower().endswith(STREAMS_SUFFIX)
    return name[: -len(STREAMS_SUFFIX)] if is_streams else source.stem


def _without_outputs(path: Path, found: Sequence[Path], output: Output) -> list[Path]:
    """Leave out what lies in the output folder, or what earlier runs wrote if that is `path`."""
    out, here = output.folder.resolve(), path.resolve()
    if out == here:
        made = _made(here)
        left = [source for source in found if _place(source) not in made]
        if not left:
            raise ConfigError(
                f"{path}: all {len(found)} sound files in it are results of earlier runs; "
                "to separate them again, choose another --out"
            )
        return left
    if out in here.parents or output.is_file:
        return list(found)
    return [source for source in found if out not in source.resolve().parents]


def _made(folder: Path) -> set[Path]:
    """Return what was written by the runs whose records are in a folder."""
    made: set[Path] = set()
    for file in folder.rglob("*.json"):
        try:
            record = json.loads(file.read_text("utf-8"))
            out = Path(record["settings"]["out"])
            for written in map(Path, [entry["path"] for entry in record["outputs"]]):
                # The record may have been moved, or the run have had another working folder.
                inside = written.relative_to(out if written != out else out.parent)
                made.add(file.parents[len(inside.parts) - 1] / inside)
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue  # not one of ours
    return made


def _job(
    source: Path, track: str, model: str, rows: Mapping[str, tuple[str, ...]], output: Output
) -> Job:
    suffix = source.suffix.lower()
    ext = output.format or (suffix if suffix in _LOSSLESS else ".wav").removeprefix(".")
    targets = {stem: output.path(model, track, stem, ext) for stem in rows}
    return Job(source, track, targets, rows, output.path(model, track, "job", "json"))


def _check_one(jobs: Sequence[Job], output: Output) -> None:
    """Refuse several files where one is named."""
    n_files = sum(len(job.targets) for job in jobs)
    if output.is_file and n_files > 1:
        stems = ", ".join(jobs[0].targets)
        raise ConfigError(
            f"out: {output.out} is one file, there would be {n_files} ({stems} of {len(jobs)} "
            "recordings); name a folder, or one recording and one stem"
        )


def _check_places(
    jobs: Sequence[Job], sources: Mapping[Path, tuple[Path, str]], output: Output
) -> None:
    """Refuse files that would be written to one place, or over an input."""
    inputs = {*sources, *(place.resolve() for place in sources)}
    taken: dict[Path, Path] = {}
    twice: list[str] = []
    for job in jobs:
        if len(set(job.targets.values())) < len(job.targets):
            raise ConfigError(f"file name {output.filename!r}: all stems have it; add {{stem}}")
        for target in (*job.targets.values(), job.record):
            if _place(target) in inputs or target.resolve() in inputs:
                raise ConfigError(f"{target}: is an input, it would be overwritten; choose --out")
        for target in (*job.targets.values(), job.record):
            if (other := taken.setdefault(target, job.source)) != job.source:
                twice.append(f"{job.source}: would be written to {target}, as would {other}")
                break
    if twice:
        more = f"; and {len(twice) - _MAX_LISTED} more" * (len(twice) > _MAX_LISTED)
        raise ConfigError(
            f"{'; '.join(twice[:_MAX_LISTED])}{more}; rename them or separate them into different "
            "folders"
        )


def written(model: Names, output: Output) -> dict[str, tuple[str, ...]]:
    """Return what is written: name of the file -> the outputs of the model that it adds up.

    Raises
    ------
    ConfigError
        If the model has no stem of that name.
    """
    parts = (*model.stems, model.residual)
    if output.remix:
        return {"remix": parts}
    if output.two_stems is not None:
        one = _one(parts, output.two_stems, model)
        return {one: (one,), f"no_{one}": tuple(part for part in parts if part != one)}
    wanted = model.residual_is_source if output.residual is None else output.residual
    return {part: (part,) for part in (parts if wanted else model.stems)}


def _one(parts: Iterable[str], asked: str, model: Names) -> str:
    """Return the output that is asked for."""
    for part in parts:
        if canonical(part) == canonical(asked):
            return part
    raise ConfigError(f"stem {asked!r}: model {model.name} has {', '.join(parts)}; choose of these")
