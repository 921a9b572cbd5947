"""Masks as they are really applied: a model's, or the ideal ones of a family."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from unmask._arrays import Array, check_same_shape, complex_divide
from unmask.errors import ConfigError
from unmask.frontends import STFT
from unmask.masks import Family


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

    def pieces(self) -> Iterator["AppliedMasks"]:
        """Yield it: work that goes through pieces takes it as one."""
        yield self

    def spectra(self) -> Iterator[Mapping[str, Array]]:
        """Yield the targets' spectra."""
        yield self.targets

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
        best = ideal(family, np.stack([*self.targets.values()]), self.mixture)
        named = dict(zip(self.targets, best, strict=True))
        chosen = {name: named[name] for name in self.masks}
        return replace(self, name=f"oracle of {family.name}", masks=chosen)


def of_pieces(pieces: Iterable["AppliedMasks"]) -> "AppliedMasks":
    """Return pieces of one stretch, which follow one another, as one."""
    first, *more = pieces
    every = [first, *more]
    return replace(
        first,
        masks={name: _joined(one.masks[name] for one in every) for name in first.masks},
        mixture=_joined(one.mixture for one in every),
        targets={name: _joined(one.targets[name] for one in every) for name in first.targets},
    )


def _joined(parts: Iterable[Array]) -> Array:
    return np.concatenate(list(parts), axis=-1)


def ideal(family: Family, targets: Array, mixture: Array) -> Array:
    """Return the best masks of `family` as one value a bin (source, channel, freq, frame)."""
    mask = family.ideal(targets, mixture)
    if not family.has_components:
        return mask
    return complex_divide(family.apply(mask, mixture), mixture[None])
