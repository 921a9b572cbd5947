"""PESQ and STOI, by the libraries that the field uses: extra ``unmask[speech]``."""

import math
import warnings
from functools import partial
from importlib import import_module
from typing import Any, Literal

from unmask._arrays import Array
from unmask.errors import ConfigError, MissingExtraError, ShapeError, SignalError
from unmask.metrics.child import PesqChild
from unmask.metrics.single import Real, check_sample_rate, score_each

_PESQ = PesqChild()
_SAFE_S = 30.0


def pesq(
    estimate: Array, target: Array, *, sample_rate: int, mode: Literal["wb", "nb"] = "wb"
) -> Array:
    """Perceptual evaluation of speech quality (ITU-T P.862, P.862.2), a mean opinion score.

    Limits: made for telephone speech of 8 to 30 s, codecs and packet loss; level and delay do not
    count; it is blind to much of what generative models do. Corrigendum 2 of P.862 is not in the
    library, so that values lie up to 0.1 beside newer implementations.

    Parameters
    ----------
    estimate, target : array [shape=(..., channel, sample)], real, linear
        Speech of at least 0.25 s, and of at most about 50 utterances.
    sample_rate : int, Hz
        16000, or 8000 for "nb".
    mode : "wb" or "nb"
        Wide or narrow band.

    Returns
    -------
    array [shape=(..., channel)]
        MOS-LQO, 1.04 (bad) to 4.64 (wide band) or 4.55; NaN for a silent target and where the
        library finds no speech.

    Raises
    ------
    MissingExtraError
        If the package ``pesq`` is not installed.
    SampleRateError, ConfigError, ShapeError
        For another sample rate or mode, or too short a signal.
    SignalError
        If the library breaks down: it runs in a process of its own, because beyond about 50
        utterances it overruns its arrays. The standard is made for 8 to 30 s.
    """
    if mode not in ("wb", "nb"):
        raise ConfigError(f"no PESQ mode {mode!r}; there are 'wb' and 'nb'")
    check_sample_rate(sample_rate, *((16000,) if mode == "wb" else (8000, 16000)))
    _library("pesq")

    def one(guess: Real, truth: Real) -> float:
        if not guess.any():
            return math.nan
        found = _PESQ.score(sample_rate, truth, guess, mode)
        if len(truth) > _SAFE_S * sample_rate:  # who knows what it wrote where
            _PESQ.close()
        if isinstance(found, float):
            return found
        kind, said = found
        if kind == "NoUtterancesError":
            return math.nan
        if kind == "BufferTooShortError":
            raise ShapeError(f"PESQ of {len(truth) / sample_rate:.2f} s, expected at least 0.25 s")
        raise SignalError(f"PESQ's library says {kind}: {said}; look at the recording")

    return score_each(one, estimate, target)


def stoi(estimate: Array, target: Array, *, sample_rate: float, extended: bool = False) -> Array:
    """Short-time objective intelligibility of speech: 0 to about 1.

    Of Taal et al. (2011); with ``extended=True`` ESTOI of Jensen and Taal (2016), which also holds
    for noise that fluctuates. Limits: it looks below 5 kHz only, and says nothing of quality: most
    of today's enhancement scores above 0.9.

    Parameters
    ----------
    estimate, target : array [shape=(..., channel, sample)], real, linear
        At least about 0.4 s of speech.
    sample_rate : float, Hz
        The library resamples to 10 kHz by itself.
    extended : bool
        ESTOI instead of STOI.

    Returns
    -------
    array [shape=(..., channel)]
        NaN for a silent target, and with less than 0.4 s of speech.

    Raises
    ------
    MissingExtraError
        If the package ``pystoi`` is not installed.
    """
    check_sample_rate(sample_rate)
    library = _library("pystoi")
    measure = partial(library.stoi, fs_sig=sample_rate, extended=extended)

    def one(guess: Real, truth: Real) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            try:
                return float(measure(truth, guess))
            except RuntimeWarning:  # too few frames: the library would return 1e-5
                return math.nan

    return score_each(one, estimate, target)


def _library(name: str) -> Any:
    """Import an optional library."""
    try:
        return import_module(name)
    except ImportError:
        raise MissingExtraError(
            f'{name} is not installed, this metric needs it; pip install "unmask[speech]"'
        ) from None
