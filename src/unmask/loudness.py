"""How loud recordings are (ITU-R BS.1770-4), and the gains that make them equally loud."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from unmask import audio
from unmask._arrays import Array
from unmask.errors import ConfigError, MissingExtraError, ShapeError, SignalError
from unmask.files import make_folder

__all__ = [
    "Copy",
    "equal_gains",
    "integrated_loudness",
    "write_equally_loud",
]

_BLOCK_S = 0.4
_MOST_CHANNELS = 5
#: What the standard's gate lets through, in LUFS.
_QUIETEST = -70.0


def integrated_loudness(waveform: Array, sample_rate: int, *, name: str = "waveform") -> float:
    """Return the gated loudness of a whole recording, in LUFS.

    Parameters
    ----------
    waveform : array [shape=(channel, sample)], real floating point
        At most five channels: left, right, centre, left and right surround.
    sample_rate : int
        In Hz.
    name : str
        What errors call it.

    Raises
    ------
    ShapeError
        If it has other axes, more channels, or less than 400 ms.
    SignalError
        If no 400 ms of it are above -70 LUFS.
    MissingExtraError
        If pyloudnorm is not installed.
    """
    _check_installed()
    import pyloudnorm

    if waveform.ndim != 2 or not 1 <= waveform.shape[0] <= _MOST_CHANNELS:
        raise ShapeError(
            f"{name}: has shape {waveform.shape}, expected (channel, sample) of 1 to "
            f"{_MOST_CHANNELS} channels"
        )
    length_s = waveform.shape[1] / sample_rate
    if length_s < _BLOCK_S:
        raise ShapeError(
            f"{name}: is {1000 * length_s:.0f} ms long, expected at least {1000 * _BLOCK_S:.0f} ms "
            "to measure its loudness"
        )
    meter = pyloudnorm.Meter(sample_rate, block_size=_BLOCK_S)
    loudness = float(meter.integrated_loudness(np.asarray(waveform.T, np.float64)))
    if not math.isfinite(loudness):
        raise SignalError(f"{name}: is silent, expected sound above -70 LUFS; leave it out")
    return loudness


def _check_installed() -> None:
    if find_spec("pyloudnorm") is None:
        raise MissingExtraError(
            'pyloudnorm is not installed, loudness needs it; pip install "unmask[loudness]"'
        )


def equal_gains(
    loudness: Sequence[float], peaks: Sequence[float], *, target: float | None = None
) -> list[float]:
    """Return the factors that make recordings as loud as the first, or as `target`.

    All are lower alike where a peak would exceed full scale.

    Parameters
    ----------
    loudness : sequence of float
        In LUFS.
    peaks : sequence of float
        Largest magnitudes; 1 is full scale.
    target : float, optional
        In LUFS; the loudness of the first when left out.

    Examples
    --------
    >>> equal_gains([-20.0, -40.0], [0.25, 0.02])
    [1.0, 10.0]
    >>> equal_gains([-20.0, -40.0], [0.25, 0.2])
    [0.5, 5.0]
    >>> equal_gains([-20.0, -40.0], [0.1, 0.01], target=-14.0)
    [1.9952623149688795, 19.952623149688797]
    """
    wanted = loudness[0] if target is None else target
    gains = [10 ** ((wanted - level) / 20) for level in loudness]
    highest = max(gain * peak for gain, peak in zip(gains, peaks, strict=True))
    return [gain / max(1.0, highest) for gain in gains]


@dataclass(frozen=True)
class Copy:
    """A copy of a recording, as loud as the others."""

    source: Path
    path: Path
    loudness_lufs: float
    """Of the source."""
    gain_db: float
    """What it was turned up by; the copy has the sum of the two."""
    peak: float
    """Largest magnitude of the copy."""


def write_equally_loud(
    sources: Sequence[Path],
    out: Path,
    *,
    names: Sequence[str] = (),
    target_lufs: float | None = None,
) -> list[Copy]:
    """Write copies of recordings that are as loud as the first, for a fair comparison by ear.

    All are turned down alike if a peak would exceed full scale. Files are WAV of 24 bits; those
    that are there already are replaced.

    Parameters
    ----------
    sources : sequence of Path
        Recordings of as many channels each.
    out : Path
        Folder for the copies; made if missing.
    names : sequence of str
        What the copies are called, without suffix; as the recordings when left out.
    target_lufs : float, optional
        How loud the copies are to be, -70 to 0; as the first recording when left out.

    Raises
    ------
    ConfigError
        If names are no file names that differ, one for each recording, a copy would replace a
        recording, they differ in channels, or `target_lufs` is out of range.
    ShapeError, SignalError, MissingExtraError
        As :func:`integrated_loudness`.
    FileError
        If a file cannot be read or written.
    """
    if target_lufs is not None and not _QUIETEST <= target_lufs <= 0:
        raise ConfigError(f"target: {target_lufs:g} LUFS, expected {_QUIETEST:g} to 0, as -16")
    _check_installed()
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
    gains = equal_gains(levels, peaks, target=target_lufs)
    make_folder(out)
    for target, gain, (waveform, rate) in zip(targets, gains, recordings, strict=True):
        audio.write(target, gain * waveform.astype(np.float64), rate, subtype="PCM_24")
    return [
        Copy(source, target, level, 20 * math.log10(gain), gain * peak)
        for source, target, level, gain, peak in zip(
            sources, targets, levels, gains, peaks, strict=True
        )
    ]


def _targets(sources: Sequence[Path], out: Path, names: Sequence[str]) -> list[Path]:
    """Return the files to write; refuse names that cannot be."""
    names = names or [path.stem for path in sources]
    if len(names) != len(sources):
        raise ConfigError(f"names: {len(names)} names, expected {len(sources)}, one for each file")
    if len(set(names)) < len(names) or any(Path(name).name != name for name in names):
        raise ConfigError(
            f"names: {', '.join(names)}, expected file names that differ; give others"
        )
    targets = [out / f"{name}.wav" for name in names]
    inputs = {path.resolve() for path in sources}
    for target in targets:
        if target.resolve() in inputs:
            raise ConfigError(f"{target}: is an input, it would be overwritten; choose a folder")
    return targets


def __dir__() -> list[str]:
    return __all__
