"""The short-time Fourier transform: one frozen object, two methods, any array library.

Framing is that of ``torch.stft(center=True, pad_mode="constant")``: frame ``k`` is centred at
sample ``k * hop``, and the signal is continued with zeros, to a whole number of hops, so that the
last sample is covered as well as any other and every length comes back exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from unmask._arrays import Array, check_axes, is_complex, namespace, real_dtype
from unmask.errors import ConfigError, ShapeError
from unmask.frontends.frames import add, cut
from unmask.transforms import is_quick

# Least envelope of squared windows, relative to the largest, that is still inverted: below it
# synthesis would amplify rounding by more than about 14.
_LEAST_ENVELOPE = 5e-3

# Windows that are sums of cosines, (-1)**k a_k cos(2 pi k n / N).
_COSINES = {
    "blackman": (0.42, 0.5, 0.08),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "boxcar": (1.0,),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
    "hamming": (0.54, 0.46),
    "hann": (0.5, 0.5),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
}
_ROOT = "sqrt_"


@lru_cache(maxsize=64)
def _window(name: str, n_fft: int) -> Any:
    """Return the periodic window `name` in float64; ``sqrt_`` before a name takes its root."""
    base = name.removeprefix(_ROOT)
    if base not in _COSINES:
        raise ConfigError(
            f"window: {name!r} is unknown; there are {', '.join(_COSINES)}, each also with "
            f"{_ROOT!r} before it"
        )
    phase = 2 * np.pi * np.arange(n_fft) / n_fft
    terms = [(-1) ** k * a * np.cos(k * phase) for k, a in enumerate(_COSINES[base])]
    window = np.sum(terms, axis=0)
    return np.sqrt(np.maximum(window, 0.0)) if base != name else window


@dataclass(frozen=True)
class STFT:
    """A short-time Fourier transform that gives back exactly what went in.

    Parameters
    ----------
    n_fft : int
        Length of the window and of the transform in samples; 2048 are 46 ms at 44.1 kHz.
    hop : int
        Step between frames in samples, at most `n_fft`; it need not divide it.
    window : str
        A periodic window: ``"hann"``, ``"hamming"``, ``"boxcar"``, ``"blackman"``,
        ``"blackmanharris"``, ``"nuttall"``, ``"flattop"``; or its root, as ``"sqrt_hann"``.

    Raises
    ------
    ConfigError
        If `hop` is not from 1 to `n_fft`, the window is unknown, or window and hop leave samples
        that cannot be rebuilt (a Hann window without overlap).

    Notes
    -----
    Synthesis is the least-squares inverse (Griffin and Lim, 1984): overlap-add with the window,
    divided by the sum of squared windows.

    Examples
    --------
    >>> stft = STFT(n_fft=512, hop=128, window="sqrt_hann")
    >>> waveform = np.ones((2, 1000))
    >>> spectrum = stft.analyze(waveform)
    >>> spectrum.shape
    (2, 257, 9)
    >>> bool(np.allclose(stft.synthesize(spectrum, 1000), waveform, rtol=0, atol=1e-12))
    True
    """

    n_fft: int = 2048
    hop: int = 512
    window: str = "hann"
    kind: ClassVar[str] = "stft"

    def __post_init__(self) -> None:
        if self.n_fft < 2 or not 1 <= self.hop <= self.n_fft:
            raise ConfigError(
                f"hop: {self.hop} with n_fft = {self.n_fft}, expected 1 <= hop <= n_fft and "
                "n_fft >= 2; take n_fft / 2, / 4 or / 8"
            )
        # Four windows of signal show both edges and the steady state. A signal lies between the
        # centres of its first and its last frame.
        n_frames = 4 * self.overlap
        left = self.n_fft // 2
        inner = self._envelope(n_frames)[left : left + (n_frames - 1) * self.hop]
        if inner.min() < _LEAST_ENVELOPE * inner.max():
            raise ConfigError(
                f"STFT: window {self.window!r} with n_fft = {self.n_fft} and hop = {self.hop} "
                "cannot be inverted, some samples are weighted by (nearly) zero; take a smaller hop"
            )

    @property
    def n_freq(self) -> int:
        """Number of frequency bins, from 0 Hz to half the sample rate."""
        return self.n_fft // 2 + 1

    @property
    def overlap(self) -> int:
        """Hops that a frame reaches over, ``ceil(n_fft / hop)``."""
        return -(-self.n_fft // self.hop)

    @property
    def length(self) -> int:
        """Samples of a frame."""
        return self.n_fft

    @property
    def lead(self) -> int:
        """Samples of silence before the signal that the first frame begins with."""
        return self.n_fft // 2

    @property
    def unit(self) -> float:
        """Factor ``2 / sum(window)`` that gives the spectrum of a full-scale sine magnitude 1."""
        return 2.0 / float(self.window_values.sum())

    def n_frames(self, n_samples: int) -> int:
        """Return the number of frames of a signal of `n_samples`: ``1 + ceil(n_samples / hop)``."""
        return 1 - (-n_samples // self.hop)

    def frequencies(self, sample_rate: float) -> Array:
        """Return the centre of every bin in Hz, shape (freq,)."""
        return np.arange(self.n_freq) * (sample_rate / self.n_fft)

    @cached_property
    def window_values(self) -> Any:
        """The window, float64 NumPy array of shape (n_fft,)."""
        return _window(self.window, self.n_fft)

    def scaled(self, ratio: float) -> "STFT":
        """Return the front-end whose bins and frames are as wide at `ratio` times the sample rate.

        At ratio 1 it is this one. At others the hop is within half a percent of the exact one, or
        the nearest whole number; `n_fft` is even where that is possible, has small prime factors if
        it can (a window of 2 x 353 samples takes twice the time of one of 2 x 352), and keeps its
        ratio to the hop: exactly where the hop divides it, else as well as even numbers allow.

        Raises
        ------
        ConfigError
            If so small a window and hop cannot be inverted.
        """
        if ratio == 1:
            return self
        exact = self.hop * ratio
        hops = range(max(1, round(0.995 * exact)), max(1, round(1.005 * exact)) + 1)

        def cost(hop: int) -> tuple[bool, bool, float, float]:
            n_fft = self._n_fft_of(hop)
            error = abs(n_fft / hop - self.n_fft / self.hop)
            return n_fft % 2 == 1, not is_quick(n_fft), error, abs(hop - exact)

        hop = min(hops, key=cost)
        return STFT(self._n_fft_of(hop), hop, self.window)

    def _n_fft_of(self, hop: int) -> int:
        """Return the length of a window that is to another `hop` as this one is to its own."""
        if self.n_fft % self.hop == 0:
            return hop * self.overlap
        return 2 * round(hop * self.n_fft / (2 * self.hop))

    def analyze(self, waveform: Array) -> Array:
        """Return the complex spectrum of `waveform`.

        Parameters
        ----------
        waveform : array [shape=(..., channel, sample)], real
            At least two axes, any length.

        Returns
        -------
        array [shape=(..., channel, freq, frame)], complex of the same precision
            Not normalised: a full-scale sine has the magnitude ``sum(window) / 2``, 1 / `unit`.

        Raises
        ------
        ShapeError
            If there are fewer axes, or the samples are complex.
        """
        check_axes("channel, sample", waveform=waveform)
        if is_complex(waveform):
            raise ShapeError("waveform is complex, expected real samples; take its real part")
        xp, n_frames = namespace(waveform), self.n_frames(waveform.shape[-1])
        frames = cut(waveform, n_frames, self.n_fft, self.hop, lead=self.lead)
        return xp.matrix_transpose(xp.fft.rfft(frames * self._window_like(waveform)))

    def synthesize(self, spectrum: Array, n_samples: int) -> Array:
        """Return the waveform of `n_samples` whose spectrum is nearest to `spectrum`.

        Parameters
        ----------
        spectrum : array [shape=(..., channel, freq, frame)], complex
            As :meth:`analyze` returns it for a waveform of `n_samples`, changed or not.
        n_samples : int
            Length to return.

        Returns
        -------
        array [shape=(..., channel, sample)], real of the same precision

        Raises
        ------
        ShapeError
            If the number of bins or frames is not that of `n_samples`.
        """
        check_axes("channel, freq, frame", spectrum=spectrum)
        expected = (self.n_freq, self.n_frames(n_samples))
        if tuple(spectrum.shape[-2:]) != expected:
            raise ShapeError(
                f"spectrum has (freq, frame) = {tuple(spectrum.shape[-2:])}, expected {expected} "
                f"for {n_samples} samples with n_fft = {self.n_fft}, hop = {self.hop}"
            )
        xp = namespace(spectrum)
        frames = xp.fft.irfft(xp.matrix_transpose(spectrum), n=self.n_fft)
        summed = add(frames * self._window_like(frames), self.hop)
        inside = slice(self.lead, self.lead + n_samples)
        return summed[..., inside] / _like(self._envelope(expected[1])[inside], summed)

    def pieces(
        self, n_samples: int, *, n_frames: int = 64, context: int = 0
    ) -> Iterator[tuple[slice, slice]]:
        """Cut a long signal, so that work on spectra needs constant memory and leaves no seam.

        Parameters
        ----------
        n_samples : int
            Length of the signal.
        n_frames : int
            Frames of a piece, about.
        context : int
            Neighbouring frames that a frame of the result depends on.

        Yields
        ------
        (slice, slice)
            The samples to analyse, and which samples of their synthesis to keep. What is kept
            covers the signal without overlap; frames have the places of the whole signal's.
        """
        # Whole hops, so that frames keep their places. A sample that is kept is within half a
        # window of the centres of its frames, which are made of samples half a window further.
        step, margin = n_frames * self.hop, (self.overlap + context) * self.hop
        for start in range(0, max(1, n_samples), step):
            stop = min(start + step, n_samples)
            left = max(0, start - margin)
            yield slice(left, min(n_samples, stop + margin)), slice(start - left, stop - left)

    def _window_like(self, x: Array) -> Array:
        return _like(self.window_values, x)

    def _envelope(self, n_frames: int) -> Any:
        """Return the sum of squared windows of `n_frames` frames, float64."""
        overlap = self.overlap
        squares = np.pad(self.window_values**2, (0, overlap * self.hop - self.n_fft))
        squares = squares.reshape(overlap, self.hop)
        # Block b is covered by the frames b - overlap < k <= b that exist, by frame k with the hop
        # b - k of its window: a run of the window's hops, the difference of two running sums.
        sums = np.concatenate([np.zeros((1, self.hop)), np.cumsum(squares, axis=0)])
        block = np.arange(n_frames + overlap - 1)
        first = np.maximum(0, block - n_frames + 1)
        last = np.minimum(block, overlap - 1)
        return (sums[last + 1] - sums[first]).reshape(-1)


def _like(values: Any, x: Array) -> Array:
    """Return NumPy `values` as an array of the library, real precision and device of `x`."""
    xp = namespace(x)
    return xp.asarray(values, dtype=real_dtype(x), device=x.device)
