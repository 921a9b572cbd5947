"""``unmask loudness``: recordings to be compared by ear."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from unmask.cli import show


@click.command()
@click.argument(
    "sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Where the copies go. Files of an earlier run are replaced.",
)
@click.option(
    "--names",
    callback=show.split,
    metavar="A,B,...",
    help="What the copies are called.  [default: as the files]",
)
@click.option(
    "--target-lufs",
    type=float,
    metavar="LUFS",
    help="How loud they are to be, as -16.  [default: as the first file]",
)
@show.json_option
def loudness(
    sources: Sequence[Path],
    out: Path,
    names: Sequence[str],
    target_lufs: float | None,
    json_file: str | None,
) -> None:
    """Write copies that are equally loud, for a fair comparison by ear.

    Louder sounds better: two recordings are compared at one loudness (integrated, ITU-R BS.1770-4),
    here that of the first file, the noisy input, or --target-lufs. All are turned down alike if a
    peak would exceed full scale. Writes NAME.wav, 24 bits, and loudness.json with the gains.

    \b
    Examples:
      unmask loudness noisy.wav separated/denoise-48k-base/noisy/speech.wav -o ab
      unmask loudness noisy.wav ours.wav theirs.wav -o ab --names noisy,A,B
      unmask loudness episode.wav -o out --target-lufs -16
    """
    from unmask.loudness import write_equally_loud

    copies = write_equally_loud(sources, out, names=names, target_lufs=target_lufs)
    rows = [asdict(copy) | {"source": str(copy.source), "path": str(copy.path)} for copy in copies]
    columns = {"path": "", "loudness_lufs": "LUFS of the file", "gain_db": "gain, dB"}
    columns["peak"] = "peak of the copy"
    common = copies[0].loudness_lufs + copies[0].gain_db
    show.table(rows, columns, title=f"Copies of {common:.2f} LUFS")
    if target_lufs is not None and common < target_lufs - 0.005:
        show.warn(
            f"the copies are {common:.2f} LUFS, not {target_lufs:g}: louder, a peak would exceed "
            "full scale"
        )
    for file in (str(out / "loudness.json"), json_file):
        show.write_json(file, rows)
