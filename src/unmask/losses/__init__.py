"""Training losses: ``(estimate, target, mixture) -> (..., source)``, smaller is better, by name.

Those of masks, ``Masked -> (..., source)``, are :mod:`unmask.losses.of_masks`.

All three are waveforms; `estimate` and `target` are ``(..., source, channel, sample)``, `mixture`
is ``(..., channel, sample)``. Every source has a value of its own, a mean over channels; whoever
trains takes the mean, after another order (:func:`pit`) or other sums (:func:`mixit`) were found,
see :mod:`unmask.losses.assignment`.
A silent target or estimate gives a finite value and a finite gradient.

Raises
------
ShapeError
    Every loss, if `estimate` and `target` differ in shape.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import unmask._training  # noqa: F401

# isort: split
import torch
from torch import Tensor

from unmask._arrays import check_same_shape, safe_divide
from unmask.errors import ConfigError
from unmask.frontends import STFT
from unmask.losses.assignment import Arrange, combine, grouped, mixit, ordered, pit
from unmask.losses.of_masks import MASK_LOSSES, Masked, MaskLoss, masked

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

#: Magnitude (a full-scale sine is 1) below which compression is linear and logarithms end.
_FLOOR = 1e-4
#: Least share of the mixture's norm (-40 dB) that an error is taken relative to.
_LEAST_SHARE = 0.01
#: Axes of a spectrum that belong to one source: channel, freq, frame.
_BINS = (-3, -2, -1)


def correlation(estimate: Tensor, target: Tensor) -> Tensor:
    """Return the cosine between two signals, in [-1, 1] along the last axis; 0 for silence."""
    norms = torch.linalg.vector_norm(estimate, dim=-1) * torch.linalg.vector_norm(target, dim=-1)
    cosine: Tensor = safe_divide((estimate * target).sum(-1), norms, fill=0.0)
    return cosine


def si_sdr_db(estimate: Tensor, target: Tensor, *, limit_db: float = math.inf) -> Tensor:
    """Return the scale-invariant SDR in dB along the last axis (Le Roux et al., 2019).

    `limit_db` bends the curve so that it never exceeds that value (Wisdom et al., 2020); a target
    or estimate that is silent gives 0 dB and no gradient.
    """
    energy = target.square().sum(-1, keepdim=True)
    image = safe_divide((estimate * target).sum(-1, keepdim=True), energy, fill=0.0) * target
    wanted = image.square().sum(-1)
    unwanted = (estimate - image).square().sum(-1) + 10 ** (-limit_db / 10) * wanted
    silent = (wanted <= torch.finfo(wanted.dtype).tiny) | (unwanted == 0)
    one = torch.ones_like(wanted)
    ratio = torch.where(silent, one, wanted) / torch.where(silent, one, unwanted)
    ratio_db: Tensor = 10 * torch.log10(ratio)
    return ratio_db


def sdr_loss(estimate: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
    """Return the negative correlation, in [-1, 1] (Choi et al., 2019, unweighted)."""
    check_same_shape(estimate=estimate, target=target)
    return -correlation(estimate, target).mean(-1)


def weighted_sdr_loss(estimate: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
    """Return the weighted SDR loss of Choi et al. (2019), in [-1, 1].

    Estimate and residual are both compared with the truth, weighted by the energies of the true
    two; so silence in the target still teaches what to remove.
    """
    check_same_shape(estimate=estimate, target=target)
    noise, residual = mixture.unsqueeze(-3) - target, mixture.unsqueeze(-3) - estimate
    target_energy, noise_energy = target.square().sum(-1), noise.square().sum(-1)
    share: Tensor = safe_divide(target_energy, target_energy + noise_energy, fill=0.0)
    return -(
        share * correlation(estimate, target) + (1 - share) * correlation(residual, noise)
    ).mean(-1)


def si_sdr_loss(estimate: Tensor, target: Tensor, mixture: Tensor, *, limit_db: float) -> Tensor:
    """Return the negative SI-SDR in dB, at least ``-limit_db``."""
    check_same_shape(estimate=estimate, target=target)
    return -si_sdr_db(estimate, target, limit_db=limit_db).mean(-1)


def waveform_loss(estimate: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
    """Return the mean absolute difference of the samples."""
    check_same_shape(estimate=estimate, target=target)
    return (estimate - target).abs().mean((-2, -1))


def magnitude_loss(estimate: Tensor, target: Tensor, mixture: Tensor, *, stft: STFT) -> Tensor:
    """Return the mean absolute difference of the magnitudes (a full-scale sine is 1).

    The magnitude loss of Jansson et al. (2021), but of the estimate as it sounds: they compare the
    masked magnitudes before synthesis, which overlapping frames may change; that is
    :func:`unmask.losses.of_masks.masked_magnitude_loss`.
    """
    check_same_shape(estimate=estimate, target=target)
    difference = _spectrum(estimate, stft).abs() - _spectrum(target, stft).abs()
    return difference.abs().mean(_BINS)


def complex_loss(
    estimate: Tensor, target: Tensor, mixture: Tensor, *, stft: STFT, power: float = 0.3
) -> Tensor:
    """Return the mean squared difference of compressed spectra (Ephrat et al., 2018).

    The magnitude is raised to `power`; 0.3 of the loss compares complex values and 0.7 magnitudes
    alone (Braun and Tashev, 2021).
    """
    check_same_shape(estimate=estimate, target=target)
    pair = _spectrum(estimate, stft), _spectrum(target, stft)
    mags = [spectrum.abs() for spectrum in pair]
    gains = [mag.clamp_min(_FLOOR) ** (power - 1) for mag in mags]
    rotated = torch.view_as_real(pair[0] * gains[0] - pair[1] * gains[1]).square().sum(-1)
    straight = (mags[0] * gains[0] - mags[1] * gains[1]).square()
    return (0.3 * rotated + 0.7 * straight).mean(_BINS)


def complex_l1_loss(estimate: Tensor, target: Tensor, mixture: Tensor, *, stft: STFT) -> Tensor:
    """Return the mean absolute difference of real and imaginary parts (Luo and Yu, 2023).

    Theirs is the sum of both parts, twice this, plus :func:`waveform_loss`.
    """
    check_same_shape(estimate=estimate, target=target)
    difference = _spectrum(estimate, stft) - _spectrum(target, stft)
    return torch.view_as_real(difference).abs().mean(-1).mean(_BINS)


def multi_resolution_loss(
    estimate: Tensor, target: Tensor, mixture: Tensor, *, stfts: Sequence[STFT]
) -> Tensor:
    """Return spectral convergence plus log-magnitude distance, the mean over resolutions.

    ``|| |E| - |Y| || / || |Y| || + mean |ln |E| - ln |Y||`` (Yamamoto et al., 2020; after Arik et
    al., 2019). Norms are those of one signal; the one below the line is at least -40 dB of the
    mixture's, so that a silent target counts but does not outweigh all others. Logarithms end at
    -80 dBFS.
    """
    check_same_shape(estimate=estimate, target=target)
    distances = []
    for stft in stfts:
        mags = [_spectrum(x, stft).abs() for x in (estimate, target, mixture.unsqueeze(-3))]
        error, own, whole = (
            torch.linalg.vector_norm(x, dim=(-2, -1)) for x in (mags[0] - mags[1], *mags[1:])
        )
        reference = torch.maximum(own, _LEAST_SHARE * whole)
        convergence = safe_divide(error, reference, fill=0.0)
        logs = [mag.clamp_min(_FLOOR).log() for mag in mags[:2]]
        distances.append(convergence.mean(-1) + (logs[0] - logs[1]).abs().mean(_BINS))
    return torch.stack(distances).mean(0)


def _resolutions(stft: STFT) -> list[STFT]:
    """Return `stft` with windows half as long, as long and twice as long, of the same overlap."""
    hops = (-(-stft.hop // 2), stft.hop, 2 * stft.hop)
    return [STFT(round(stft.n_fft * hop / stft.hop), hop, stft.window) for hop in hops]


def _spectrum(waveform: Tensor, stft: STFT) -> Tensor:
    """Return the spectrum in units in which a full-scale sine has magnitude 1."""
    spectrum: Tensor = stft.analyze(waveform) * (2.0 / float(stft.window_values.sum()))
    return spectrum


def mean_of_known(values: Tensor, sums: Tensor) -> Tensor:
    """Return the mean of a loss over the sums of sources that are known.

    Parameters
    ----------
    values : Tensor [shape=(..., source)]
        A loss of :func:`combine`.
    sums : Tensor [shape=(..., source, source)]
        As in :class:`unmask.data.Example`: rows of zeros do not count.

    Returns
    -------
    Tensor [shape=(...)]
    """
    known = sums.sum(-1) > 0
    return torch.where(known, values, 0.0).sum(-1) / known.sum(-1)


def losses(stft: STFT) -> dict[str, Loss]:
    """Return every loss by name; the spectral ones see the signal through `stft`."""
    return {
        "complex": partial(complex_loss, stft=stft),
        "complex_l1": partial(complex_l1_loss, stft=stft),
        "magnitude": partial(magnitude_loss, stft=stft),
        "multi_resolution": partial(multi_resolution_loss, stfts=_resolutions(stft)),
        "sdr": sdr_loss,
        "si_sdr": partial(si_sdr_loss, limit_db=30.0),
        "waveform": waveform_loss,
        "weighted_sdr": weighted_sdr_loss,
    }


NAMES = tuple(sorted(losses(STFT(512, 256, "sqrt_hann"))))

__all__ = [
    "MASK_LOSSES",
    "NAMES",
    "Arrange",
    "Loss",
    "MaskLoss",
    "Masked",
    "combine",
    "complex_l1_loss",
    "complex_loss",
    "correlation",
    "grouped",
    "losses",
    "magnitude_loss",
    "masked",
    "mean_of_known",
    "mixit",
    "multi_resolution_loss",
    "ordered",
    "parse",
    "pit",
    "sdr_loss",
    "si_sdr_db",
    "si_sdr_loss",
    "waveform_loss",
    "weighted_sdr_loss",
]


def parse(kind: str | Mapping[str, float]) -> dict[str, float]:
    """Return the weight of every named loss in a sum such as ``"si_sdr + 0.5*complex"``.

    Raises
    ------
    ConfigError
        If a name is unknown or the sum cannot be read.

    Examples
    --------
    >>> parse("si_sdr + 0.5*complex")
    {'si_sdr': 1.0, 'complex': 0.5}
    """
    if isinstance(kind, str):
        terms = [
            re.fullmatch(r"(?:(\d*\.?\d+(?:e-?\d+)?)\*)?(\w+)", t.strip()) for t in kind.split("+")
        ]
        if not all(terms):
            raise ConfigError(f"loss: cannot read {kind!r}; write it as 'si_sdr + 0.5*complex'")
        kind = {t[2]: float(t[1] or 1.0) for t in terms if t}
    known = [*NAMES, *MASK_LOSSES]
    if unknown := kind.keys() - set(known):
        raise ConfigError(f"loss: no loss named {sorted(unknown)}; there are {known}")
    return dict(kind)
