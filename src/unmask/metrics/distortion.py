"""Distortion filters of BSSEval, and the energies of the parts into which they cut an estimate."""

from typing import NamedTuple

import numpy as np

from unmask.errors import SignalError
from unmask.metrics.blocks import (
    Complex,
    Real,
    Signals,
    apply_filters,
    batches,
    block_length,
    correlate,
    cut,
)
from unmask.metrics.toeplitz import BlockToeplitz


class Filters(NamedTuple):
    """Least-squares filters from the targets to the estimates, as frequency responses."""

    n_taps: int
    n_fft: int
    joint: Complex
    """From all targets together: (estimate channel, target channel, freq)."""
    own: Complex
    """From every target alone: (target, estimate channel, target channel, freq)."""
    rivals: bool
    """Whether `own` leads to all estimates, or only to the target's own."""
    condition: float
    """Of the equations of `joint`."""


def fit_filters(
    estimates: Signals,
    targets: Signals,
    n_taps: int,
    *,
    within: slice,
    window: int,
    rivals: bool = False,
    regularisation: float = 0.0,
) -> Filters:
    """Fit filters over the samples `within`, to be applied to windows of `window` samples.

    As in museval, the equations get the float64 epsilon on their diagonal, in units of the
    signals' energy: it makes a channel of zeros solvable and is not felt otherwise.

    Raises
    ------
    SignalError
        If a signal has NaN or infinite samples.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        auto, cross = correlate(targets, estimates, n_taps, within=within)
    for name, correlations in (("targets", auto), ("estimates", cross)):
        if not np.isfinite(correlations).all():
            raise SignalError(f"{name} contain NaN or infinite samples, expected finite ones")
    diagonal = np.einsum("ii->i", auto[0])
    diagonal += np.finfo(np.float64).eps + regularisation * diagonal
    equations = BlockToeplitz(auto)
    joint_taps = own_taps = equations.solve(cross)[None]
    if len(targets) > 1:
        n_channels = len(targets[0])
        spans = [slice(j * n_channels, (j + 1) * n_channels) for j in range(len(targets))]
        right = np.stack([cross[:, span] if rivals else cross[:, span, span] for span in spans])
        own_taps = BlockToeplitz(np.stack([auto[:, span, span] for span in spans])).solve(right)
    n_fft = block_length(window + n_taps - 1, n_taps)
    joint, own = (
        np.ascontiguousarray(np.fft.rfft(taps, n_fft, axis=1).swapaxes(1, 3))
        for taps in (joint_taps, own_taps)
    )
    return Filters(n_taps, n_fft, joint[0], own, rivals, float(equations.condition()))


def energies(
    estimates: Signals, targets: Signals, filters: Filters, *, within: slice, images: bool
) -> Real:
    """Numerators and denominators of SDR, ISR, SIR and SAR over one window.

    Only the window's samples are filtered, together with the tail of the filters behind it.

    Parameters
    ----------
    estimates, targets : sequences of array [shape=(channel, sample)]
    filters : Filters
    within : slice
        The window.
    images : bool
        True compares with the target, False with the filtered target (and has no ISR).

    Returns
    -------
    array [shape=(4, 2, rival, target)]
        One rival, the target's own estimate, if the filters know no others.
    """
    low, high = within.start, within.stop
    delay, n_channels = filters.n_taps - 1, len(targets[0])
    step = filters.n_fft - delay
    total = np.zeros((4, 2, len(estimates) if filters.rivals else 1, len(targets)))
    for starts in batches(range(low - delay, high, step)):
        truth = cut(targets, starts, filters.n_fft, within=within)
        guess = cut(estimates, [start + delay for start in starts], step, within=within)
        spectra = np.fft.rfft(truth)
        joint = _filter(filters.joint, spectra, filters)
        for j in range(len(targets)):
            own = slice(j * n_channels, (j + 1) * n_channels)
            who = slice(None) if filters.rivals else own
            image = _filter(filters.own[j], spectra[own], filters)
            parts = (guess[who], joint[who], image, truth[own, :, delay:])
            by_source = (x.reshape(-1, n_channels, *x.shape[1:]) for x in parts)
            total[..., j] += _energies(*by_source, images=images)
    return total


def _filter(responses: Complex, spectra: Complex, filters: Filters) -> Real:
    """Filter blocks, and return them without the samples that the circle of the FFT spoils."""
    blocks = np.fft.irfft(apply_filters(responses, spectra), filters.n_fft)
    return np.asarray(blocks[..., filters.n_taps - 1 :])


def _energies(guess: Real, joint: Real, image: Real, truth: Real, *, images: bool) -> Real:
    """Numerators and denominators of the four ratios: (4, 2, rival)."""
    aim = truth if images else image
    pairs = np.zeros((4, 2, len(guess)))
    pairs[0, 0], pairs[2, 0], pairs[3, 0] = (_energy(x) for x in (aim, image, joint))
    rest = np.empty(guess.shape)
    pairs[0, 1] = _energy(np.subtract(guess, aim, out=rest))
    if images:
        pairs[1, 0] = pairs[0, 0]
        pairs[1, 1] = _energy(np.subtract(image, truth, out=rest))
    pairs[2, 1] = _energy(np.subtract(joint, image, out=rest))
    pairs[3, 1] = _energy(np.subtract(guess, joint, out=rest))
    return pairs


def _energy(x: Real) -> Real:
    """Sum of squares of each source: (source, channel, block, sample) to (source,)."""
    rows = np.matmul(x[..., None, :], x[..., :, None])
    return np.asarray(rows.reshape(len(x), -1).sum(axis=-1))
