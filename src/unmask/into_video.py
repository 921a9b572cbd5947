"""Stems in the place of a video's sound: the picture is copied, the sound replaced."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from unmask import audio
from unmask.errors import AudioFileError, ConfigError
from unmask.layout import Job

#: AVI counts pictures and has no times: what is copied would shift. Matroska holds all of it.
_INSTEAD = {".avi": ".mkv"}


def asked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an output that is to become video.

    Raises
    ------
    ConfigError
        If they ask for less than the whole video, or for a kind of sound file.
    """
    if options["start_s"] or options["end_s"] is not None:
        raise ConfigError("--into-video: keeps the whole video; leave out --start and --end")
    if options["format"] or options["subtype"]:
        raise ConfigError(
            "--into-video: the sound is encoded as the video's; leave out --format and --subtype"
        )
    out = Path(options["out"])
    if out.suffix.lower() in _INSTEAD:
        raise ConfigError(f"{out}: cannot hold when sound begins; write {out.stem}.mkv")
    stand_in = out.with_suffix(".wav") if _is_file(out) else out
    return {**options, "out": stand_in, "subtype": "FLOAT"}


def as_videos(jobs: Iterable[Job], out: str | Path) -> tuple[list[Job], list[AudioFileError]]:
    """Return jobs with targets of their source's suffix, or that of `out` if it is a file.

    What was AVI becomes Matroska.

    And what is to be said of sources that are no video, which are left out.

    Raises
    ------
    ConfigError
        If a video would be written over.
    """
    jobs, out = list(jobs), Path(out)
    inputs = {job.source.resolve() for job in jobs}
    made, refused = [], []
    for job in jobs:
        try:
            audio.check_video(job.source)
        except AudioFileError as error:
            refused.append(error)
            continue
        own = job.source.suffix
        suffix = out.suffix if _is_file(out) else _INSTEAD.get(own.lower(), own)
        targets = {stem: _named(path, suffix) for stem, path in job.targets.items()}
        for target in targets.values():
            if target.resolve() in inputs:
                raise ConfigError(f"{target}: is an input, it would be overwritten; choose --out")
        made.append(replace(job, targets=targets))
    return made, refused


def _is_file(out: Path) -> bool:
    return out.suffix.lower() in audio.MEDIA_SUFFIXES and not out.is_dir()


def _named(path: Path, suffix: str) -> Path:
    return path.with_suffix(suffix) if path.suffix == ".wav" else Path(f"{path}{suffix}")


def is_sound(path: Path) -> bool:
    """Tell whether a target is a sound file, which soundfile writes."""
    return path.suffix.lower() in audio.WRITABLE


def sounds(staged: Mapping[str, Path]) -> dict[str, Path]:
    """Return the sound files to write: those that become video have a name beside theirs."""
    return {
        stem: path if is_sound(path) else path.with_suffix(".wav") for stem, path in staged.items()
    }


def finish(
    job: Job,
    staged: Mapping[str, Path],
    reports: Sequence[audio.WriteReport],
    done: Callable[[int], None],
) -> list[audio.WriteReport]:
    """Make the videos of the sound files that were written; return reports of both.

    `done` is told how many samples of all of them are encoded.

    Raises
    ------
    AudioFileError
        If FFmpeg cannot write one.
    """
    made, n_encoded = [], 0
    for (stem, path), report in zip(staged.items(), reports, strict=True):
        if not is_sound(path):
            sound = sounds(staged)[stem]
            told = partial(_added, done, n_encoded)
            lost = audio.replace_sound(job.source, sound, path, name=job.targets[stem], done=told)
            sound.unlink()  # room for the next
            n_encoded += report.n_samples
            report = replace(report, path=path, lost=lost)
        made.append(report)
    return made


def _added(done: Callable[[int], None], before: int, n: int) -> None:
    done(before + n)
