"""BSSEval: SDR, ISR, SIR and SAR per window, as museval defines them, in bounded memory.

Every estimate is compared with what FIR filters can make of the targets (least squares, from all
channels to all channels)::

    estimate = target + e_spatial + e_interference + e_artefact

``target + e_spatial`` is the best that filters reach from its own target, ``+ e_interference`` the
best from all targets together. The filters are found for the whole recording (version 4) or anew
for every window (version 3); they are applied to the samples of a window alone.

References
----------
Vincent, Gribonval, Févotte, "Performance measurement in blind audio source separation", IEEE TASLP
14(4), 2006. Vincent et al., "The signal separation evaluation campaign (2007-2010)", Signal
Processing 92, 2012 (version 3). Stöter, Liutkus, Ito, "The 2018 signal separation evaluation
campaign", LVA/ICA 2018 (version 4).
"""

import math
import warnings
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from unmask._arrays import Array, device, namespace, to_numpy
from unmask.errors import ConfigError, SampleRateError, ShapeError
from unmask.metrics.blocks import Real, Signal, Signals, keep_memory
from unmask.metrics.distortion import Filters, energies, fit_filters
from unmask.metrics.energy import check_pair
from unmask.metrics.permutation import best_permutation

Version = Literal["v4", "v3", "sources"]

#: 16-bit recordings lie near 5e10, unrounded decodings of lossy files above 1e14
_TRUSTED_CONDITION = 1e11


class ConditionWarning(UserWarning):
    """Scores that depend on bands in which the targets have no energy."""


class BSSEval(NamedTuple):
    """Scores in dB, and what they rest on; `bss_eval` says what the edges mean."""

    sdr: Array
    """Signal to distortion ratio, where everything counts: (source, frame)."""
    isr: Array
    """Image to spatial distortion ratio, colour and place: (source, frame)."""
    sir: Array
    """Signal to interference ratio, the other sources: (source, frame)."""
    sar: Array
    """Signal to artefacts ratio, what no target contains: (source, frame)."""
    permutation: Array
    """Which estimate was scored against each target, integer: (source, frame)."""
    condition: Array
    """Condition number of the equations for the filters, at most 1e16: (frame,)."""


def bss_eval(
    estimates: Array,
    targets: Array,
    *,
    sample_rate: float,
    window_s: float = 1.0,
    hop_s: float = 1.0,
    filter_length: int = 512,
    version: Version = "v4",
    permutation: bool = False,
    regularisation: float = 0.0,
) -> BSSEval:
    """BSSEval scores of every source in every window, in dB.

    With the defaults the numbers of museval 0.4.1 (``museval.evaluate``), at a fraction of its time
    and memory: what is beyond the input takes about 100 MB for four stereo sources, however long
    they are.

    Parameters
    ----------
    estimates, targets : array [shape=(source, channel, sample)], real, linear
        One source or more, one channel or more. Estimate j is scored against target j.
    sample_rate : float, Hz
        Only turns `window_s` and `hop_s` into samples (rounded); nothing is resampled.
    window_s, hop_s : float, s
        Windows lie wholly within the signal, what is left at its end only shapes the filters.
        ``math.inf`` gives one window.
    filter_length : int, samples
        Taps of the distortion filters, which are causal. 512 are 12 ms at 44.1 kHz.
    version : "v4", "v3" or "sources"
        "v4": filters of the whole recording. "v3": new filters in every window (bss_eval_images).
        "sources": as "v3", but a filtered target is as good as the target (bss_eval_sources; no
        ISR). With an infinite window "v3" and "v4" agree.
    permutation : bool
        Find the order of the estimates with the best mean SIR: over all frames for "v4", in every
        window for the others. Frames that are NaN do not count (museval gives up the search then).
    regularisation : float >= 0
        0 is museval's definition. Else every target channel gets white noise with this share of
        its energy, in the equations for the filters only. 1e-7 (70 dB below) makes the scores of
        lossy stems repeatable: some dB higher than museval's, which pay for empty bands; signals
        without empty bands keep theirs (see bench/bsseval.md).

    Returns
    -------
    BSSEval
        ``sdr, isr, sir, sar`` are float64 (source, frame), whatever the type of the input, in its
        library and on its device.

        Silence: a frame in which a target or an estimate is zero throughout is NaN for all
        sources. A target that is silent in the whole recording is none of its sources: NaN, and
        the others are scored without it. An estimate that is silent in the whole recording has SDR
        and ISR 0, SIR and SAR NaN (museval refuses both). Channels that cancel in their sum are
        sound (museval takes them for silence). A perfect estimate has SDR inf; a single source has
        SIR inf.

    Raises
    ------
    ShapeError, SignalError, SampleRateError, ConfigError
        For arrays of other shapes, samples that are not finite, and impossible settings.

    Warns
    -----
    ConditionWarning
        If ISR, SIR and SAR are not trustworthy: where a codec left bands empty, the filters may do
        there what they like, and do; the cuts between windows bring it into the score. museval's
        own values then differ by more than 10 dB between a decoded file and its 16-bit copy. Near
        the limit (`condition` above 1e10) the rounding to 16 bits still decides about some dB.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> targets = rng.standard_normal((2, 1, 16000))
    >>> scores = bss_eval(targets + 0.1 * targets[::-1], targets, sample_rate=8000, filter_length=8)
    >>> scores.sdr.round(1)
    array([[20.1, 19.9],
           [19.9, 20.1]])
    """
    _check(estimates, targets)
    scores = of_signals(
        list(to_numpy(estimates)),
        list(to_numpy(targets)),
        sample_rate=sample_rate,
        window_s=window_s,
        hop_s=hop_s,
        filter_length=filter_length,
        version=version,
        permutation=permutation,
        regularisation=regularisation,
    )
    xp, place = namespace(targets), device(targets)
    return BSSEval(*(xp.asarray(x, device=place) for x in scores))


