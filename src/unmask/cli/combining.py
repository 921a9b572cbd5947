"""``unmask combine``: stems of two separators made one."""

import math
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unmask.cli import folding, show
from unmask.cli.measuring import stft_options
from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask.combining import Gain, Way
    from unmask.evaluate import Pairing, Pairs


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option(
    "--phase",
    type=(float, float),
    metavar="LOW HIGH",
    help="Magnitude of FIRST with the phase of SECOND between two frequencies in Hz; elsewhere "
    "FIRST.",
)
@click.option("--split", type=float, metavar="HZ", help="FIRST below, SECOND above.")
@click.option(
    "--mean", type=float, metavar="WEIGHT", help="Both, FIRST by this weight: 0.5 is the mean."
)
@stft_options
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="True stems: print the SDR of both and of what comes out, and the gain.",
)
@folding.fold_option
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("combined"))
@show.json_option
@show.quiet_option
def combine(
    first: Path,
    second: Path,
    out: Path,
    reference: Path | None,
    json_file: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Combine the stems of two separators: a phase fix, lows and highs, a mean.

    FIRST and SECOND are folders as `evaluate` reads them; stems that both have are combined and
    written to OUT/STEM.wav, or OUT/TRACK/STEM.wav.

    \b
    Examples:
      unmask combine roformer/song demucs/song --split 4000
      unmask combine uvr/song demucs/song --phase 500 5000 --reference true_stems/song
      unmask combine separated/a separated/b --mean 0.5 -o mean
    """
    from unmask.combining import combine_files
    from unmask.evaluate import Pairing
    from unmask.frontends import STFT

    way = _way(options)
    stft = STFT(options["n_fft"], options["hop"], options["window"])
    how = Pairing(fold=options["fold"], allow_other_stems=True)
    pairs = _paired(first, second, how)
    truth = {} if reference is None else _truth(first, reference, how)
    gains: list[Gain] = []
    with show.progress([Path(track.name) for track in pairs.tracks], quiet=quiet) as advance:
        for track in pairs.tracks:
            paths, found = combine_files(
                track,
                way,
                out if len(pairs.tracks) == 1 else out / track.name,
                stft=stft,
                truth=_its(truth, track.name, only=len(pairs.tracks) == 1),
                progress=partial(advance, Path(track.name)),
            )
            gains += found
            for path in paths:
                show.say(str(path))
    if gains:
        _print(gains)
    show.write_json(json_file, [asdict(row) | {"gain": row.gain} for row in gains])


def _way(options: dict[str, Any]) -> "Way":
    from unmask.combining import Way

    given = [name for name in ("phase", "split", "mean") if options[name] is not None]
    if len(given) != 1:
        raise ConfigError("combine: expected one of --phase, --split, --mean; give one")
    if given == ["phase"]:
        low, high = options["phase"]
        return Way(kind="phase", low_hz=low, high_hz=high)
    if given == ["split"]:
        return Way(kind="split", low_hz=options["split"], high_hz=math.inf)
    return Way(kind="mean", weight=options["mean"])


def _paired(first: Path, second: Path, how: "Pairing") -> "Pairs":
    from unmask.evaluate import pair

    pairs = pair(first, second, how=how)
    folding.say(pairs.folded)
    return pairs


def _truth(first: Path, reference: Path, how: "Pairing") -> dict[str, Any]:
    from unmask.evaluate import pair

    return {track.name: track.targets for track in pair(first, reference, how=how).tracks}


def _its(truth: dict[str, Any], name: str, *, only: bool) -> Any:
    """Return the truth of a track; a folder of stems is that of the only one, however called."""
    return next(iter(truth.values()), None) if only else truth.get(name)


def _print(gains: "list[Gain]") -> None:
    rows = [asdict(row) | {"gain": f"{row.gain:+.2f}"} for row in gains]
    columns = {
        "track": "track",
        "stem": "stem",
        "first": "first",
        "second": "second",
        "combined": "combined",
        "gain": "over the better",
    }
    show.table(rows, columns, title="SDR in dB", n_keys=2)
