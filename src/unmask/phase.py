"""Phase rebuilt from magnitudes: Griffin-Lim for one signal, MISI for the sources of a mixture."""

from typing import Protocol

from unmask._arrays import Array, check_axes, make_complex, namespace, safe_divide
from unmask.errors import ConfigError, ShapeError

__all__ = [
    "Frontend",
    "griffin_lim",
    "misi",
]


class Frontend(Protocol):
    """What phase reconstruction asks of a front-end; :class:`unmask.STFT` is one."""

    def analyze(self, waveform: Array) -> Array:
        """Return the spectrum (..., channel, freq, frame) of a waveform (..., channel, sample)."""

    def synthesize(self, spectrum: Array, n_samples: int) -> Array:
        """Return the waveform of `n_samples` nearest to a spectrum."""


def _with_phase_of(mags: Array, spectrum: Array) -> Array:
    """Return `mags` with the phase of `spectrum`, phase 0 where that is silent."""
    xp = namespace(mags, spectrum)
    size = xp.abs(spectrum)
    re = safe_divide(xp.real(spectrum), size, fill=1.0)
    im = safe_divide(xp.imag(spectrum), size, fill=0.0)
    return make_complex(mags * re, mags * im)


def griffin_lim(
    mags: Array,
    frontend: Frontend,
    n_samples: int,
    *,
    n_iterations: int = 100,
    momentum: float = 0.99,
    start: Array | None = None,
) -> Array:
    """Return a waveform whose magnitude spectrogram is near `mags`.

    Parameters
    ----------
    mags : array [shape=(..., channel, freq, frame)], real, >= 0
    frontend : STFT
        That `mags` comes from.
    n_samples : int
        Length to return.
    n_iterations : int >= 0
        50 to 100 are usual.
    momentum : float in [0, 1)
        0 is the method of Griffin and Lim (1984), whose error never rises; 0.99 the faster one of
        Perraudin et al. (2013).
    start : array [shape of `mags`], complex, optional
        Spectrum whose phase is the first guess, as that of the mixture; phase 0 by default.

    Returns
    -------
    array [shape=(..., channel, sample)]

    Raises
    ------
    ConfigError
        If `n_iterations` or `momentum` is out of range.
    ShapeError
        If `mags` has too few axes, or its bins and frames are not those of `n_samples`.
    """
    _check(n_iterations, momentum)
    check_axes("channel, freq, frame", mags=mags)
    spectrum = make_complex(mags, 0 * mags) if start is None else _with_phase_of(mags, start)
    before = 0 * spectrum
    for _ in range(n_iterations):
        consistent = frontend.analyze(frontend.synthesize(spectrum, n_samples))
        spectrum = _with_phase_of(mags, consistent + momentum * (consistent - before))
        before = consistent
    return frontend.synthesize(spectrum, n_samples)


def misi(mags: Array, mixture: Array, frontend: Frontend, *, n_iterations: int = 10) -> Array:
    """Return sources with the given magnitudes that add up to the mixture.

    Multiple input spectrogram inversion (Gunawan and Sen, 2010): every source starts with the
    mixture's phase; in each round the sources share the error of their sum, and keep the phase.

    Parameters
    ----------
    mags : array [shape=(..., source, channel, freq, frame)], real, >= 0
    mixture : array [shape=(..., channel, sample)], real
        Waveform.
    frontend : STFT
        That `mags` comes from.
    n_iterations : int >= 0

    Returns
    -------
    array [shape=(..., source, channel, sample)]
        Adds up to `mixture` exactly (to rounding).

    Raises
    ------
    ConfigError
        If `n_iterations` is negative.
    ShapeError
        If `mags` is not the shape of the mixture's spectrum with a source axis.
    """
    _check(n_iterations, 0.0)
    check_axes("source, channel, freq, frame", mags=mags)
    xp = namespace(mags, mixture)
    n_samples, n_sources = mixture.shape[-1], mags.shape[-4]
    whole = xp.expand_dims(mixture, axis=-3)
    phases = xp.expand_dims(frontend.analyze(mixture), axis=-4)
    if tuple(phases.shape[-3:]) != tuple(mags.shape[-3:]):
        raise ShapeError(
            f"mags{tuple(mags.shape)} and the mixture's spectrum {tuple(phases.shape[-3:])} must "
            "agree in (channel, freq, frame)"
        )

    def share_error(spectrum: Array) -> Array:
        sources = frontend.synthesize(spectrum, n_samples)
        return sources + (whole - xp.sum(sources, axis=-3, keepdims=True)) / n_sources

    sources = share_error(_with_phase_of(mags, phases + 0 * mags))
    for _ in range(n_iterations):
        sources = share_error(_with_phase_of(mags, frontend.analyze(sources)))
    return sources


def _check(n_iterations: int, momentum: float) -> None:
    if n_iterations < 0:
        raise ConfigError(f"n_iterations: {n_iterations}, expected >= 0")
    if not 0 <= momentum < 1:
        raise ConfigError(f"momentum: {momentum}, expected 0 <= momentum < 1")


def __dir__() -> list[str]:
    return __all__
