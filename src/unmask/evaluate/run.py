"""All tracks over all cores, each finished one kept on disk."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from unmask import audio, remote
from unmask._version import __version__
from unmask.evaluate.document import document, method_of, table_of, write
from unmask.evaluate.pairing import Track, check_agree
from unmask.evaluate.scoring import Settings, score
from unmask.evaluate.table import Key, Series
from unmask.files import make_folder, sha256
from unmask.workers import Executor, Processes


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
    executor: Executor | None = None,
    museval: bool = False,
    urls: Mapping[Path, str] | None = None,
) -> Iterator[Result]:
    """Score tracks and yield each as soon as it is done.

    ``{out}/{track}.json`` is written when a track is done. One that is there already is taken as it
    is if it was made from the same sound (by checksum), by the same version, with the same
    settings. One track at a time is in memory, for each process.

    Parameters
    ----------
    tracks : sequence of Track
        From `pair`. Headers of all files that are here are read before any is scored.
    out : path
        Folder for the JSON files, made if missing; the system goes by its name.
    settings : Settings
        The metrics and their windows.
    executor : Executor
        What does it: :class:`unmask.workers.Processes` with one thread each, or a
        :class:`unmask.cluster.Cluster`. By default one after the other, in this process.
    museval : bool
        Write undefined and infinite scores as museval does, as ``NaN``, which is no JSON.
    urls : mapping of path to str
        Of paths that stand for what is elsewhere (:class:`unmask.remote.StandIns`), which is copied
        to where it is scored.

    Raises
    ------
    UnmaskError
        If files are missing, broken or do not agree; before anything is scored if headers tell.
    """
    settings, urls, executor = settings or Settings(), urls or {}, executor or Processes()
    for track in tracks:
        if urls.keys().isdisjoint(track.files):
            check_agree(track)
    folder = make_folder(out)
    tasks = [
        (track, _read(folder, track.name), {p: urls[p] for p in track.files if p in urls})
        for track in tracks
    ]
    one = partial(_evaluate, settings=settings, museval=museval)
    return _kept(executor.map(one, tasks), folder, museval=museval)


def _kept(
    found: Iterable[tuple[str, dict[str, Any] | None]], folder: Path, *, museval: bool
) -> Iterator[Result]:
    """Write what was scored; yield that, and what was there."""
    for track, made in found:
        path = _place(folder, track)
        if made is not None:
            write(path, made, museval=museval)
        whole = made or json.loads(path.read_text("utf-8"))
        table = table_of(whole, method=method_of(folder), track=track, file=path)
        yield Result(track, table, whole["unmask"]["warnings"], made is None)


def _place(folder: Path, track: str) -> Path:
    return folder / f"{track}.json"


def _evaluate(
    task: tuple[Track, dict[str, Any], Mapping[Path, str]], *, settings: Settings, museval: bool
) -> tuple[str, dict[str, Any] | None]:
    """Return the name of a track and its document, None if what an earlier run found is the same.

    Parameters
    ----------
    task : tuple
        The track, what its document says that it was made of, the URLs of files that are elsewhere.
    """
    track, before, urls = task
    with _at_hand(track, urls) as here:
        here = here.in_order()
        origin = {
            "version": __version__,
            "settings": asdict(settings) | {"museval": museval},
            "estimates": {stem: _hashes(files) for stem, files in here.estimates.items()},
            "targets": {stem: _hashes(files) for stem, files in here.targets.items()},
        }
        if {key: before.get(key) for key in origin} == _plain(origin):
            return track.name, None
        scores = score(here, settings)
    return track.name, document(scores, settings, origin | {"warnings": scores.warnings})


def _hashes(places: Sequence[audio.Place]) -> list[str | list[Any]]:
    """Return the hash of each file, with its stream if that is not the first."""
    said = ((sha256(path), stream) for path, stream in places)
    return [[digest, stream] if stream else digest for digest, stream in said]


@contextmanager
def _at_hand(track: Track, urls: Mapping[Path, str]) -> Iterator[Track]:
    """Give a track all of whose files are on this machine; errors name URLs."""
    if not urls:
        yield track
        return
    with remote.working_folder() as folder:
        here = {path: folder / str(k) / path.name for k, path in enumerate(urls)}
        with remote.named({here[path]: url for path, url in urls.items()}):
            for path, url in urls.items():
                remote.download(url, here[path])
            sides = (
                {
                    stem: tuple(
                        place._replace(path=here.get(place.path, place.path)) for place in row
                    )
                    for stem, row in side.items()
                }
                for side in (track.estimates, track.targets)
            )
            local = Track(track.name, *sides)
            check_agree(local)
            yield local


def _read(folder: Path, track: str) -> dict[str, Any]:
    """Return what the document of an earlier run was made of, nothing if there is none."""
    path = _place(folder, track)
    try:
        found = json.loads(path.read_text("utf-8")) if path.is_file() else None
    except ValueError:  # Not ours: what we write is whole.
        return {}
    own = found.get("unmask") if isinstance(found, dict) else None
    return own if isinstance(own, dict) else {}


def _plain(value: dict[str, Any]) -> Any:
    """As it comes back from JSON: tuples are lists."""
    return json.loads(json.dumps(value))
