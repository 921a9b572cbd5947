"""Where stems go: the names of all files of a run, settled before it begins."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unmask import audio
from unmask.errors import ConfigError
from unmask.layout.output import LOSSLESS, Output
from unmask.layout.parts import Names, written
from unmask.stems import MIXTURES, STREAMS_SUFFIX, canonical, split_mixture

#: Most collisions that a message lists.
_MAX_LISTED = 20


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
    urls: Mapping[Path, str] = field(default_factory=dict, hash=False)
    """Paths that stand for remote files -> their URLs; see :mod:`unmask.remote`."""
    version: str | None = None
    """Of a remote source that was copied here: which one it was."""

    def name_of(self, path: Path) -> str:
        """Return what a file of this job is called: its path or URL."""
        return self.urls.get(path, str(path))


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
    ext = output.format or (suffix if suffix in LOSSLESS else ".wav").removeprefix(".")
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
