"""Recordings of speech with less of the noise that they were made in, to be targets."""

from typing import Any

import numpy as np

from unmask.frontends import STFT

#: Length of a window in seconds.
_WINDOW_S = 0.032
#: Percentile of a bin's power over time that is taken to be noise alone, and what share of the
#: mean of noise it is: power of Gaussian noise is exponentially distributed.
_PERCENTILE = 10.0
_SHARE = -np.log(1 - _PERCENTILE / 100)
#: Noise is taken out this many times, so that what is left does not flutter.
_OVER = 3.0
#: Neighbours that power is the mean of: frames and bins.
_N_FRAMES, _N_BINS = 5, 3


def lower_floor(x: Any, sample_rate: int, by_db: float) -> Any:
    """Return `x` with its steady noise lowered by at most `by_db`.

    Spectral subtraction (Boll, 1979) of a floor that is found in the quietest tenth of the frames,
    bin by bin; power is smoothed over time and frequency before it is compared.

    Parameters
    ----------
    x : array [shape=(sample,)]
        With pauses: where someone speaks all the time in a bin, speech is taken for noise.
    sample_rate : int
    by_db : float >= 0
        0 leaves it as it is.

    Returns
    -------
    array [shape=(sample,)]
    """
    hop = round(sample_rate * _WINDOW_S / 2)
    stft = STFT(n_fft=2 * hop, hop=hop, window="sqrt_hann")
    spectrum = stft.analyze(np.asarray(x, np.float32)[None])[0]
    power = np.square(np.abs(spectrum))
    floor = np.percentile(power, _PERCENTILE, axis=-1, keepdims=True) / _SHARE
    power = _smoothed(_smoothed(power, _N_FRAMES, axis=1), _N_BINS, axis=0)
    share = np.divide(floor, power, out=np.ones_like(power), where=power > 0)
    gain = np.maximum(1 - _OVER * share, 10 ** (-by_db / 20))
    return stft.synthesize((spectrum * gain).astype(np.complex64)[None], len(x))[0]


def _smoothed(x: Any, n: int, *, axis: int) -> Any:
    """Return means over `n` neighbours; ends are continued."""
    beside = [(0, 0)] * x.ndim
    beside[axis] = (n // 2, n // 2)
    padded = np.pad(x, beside, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, n, axis=axis).mean(-1)
