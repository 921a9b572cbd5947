"""``unmask separate`` and ``unmask denoise``: files in, files out."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask.cli import executing, folding, show
from unmask.cli.settings import with_settings
from unmask.engine.settings import Settings
from unmask.errors import AudioFileError, ConfigError, UnmaskError

if TYPE_CHECKING:
    from unmask.engine.model import Model
    from unmask.layout import Job, Output
    from unmask.remote import StandIns
    from unmask.workers import Executor

#: What `separate` takes unless told otherwise.
DEFAULT_SEPARATOR = "music"

_OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.argument(
        "paths", nargs=-1, required=True, type=click.Path(), metavar="FILE_OR_FOLDER..."
    ),
    click.option(
        "-o",
        "--out",
        type=click.Path(),
        default="separated",
        help="Folder for the stems, or the file (clean.wav) if there is one. Files of an earlier "
        "run are replaced unless --resume.",
    ),
    click.option(
        "--filename",
        default="{model}/{track}/{stem}.{ext}",
        help="Names in that folder. The run record is the stem 'job' with ext 'json'.",
    ),
    click.option(
        "-f",
        "--format",
        type=click.Choice(["wav", "flac", "ogg", "mp3"]),
        help="Default: the input's, or wav if that loses sound (mp3, ogg, video).",
    ),
    click.option(
        "--subtype",
        metavar="NAME",
        help="PCM_16, PCM_24, FLOAT, ... Default: the input's, or the nearest there is.",
    ),
    click.option(
        "--into-video",
        "is_video",
        is_flag=True,
        help="Write videos: the picture of the input, copied, with the stem as its sound.",
    ),
    click.option(
        "--stems",
        callback=show.split,
        metavar="NAMES",
        help="Write only these, as vocals,drums. Default: all that the model has.",
    ),
    click.option(
        "--two-stems",
        metavar="STEM",
        help="Write only this stem, and everything else as no_STEM.",
    ),
    click.option(
        "--residual/--no-residual",
        default=None,
        help="Whether what the stems leave is written. Default: if it is a source, as 'other'.",
    ),
    with_settings,
    click.option(
        "--start",
        "start_s",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="Separate only what follows, as if it were a file of its own.",
    ),
    click.option(
        "--end", "end_s", type=float, metavar="SECONDS", help="Separate only what comes before."
    ),
    click.option(
        "--reference",
        type=click.Path(exists=True, file_okay=False),
        metavar="FOLDER",
        help="True stems (STEM.wav, or TRACK/STEM.wav): print scores beside the best possible.",
    ),
    folding.fold_option,
    click.option(
        "--resume",
        is_flag=True,
        help="Skip files that an earlier run with this model and these settings has finished.",
    ),
    click.option(
        "-j",
        "--jobs",
        type=click.IntRange(1),
        help="Files at a time on this machine.  [default: 1]",
    ),
    executing.cluster_option,
    click.option("--threads", type=click.IntRange(1), default=1, help="Threads of the network."),
    show.provider_option,
    show.json_option,
    show.quiet_option,
)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.option(
    "-m", "--model", default=DEFAULT_SEPARATOR, help="Bundled name, .onnx file or hf:// address."
)
@click.option(
    "--remix", is_flag=True, help="Write one file instead: all stems, added up with their gains."
)
@_with_options
def separate(**options: Any) -> None:
    """Separate recordings into stems: a song into vocals, drums, bass and other.

    Takes WAV, FLAC, OGG, MP3 and relatives, and with the extra unmask[media] M4A and the sound of
    video. Folders are searched with everything below them and keep their structure; links to
    folders are not followed. Of a folder of stems (MUSDB18) the mixture is taken, called as its
    folder. Sample rate, channels, number of samples and sample format stay as they are. Prints the
    files that were written.

    \b
    Examples:
      unmask separate song.mp3
      unmask separate album/ -o stems -j 2 --two-stems vocals --resume
      unmask separate song.wav --stems vocals,drums --filename "{track}_{stem}.{ext}"
      unmask separate song.wav --remix --gain vocals=-6 --gain drums=3
      unmask separate -m MODEL.onnx song.flac --reference true_stems
      unmask separate s3://bucket/album -o s3://bucket/stems --cluster 10.0.0.1:6379 --resume
    """
    _run(**options)


@click.command()
@click.option(
    "-m", "--model", default=show.DENOISER, help="Bundled name, .onnx file or hf:// address."
)
@_with_options
def denoise(**options: Any) -> None:
    """Take the noise out of recordings of speech.

    The same as `separate` with a denoiser: writes the clean speech, and with --residual the noise.

    \b
    Examples:
      unmask denoise interview.wav
      unmask denoise takes/ -o clean --residual
      unmask denoise interview.wav --limit-db 12 --start 60 --end 90.5
      unmask denoise talk.mp4 --into-video -o clean.mp4
      unmask denoise noisy.wav --reference folder_with_speech_and_noise
    """
    _run(**options)


def _run(
    paths: Sequence[str],
    model: str,
    jobs: int | None,
    cluster: str | None,
    threads: int,
    providers: tuple[str, ...],
    reference: str | None,
    fold: dict[str, str],
    resume: bool,
    json_file: str | None,
    quiet: bool,
    settings: Settings,
    is_video: bool,
    **options: Any,
) -> None:
    from unmask.engine.model import load_model

    executor = executing.executor(jobs or 1, cluster, threads=threads, jobs_asked=jobs)
    executing.check_urls((*paths, options["out"]), reference=reference, is_video=is_video)
    with executing.stand_ins() as stand_ins:
        options["out"] = options["out"] and str(stand_ins.out(options["out"]))
        output = _output(options, reference, fold, is_video=is_video)
        loaded = load_model(model, threads=threads, providers=providers)
        video = options["out"] if is_video else None
        planned, n_failed = _planned(paths, loaded, output, video, stand_ins)
        if not quiet:
            say_licence(loaded)
        work = (loaded, output, settings)
        done = _separate_all(planned, *work, executor=executor, resume=resume, quiet=quiet)
    n_failed += len(planned) - len(done)
    for job, record in done:
        try:
            record["reference"] = _scored(job, loaded, reference, fold) if reference else []
        except UnmaskError as error:
            n_failed += 1
            show.error(error)
    show.write_json(json_file, [record for _, record in done])
    if n_failed:
        click.get_current_context().exit(1)


def _output(
    options: dict[str, Any], reference: str | None, fold: dict[str, str], *, is_video: bool
) -> "Output":
    """Return what is written; refuse options that do not go together."""
    from unmask import into_video
    from unmask.layout import Output

    if not options["out"] or reference == "":
        raise ConfigError("-o, --reference: '' is no folder; is a variable of the shell not set?")
    if fold and not reference:
        raise ConfigError("--fold: says what --reference adds up; give it, or leave both out")
    if reference and is_video:
        raise ConfigError("--reference: scores sound files; leave out --into-video")
    chosen = into_video.asked(options) if is_video else options
    stems = tuple(chosen["stems"]) or None
    output = Output(**chosen | {"out": Path(chosen["out"]), "stems": stems})
    if reference and (output.remix or output.start_s or output.end_s is not None):
        raise ConfigError("--reference: scores whole stems; leave out --remix, --start and --end")
    return output


def _planned(
    paths: Sequence[str],
    model: "Model",
    output: "Output",
    video: str | None,
    stand_ins: "StandIns",
) -> tuple[list["Job"], int]:
    """Return what is to be done, and how many files cannot be; each of those gets a line."""
    from unmask import into_video
    from unmask.layout import linked_folders
    from unmask.separate import plan_with_urls

    planned = plan_with_urls(paths, model, output, stand_ins)
    refused: list[AudioFileError] = []
    if video is not None:
        planned, refused = into_video.as_videos(planned, video)
    for error in refused:
        show.error(error)
    for folder in (link for path in paths for link in linked_folders(path)):
        show.note(f"{folder}: is a link to a folder, left out; name it to separate what is in it")
    return planned, len(refused)


def say_licence(model: "Model") -> None:
    """Say on standard error what a licence keeps users from; nobody has to answer.

    Users of other separators do not ask for less use of such weights, but to be told in time.
    """
    from unmask.engine.licence import forbids_commerce, short

    licence = model.metadata.get("licence")
    if forbids_commerce(licence):
        show.note(f"model {model.name} is not for commercial use ({short(licence)})")


def _separate_all(
    planned: Sequence["Job"],
    model: "Model",
    output: "Output",
    settings: Settings,
    *,
    executor: "Executor",
    resume: bool,
    quiet: bool,
) -> list[tuple["Job", dict[str, Any]]]:
    """Return what was done; every file that failed gets a line on standard error."""
    from unmask.separate import separate_files

    done, n_reused, n_failed = [], 0, 0
    with show.progress([job.source for job in planned], quiet=quiet) as progress:
        for job, outcome, reused in separate_files(
            planned, model, output, settings, executor=executor, resume=resume, progress=progress
        ):
            n_reused += reused
            if isinstance(outcome, UnmaskError):
                n_failed += 1
                show.error(outcome)
            else:
                done.append((job, outcome))
                _report(outcome)
    if n_reused and not quiet:
        show.note(f"{n_reused} of {len(planned)} files were done already")
    if len(planned) > 1 and not quiet and sys.stderr.isatty():  # as the bar
        show.note(f"{len(done)} of {len(planned)} files done, {n_failed} failed")
    return done


def _report(record: dict[str, Any]) -> None:
    """Print the files that were written; say what was odd about the input, clipped or lost."""
    if remarks := record["input"].get("remarks"):
        show.say(f"unmask: warning: {record['input']['path']}: {remarks}", err=True)
    for written in record["outputs"]:
        show.say(written["path"])
        if written.get("lost"):
            lost = ", ".join(written["lost"])
            show.say(f"unmask: warning: {written['path']}: cannot hold {lost}", err=True)
        if written["clipped"]:
            show.say(
                f"unmask: warning: {written['path']}: {written['clipped']} samples beyond full "
                f"scale were clipped, the peak was {written['peak']:.3f}; "
                "write them with --format wav --subtype FLOAT",
                err=True,
            )


def _scored(job: "Job", model: "Model", folder: str, fold: dict[str, str]) -> list[dict[str, Any]]:
    """Print and return the scores against true stems."""
    from unmask.reference import compared, score

    scores = [asdict(row) for row in score(job, model, folder, fold=fold)]
    folding.say(compared(job, model, folder, fold).remarks())
    columns = {
        "stem": "stem",
        "mixture": "mixture",
        "estimate": model.name,
        "improvement": "improvement",
        "oracle": f"oracle {model.family.name}",
    }
    metric = "SI-SDR" if model.task == "denoise" else "SDR"  # as each field has it
    rows = [row for row in scores if row["metric"] == metric]
    known = [row for row in rows if not row["missing"]]
    show.table(known, columns, title=f"{job.track}: {metric} in dB")
    for row in rows:
        if row["missing"]:
            show.say(f"{folder}: has no stem {row['stem']}, it is not scored", err=True)
    return scores
