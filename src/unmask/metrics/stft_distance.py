"""Multi-resolution STFT distance: spectral convergence and log magnitude at three resolutions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unmask._arrays import Array
from unmask.metrics.single import Real, score_each
from unmask.metrics.spectrogram import magnitudes


class Resolution(NamedTuple):
    """FFT length, hop and Hann window of one resolution, samples."""

    n_fft: int
    hop: int
    window: int


#: of Yamamoto et al., for 24 kHz
RESOLUTIONS = (Resolution(1024, 120, 600), Resolution(2048, 240, 1200), Resolution(512, 50, 240))


def stft_distance(
    estimate: Array, target: Array, *, resolutions: Sequence[Resolution] = RESOLUTIONS
) -> Array:
    """Mean over resolutions of spectral convergence plus log-magnitude distance; 0 is best.

    ``|| |S| - |E| || / || |S| ||`` (Frobenius) plus the mean of ``| ln |S| - ln |E| |``. As in
    auraloss, magnitudes below 1e-4 count as 1e-4, so that the level matters: -80 dB of a sample.
    Limits: phase is seen only through the overlap of frames; the constants were chosen to train a
    vocoder, not by listeners.

    Parameters
    ----------
    estimate, target : array [shape=(..., channel, sample)], real, linear, full scale about 1
    resolutions : sequence of Resolution

    Returns
    -------
    array [shape=(..., channel)]
        NaN for a silent target.

    References
    ----------
    Yamamoto, Song, Kim, "Parallel WaveGAN", ICASSP 2020.
    """

    def distance(guess: Real, truth: Real) -> float:
        return float(np.mean([_distance(guess, truth, resolution) for resolution in resolutions]))

    return score_each(distance, estimate, target)


def _distance(guess: Real, truth: Real, resolution: Resolution) -> float:
    """Both terms at one resolution."""
    n_fft, hop, window = resolution
    ours, theirs = (
        np.maximum(magnitudes(x, n_fft, hop, window=window, pad="reflect"), 1e-4)
        for x in (guess, truth)
    )
    convergence = np.linalg.norm(theirs - ours) / np.linalg.norm(theirs)
    return float(convergence + np.abs(np.log(theirs / ours)).mean())
