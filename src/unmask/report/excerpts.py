"""What a report is about: a stretch of a recording, what was made of it, and the truth if known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unmask import audio
from unmask._arrays import Array, check_same_shape
from unmask.engine.model import Model
from unmask.engine.stream import Streamer
from unmask.errors import ConfigError
from unmask.frontends import STFT
from unmask.masks import Family, get
from unmask.mixtures import Sources, stretch
from unmask.oracle import is_audible
from unmask.stems import find_stems

_STEP_S = 0.1
_BLOCK_S = 2.0
#: Of oracles beside estimates of which nobody knows the masks.
_MASK = "psm_unit"
#: The truth that the true stems leave of the mixture, if it is audible.
REST = "rest of the mixture"


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """What a separator made of a stretch of a recording. Waveforms are (channel, sample)."""

    name: str
    """Of the recording."""
    separator: str
    """Who made the estimates."""
    sample_rate: int
    """In Hz."""
    start_s: float = 0.0
    """Where it begins in the recording."""
    whole_s: float = 0.0
    """How long the recording is."""
    mixture: Array
    estimates: Mapping[str, Array]
    """Stem -> waveform of the shape of `mixture`."""
    residual: str = "residual"
    """Name of what the estimates leave of the mixture, which may be among them."""
    truth: Mapping[str, Array] = field(default_factory=dict)
    """Stem -> the same, where it is known."""
    stft: STFT = field(default_factory=STFT)
    """Front-end of the oracle."""
    family: Family = field(default_factory=lambda: get(_MASK))
    """Masks of the oracle."""

    def __post_init__(self) -> None:
        named = {f"estimate {name!r}": x for name, x in self.estimates.items()}
        named |= {f"target {name!r}": x for name, x in self.truth.items()}
        check_same_shape(mixture=self.mixture, **named)

    @property
    def complete_truth(self) -> dict[str, Array]:
        """The true stems, and what they leave of the mixture if that is above -90 dB."""
        rest = self.mixture - sum(self.truth.values())
        loudest = float(np.abs(self.mixture).max(initial=0))
        audible = is_audible(float(np.abs(rest).max(initial=0)), loudest)
        return {**self.truth, REST: rest} if audible else dict(self.truth)


def loudest(path: Path, seconds: float) -> tuple[float, float]:
    """Return where the stretch of most energy begins and how long it is, both in seconds.

    Memory does not grow with the recording. Steps are of 0.1 s.

    Parameters
    ----------
    path : Path
    seconds : float > 0
        As long as this, or as the recording.

    Raises
    ------
    AudioFileError
        If the file cannot be read.
    ConfigError
        If `seconds` is not above 0.
    """
    if not seconds > 0:
        raise ConfigError(f"seconds: {seconds:g}, expected above 0, as 30")
    info = audio.info(path)
    if info.duration_s <= seconds:
        return 0.0, info.duration_s
    step = round(_STEP_S * info.sample_rate)
    energy = [float(np.vdot(x, x).real) for x in audio.read_blocks(path, block=step)]
    sums = np.concatenate([[0.0], np.cumsum(energy)])
    n = max(1, int(seconds / _STEP_S))
    first = int(np.argmax(sums[n:] - sums[:-n]))
    return min(first * step / info.sample_rate, info.duration_s - seconds), seconds


def by_model(
    path: Path,
    model: Model,
    span_s: tuple[float, float],
    *,
    track: str,
    folder: Path | None = None,
    mask: str | None = None,
) -> Excerpt:
    """Return what a model makes of a stretch, as it would in the whole recording.

    The recording is streamed from its beginning; no more than the stretch is kept.

    Parameters
    ----------
    path : Path
    model : Model
    span_s : (float, float)
        Start and length in seconds.
    track : str
        What the recording is called.
    folder : Path, optional
        Of the true stems, or of folders of them by `track`.
    mask : str, optional
        Mask family of the oracle; the model's when left out.

    Raises
    ------
    AudioFileError, ConfigError, SampleRateError, ShapeError
        If files cannot be read, or do not agree; or there is no such family.
    """
    mixture, truth, read = _read(path, {}, folder, track, span_s)
    rate, info = read.sample_rate, audio.info(path)
    span = stretch(info.n_samples, rate, *span_s, subject=path)
    pieces = list(_streamed(path, model, span, rate, info.n_channels))
    estimates = {name: np.concatenate([p[name] for p in pieces], axis=-1) for name in pieces[0]}
    stft, family = STFT(), get(mask or _MASK, sample_rate=rate)
    if model.masks_outside:  # else nobody knows its masks
        stft, family = model.stft_at(rate), family if mask else model.family_at(rate)
    return Excerpt(
        name=track, separator=model.name, sample_rate=rate, start_s=span_s[0],
        whole_s=info.duration_s, mixture=mixture, estimates=estimates, residual=model.residual,
        truth=truth, stft=stft, family=family,
    )  # fmt: skip


def _streamed(
    path: Path, model: Model, span: slice, rate: int, n_channels: int
) -> Iterator[dict[str, Array]]:
    """Yield what a model makes of a stretch of samples, stems and residual, piece by piece."""
    streamer = Streamer(model, sample_rate=rate, n_channels=n_channels, residual=True)
    first = 0
    for block in audio.read_blocks(path, block=round(_BLOCK_S * rate)):
        ready = streamer.process(block.astype(np.float32))
        yield _within(ready, first, span)
        first += next(iter(ready.values())).shape[-1]
        if first >= span.stop:
            return
    yield _within(streamer.flush(), first, span)


def _within(ready: Mapping[str, Array], first: int, span: slice) -> dict[str, Array]:
    start, stop = max(0, span.start - first), max(0, span.stop - first)
    return {name: x[:, start:stop] for name, x in ready.items()}


def by_files(
    path: Path,
    estimates: Path,
    span_s: tuple[float, float],
    *,
    track: str,
    folder: Path | None = None,
    mask: str | None = None,
) -> Excerpt:
    """Return what any separator wrote of a stretch: a file a stem, in `estimates` or its `track`.

    Parameters
    ----------
    path : Path
    estimates : Path
        Folder of stems, or of folders of them by `track`.
    span_s, track, folder, mask
        As for :func:`by_model`; without `mask` the oracle's is real, from 0 to 1.

    Raises
    ------
    AudioFileError, ConfigError, SampleRateError, ShapeError
        If files cannot be read, or do not agree; or there is no such family.
    """
    own = _own(estimates, track)
    found = find_stems(own)
    mixture, truth, read = _read(path, found, folder, track, span_s)
    rate = read.sample_rate
    made = {name: read.waves[f"estimate {name}"] for name in found}
    residual = "residual" if "residual" not in made else "rest"
    return Excerpt(
        name=track, separator=(own if own == estimates else estimates).resolve().name,
        sample_rate=rate, start_s=span_s[0], whole_s=audio.info(path).duration_s, mixture=mixture,
        estimates=made, residual=residual, truth=truth,
        family=get(mask or _MASK, sample_rate=rate),
    )  # fmt: skip


class _Read:
    """Files of one recording, cut to a stretch."""

    def __init__(self, paths: Mapping[str, Path], span_s: tuple[float, float]) -> None:
        sources = Sources(paths, start_s=span_s[0], duration_s=span_s[1])
        self.sample_rate = sources.sample_rate
        whole = np.concatenate(list(sources.blocks()), axis=-1)
        self.waves: dict[str, Array] = dict(zip(sources.names, whole, strict=True))


def _read(
    path: Path,
    estimates: Mapping[str, Path],
    folder: Path | None,
    track: str,
    span_s: tuple[float, float],
) -> tuple[Array, dict[str, Array], _Read]:
    """Return mixture and true stems of a stretch, and all that was read."""
    true = {} if folder is None else find_stems(_own(folder, track))
    named = {f"true {name}": file for name, file in true.items()}
    named |= {f"estimate {name}": file for name, file in estimates.items()}
    read = _Read({"mixture": path, **named}, span_s)
    truth = {name: read.waves[f"true {name}"] for name in true}
    return read.waves["mixture"], truth, read


def _own(folder: Path, track: str) -> Path:
    own = folder / track
    return own if own.is_dir() else folder
