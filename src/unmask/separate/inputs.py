"""What a recording must be to be separated, and that it stays what it was while it is read."""

from pathlib import Path

from unmask import audio
from unmask.engine.metadata import SAMPLE_RATES
from unmask.errors import AudioFileError, SampleRateError
from unmask.files import Contents, contents

#: Most channels of a file.
MAX_CHANNELS = 8
_SHORTEST_S = 0.01


def identity(path: Path) -> Contents | None:
    """Return what a file is, None if that cannot be told; a pipe would wait for ever."""
    try:
        return contents(path) if path.is_file() else None
    except OSError:
        return None


def unchanged(path: Path, before: Contents | None) -> Contents:
    """Return what a file was and is; refuse one that something wrote to while it was read.

    Raises
    ------
    AudioFileError
    """
    if before is None or identity(path) != before:
        raise AudioFileError(
            f"{path}: was changed or taken away while it was read, nothing of it is kept; "
            "separate it again when it is complete"
        )
    return before


def check_input(info: audio.AudioInfo, n_samples: int) -> None:
    """Refuse a recording, of which `n_samples` are separated, that is not what streams take.

    Raises
    ------
    AudioFileError
        If it is shorter than 10 ms or has more than 8 channels.
    SampleRateError
        If its rate is outside 8000 to 192000 Hz.
    """
    low, high = SAMPLE_RATES
    if not low <= info.sample_rate <= high:
        raise SampleRateError(
            f"{info.path}: sample rate is {info.sample_rate} Hz, expected {low} to {high} Hz; "
            "resample it first"
        )
    if info.n_channels > MAX_CHANNELS:
        raise AudioFileError(
            f"{info.path}: has {info.n_channels} channels, at most {MAX_CHANNELS} can be "
            "separated; split it into files of fewer channels first"
        )
    seconds = n_samples / info.sample_rate
    if seconds < _SHORTEST_S:
        plural = "" if n_samples == 1 else "s"
        part = "" if n_samples == info.n_samples else f" in the part of its {info.duration_s:g} s"
        raise AudioFileError(
            f"{info.path}: has {n_samples} sample{plural} ({1000 * seconds:.2g} ms){part}, "
            "expected at least 10 ms; is it the right file?"
        )
