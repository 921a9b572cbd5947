"""Where stems go: the names of all files of a run, settled before it begins."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from unmask import audio
from unmask.errors import ConfigError
from unmask.stems import canonical

#: Formats that can be asked for.
FORMATS = ("wav", "flac", "ogg", "mp3")
_FIELDS = ("model", "track", "stem", "ext")
# What these hold is kept exactly in the same format; stems of any other file become WAV.
_LOSSLESS = {".aif", ".aiff", ".au", ".caf", ".flac", ".rf64", ".w64", ".wav", ".wave"}


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
    """Folder; made if missing. Files that are there already are replaced."""
    filename: str = "{model}/{track}/{stem}.{ext}"
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
        self._check_parts()

    def _check_parts(self) -> None:
        if self.remix and {self.two_stems, self.residual} != {None}:
            raise ConfigError("remix: is one file, leave out two_stems and residual")
        if not 0 <= self.start_s < (math.inf if self.end_s is None else self.end_s):
            raise ConfigError(
                f"start, end: {self.start_s:g} s to {self.end_s} s, expected 0 <= start < end"
            )

    def path(self, model: str, track: str, stem: str, ext: str) -> Path:
        """Return where a stem goes; refuse what lies outside the folder.

        Raises
        ------
        ConfigError
            If it lies outside the folder.
        """
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

    Folders are searched with everything below them and keep their structure; what lies in the
    output folder is left out.

    Raises
    ------
    AudioFileError
        If a folder has no sound file.
    ConfigError
        If two files would be written to the same place, or one over an input.
    """
    rows = written(model, output)
    sources: dict[Path, Job] = {}  # what is named twice is done once
    for path in map(Path, paths):
        for source, track in _sources(path, output.out):
            sources.setdefault(source.resolve(), _job(source, track, model.name, rows, output))
    taken: dict[Path, Path] = {}
    for job in sources.values():
        for target in (*job.targets.values(), job.record):
            if target.resolve() in sources:
                raise ConfigError(f"{target}: is an input, it would be overwritten; choose --out")
            if (other := taken.setdefault(target, job.source)) != job.source:
                raise ConfigError(
                    f"{job.source}: would be written to {target}, as would {other}; rename one or "
                    "separate them into different folders"
                )
        if len(set(job.targets.values())) < len(job.targets):
            raise ConfigError(f"file name {output.filename!r}: all stems have it; add {{stem}}")
    return list(sources.values())


def _sources(path: Path, out: Path) -> Iterator[tuple[Path, str]]:
    if not path.is_dir():
        yield path, path.stem
        return
    for source in audio.find(path):
        inside = out.resolve() in source.resolve().parents
        if not inside or out.resolve() in (path.resolve(), *path.resolve().parents):
            yield source, source.relative_to(path).with_suffix("").as_posix()


def _job(
    source: Path, track: str, model: str, rows: Mapping[str, tuple[str, ...]], output: Output
) -> Job:
    suffix = source.suffix.lower()
    ext = output.format or (suffix if suffix in _LOSSLESS else ".wav").removeprefix(".")
    targets = {stem: output.path(model, track, stem, ext) for stem in rows}
    return Job(source, track, targets, rows, output.path(model, track, "job", "json"))


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