def of_signals(
    guesses: Signals,
    truths: Signals,
    *,
    sample_rate: float,
    window_s: float = 1.0,
    hop_s: float = 1.0,
    filter_length: int = 512,
    version: Version = "v4",
    permutation: bool = False,
    regularisation: float = 0.0,
) -> BSSEval:
    """Return `bss_eval` of sources that are arrays, or files of which pieces are read.

    Parameters
    ----------
    guesses, truths : sequences of Signal [shape=(channel, sample)]
        As many estimates as targets, all of one shape. They are gone through three times.
    sample_rate, window_s, hop_s, filter_length, version, permutation, regularisation
        Of `bss_eval`.
    """
    _check_settings(filter_length, version, regularisation)
    keep_memory()
    frames = _frames(truths[0].shape[-1], *_lengths(window_s, hop_s, sample_rate))
    present = [j for j, truth in enumerate(truths) if _sounds(truth)]
    rivals = range(len(guesses)) if permutation else present
    fit = partial(
        fit_filters,
        n_taps=filter_length,
        window=frames[0].stop - frames[0].start,
        rivals=permutation,
        regularisation=regularisation,
    )
    scores = np.full((4, len(guesses) if permutation else 1, len(truths), len(frames)), math.nan)
    signals = [guesses[i] for i in rivals], [truths[j] for j in present]
    scores[:, :, present], condition = _scores(*signals, frames, fit=fit, version=version)
    _warn(condition, version)
    order = np.tile(np.arange(len(truths))[:, None], (1, len(frames)))
    if permutation:
        order = _order(scores[2], per_frame=version != "v4")
    best = np.take_along_axis(scores, order[None, None] * permutation, axis=1)[:, 0]
    sdr, isr, sir, sar = best
    return BSSEval(sdr, isr, sir, sar, order, condition)


def _check(estimates: Array, targets: Array) -> None:
    """Refuse arrays that are no signals of several sources."""
    check_pair(estimates=estimates, targets=targets)
    if targets.ndim != 3 or 0 in targets.shape:
        raise ShapeError(
            f"targets has shape {tuple(targets.shape)}, expected (source, channel, sample), "
            "none of them 0"
        )


