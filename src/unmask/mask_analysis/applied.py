"""Masks as they are really applied: a model's, or the ideal ones of a family."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from unmask import masks
from unmask._arrays import Array, check_same_shape, complex_divide
from unmask.engine.masking import Network, UsedMasks
from unmask.engine.stream import Streamer
from unmask.errors import ConfigError
from unmask.folding import add_up, match_model
from unmask.frontends import STFT
from unmask.masks import Family
from unmask.mixtures import stretch, sum_of

_BLOCK_S = 2.0


class Separator(Network, Protocol):
    """A network on a transform: :class:`unmask.Model` is one, if its front-end is not learned."""

    def stft_at(self, sample_rate: int) -> STFT:
        """Return the transform whose bins its masks are for."""


@dataclass(frozen=True)
class AppliedMasks:
    """The masks of a stretch of a recording, what they are applied to, and the truth.

    Spectra are scaled so that a full-scale sine is 1. Bins end where the model's band ends.
    """

    name: str
    """Whose masks: ``"denoise-16k"``, ``"oracle of complex_tanh"``."""
    masks: Mapping[str, Array]
    """Stem -> array (channel, freq, frame), real or complex."""
    mixture: Array
    """Spectrum (channel, freq, frame), complex."""
    targets: Mapping[str, Array]
    """Source -> spectrum of the shape of `mixture`; all that the mixture is made of."""
    stft: STFT
    sample_rate: int
    first_frame: int
    """Place of the first frame in the recording."""

    def __post_init__(self) -> None:
        named = {f"mask of {name!r}": x for name, x in self.masks.items()}
        named |= {f"target {name!r}": x for name, x in self.targets.items()}
        check_same_shape(mixture=self.mixture, **named)

    @property
    def frequencies_hz(self) -> Array:
        """Centre of every bin, shape (freq,)."""
        return self.stft.frequencies(self.sample_rate)[: self.mixture.shape[-2]]

    @property
    def times_s(self) -> Array:
        """Centre of every frame in the recording, shape (frame,)."""
        return (self.first_frame + np.arange(self.mixture.shape[-1])) * self.frame_s

    @property
    def frame_s(self) -> float:
        """Step between frames in seconds."""
        return self.stft.hop / self.sample_rate

    def of(self, sources: Iterable[str]) -> "AppliedMasks":
        """Return the same with the masks of `sources` only.

        Raises
        ------
        ConfigError
            If there is no mask of one of them.
        """
        wanted = tuple(sources)
        if missing := [name for name in wanted if name not in self.masks]:
            raise ConfigError(
                f"stems: no mask of {', '.join(missing)}; there are {', '.join(self.masks)}"
            )
        chosen = {name: self.masks[name] for name in wanted}
        return replace(self, masks=chosen)

    def ideal(self, family: Family) -> "AppliedMasks":
        """Return the best masks of `family` for the same bins, of the same sources.

        A crossover has its place in Hz on these bins. A family that looks at neighbouring frames
        sees silence beyond the stretch.
        """
        family = family.at(2 * float(self.frequencies_hz[-1]))
        best = _ideal(family, np.stack([*self.targets.values()]), self.mixture)
        named = dict(zip(self.targets, best, strict=True))
        chosen = {name: named[name] for name in self.masks}
        return replace(self, name=f"oracle of {family.name}", masks=chosen)


def ideal_masks(
    stems: Mapping[str, Array],
    sample_rate: int,
    family: str | Family,
    *,
    stft: STFT | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> AppliedMasks:
    """Return the best masks of a family on ``sum(stems)``.

    Parameters
    ----------
    stems : mapping of str to array [shape=(channel, sample)], real
        All sources of the mixture.
    sample_rate : int
        In Hz.
    family : str or Family
        Or its name in the registry. Masks with several components a bin (deep filter, decoupled)
        are reduced to what they do to the bin: masked spectrum over mixture.
    stft : STFT, optional
        Front-end.
    start_s, duration_s : float
        The stretch, in whole frames; to the end when `duration_s` is left out.

    Raises
    ------
    ConfigError
        If there is no such family, or nothing of the recording lies in the stretch.
    """
    stft = stft or STFT()
    if isinstance(family, str):
        family = masks.get(family, sample_rate=sample_rate)
    sources = np.stack(list(stems.values()))
    frames = _frames(sources.shape[-1], sample_rate, stft, start_s, duration_s)
    spectra, inner = _spectra(sources, stft, frames, context=max(family.context))
    mixture = spectra.sum(axis=0)
    found = _ideal(family, spectra, mixture)[..., inner]
    return AppliedMasks(
        name=f"oracle of {family.name}",
        masks=dict(zip(stems, found, strict=True)),
        mixture=mixture[..., inner],
        targets=dict(zip(stems, spectra[..., inner], strict=True)),
        stft=stft,
        sample_rate=sample_rate,
        first_frame=frames.start,
    )


def model_masks(
    model: Separator,
    stems: Mapping[str, Array],
    sample_rate: int,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    fold: Mapping[str, str] | None = None,
) -> AppliedMasks:
    """Return the masks that a model applies to ``sum(stems)``.

    The recording is streamed through the model from its beginning, at the front-end scaled to
    `sample_rate`, so masks are those of the whole file. What the stems leave has the mask that
    they leave of one. Bins above the model's band, where the engine extends masks, are left out.

    Parameters
    ----------
    model : Model
    stems : mapping of str to array [shape=(channel, sample)], real
        The truth, by the model's names, as :func:`unmask.gap.gap` takes it.
    sample_rate : int
        In Hz.
    start_s, duration_s : float
        The stretch, in whole frames; to the end when `duration_s` is left out.
    fold : mapping of str to str
        Part -> the source that it is added to, on both sides; so are the masks.

    Raises
    ------
    ConfigError
        If no stem is one of the model's, `fold` names what is not there, or nothing of the
        recording lies in the stretch.
    """
    folding, mixture = match_model(model, stems, asked=fold), sum_of(stems)
    targets = add_up(folding.targets, stems)
    stft = model.stft_at(sample_rate)
    frames = _frames(mixture.shape[-1], sample_rate, stft, start_s, duration_s)
    found = _listen(model, mixture, sample_rate, frames)
    named = dict(zip(model.stems, found, strict=True))
    named[model.residual] = 1 - found.sum(axis=0)
    summed = add_up(folding.estimates, named)
    spectra, inner = _spectra(np.stack([*targets.values()]), stft, frames, context=0)
    spectra = spectra[..., : found.shape[-2], inner]
    return AppliedMasks(
        name=model.name,
        masks={name: summed[name] for name in folding.common},
        mixture=spectra.sum(axis=0),
        targets=dict(zip(targets, spectra, strict=True)),
        stft=stft,
        sample_rate=sample_rate,
        first_frame=frames.start,
    )


def _frames(
    n_samples: int, sample_rate: int, stft: STFT, start_s: float, duration_s: float | None
) -> slice:
    """Return the frames of a stretch."""
    span = stretch(n_samples, sample_rate, start_s, duration_s)
    first, last = round(span.start / stft.hop), stft.n_frames(n_samples)
    if span.stop < n_samples:
        last = first + max(1, round((span.stop - span.start) / stft.hop))
    return slice(first, last)


def _spectra(sources: Array, stft: STFT, frames: slice, *, context: int) -> tuple[Array, slice]:
    """Return spectra that hold `frames` and their context, and where in them the frames are."""
    margin = stft.overlap + context
    left = max(0, frames.start - margin)
    samples = sources[..., left * stft.hop : (frames.stop + margin) * stft.hop]
    inner = slice(frames.start - left, frames.stop - left)
    return stft.analyze(samples) * np.float32(stft.unit), inner


def _per_bin(family: Family, mask: Array, mixture: Array) -> Array:
    """Return one value a bin (source, channel, freq, frame): the mask, or what it comes to."""
    if not family.has_components:
        return mask
    return complex_divide(family.apply(mask, mixture), mixture[None])


def _ideal(family: Family, targets: Array, mixture: Array) -> Array:
    return _per_bin(family, family.ideal(targets, mixture), mixture)


def _listen(model: Separator, mixture: Array, sample_rate: int, frames: slice) -> Array:
    """Return the masks (source, channel, freq, frame) that the engine applies in `frames`."""
    heard: list[Array] = []
    n_heard = 0

    def listen(used: UsedMasks) -> None:
        nonlocal n_heard
        heard.append(used.per_bin[..., max(0, frames.start - n_heard) :])
        n_heard += used.mixture.shape[-1]

    streamer = Streamer(
        model, sample_rate=sample_rate, n_channels=mixture.shape[0], on_masks=listen
    )
    block = round(_BLOCK_S * sample_rate)
    for start in range(0, mixture.shape[-1], block):
        streamer.process(mixture[:, start : start + block])
        if n_heard >= frames.stop:
            break
    else:
        streamer.flush()
    return np.concatenate(heard, axis=-1)[..., : frames.stop - frames.start]
