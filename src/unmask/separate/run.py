"""Files in, files out: recordings are streamed through a model and appear whole or not at all."""

import platform
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unmask import audio, into_video, workers
from unmask._arrays import Array
from unmask.engine.model import Model
from unmask.engine.settings import Settings
from unmask.engine.stream import Streamer
from unmask.errors import FileError, UnmaskError, WorkerError
from unmask.files import contents, json_text, writing
from unmask.folding import add_up
from unmask.layout import Job, Output, plan
from unmask.run_record import describe, finished
from unmask.separate.elsewhere import at_hand, finished_anywhere
from unmask.separate.inputs import check_input, identity, unchanged
from unmask.separate.placing import check_places, move, staging_in
from unmask.workers import Executor, Processes, tell

#: Called with a file and the share of it that is done.
Progress = Callable[[Path, float], None]

#: What encoding the sound of one video costs, in parts of separating it: for the bar.
_ENCODING_COSTS = 0.1


class _Work(NamedTuple):
    """What is done with every file."""

    model: Model
    output: Output
    settings: Settings


class Result(NamedTuple):
    """What came of a job."""

    job: Job
    outcome: dict[str, Any] | UnmaskError
    """The run record, or the error that a bad file met."""
    reused: bool
    """Whether an earlier run had done it."""


def separate_file(
    path: str | Path,
    model: Model,
    output: Output | None = None,
    settings: Settings | None = None,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Separate one file with constant memory; return its run record, which is written as well.

    Stems have the sample rate, channels and number of samples of the file. They appear together
    when all are complete.

    Parameters
    ----------
    path : path
        WAV, FLAC, OGG, MP3 and relatives; anything else (m4a, mp4, video) needs ``unmask[media]``.
    model : Model
        From :func:`unmask.load_model`.
    output : Output
        Which stems are written, where, and as what.
    settings : Settings
        How masks are used.
    progress : function (path, share)

    Returns
    -------
    dict
        The contents of ``job.json``: input and model with hashes, settings, outputs with the
        samples that were clipped, versions, timings.

    Raises
    ------
    AudioFileError
        If the file cannot be read, is shorter than 10 ms or has more than 8 channels.
    FileError
        If the stems cannot be written.
    SampleRateError
        If its rate is outside 8000 to 192000 Hz.
    ConfigError
        If `output` or `settings` do not fit the model.
    """
    output = output or Output()
    jobs = plan([path], model, output)
    [done] = separate_files(jobs, model, output, settings, progress=progress)
    if isinstance(done.outcome, UnmaskError):
        raise done.outcome
    return done.outcome


def separate_files(
    jobs: Iterable[Job],
    model: Model,
    output: Output,
    settings: Settings | None = None,
    *,
    executor: Executor | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Yield every job with its run record, or with the error that a bad file met, as it is done.

    Nothing half-written is left by what Python can catch; what a killed process leaves is hidden,
    and taken away by the next run that writes to this folder.

    Parameters
    ----------
    jobs : iterable of Job
        From :func:`plan`.
    model : Model
    output : Output
        Where stems go, and what they are.
    settings : Settings
        How masks are used.
    executor : Executor
        What does them, several at a time: :class:`unmask.workers.Processes` of this machine, or a
        :class:`unmask.cluster.Cluster`. By default one after the other, in this process.
    resume : bool
        Do not separate again what is :func:`finished`; what lies on this machine comes first.
    progress : function (path, share)

    Raises
    ------
    ConfigError
        If the model cannot be given the settings, or there are no such processes.
    FileError
        If the folder cannot be written to.
    WorkerError
        If a process of this machine was killed or could not begin, or there is no such cluster.
    """
    executor = executor or Processes()
    work = _Work(model, output, settings or Settings())
    work.settings.check(model)
    left = []
    for job in jobs:
        record = finished(job, *work) if resume and not job.urls else None
        if record is None:
            left.append(job)
            continue
        if progress:
            progress(job.source, 1.0)
        yield Result(job, record, reused=True)
    with staging_in(output.folder) as staging:
        tasks = [(job, staging / str(k)) for k, job in enumerate(left)]
        near = executor.is_here(len(tasks)) or not progress
        attempt = partial(_attempt, work, progress if near else tell, resume)
        for result in executor.map(attempt, tasks, listen=progress, lost=_lost):
            if progress:
                progress(result.job.source, 1.0)
            yield result


def _attempt(
    work: _Work, progress: Progress | None, resume: bool, task: tuple[Job, Path]
) -> Result:
    """Separate one file by way of a hidden folder; what it meets ends no other."""
    job, folder = task
    n_before = workers.attempt()
    folder = folder.with_name(f"{folder.name}-{n_before}")
    try:
        # A process that was killed may have been done with it.
        done = _finished(job, work) if n_before or (resume and job.urls) else None
        if done is not None:
            return Result(job, done, reused=not n_before)
        told = partial(progress, job.source) if progress else None
        with at_hand(job, folder) as (local, place):
            record = _separate(local, work, place, told)
        return Result(job, record, reused=False)
    except UnmaskError as error:
        return Result(job, error, reused=False)
    except (OSError, UnicodeError) as error:
        wrong = FileError(f"{job.name_of(job.source)}: {_reason(error)}")
        return Result(job, wrong, reused=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # room for the next


def _finished(job: Job, work: _Work) -> dict[str, Any] | None:
    return (finished_anywhere if job.urls else finished)(job, *work)


def _lost(task: tuple[Job, Path], error: WorkerError) -> Result:
    """Return what is said of a file over which processes are killed again and again."""
    job, _ = task
    return Result(job, WorkerError(f"{job.name_of(job.source)}: {error}"), reused=False)


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "its name has bytes that are no text in this locale; rename it"
    return f"{error.strerror or error}; check its name, its disk and where it goes"


def _separate(
    job: Job, work: _Work, folder: Path, progress: Callable[[float], None] | None
) -> dict[str, Any]:
    """Write the stems and the record of one file, by way of `folder`."""
    began, busy = time.perf_counter(), time.process_time()
    check_places((*job.targets.values(), job.record))
    before = identity(job.source)
    info = audio.info(job.source)
    if not folder.parent.is_dir():
        raise FileError(
            f"{folder.parents[1]}: is not there on {platform.node()}, a machine of the cluster; "
            "write to a URL, or to a folder that all its machines share"
        )
    n_samples = work.output.n_samples(info)
    check_input(info, n_samples)
    folder.mkdir()
    # Short names: those of the targets may be too long with what is added, or of no encoding.
    named = enumerate(job.targets.items())
    staged = {stem: folder / f"{k}{path.suffix}" for k, (stem, path) in named}
    sounds, share = into_video.sounds(staged), _shares(progress, job, n_samples)
    reports = _write(job, work, info, sounds, share)
    reports = into_video.finish(
        job, staged, reports, lambda n: share(n_samples + _ENCODING_COSTS * n)
    )
    seconds: dict[str, float] = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - busy,
    }
    seconds["times_real_time"] = n_samples / info.sample_rate / seconds["seconds"]
    read = unchanged(job.source, before)
    written = [contents(path) for path in staged.values()]
    record = describe(job, info, read, work, reports, written, seconds)
    file = folder / "job.json"
    with writing(job.record):
        file.write_text(json_text(record, indent=2), encoding="utf-8")
    move({staged[stem]: target for stem, target in job.targets.items()} | {file: job.record})
    return record


def _shares(
    progress: Callable[[float], None] | None, job: Job, n_samples: int
) -> Callable[[float], None]:
    """Return what tells the share of a job that is done, given the samples that are."""
    n_videos = sum(not into_video.is_sound(path) for path in job.targets.values())
    total = n_samples * (1 + _ENCODING_COSTS * n_videos)

    def share(n_done: float) -> None:
        if progress:
            progress(n_done / total)

    return share


def _write(
    job: Job,
    work: _Work,
    info: audio.AudioInfo,
    staged: Mapping[str, Path],
    done: Callable[[float], None],
) -> list[audio.WriteReport]:
    """Write the stems of one file; `done` is told how many samples are."""
    model, output, settings = work
    rows = job.rows
    streamer = _streamer(info, work, residual=any(model.residual in row for row in rows.values()))
    left = () if model.family.sums_to_one else (model.residual,)
    complete = _adds_up(rows, (*model.stems, *left), settings)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(_writer(staged[stem], info, output, name=path))
            for stem, path in job.targets.items()
        ]
        n_done = 0
        for parts in _parts(streamer, job.source, output):
            stems = np.stack(list(add_up(rows, parts).values()))
            if complete:  # what is written adds up to the mixture
                stems = audio.round_together(stems, writers[0].subtype)
            for writer, stem in zip(writers, stems, strict=True):
                writer.write(stem)
            n_done += stems.shape[-1]
            done(n_done)
    return [writer.report for writer in writers]


