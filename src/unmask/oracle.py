"""Separators that know the truth: the best that masks of a family can do.

An :class:`Oracle` has the call of a model, ``separate(mixture, sample_rate)``, so whatever measures
a model measures its bound as well.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from unmask import masks, metrics
from unmask._arrays import Array, check_channels, namespace
from unmask.errors import SampleRateError, ShapeError
from unmask.frontends import STFT
from unmask.masks.disjoint import energies, of_energies
from unmask.mixtures import sum_of

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
        loudest, floor = xp.max(xp.abs(mixture)), 10 ** (_RESIDUAL_FLOOR_DB / 20)
        if bool(xp.max(xp.abs(rest)) > floor * loudest):
            sources = xp.concat([sources, rest[None, ...]])
        return sources

    def _blocks(self, sources: Array, mixture: Array) -> Iterator[Array]:
        """Yield the estimates piece by piece, so that memory does not grow with spectra."""
        stft, n_stems = self.stft, len(self.stems)
        family = self.mask
        if isinstance(family, str):
            family = masks.get(family, sample_rate=self.sample_rate)
        for outer, inner in stft.pieces(mixture.shape[-1], context=max(family.context)):
            spectrum = stft.analyze(mixture[..., outer])
            ideal = family.ideal(stft.analyze(sources[..., outer]), spectrum)
            masked = family.apply(ideal[:n_stems, ...], spectrum)
            yield stft.synthesize(masked, outer.stop - outer.start)[..., inner]

    def _wiener(self, sources: Array, mixture: Array) -> Array:
        spectra = masks.multichannel_wiener(self.stft.analyze(sources), self.stft.analyze(mixture))
        return self.stft.synthesize(spectra, mixture.shape[-1])


@dataclass(frozen=True)
class Bound:
    """The scores of one mask family on one stem, in dB."""

    mask: str
    stem: str
    sdr: float
    """SDR of the whole song, all channels together (uSDR)."""
    si_sdr: float
    """Scale-invariant SDR, all channels together."""


def estimates(
    stems: Mapping[str, Array], sample_rate: int, mask: str, stft: STFT
) -> dict[str, Array]:
    """Return what the ideal masks of a family make of ``sum(stems)``; of ``"mixture"``, itself."""
    mixture = sum_of(stems)
    if mask == "mixture":
        return dict.fromkeys(stems, mixture)
    return Oracle(stems, sample_rate, mask, stft).separate(mixture, sample_rate)


def song_disjointness(stems: Mapping[str, Array], stft: STFT) -> dict[str, float]:
    """Return the W-disjoint orthogonality of every stem of a whole song, in constant memory."""
    xp, waveforms = namespace(*stems.values()), list(stems.values())
    total: Array = 0
    for outer, inner in stft.pieces(waveforms[0].shape[-1]):
        frames = slice(inner.start // stft.hop, -(-inner.stop // stft.hop))
        targets = stft.analyze(xp.stack([x[..., outer] for x in waveforms]))[..., frames]
        total = total + energies(targets)
    wdo = of_energies(total).wdo
    return {name: float(wdo[k]) for k, name in enumerate(stems)}


def scores(
    mask: str, estimates: Mapping[str, Array], stems: Mapping[str, Array]
) -> Iterator[Bound]:
    """Yield the scores of the estimates under the name of their mask."""
    for name, target in stems.items():
        yield Bound(
            mask=mask,
            stem=name,
            sdr=float(metrics.sdr(estimates[name], target)),
            si_sdr=float(metrics.si_sdr(estimates[name], target)),
        )