def _check_settings(filter_length: int, version: str, regularisation: float) -> None:
    if version not in get_args(Version):
        raise ConfigError(f"no BSSEval version {version!r}; there are {get_args(Version)}")
    if filter_length < 1:
        raise ConfigError(f"filter_length is {filter_length}, expected at least 1 sample")
    if not 0 <= regularisation < math.inf:
        raise ConfigError(
            f"regularisation is {regularisation}, expected 0 or a small positive share"
        )


def _lengths(window_s: float, hop_s: float, sample_rate: float) -> tuple[float, float]:
    """Window and hop in whole samples; infinite ones stay infinite."""
    if not 0 < sample_rate < math.inf:
        raise SampleRateError(f"sample_rate is {sample_rate} Hz, expected a positive number")
    lengths = []
    for name, seconds in (("window_s", window_s), ("hop_s", hop_s)):
        samples = seconds * sample_rate
        if not samples >= 0.5:
            raise ConfigError(f"{name} is {seconds} s, expected at least one sample")
        lengths.append(samples if math.isinf(samples) else round(samples))
    return lengths[0], lengths[1]


def _frames(n_samples: int, window: float, hop: float) -> list[slice]:
    """Windows that lie wholly in the signal; a longer window is the signal."""
    if window >= n_samples:
        return [slice(0, n_samples)]
    if math.isinf(hop):
        return [slice(0, int(window))]
    starts = range(0, n_samples - int(window) + 1, int(hop))
    return [slice(start, start + int(window)) for start in starts]


def _sounds(signal: Signal) -> bool:
    """Whether any sample of any channel differs from zero; looks no further than the first."""
    return any(signal[:, i : i + 4096].any() for i in range(0, signal.shape[-1], 4096))


def _scores(
    guesses: Signals,
    truths: Signals,
    frames: list[slice],
    *,
    fit: partial[Filters],
    version: str,
) -> tuple[Real, Real]:
    """Scores (4, rival, target, frame) and conditions (frame), of targets that are not silent."""
    heard = [signal for signal in (*guesses, *truths) if _sounds(signal)]
    filters = None
    if version == "v4" and truths:
        filters = fit(guesses, truths, within=slice(0, truths[0].shape[-1]))
    n_rivals = len(guesses) if fit.keywords["rivals"] else 1
    scores = np.full((4, n_rivals, len(truths), len(frames)), math.nan)
    condition = np.full(len(frames), filters.condition if filters else math.nan)
    for t, frame in enumerate(frames):
        if truths and all(_sounds(signal[:, frame]) for signal in heard):
            best = filters or fit(guesses, truths, within=frame)
            parts = energies(guesses, truths, best, within=frame, images=version != "sources")
            scores[..., t], condition[t] = _decibels(parts[:, 0], parts[:, 1]), best.condition
    return scores, condition


def _warn(condition: Real, version: str) -> None:
    """Say that scores are not trustworthy."""
    worst = np.nanmax(condition, initial=0.0)
    if worst > _TRUSTED_CONDITION:
        which = "SDR, SIR and SAR" if version == "sources" else "ISR, SIR and SAR"
        warnings.warn(
            f"{which} are not trustworthy: the equations for the distortion filters have condition "
            f"{worst:.0e}, expected at most {_TRUSTED_CONDITION:.0e}, because bands of the targets "
            "are empty (as after a lossy codec); try regularisation=1e-7",
            ConditionWarning,
            stacklevel=4,
        )


def _decibels(num: Real, den: Real) -> Real:
    """Ratio in dB: inf for nothing below, -inf for nothing above, NaN for neither."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(10 * np.log10(num / den))


def _order(sir: Real, *, per_frame: bool) -> NDArray[np.int64]:
    """Estimate of each target with the best SIR, mean over frames or in each: (target, frame)."""
    if not per_frame:
        n_defined = (~np.isnan(sir)).sum(axis=-1, keepdims=True)
        with np.errstate(invalid="ignore"):  # inf - inf is undefined, too
            mean = np.nansum(sir, axis=-1, keepdims=True) / np.maximum(n_defined, 1)
        sir = np.broadcast_to(np.where(n_defined, mean, math.nan), sir.shape)
    return np.asarray(best_permutation(np.moveaxis(sir, -1, 0))).T
