"""``unmask masks``: the families there are, and masks as files."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from unmask.cli import show
from unmask.cli.measuring import stft_options
from unmask.errors import ConfigError


@click.group(invoke_without_command=True)
@show.json_option
@click.pass_context
def masks(context: click.Context, json_file: str | None) -> None:
    """List the mask families; save masks to files, look at them, apply them.

    \b
    Examples:
      unmask masks
      unmask masks save song.mp3 -m music
      unmask masks inspect song.npz
      unmask masks apply song.npz song.mp3 -o masked
    """
    if context.invoked_subcommand is None:
        _list(json_file)
    elif json_file is not None:
        raise ConfigError("--json: belongs after the command, as `unmask masks list --json FILE`")


@masks.command("list")
@show.json_option
def list_(json_file: str | None) -> None:
    """List the mask families: range, kind, maps that a network puts out, settings, source.

    \b
    Example:
      unmask masks list --json masks.json
    """
    _list(json_file)


def _list(json_file: str | None) -> None:
    from unmask.masks import FAMILIES

    said = [family.describe() for family in FAMILIES.values()]
    columns = {
        "name": "name",
        "values": "values",
        "complex": "complex",
        "sums_to_one": "sums to one",
        "n_maps": "maps",
        "paper": "source",
    }
    rows = [{key: _yes(row[key]) for key in columns} for row in said]
    title = f"{len(rows)} families, from the most restricted; and hybrid:LOW:HZ:HIGH of any two"
    show.table(rows, columns, title=title, prose=("values", "paper"))
    show.write_json(json_file, said)


def _yes(value: Any) -> Any:
    return ("yes" if value else "") if isinstance(value, bool) else value


@masks.command()
@click.argument("mixture", type=click.Path(path_type=Path))
@click.option("-m", "--model", metavar="NAME", help="Save what this model uses: name or .onnx.")
@click.option(
    "--of",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Save the best masks for these stems (STEM.wav): true ones, or any separator's.",
)
@click.option(
    "--family", default="complex", help="With --of: family of masks; complex is S/X as it is."
)
@stft_options
@click.option(
    "--residual/--no-residual",
    default=None,
    help="Whether what the masks leave is written as well when they are applied. "
    "Default: if the model has it as a source.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Default: TRACK.npz, in this folder."
)
@click.option("--threads", type=click.IntRange(1), default=1, help="Threads of the network.")
@show.json_option
@show.quiet_option
def save(mixture: Path, out: Path | None, json_file: str | None, **options: Any) -> None:
    """Save the masks of a recording: a model's, or S/X of any stems.

    The file is an .npz of NumPy: masks (source, channel, freq, frame) and a header. It is not
    compressed; four minutes of stereo with four complex stems are 1.4 GB. With --of, the transform
    is that of --n-fft, --hop and --window; a model has its own.

    \b
    Examples:
      unmask masks save song.mp3 -m music
      unmask masks save song.wav --of separated/htdemucs/song -o song_demucs.npz
      unmask masks save mixture.wav --of true_stems --family irm1 --n-fft 4096 --hop 1024
    """
    if (options["model"] is None) == (options["folder"] is None):
        raise ConfigError("masks save: expected either --model NAME or --of FOLDER; give one")
    path = Path(f"{mixture.stem}.npz") if out is None else out
    make = _of_model if options["model"] else _of_stems
    with show.progress([mixture], quiet=options["quiet"]) as advance:
        header = make(mixture, path, lambda share: advance(mixture, share), options)
    show.say(str(path))
    show.write_json(json_file, {"path": path, "shape": header.shape, **asdict(header)})


def _of_model(mixture: Path, path: Path, progress: Any, options: dict[str, Any]) -> Any:
    from unmask.engine.model import load_model
    from unmask.mask_files import save_used

    loaded = load_model(options["model"], threads=options["threads"])
    residual = options["residual"]
    return save_used(loaded, mixture, path, residual=residual, progress=progress)


def _of_stems(mixture: Path, path: Path, progress: Any, options: dict[str, Any]) -> Any:
    from unmask.frontends import STFT
    from unmask.mask_files import save_ideal
    from unmask.stems import find_stems

    return save_ideal(
        find_stems(options["folder"]),
        mixture,
        path,
        family=options["family"],
        stft=STFT(options["n_fft"], options["hop"], options["window"]),
        residual=bool(options["residual"]),
        progress=progress,
    )


@masks.command()
@click.argument("masks_file", type=click.Path(path_type=Path), metavar="MASKS.npz")
@click.argument("mixture", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("masked"),
    help="Folder for STEM.wav.",
)
@click.option(
    "-f", "--format", "kind", type=click.Choice(["wav", "flac"]), default="wav", help="Of files."
)
@click.option("--subtype", metavar="NAME", help="PCM_16, PCM_24, FLOAT, ... Default: the input's.")
@show.json_option
@show.quiet_option
def apply(
    masks_file: Path,
    mixture: Path,
    out: Path,
    kind: str,
    subtype: str | None,
    json_file: str | None,
    quiet: bool,
) -> None:
    """Apply saved masks to the recording that they are for; write one file a stem.

    \b
    Examples:
      unmask masks apply song.npz song.mp3
      unmask masks apply edited.npz song.wav -o edited --subtype FLOAT
    """
    from unmask.mask_files import apply_to_file, load

    saved = load(masks_file, mapped=True)
    with show.progress([mixture], quiet=quiet) as advance:
        reports = apply_to_file(
            saved,
            mixture,
            out,
            subtype=subtype,
            suffix=f".{kind}",
            progress=lambda share: advance(mixture, share),
        )
    for report in reports:
        show.say(str(report.path))
        if report.clipped:
            show.warn(
                f"{report.path}: {report.clipped} samples beyond full scale were clipped, the peak "
                f"was {report.peak:.3f}; write them with --subtype FLOAT"
            )
    show.write_json(json_file, [asdict(report) for report in reports])


@masks.command()
@click.argument("masks_file", type=click.Path(path_type=Path), metavar="MASKS.npz")
@show.json_option
def inspect(masks_file: Path, json_file: str | None) -> None:
    """Say what is in a file of masks: which bins, which family, how open each stem's are.

    \b
    Examples:
      unmask masks inspect song.npz
      unmask masks inspect song.npz --json -
    """
    from unmask.mask_files import load, summary

    saved = load(masks_file, mapped=True)
    header, rows = saved.header, [asdict(row) for row in summary(saved)]
    shares = ("closed", "above_one", "turned", "outside")
    shown = [row | {key: f"{100 * row[key]:.2f} %" for key in shares} for row in rows]
    columns = {
        "stem": "stem",
        "least": "least",
        "mean": "mean",
        "greatest": "greatest",
        "closed": "is 0",
        "above_one": "above 1",
        "turned": "turns phase",
        "outside": "out of range",
    }
    title = (
        f"{masks_file}: {saved.masks.dtype} masks of {header.family}, "
        f"{header.made_by or 'not said whose'}; {header.stft}, {header.sample_rate} Hz, "
        f"{header.n_channels} channels, {header.n_samples} samples; magnitudes"
    )
    show.table(shown, columns, title=title)
    show.write_json(json_file, {"path": masks_file, **asdict(header), "summary": rows})
