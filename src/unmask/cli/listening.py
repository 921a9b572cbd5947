"""``unmask loudness``: recordings to be compared by ear."""

import math
from collections.abc import Sequence
from pathlib import Path

import click

from unmask.cli import show
from unmask.errors import ConfigError
from unmask.files import make_folder


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
@show.json_option
def loudness(
    sources: Sequence[Path], out: Path, names: Sequence[str], json_file: str | None
) -> None:
    """Write copies that are equally loud, for a fair comparison by ear.

    Louder sounds better: two recordings are compared at one loudness (integrated, ITU-R BS.1770-4),
    here that of the first file, the noisy input. All are turned down alike if a peak would exceed
    full scale. Writes NAME.wav, 24 bits, and loudness.json with the gains.

    \b
    Examples:
      unmask loudness noisy.wav separated/denoise-48k-base/noisy/speech.wav -o ab
      unmask loudness noisy.wav ours.wav theirs.wav -o ab --names noisy,A,B
    """
    import numpy as np

    from unmask import audio
    from unmask.loudness import equal_gains, integrated_loudness

    targets = _targets(sources, out, names)
    recordings = [audio.read(path) for path in sources]
    channels = [waveform.shape[0] for waveform, _ in recordings]
    if len(set(channels)) > 1:  # a loudspeaker each: mono is played by two
        raise ConfigError(f"files have {', '.join(map(str, channels))} channels, expected as many")
    levels = [
        integrated_loudness(*recording, name=str(path))
        for recording, path in zip(recordings, sources, strict=True)
    ]
    peaks = [float(np.abs(waveform).max()) for waveform, _ in recordings]
    gains = equal_gains(levels, peaks)
    common = levels[0] + 20 * math.log10(gains[0])
    make_folder(out)
    for target, gain, (waveform, rate) in zip(targets, gains, recordings, strict=True):
        audio.write(target, gain * waveform.astype(np.float64), rate, subtype="PCM_24")
    rows = [
        {
            "source": str(source),
            "path": str(target),
            "loudness_lufs": level,
            "gain_db": 20 * math.log10(gain),
            "peak": gain * peak,
        }
        for source, target, level, gain, peak in zip(
            sources, targets, levels, gains, peaks, strict=True
        )
    ]
    columns = {"path": "", "loudness_lufs": "LUFS of the file", "gain_db": "gain, dB"}
    columns["peak"] = "peak of the copy"
    show.table(rows, columns, title=f"Copies of {common:.2f} LUFS")
    for file in (str(out / "loudness.json"), json_file):
        show.write_json(file, rows)


def _targets(sources: Sequence[Path], out: Path, names: Sequence[str]) -> list[Path]:
    """Return the files to write; refuse names that cannot be."""
    names = names or [path.stem for path in sources]
    if len(names) != len(sources):
        raise ConfigError(
            f"--names: {len(names)} names, expected {len(sources)}, one for each file"
        )
    if len(set(names)) < len(names) or any(Path(name).name != name for name in names):
        raise ConfigError(
            f"names: {', '.join(names)}, expected file names that differ; give others with --names"
        )
    targets = [out / f"{name}.wav" for name in names]
    inputs = {path.resolve() for path in sources}
    for target in targets:
        if target.resolve() in inputs:
            raise ConfigError(f"{target}: is an input, it would be overwritten; choose --out")
    return targets
