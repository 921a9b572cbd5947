"""What masks could do, and what a model does with them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import click

from unmask.cli import folding, show
from unmask.errors import ConfigError
from unmask.files import make_folder

if TYPE_CHECKING:
    from unmask.gap import Breakdown, Cell
    from unmask.mixtures import Sources
    from unmask.oracle import Bound, Masked

    #: Track, whose estimates, family, scores.
    _Gap = tuple[str, str, str, Sequence[Cell]]


def stft_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a transform."""
    for option in (
        click.option("--window", default="hann", help="Window of the STFT."),
        click.option("--hop", default=512, help="Step between frames in samples."),
        click.option("--n-fft", default=2048, help="Length of a frame in samples."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("folder", type=click.Path(), metavar="FOLDER_OF_STEMS")
@click.option(
    "-m",
    "--mask",
    "families",
    multiple=True,
    metavar="NAME",
    help="Mask family, may be repeated; hybrid:LOW:HZ:HIGH for two in one. "
    "[default: all families and the multichannel Wiener filter]",
)
@stft_options
@click.option("-o", "--out", type=click.Path(), help="Also write the audio: MASK/STEM.wav.")
@show.json_option
@show.quiet_option
def oracle(
    folder: str,
    families: Sequence[str],
    n_fft: int,
    hop: int,
    window: str,
    out: str | None,
    json_file: str | None,
    quiet: bool,
) -> None:
    """Show how good any mask of every family could be, on the true stems of a song.

    The mixture is the sum of the stems. Scores are SDR of the whole song and, in brackets, SI-SDR,
    both in dB over all channels; the best bound comes last.

    \b
    Examples:
      unmask oracle assets/music
      unmask oracle song/ -m irm1 -m complex_tanh -m hybrid:complex_tanh:6000:irm1
      unmask oracle song/ --n-fft 4096 --hop 1024 --out bounds --json bounds.json
    """
    from unmask.frontends import STFT
    from unmask.masks import names
    from unmask.mixtures import Sources
    from unmask.oracle import bounds, masked, song_disjointness
    from unmask.stems import find_stems

    stft = STFT(n_fft, hop, window)
    sources = Sources(find_stems(folder))
    sample_rate = sources.sample_rate
    chosen = list(dict.fromkeys(["mixture", *(families or [*names(), "multichannel_wiener"])]))
    pieces = masked(sources, chosen, stft)
    n_pieces = sum(1 for _ in stft.pieces(sources.n_samples))
    with show.steps(n_pieces, quiet=quiet) as advance, ExitStack() as files:
        pieces = _counted(pieces, advance)
        if out is not None:
            pieces = _written(pieces, sources, chosen, Path(out), files)
        rows = bounds(sources, chosen, stft, pieces=pieces)
    title = f"{folder}: {stft}, {sample_rate} Hz, SDR (SI-SDR) in dB"
    _print_bounds(rows, sources.names, title)
    wdo = song_disjointness(sources, stft)
    values = ", ".join(f"{stem} {value:.2f}" for stem, value in wdo.items())
    show.paragraph(f"W-disjoint orthogonality (1: binary masks suffice): {values}")
    show.write_json(
        json_file,
        {
            "folder": folder,
            "sample_rate": sample_rate,
            "stft": asdict(stft),
            "bounds": [asdict(row) for row in rows],
            "w_disjoint_orthogonality": wdo,
        },
    )


def _counted(pieces: "Iterable[Masked]", advance: Callable[[str], None]) -> "Iterator[Masked]":
    """Pass pieces on, one step of progress whenever the mixture's comes, which is the first."""
    for piece in pieces:
        if piece.mask == "mixture":
            advance("")
        yield piece


def _written(
    pieces: "Iterable[Masked]",
    sources: "Sources",
    names: Sequence[str],
    out: Path,
    files: ExitStack,
) -> "Iterator[Masked]":
    """Pass pieces on and write them to ``MASK/STEM.wav``, which are whole when `files` closes."""
    from unmask import audio

    writers: dict[str, list[audio.Writer]] = {}
    for name in names:
        folder = make_folder(out / name.replace(":", "_"))
        writers[name] = [
            files.enter_context(
                audio.Writer(
                    folder / f"{stem}.wav",
                    sources.sample_rate,
                    sources.n_channels,
                    subtype="FLOAT",
                )
            )
            for stem in sources.names
        ]
    for piece in pieces:
        for writer, estimate in zip(writers[piece.mask], piece.estimates, strict=True):
            writer.write(estimate)
        yield piece


def _print_bounds(rows: "Sequence[Bound]", stems: Sequence[str], title: str) -> None:
    families = list(dict.fromkeys(row.mask for row in rows))
    cells = {(row.mask, row.stem): f"{row.sdr:.2f} ({row.si_sdr:.2f})" for row in rows}
    means = {name: fmean(row.sdr for row in rows if row.mask == name) for name in families}
    families.sort(key=lambda name: (name != "mixture", means[name]))
    show.table(
        [
            {"mask": name, "mean": means[name], **{stem: cells[name, stem] for stem in stems}}
            for name in families
        ],
        {"mask": "mask", **dict(zip(stems, stems, strict=True)), "mean": "mean SDR"},
        title=title,
    )


@click.command()
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(), metavar="[ESTIMATES] TARGETS"
)
@click.option(
    "-m",
    "--model",
    help="Bundled name, .onnx file or hf:// address. With ESTIMATES: whose transform and family "
    "they have.",
)
@click.option(
    "--family", default="complex", help="With ESTIMATES and no model: family of their masks."
)
@stft_options
@click.option("--octaves/--no-octaves", default=True, help="Also per octave band.")
@folding.fold_option
@click.option("--threads", type=click.IntRange(1), default=1, help="Threads of the network.")
@show.json_option
@show.quiet_option
def gap(folders: Sequence[str], json_file: str | None, **options: Any) -> None:
    """Show where decibels go: to magnitude, to phase, to the family of masks.

    Of a model (-m MODEL), or of what any separator wrote (ESTIMATES; what is read is in
    `evaluate --help`). The mixture is the sum of the stems in TARGETS. Prints SDR in dB of the
    whole band for the mixture, the model, the model with true magnitude or true phase, and the
    oracles; then the losses per octave.

    \b
    Examples:
      unmask gap -m denoise-16k assets/demo
      unmask gap -m MODEL.onnx song/ --json gap.json
      unmask gap separated/htdemucs/song true_stems/song
      unmask gap uvr_output/ musdb/test --family irm1 --n-fft 4096 --hop 1024
    """
    if len(folders) > 2 or (len(folders) == 1 and options["model"] is None):
        raise ConfigError("gap: expected -m MODEL TARGETS, or ESTIMATES TARGETS; give one of both")
    if len(folders) == 2:
        reports = _gaps_of_files(folders[0], folders[1], options)
    else:
        reports = _gap_of_model(folders[0], options)
    said = [_said(*report) for report in reports]
    show.write_json(json_file, said[0] if len(folders) == 1 else said)


def _said(name: str, called: str, family: str, scores: "Sequence[Cell]") -> dict[str, Any]:
    """Print a report; return it as plain data."""
    from unmask.gap import breakdown

    lost = breakdown(scores)
    _print_cases(scores, f"{name}: {called}, mask {family}, SDR in dB")
    _print_losses(lost, round(2 * max(score.high_hz for score in scores)))
    return {
        "folder": name,
        "model": called,
        "mask": family,
        "scores": [asdict(score) for score in scores],
        "losses": [
            {"stem": stem, "low_hz": low, "high_hz": high, **loss._asdict()}
            for (stem, low, high), loss in lost.items()
        ],
    }


def _gap_of_model(folder: str, options: dict[str, Any]) -> "Iterator[_Gap]":
    from unmask.engine.model import load_model
    from unmask.folding import match_model
    from unmask.gap import gap as report
    from unmask.stems import find_stems

    loaded = load_model(options["model"], threads=options["threads"])
    stems, fold = find_stems(folder), options["fold"]
    folding.say(match_model(loaded, stems, asked=fold).remarks())
    scores = list(report(loaded, stems, octaves=options["octaves"], fold=fold))
    yield folder, loaded.name, loaded.family.name, scores


def _gaps_of_files(estimates: str, targets: str, options: dict[str, Any]) -> "Iterator[_Gap]":
    from unmask import audio
    from unmask.engine.model import load_model
    from unmask.evaluate import Pairing, pair
    from unmask.frontends import STFT
    from unmask.gap import gap_of_files

    stft: STFT = STFT(options["n_fft"], options["hop"], options["window"])
    family: Any = options["family"]
    model = load_model(options["model"]) if options["model"] else None
    pairs = pair(estimates, targets, how=Pairing(fold=options["fold"], allow_other_stems=True))
    folding.say(pairs.folded)
    called = [Path(track.name) for track in pairs.tracks]
    with show.progress(called, quiet=options["quiet"]) as advance:
        for track, path in zip(pairs.tracks, called, strict=True):
            if model is not None:
                rate = audio.info(next(iter(track.targets.values()))[0]).sample_rate
                stft, family = model.stft_at(rate), model.family_at(rate)
            told = partial(advance, path)
            scores = list(
                gap_of_files(
                    track, stft=stft, family=family, octaves=options["octaves"], progress=told
                )
            )
            name = family if isinstance(family, str) else family.name
            yield track.name, estimates, name, scores


def _print_cases(scores: "Sequence[Cell]", title: str) -> None:
    whole = max(score.high_hz - score.low_hz for score in scores)
    rows: dict[str, dict[str, Any]] = {}
    for score in scores:
        if score.high_hz - score.low_hz == whole:
            rows.setdefault(score.case, {"case": score.case})[score.stem] = score.sdr
    stems = list(dict.fromkeys(score.stem for score in scores))
    columns = {"case": "", **dict(zip(stems, stems, strict=True))}
    show.table(list(rows.values()), columns, title=title)


def _print_losses(lost: "Mapping[tuple[str, float, float], Breakdown]", sample_rate: int) -> None:
    rows = [
        {
            "stem": stem,
            "band": "all" if high - low == sample_rate / 2 else f"{low:g}-{high:g} Hz",
            **loss._asdict(),
            "share": f"{100 * loss.share:.0f} %" if loss.share == loss.share else "",
        }
        for (stem, low, high), loss in lost.items()
    ]
    columns = {
        "stem": "stem",
        "band": "band",
        "gained": "gained",
        "share": "of the way",
        "to_magnitude": "lost to magnitude",
        "to_phase": "lost to phase",
        "to_family": "to family's best",
        "beyond": "beyond it",
    }
    show.table(rows, columns, title="Where the decibels are", n_keys=2)
