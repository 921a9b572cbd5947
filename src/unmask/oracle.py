"""Separators that know the truth: the best that masks of a family can do.

An :class:`Oracle` has the call of a model, ``separate(mixture, sample_rate)``, so whatever measures
a model measures its bound as well.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from unmask import masks, metrics
from unmask._arrays import Array, check_channels, namespace
from unmask.errors import SampleRateError, ShapeError
from unmask.frontends import STFT
from unmask.masks.disjoint import energies, of_energies
from unmask.mixtures import Sources, own_frames

__all__ = [
    "Bound",
    "Masked",
    "Oracle",
    "bounds",
    "ideal_piece",
    "is_audible",
    "masked",
    "song_disjointness",
]

# What stems leave of the mixture counts as one more source if it is above this, in dB below it.
_RESIDUAL_FLOOR_DB = -90.0


@dataclass(frozen=True)
class Oracle:
    """The ideal masks of a family, made from true stems, behind the call of a model.

    Parameters
    ----------
    stems : mapping of str to array [shape=(channel, sample)], real
        The truth. All of it is needed for shares (ratio masks and the like): what the stems leave
        of the mixture, if it is above -90 dB, counts as one more source.
    sample_rate : int
        Of the stems, in Hz.
    mask : str or masks.Family
        A mask family or its name (:func:`unmask.masks.names`), ``"hybrid:LOW:HZ:HIGH"``, or
        ``"multichannel_wiener"``.
    stft : STFT
        Front-end; its resolution moves every bound but the unbounded one.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> stems = {"a": rng.normal(size=(1, 4000)), "b": rng.normal(size=(1, 4000))}
    >>> mixture = stems["a"] + stems["b"]
    >>> out = Oracle(stems, 8000, mask="complex").separate(mixture, 8000)
    >>> bool(np.allclose(out["a"], stems["a"]))
    True
    """

    stems: Mapping[str, Array]
    sample_rate: int
    mask: str | masks.Family = "psm_unit"
    stft: STFT = field(default_factory=STFT)

    def separate(self, mixture: Array, sample_rate: int) -> dict[str, Array]:
        """Return the masked sources by name, as long as `mixture`.

        Parameters
        ----------
        mixture : array [shape=(channel, sample)], real
            Of the shape of the stems.
        sample_rate : int
            In Hz; that of the stems.

        Raises
        ------
        SampleRateError, ShapeError
            If the mixture does not fit the stems.
        """
        if sample_rate != self.sample_rate:
            raise SampleRateError(
                f"mixture: sample rate is {sample_rate} Hz, the stems have {self.sample_rate} Hz"
            )
        for name, stem in self.stems.items():
            if tuple(stem.shape) != tuple(mixture.shape):
                raise ShapeError(
                    f"stem {name!r} has shape {tuple(stem.shape)}, the mixture "
                    f"{tuple(mixture.shape)}; both are (channel, sample)"
                )
        check_channels(mixture=mixture)
        sources = self._sources(mixture)
        if self.mask == "multichannel_wiener":
            estimates = self._wiener(sources, mixture)
        else:
            estimates = namespace(mixture).concat(list(self._blocks(sources, mixture)), axis=-1)
        return {name: estimates[k, ...] for k, name in enumerate(self.stems)}

    def _sources(self, mixture: Array) -> Array:
        """Return the stems, and what they leave if that is audible: (source, channel, sample)."""
        xp = namespace(mixture)
        sources = xp.stack(list(self.stems.values()))
        rest = mixture - xp.sum(sources, axis=0)
        if is_audible(float(xp.max(xp.abs(rest))), float(xp.max(xp.abs(mixture)))):
            sources = xp.concat([sources, rest[None, ...]])
        return sources

    def _blocks(self, sources: Array, mixture: Array) -> Iterator[Array]:
        """Yield the estimates piece by piece, so that memory does not grow with spectra."""
        stft, n_stems = self.stft, len(self.stems)
        family = self.mask
        if isinstance(family, str):
            family = masks.get(family, sample_rate=self.sample_rate)
        for outer, inner in stft.pieces(mixture.shape[-1], context=max(family.context)):
            piece = sources[..., outer], mixture[..., outer]
            yield ideal_piece(family, stft, *piece)[:n_stems, ..., inner]

    def _wiener(self, sources: Array, mixture: Array) -> Array:
        spectra = masks.multichannel_wiener(self.stft.analyze(sources), self.stft.analyze(mixture))
        return self.stft.synthesize(spectra, mixture.shape[-1])


def is_audible(rest: float, mixture: float) -> bool:
    """Tell by their peaks whether what stems leave of a mixture counts as one more source."""
    return rest > 10 ** (_RESIDUAL_FLOOR_DB / 20) * mixture


def ideal_piece(family: masks.Family, stft: STFT, sources: Array, mixture: Array) -> Array:
    """Return the sources (source, channel, sample) that ideal masks make of a piece of a mixture.

    Parameters
    ----------
    family : masks.Family
    stft : STFT
    sources : array [shape=(source, channel, sample)]
        All of them; the edges of a piece are spoilt, see :meth:`STFT.pieces`.
    mixture : array [shape=(channel, sample)]
    """
    spectrum = stft.analyze(mixture)
    ideal = family.ideal(stft.analyze(sources), spectrum)
    return stft.synthesize(family.apply(ideal, spectrum), mixture.shape[-1])


@dataclass(frozen=True)
class Bound:
    """The scores of one mask family on one stem, in dB."""

    mask: str
    stem: str
    sdr: float
    """SDR of the whole song, all channels together (uSDR)."""
    si_sdr: float
    """Scale-invariant SDR, all channels together."""


class Masked(NamedTuple):
    """A piece of what ideal masks make of a recording."""

    mask: str
    """Name of the family."""
    estimates: Array
    """(source, channel, sample); of ``"mixture"`` broadcast from one."""
    targets: Array
    """(source, channel, sample)."""


def masked(sources: Sources, names: Sequence[str], stft: STFT) -> Iterator[Masked]:
    """Yield what the ideal masks of families make of ``sum(sources)``, piece by piece.

    Spectra are made once for all families, and memory does not grow with the recording.

    Parameters
    ----------
    sources : Sources
    names : sequence of str
        Of families; ``"multichannel_wiener"``; ``"mixture"`` for the mixture itself.
    stft : STFT

    Yields
    ------
    Masked
        Family by family for every piece; pieces follow one another without overlap.

    Raises
    ------
    ConfigError
        If there is no such family.
    """
    makers: dict[str, _Maker] = {name: _maker(name, sources, stft) for name in names}
    context = max(max(maker.context) for maker in makers.values())
    spans = stft.pieces(sources.n_samples, context=context)
    with ThreadPoolExecutor(min(_THREADS, len(names))) as pool:
        for _, inner, waves in sources.pieces(spans):
            piece = _Piece.of(stft, waves)

            def make(name: str, piece: "_Piece" = piece, inner: slice = inner) -> Array:
                return makers[name].estimates(piece)[..., inner]

            found = pool.map(make, names)
            for name, estimates in zip(names, found, strict=True):
                yield Masked(name, estimates, waves[..., inner])


# Families that are worked on at a time; each needs a few times the memory of a piece's spectra.
_THREADS = min(2, os.cpu_count() or 1)


class _Piece(NamedTuple):
    """The spectra of a piece of sources and of their sum."""

    stft: STFT
    waves: Array
    mixture_wave: Array
    targets: Array
    mixture: Array

    @classmethod
    def of(cls, stft: STFT, waves: Array) -> "_Piece":
        xp = namespace(waves)
        mixture = xp.sum(waves, axis=0)
        return cls(stft, waves, mixture, stft.analyze(waves), stft.analyze(mixture))

    def synthesize(self, spectra: Array) -> Array:
        return self.stft.synthesize(spectra, self.waves.shape[-1])


class _Maker(NamedTuple):
    """What makes the estimates of a piece, and the frames beside its own that it looks at."""

    estimates: Callable[[_Piece], Array]
    context: tuple[int, int] = (0, 0)


def _maker(name: str, sources: Sources, stft: STFT) -> _Maker:
    if name == "mixture":
        return _Maker(
            lambda p: namespace(p.waves).broadcast_to(p.mixture_wave[None, ...], p.waves.shape)
        )
    if name == "multichannel_wiener":
        spatial = _spatial(sources, stft)
        return _Maker(lambda p: p.synthesize(masks.wiener_filter(p.targets, p.mixture, spatial)))
    family = masks.get(name, sample_rate=sources.sample_rate)
    return _Maker(
        lambda p: p.synthesize(family.apply(family.ideal(p.targets, p.mixture), p.mixture)),
        family.context,
    )


def _spatial(sources: Sources, stft: STFT) -> Array:
    """Return the spatial covariances of a whole recording."""
    total: Array = 0
    for _, inner, waves in sources.pieces(stft.pieces(sources.n_samples)):
        targets = stft.analyze(waves)[..., own_frames(inner, stft.hop)]
        total = total + masks.spatial_sums(targets)
    return masks.spatial_covariances(total)


def bounds(
    sources: Sources, names: Sequence[str], stft: STFT, *, pieces: Iterable[Masked] | None = None
) -> list[Bound]:
    """Return the scores of every family and source; see :func:`masked`, whose result may be given.

    Raises
    ------
    ConfigError
        If there is no such family.
    """
    sums = {name: metrics.RunningScores() for name in names}
    for piece in masked(sources, names, stft) if pieces is None else pieces:
        sums[piece.mask].add(piece.estimates, piece.targets)
    return [
        Bound(mask, stem, float(total.sdr[k]), float(total.si_sdr[k]))
        for mask, total in sums.items()
        for k, stem in enumerate(sources.names)
    ]


def song_disjointness(sources: Sources, stft: STFT) -> dict[str, float]:
    """Return the W-disjoint orthogonality of every source of a whole song, in constant memory."""
    total: Array = 0
    for _, inner, waves in sources.pieces(stft.pieces(sources.n_samples)):
        total = total + energies(stft.analyze(waves)[..., own_frames(inner, stft.hop)])
    return {
        name: float(share)
        for name, share in zip(sources.names, of_energies(total).wdo, strict=True)
    }


def __dir__() -> list[str]:
    return __all__
