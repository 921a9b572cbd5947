"""Jobs whose files are elsewhere: copied here, done here, and what came of it sent there."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from unmask import remote
from unmask.engine.model import Model
from unmask.engine.settings import Settings
from unmask.errors import ConfigError
from unmask.files import sha256
from unmask.layout import Job, Output, plan
from unmask.run_record import plain


def plan_with_urls(
    paths: Iterable[str | Path], model: Model, output: Output, stand_ins: remote.StandIns
) -> list[Job]:
    """Do as :func:`unmask.layout.plan` does, with files that are elsewhere among `paths`.

    Parameters
    ----------
    paths
        Files and folders, and URLs of such.
    model : Model
        What separates.
    output : Output
        Where stems go; its folder may be a stand-in (:meth:`unmask.remote.StandIns.out`).
    stand_ins : StandIns
        They must be there until the jobs are done.

    Raises
    ------
    AudioFileError, ConfigError
        As `plan`; if a URL leads to nothing, or to what would be written over.
    """
    paths = list(paths)
    jobs = plan(map(stand_ins.source, paths), model, output)
    out, named = stand_ins.url(output.out), [str(path).rstrip("/") for path in paths]
    if out in named:
        raise ConfigError(f"{out}: is an input, and would be the output too; choose another --out")
    searched = out is not None and any(out.startswith(f"{path}/") for path in named)
    made = []
    for job in jobs:
        urls = stand_ins.of((job.source, *job.targets.values(), job.record, output.out))
        is_old = searched and urls.get(job.source, "").startswith(f"{out}/")
        if not is_old:  # stems of an earlier run
            made.append(replace(job, urls=urls))
    inputs = {job.urls.get(job.source) for job in made} - {None}
    for job in made:
        for target in (*job.targets.values(), job.record):
            if (url := job.urls.get(target)) in inputs:
                raise ConfigError(f"{url}: is an input, it would be overwritten; choose --out")
    return made


@contextmanager
def at_hand(job: Job, staging: Path) -> Iterator[tuple[Job, Path]]:
    """Give a job all of whose files are on this machine, and a folder to work in.

    Its source was copied here, and what it wrote is sent where it belongs: first the stems, then
    the record, which is never beside stems of another run.

    Raises
    ------
    AudioFileError, FileError
        If something cannot be copied; errors name URLs.
    """
    if not job.urls:
        yield job, staging
        return
    with remote.working_folder() as folder:
        mine = (job.source, *job.targets.values(), job.record)
        here = {
            path: folder / str(k) / path.name for k, path in enumerate(mine) if path in job.urls
        }
        urls = {here.get(path, path): url for path, url in job.urls.items()}
        local = replace(
            job,
            source=here.get(job.source, job.source),
            targets={stem: here.get(path, path) for stem, path in job.targets.items()},
            record=here.get(job.record, job.record),
            urls=urls,
        )
        with remote.named(urls):
            if local.source in urls:
                local = replace(local, version=remote.download(urls[local.source], local.source))
            yield local, (folder / "work" if local.record in urls else staging)
        if local.record in urls:
            _send(local)


def _send(job: Job) -> None:
    remote.remove(job.urls[job.record])
    for path in (*job.targets.values(), job.record):
        remote.upload(path, job.urls[path])


def finished_anywhere(
    job: Job, model: Model, output: Output, settings: Settings
) -> dict[str, Any] | None:
    """Return the run record of a job that was finished, None if it is to be done.

    As :func:`unmask.run_record.finished`, but what is elsewhere is not copied to be hashed: the
    store says whether the source is the one that was read, and outputs must be as large as then.
    """
    try:
        record: dict[str, Any] = json.loads(_read(job, job.record))
        same = record["settings"] == plain(job, output, settings)
        same = same and record["model"]["sha256"] == model.sha256
        same = same and _is_same(job, job.source, record["input"], "version")
        same = same and {e["stem"] for e in record["outputs"]} == job.targets.keys()
        same = same and all(
            _is_same(job, job.targets[entry["stem"]], entry, "n_bytes")
            for entry in record["outputs"]
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if same else None


def _read(job: Job, path: Path) -> bytes:
    return remote.read_bytes(job.urls[path]) if path in job.urls else path.read_bytes()


def _is_same(job: Job, path: Path, entry: Mapping[str, Any], known: str) -> bool:
    """Tell whether a file is what a record has: by its hash, or by what a store says of it."""
    if path not in job.urls:
        return bool(entry["sha256"] == sha256(path))
    say = remote.version if known == "version" else remote.n_bytes
    return bool(entry[known] == say(job.urls[path]))
