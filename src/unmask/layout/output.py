"""What a run writes: which stems, where, and as what."""

import math
from dataclasses import dataclass
from pathlib import Path

from unmask.audio import AudioInfo
from unmask.errors import ConfigError

#: Formats that can be asked for.
FORMATS = ("wav", "flac", "ogg", "mp3")
_FIELDS = ("model", "track", "stem", "ext")
#: What these hold is kept exactly in the same format; stems of any other file become WAV.
LOSSLESS = {".aif", ".aiff", ".au", ".caf", ".flac", ".rf64", ".w64", ".wav", ".wave"}
_FILENAME = "{model}/{track}/{stem}.{ext}"


@dataclass(frozen=True, kw_only=True)
class Output:
    """Which stems are written, where, and as what.

    Raises
    ------
    ConfigError
        If settings cannot work, alone or together.
    """

    out: Path = Path("separated")
    """Folder; made if missing. Files that are there already are replaced. A name with the suffix
    of a sound file is that file; its record is beside it, ``clean.job.json`` of ``clean.wav``."""
    filename: str = _FILENAME
    """Names below it. The run record takes the same name with stem ``job`` and ext ``json``."""
    format: str | None = None
    """One of `FORMATS`; default: the input's, or WAV if that loses sound (MP3, OGG, video)."""
    subtype: str | None = None
    """PCM_16, PCM_24, FLOAT, …; default: the input's, or the nearest that the format holds."""
    stems: tuple[str, ...] | None = None
    """Write only these; default: all. Their number is taken too, if the model has as many."""
    two_stems: str | None = None
    """Write only this stem, and everything else as ``no_{stem}``."""
    residual: bool | None = None
    """Also write what the stems leave of the mixture; default: if it is a source, as "other"."""
    remix: bool = False
    """Write one file ``remix`` instead: the sum of all stems, the input itself but for their gains
    (:class:`unmask.Settings`)."""
    start_s: float = 0.0
    """Where the part of the recording begins that is separated, as if it were a file of its own."""
    end_s: float | None = None
    """Where it ends; default: with the recording."""

    def __post_init__(self) -> None:
        try:
            self.filename.format(**dict.fromkeys(_FIELDS, "x"))
        except (AttributeError, IndexError, KeyError, ValueError) as error:
            raise ConfigError(
                f"file name {self.filename!r}: {error} cannot be filled in, the fields are "
                f"{' '.join(f'{{{name}}}' for name in _FIELDS)}"
            ) from None
        if self.format not in (None, *FORMATS):
            raise ConfigError(f"format: {self.format!r}, expected one of {', '.join(FORMATS)}")
        suffix = self.out.suffix.lower()
        if self.is_file and (self.filename != _FILENAME or self.format not in (None, suffix[1:])):
            raise ConfigError(f"out: {self.out} is a file; leave out format and filename")
        self._check_parts()

    def _check_parts(self) -> None:
        if self.remix and {self.stems, self.two_stems, self.residual} != {None}:
            raise ConfigError("remix: is one file, leave out stems, two_stems and residual")
        if self.stems is not None and {self.two_stems, self.residual} != {None}:
            raise ConfigError("stems: says what is written, leave out two_stems and residual")
        if not 0 <= self.start_s < (math.inf if self.end_s is None else self.end_s):
            raise ConfigError(
                f"start, end: {self.start_s:g} s to {self.end_s} s, expected 0 <= start < end"
            )

    @property
    def is_file(self) -> bool:
        """Whether `out` names the only file that is written."""
        known = {*LOSSLESS, *(f".{name}" for name in FORMATS)}
        return self.out.suffix.lower() in known and not self.out.is_dir()

    @property
    def folder(self) -> Path:
        """The folder that all goes to."""
        return self.out.parent if self.is_file else self.out

    def path(self, model: str, track: str, stem: str, ext: str) -> Path:
        """Return where a stem goes; refuse what lies outside the folder.

        Raises
        ------
        ConfigError
            If it lies outside the folder.
        """
        if self.is_file:
            return self.out.with_suffix(".job.json") if stem == "job" else self.out
        name = Path(self.filename.format(model=model, track=track, stem=stem, ext=ext))
        if name.is_absolute() or ".." in name.parts:
            raise ConfigError(f"file name {name} leads out of the folder {self.out}")
        return self.out / name

    def n_samples(self, info: AudioInfo) -> int:
        """Return the number of samples of a recording that are separated."""
        start = round(self.start_s * info.sample_rate)
        end = info.n_samples if self.end_s is None else round(self.end_s * info.sample_rate)
        return max(0, min(end, info.n_samples) - start)
