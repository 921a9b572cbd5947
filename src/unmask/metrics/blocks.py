"""Correlation and filtering of long signals by blocks, so that memory does not grow with length.

Signals are NumPy arrays (channel, sample) of any real type, or what gives such arrays for slices of
samples, as many as there are sources; blocks of them are float64.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]


class Signal(Protocol):
    """An array (channel, sample), or a file that is indexed like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(channel, sample)."""

    def __len__(self) -> int:
        """Return the number of channels."""

    def __getitem__(self, place: tuple[slice, slice], /) -> NDArray[Any]:
        """Return the samples of a slice."""


Signals = Sequence[Signal]

#: blocks worked on together: a window of 1 s at 44.1 kHz, a few MB
_BATCH = 16


def block_length(n_samples: int, n_taps: int) -> int:
    """FFT length for a signal of `n_samples` in blocks that overlap by ``n_taps - 1``.

    A power of two: those are faster by a seventh than the lengths between them.
    """
    return int(2 ** math.ceil(math.log2(max(min(n_samples, 8 * n_taps), 1024))))


def keep_memory() -> None:
    """Let the C library keep freed work arrays for the next ones, where it is glibc.

    glibc maps every array above a threshold anew, and the system clears each page of it: half of
    the time here. The threshold grows to the largest array that was ever freed; this is one.
    """
    np.empty(1 << 24, np.uint8)


def batches(starts: range) -> Iterator[range]:
    """Few block starts at a time."""
    for first in range(0, len(starts), _BATCH):
        yield starts[first : first + _BATCH]


def cut(
    signals: Signals,
    starts: Sequence[int],
    n_samples: int,
    *,
    within: slice,
) -> Real:
    """Copy blocks that begin at `starts`, silent outside `within`: (signal, block, sample).

    The channels of all `signals`, each (channel, sample), follow one another.
    """
    low, high = within.start, within.stop
    n_channels = len(signals[0])
    blocks = np.empty((len(signals), n_channels, len(starts), n_samples))
    for i, start in enumerate(starts):
        first, last = max(start, low), min(start + n_samples, high)
        if last - first < n_samples:
            blocks[:, :, i] = 0
        if first < last:
            for block, signal in zip(blocks[:, :, i], signals, strict=True):
                block[:, first - start : last - start] = signal[:, first:last]
    return blocks.reshape(-1, len(starts), n_samples)


def correlate(
    targets: Signals, estimates: Signals, n_lags: int, *, within: slice
) -> tuple[Real, Real]:
    """Correlations of the targets with each other and with the estimates.

    Parameters
    ----------
    targets, estimates : sequences of array [shape=(channel, sample)]
        Their channels are counted through: signals i and j below.
    n_lags : int
    within : slice
        The samples that count; outside is silence.

    Returns
    -------
    auto : array [shape=(lag, i, j)]
        ``auto[k, i, j] = sum_n targets[i, n] targets[j, n + k]`` for ``0 <= k < n_lags``.
    cross : array [shape=(lag, i, j)]
        The same with ``estimates[j]``.
    """
    low, high = within.start, within.stop
    n_fft = block_length(high - low + n_lags - 1, n_lags)
    step = n_fft - n_lags + 1
    n_targets, n_estimates = (len(x) * len(x[0]) for x in (targets, estimates))
    total = np.zeros((n_fft // 2 + 1, n_targets, n_targets + n_estimates), np.complex128)
    term = np.empty_like(total)
    for starts in batches(range(low, high, step)):
        ahead = cut((*targets, *estimates), starts, n_fft, within=within)
        later = _frequency_first(np.fft.rfft(ahead))
        ahead[:, :, step:] = 0
        here = _frequency_first(np.fft.rfft(ahead[:n_targets]))
        np.conjugate(here, out=here)
        total += np.matmul(here, later.swapaxes(-1, -2), out=term)
    both = np.fft.irfft(total, n_fft, axis=0)[:n_lags]
    return both[..., :n_targets].copy(), both[..., n_targets:].copy()


def _frequency_first(spectra: Complex) -> Complex:
    """From (channel, block, freq) to contiguous (freq, channel, block), for products by bin."""
    return np.ascontiguousarray(spectra.transpose(2, 0, 1))


def apply_filters(response: Complex, spectra: Complex) -> Complex:
    """Filter spectra with a matrix of filters.

    Parameters
    ----------
    response : array [shape=(output, input, freq)]
    spectra : array [shape=(input, block, freq)]

    Returns
    -------
    array [shape=(output, block, freq)]
    """
    output: Complex = response[:, 0, None] * spectra[0]
    term = np.empty_like(output)
    for i in range(1, len(spectra)):
        output += np.multiply(response[:, i, None], spectra[i], out=term)
    return output
