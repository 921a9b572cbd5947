"""What a file of masks says about them: which bins, of which recording, of which sources."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from unmask import masks
from unmask.errors import ConfigError, FileError, UnmaskError, one_line
from unmask.frontends import STFT
from unmask.stems import canonical

_FORMAT = 1
_MOST_CHANNELS, _MOST_STEMS, _MOST_SAMPLES = 64, 64, 1 << 40
_MOST_RATE, _MOST_FFT, _MOST_TERMS = 1_000_000, 1 << 20, 8
#: Names of stems become names of files: nothing in them may lead elsewhere, or be a device.
_NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))\w(?:[\w .()&+-]{0,62}[\w)&+-])?")


@dataclass(frozen=True, kw_only=True)
class Header:
    """Which bins masks are for, and whose they are.

    Raises
    ------
    ConfigError
        If a value is none; the message names it.
    """

    stems: tuple[str, ...]
    """One name a source; the files that :func:`unmask.mask_files.apply_to_file` writes."""
    stft: STFT
    """The front-end that made the spectrum, at :attr:`sample_rate`."""
    sample_rate: int
    """Of the recording, in Hz."""
    n_channels: int
    n_samples: int
    """Of the recording: masks fit no other."""
    family: str
    """Name of the masks' family; ``"complex"`` for any spectrum over the mixture's."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the family."""
    residual: str | None = None
    """Name of what the masks leave, if it is to be written beside the stems."""
    slow_terms: int = 0
    """Terms of a polynomial that are taken out of every frame before it is masked, as the engine
    does for a model with them (:func:`unmask.engine.framing.slow`)."""
    slow_stem: str | None = None
    """The stem that they are added to."""
    made_by: str = ""
    """Whose masks they are, for people."""

    def __post_init__(self) -> None:
        for name in self.outputs:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ConfigError(f"stems: {name!r} cannot be the name of a file; choose another")
        if len({canonical(name) for name in self.outputs}) < len(self.outputs):
            raise ConfigError(f"stems: {', '.join(self.outputs)}: two are the same; rename one")
        for name, most in (
            ("sample_rate", _MOST_RATE),
            ("n_channels", _MOST_CHANNELS),
            ("n_samples", _MOST_SAMPLES),
        ):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise ConfigError(f"{name}: {value!r}, expected a whole number from 1 to {most}")
        if not 1 <= len(self.stems) <= _MOST_STEMS:
            raise ConfigError(f"stems: {len(self.stems)}, expected 1 to {_MOST_STEMS}")
        if type(self.slow_terms) is not int or not 0 <= self.slow_terms <= _MOST_TERMS:
            raise ConfigError(
                f"slow_terms: {self.slow_terms!r}, expected a whole number from 0 to {_MOST_TERMS}"
            )
        if self.slow_stem is not None and self.slow_stem not in self.stems:
            raise ConfigError(
                f"slow_stem: {self.slow_stem!r}, expected null or one of {', '.join(self.stems)}"
            )
        if not isinstance(self.made_by, str) or len(self.made_by) > 200:
            raise ConfigError("made_by: expected a text of at most 200 characters")
        masks.get(self.family, sample_rate=self.sample_rate, **self.options).describe()

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what comes of them: the stems, and the residual if that has a name."""
        return self.stems if self.residual is None else (*self.stems, self.residual)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the masks, (source, channel, freq, frame)."""
        n_frames = self.stft.n_frames(self.n_samples)
        return len(self.stems), self.n_channels, self.stft.n_freq, n_frames

    def text(self) -> str:
        """Return all of it as a line of JSON."""
        said = asdict(self) | {"front_end": {"kind": "stft", **asdict(self.stft)}}
        del said["stft"]
        return json.dumps({"format": _FORMAT, **said}, allow_nan=False)


def parse(text: str, subject: object) -> Header:
    """Return the header that a text says.

    Raises
    ------
    FileError
        If it says none; the line begins with `subject`.
    """
    try:
        said = json.loads(text)
        if not isinstance(said, dict) or said.pop("format", None) != _FORMAT:
            raise FileError(f"header: is not of format {_FORMAT}; save the masks again")
        stft = _front_end(said.pop("front_end", None))
        return Header(**said | {"stft": stft, "stems": tuple(said.get("stems", ()))})
    except UnmaskError as error:
        raise FileError(f"{subject}: {one_line(error)}") from error
    except (TypeError, ValueError, RecursionError) as error:  # other fields, values, no JSON
        raise FileError(
            f"{subject}: its header cannot be read ({one_line(error)}); save the masks again"
        ) from error


def _front_end(said: Any) -> STFT:
    if not isinstance(said, dict) or said.pop("kind", None) != "stft":
        raise ConfigError("front_end: is no stft; masks are for the bins of one")
    sizes = [said.get("n_fft"), said.get("hop")]
    if not all(type(size) is int and 1 <= size <= _MOST_FFT for size in sizes):
        raise ConfigError(f"front_end: n_fft, hop are {sizes}, expected whole numbers of samples")
    return STFT(**said)
