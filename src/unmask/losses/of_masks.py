"""Losses that look at masks, before anything is heard: the targets of mask estimation.

``Masked -> (..., source)``. They compare in the bins of the network's own front-end, where masks
live. What they compare are masks with ideal masks, or masked spectra with true ones before
synthesis, which merges overlapping frames: the losses of waveforms hear what is left then.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from unmask import masks
from unmask._arrays import safe_divide
from unmask.frontends import STFT
from unmask.masks import Family
from unmask.masks.complex_masks import Compressed

_BINS = (-3, -2, -1)
#: The same where the real parts of a mask are apart, on the last axis.
_PARTS = (-4, -3, -2, -1)
_SOURCES = -4


@dataclass(frozen=True)
class Masked:
    """What a network did, and what it should have: spectra where a full-scale sine is 1."""

    masks: Tensor
    """(..., source, channel, freq, frame), activated, of one number a bin."""
    targets: Tensor
    """(..., source, channel, freq, frame), complex."""
    mixture: Tensor
    """(..., channel, freq, frame), complex."""
    family: Family
    """Of the masks."""

    @property
    def estimate(self) -> Tensor:
        """The masked spectra, (..., source, channel, freq, frame)."""
        spectra: Tensor = self.family.apply(self.masks, self.mixture)
        return spectra

    def ideal(self, family: Family) -> Tensor:
        """Return the best masks of a family; what targets leave of the mixture is a source more.

        Not so where masks sum to one: then the targets are all there is.
        """
        sources = self.targets
        if not family.sums_to_one or family is not self.family:
            rest = self.mixture.unsqueeze(_SOURCES) - sources.sum(_SOURCES, keepdim=True)
            sources = torch.cat([sources, rest], dim=_SOURCES)
        with torch.no_grad():
            best: Tensor = family.ideal(sources, self.mixture)
        return best.narrow(_SOURCES, 0, self.targets.shape[_SOURCES])


MaskLoss = Callable[[Masked], Tensor]


def masked(
    parts: tuple[Tensor, Tensor, Tensor], sums: Tensor, *, stft: STFT, family: Family
) -> Masked:
    """Return what the losses of masks look at.

    Parameters
    ----------
    parts : (masks, targets, mixture)
        Masks (..., source, channel, freq, frame) of the network; targets (..., source, channel,
        sample), each the sum of sources that `sums` says; mixture (..., channel, sample).
    sums : Tensor [shape=(..., sum, source)]
        As in :func:`unmask.losses.combine`; the mask of a sum is the sum of masks.
    stft : STFT
        The network's front-end.
    family : Family
        Of the masks.
    """
    found, targets, mixture = parts
    together = torch.einsum("...ij,...jcft->...icft", sums.to(found.dtype), found)
    spectra = [stft.analyze(x) * stft.unit for x in (targets, mixture)]
    return Masked(together, spectra[0], spectra[1], family)


def binary_loss(seen: Masked) -> Tensor:
    """Return the cross-entropy between masks in [0, 1] and the ideal binary mask.

    The source that is the loudest of a bin has 1 there (Wang, 2005).
    """
    ideal = seen.ideal(masks.get("ibm_argmax"))
    entropy = torch.nn.functional.binary_cross_entropy(
        seen.masks.clamp(0, 1), ideal, reduction="none"
    )
    return entropy.mean(_BINS)


def mask_l1_loss(seen: Masked) -> Tensor:
    """Return the mean absolute difference to the ideal mask of the family, of all real parts."""
    return _difference(seen).abs().mean(_PARTS)


def mask_mse_loss(seen: Masked) -> Tensor:
    """Return the mean squared difference to the ideal mask of the family, of all real parts."""
    return _difference(seen).square().mean(_PARTS)


def _difference(seen: Masked) -> Tensor:
    """Return (..., source, channel, freq, frame, part); of compressed families what is compressed.

    There large masks, which are where the mixture nearly cancels, weigh little (Williamson et al.,
    2016: ``K tanh(C m / 2)``).
    """
    pair = seen.masks, seen.ideal(seen.family)
    if isinstance(seen.family, Compressed):
        pair = seen.family.compress(pair[0]), seen.family.compress(pair[1])
    difference = pair[0] - pair[1]
    return torch.view_as_real(difference) if difference.is_complex() else difference.unsqueeze(-1)


def masked_magnitude_loss(seen: Masked) -> Tensor:
    """Return the mean of ``| |Y| - |M X| |``: the magnitude loss of Jansson et al. (2021), eq. 5.

    :func:`unmask.losses.magnitude_loss` is the same of what is heard, after synthesis.
    """
    return (seen.targets.abs() - seen.estimate.abs()).abs().mean(_BINS)


def phase_sensitive_loss(seen: Masked) -> Tensor:
    """Return the truncated phase-sensitive L1 loss (Erdogan et al., 2015).

    The mean of ``| |M X| - T(|Y| cos(angle Y - angle X)) |``, T clipping to ``[0, |X|]``: as far as
    a source points in the direction of the mixture.
    """
    mixture = seen.mixture.unsqueeze(_SOURCES)
    mag = mixture.abs()
    along = safe_divide((seen.targets * mixture.conj()).real, mag, fill=0.0)
    target = torch.minimum(along.clamp_min(0), mag)
    return (seen.estimate.abs() - target).abs().mean(_BINS)


#: Every loss of masks by name.
MASK_LOSSES: Mapping[str, MaskLoss] = MappingProxyType(
    {
        "mask_binary": binary_loss,
        "mask_l1": mask_l1_loss,
        "mask_mse": mask_mse_loss,
        "masked_magnitude": masked_magnitude_loss,
        "phase_sensitive": phase_sensitive_loss,
    }
)
