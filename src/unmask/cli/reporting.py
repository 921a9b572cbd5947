"""``unmask report``: a page to listen to, in one file."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from unmask.cli import folding, show
from unmask.cli.separating import DEFAULT_SEPARATOR, say_licence
from unmask.errors import ConfigError, FileError, UnmaskError

if TYPE_CHECKING:
    from unmask.engine.model import Model
    from unmask.report import Excerpt, Packed, Recording


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="RECORDING...")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The page.  [default: RECORDING.report.html, of several report.html]",
)
@click.option(
    "-m",
    "--model",
    help=f"Bundled name, .onnx file or hf:// address.  [default: {DEFAULT_SEPARATOR}]",
)
@click.option(
    "--estimates",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Instead of a model: stems that any separator wrote (STEM.wav, or RECORDING/STEM.wav).",
)
@click.option(
    "--reference",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="True stems (STEM.wav, or RECORDING/STEM.wav): target, oracle, error, scores, gap report.",
)
@folding.fold_option
@click.option(
    "--mask",
    metavar="FAMILY",
    help="Of the oracle.  [default: the model's; psm_unit beside --estimates]",
)
@click.option(
    "--seconds", default=30.0, help="Length of the stretch; the loudest, unless --start says where."
)
@click.option("--start", "start_s", type=float, metavar="SECONDS", help="Where it begins.")
@click.option(
    "-f",
    "--format",
    "kind",
    type=click.Choice(["flac", "ogg"]),
    default="flac",
    help="Of the sounds: exact to 16 bits, or Ogg Vorbis, about a third as large.",
)
@click.option("--threads", type=click.IntRange(1), default=1, help="Threads of the network.")
@show.json_option
@show.quiet_option
def report(
    paths: Sequence[str],
    out: Path | None,
    model: str | None,
    estimates: Path | None,
    threads: int,
    json_file: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Make a page that plays what was separated, beside mixture, target, oracle and error.

    One file that opens from disk and asks nothing of any network. Versions switch without a gap,
    equally loud, by the keys 1 to 9; with waveforms, spectrograms, masks, scores, and where the
    decibels are lost. All of it is of one stretch, separated as in the whole recording. For speech
    give a denoiser with -m.

    \b
    Examples:
      unmask report song.mp3
      unmask report assets/music/mixture.flac --reference assets/music --mask irm1
      unmask report -m denoise-48k-base noisy.wav --reference folder_with_speech_and_noise
      unmask report album/ --estimates separated/htdemucs --seconds 15 -f ogg -o album.html
    """
    from unmask.engine.model import load_model
    from unmask.report import write

    if model and estimates:
        raise ConfigError("-m, --estimates: two separators; leave out one")
    if options["fold"] and not options["reference"]:
        raise ConfigError("--fold: says what --reference adds up; give it, or leave both out")
    loaded = None if estimates else load_model(model or DEFAULT_SEPARATOR, threads=threads)
    found = _recordings(paths, loaded)
    file = _place(out, found)
    if loaded and not quiet:
        say_licence(loaded)
    work = _Work(loaded, estimates, **options)
    packed, said = _pack_all(found, work, quiet=quiet)
    if packed:
        write(file, packed, title=packed[0].said["name"] if len(found) == 1 else file.stem)
        show.say(str(file))
    show.write_json(json_file, said)
    if len(packed) < len(found):
        click.get_current_context().exit(1)


class _Work(NamedTuple):
    """What is done with every recording."""

    model: "Model | None"
    estimates: Path | None
    reference: Path | None
    fold: dict[str, str]
    mask: str | None
    seconds: float
    start_s: float | None
    kind: str

    def excerpt(self, path: Path, track: str) -> "Excerpt":
        """Return what was made of a recording."""
        from unmask.report import by_files, by_model, loudest

        span_s = loudest(path, self.seconds)
        if self.start_s is not None:
            span_s = self.start_s, self.seconds
        make = partial(by_files, path, self.estimates or Path())
        if self.model is not None:
            make = partial(by_model, path, self.model)
        return make(span_s, track=track, folder=self.reference, mask=self.mask)


class _Anybody:
    """A separator of which only the results are known, for the search of recordings."""

    name = "report"
    stems: tuple[str, ...] = ("stem",)
    residual = "residual"
    residual_is_source = False


def _recordings(paths: Sequence[str], model: "Model | None") -> list[tuple[Path, str]]:
    """Return the files that are meant, and what they are called."""
    from unmask.layout import Output, plan

    return [(job.source, job.track) for job in plan(paths, model or _Anybody(), Output())]


def _place(out: Path | None, found: Sequence[tuple[Path, str]]) -> Path:
    """Return the file of the page, if it can be written: before any work."""
    name = f"{Path(found[0][1]).name}.report.html" if len(found) == 1 else "report.html"
    file = out or Path(name)
    if any(file.resolve() == source.resolve() for source, _ in found):
        raise ConfigError(f"{file}: is an input, it would be overwritten; choose --out")
    if not file.parent.is_dir():
        raise FileError(f"{file}: folder {file.parent} does not exist; make it")
    return file


def _pack_all(
    found: Sequence[tuple[Path, str]], work: _Work, *, quiet: bool
) -> "tuple[list[Packed], list[dict[str, Any]]]":
    """Return the recordings as they travel, and what is said of them; a bad one gets a line."""
    from unmask.report import contents, pack

    packed: list[Packed] = []
    said = []
    with show.progress([path for path, _ in found], quiet=quiet) as progress:
        for path, track in found:
            progress(path, 0.0)
            try:
                recording = contents(work.excerpt(path, track), work.fold)
                packed.append(pack(recording, f"r{len(packed)}", kind=work.kind))
                said.append(_described(path, recording))
            except UnmaskError as error:
                show.error(error)
            progress(path, 1.0)
    return packed, said


def _described(path: Path, recording: "Recording") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "path": path,
        "name": recording.name,
        "sample_rate": recording.sample_rate,
        "start_s": recording.start_s,
        "duration_s": recording.mixture.shape[-1] / recording.sample_rate,
        "scores": {stem.name: stem.scores for stem in recording.stems},
        "gap": [asdict(cell) for cell in recording.gap],
    }