def _streamer(info: audio.AudioInfo, work: _Work, *, residual: bool) -> Streamer:
    """Return a stream for a file; what it refuses is said of the file."""
    try:
        return Streamer(
            work.model,
            sample_rate=info.sample_rate,
            n_channels=info.n_channels,
            residual=residual,
            settings=work.settings,
        )
    except UnmaskError as error:
        error.add_note(str(info.path))
        raise


def _writer(path: Path, info: audio.AudioInfo, output: Output, *, name: Path) -> audio.Writer:
    """Return the writer of a stem: all that is not told is as in the input."""
    return audio.Writer(
        path,
        info.sample_rate,
        info.n_channels,
        subtype=output.subtype,
        name=name,
        like=info,
        start=round(output.start_s * info.sample_rate),
        n_samples=output.n_samples(info),
    )


def _parts(streamer: Streamer, path: Path, output: Output) -> Iterator[dict[str, Array]]:
    for block in audio.read_blocks(path, start_s=output.start_s, stop_s=output.end_s):
        yield streamer.process(block)
    yield streamer.flush()


def _adds_up(rows: Mapping[str, Sequence[str]], parts: Iterable[str], settings: Settings) -> bool:
    """Tell whether all that is written adds up to the mixture."""
    counts = Counter(part for row in rows.values() for part in row)
    return all(counts[part] == 1 and settings.gain(part) == 1 for part in parts)
