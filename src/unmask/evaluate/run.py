"""All tracks over all cores, each finished one kept on disk."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from unmask import audio
from unmask._version import __version__
from unmask.evaluate.document import document, method_of, table_of, write
from unmask.evaluate.pairing import Track, check_agree
from unmask.evaluate.scoring import Settings, score
from unmask.evaluate.table import Key, Series
from unmask.files import make_folder, sha256
from unmask.workers import map_tasks


class Result(NamedTuple):
    """The scores of one track."""

    track: str
    table: dict[Key, Series]
    warnings: list[str]
    """What the metrics had to say about the numbers."""
    reused: bool
    """Whether the scores were there already."""


def evaluate(
    tracks: Sequence[Track],
    *,
    out: str | Path,
    settings: Settings | None = None,
    jobs: int = 1,
    museval: bool = False,
) -> Iterator[Result]:
    """Score tracks and yield each as soon as it is done.

    ``{out}/{track}.json`` is written when a track is done. One that is there already is taken as it
    is if it was made from the same sound (by checksum), by the same version, with the same
    settings. One track at a time is in memory, for each job.

    Parameters
    ----------
    tracks : sequence of Track
        From `pair`. Headers of all files are read before any is scored.
    out : path
        Folder for the JSON files, made if missing; the system goes by its name.
    settings : Settings
        The metrics and their windows.
    jobs : int >= 1
        Tracks at a time, each in a process of its own with one thread.
    museval : bool
        Write undefined and infinite scores as museval does, as ``NaN``, which is no JSON.

    Raises
    ------
    UnmaskError
        If files are missing, broken or do not agree; before anything is scored if headers tell.
    """
    settings = settings or Settings()
    for track in tracks:
        check_agree(track)
    one = partial(_evaluate, out=make_folder(out), settings=settings, museval=museval)
    return map_tasks(one, tracks, jobs=jobs)


def _evaluate(track: Track, *, out: Path, settings: Settings, museval: bool) -> Result:
    path, track = out / f"{track.name}.json", track.in_order()
    origin = {
        "version": __version__,
        "settings": asdict(settings) | {"museval": museval},
        "estimates": {stem: _hashes(files) for stem, files in track.estimates.items()},
        "targets": {stem: _hashes(files) for stem, files in track.targets.items()},
    }
    found = _finished(path, origin)
    reused = found is not None
    if found is None:
        scores = score(track, settings)
        found = document(scores, settings, origin | {"warnings": scores.warnings})
        write(path, found, museval=museval)
    table = table_of(found, method=method_of(out), track=track.name, file=path)
    return Result(track.name, table, found["unmask"]["warnings"], reused)


def _hashes(places: Sequence[audio.Place]) -> list[str | list[Any]]:
    """Return the hash of each file, with its stream if that is not the first."""
    said = ((sha256(path), stream) for path, stream in places)
    return [[digest, stream] if stream else digest for digest, stream in said]


def _finished(path: Path, origin: dict[str, Any]) -> Any | None:
    """Return the document of an earlier run with the same `origin`."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError:  # Not ours: what we write is whole.
        return None
    own = found.get("unmask") if isinstance(found, dict) else None
    same = isinstance(own, dict) and {key: own.get(key) for key in origin} == _plain(origin)
    return found if same else None


def _plain(value: dict[str, Any]) -> Any:
    """As it comes back from JSON: tuples are lists."""
    return json.loads(json.dumps(value))
