"""What complex masks gain over real ones, per octave, and what a hybrid's crossover costs.

The oracle of a hybrid, complex below a crossover and real above, is scored for a crossover at every
edge of an octave, 0 Hz and half the sample rate included: the first is all real, the last all
complex. Their difference in an octave is what the phase is worth there; what a crossover between
them lacks of the last is its price.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from unmask._arrays import Array
from unmask.errors import ConfigError
from unmask.frontends import STFT
from unmask.metrics import sdr
from unmask.mixtures import sum_of
from unmask.octaves import band_energies, band_sdr, octave_bands
from unmask.oracle import Oracle

__all__ = [
    "FLOOR_DB",
    "Curve",
    "mean",
    "phase_benefit",
]

#: An octave that holds less of a stem's energy than this is not scored: it is not heard.
FLOOR_DB = -60.0


@dataclass(frozen=True)
class Curve:
    """The scores of one stem, or the mean over several, at every crossover. All in dB."""

    name: str
    """Of the stem."""
    bands_hz: tuple[tuple[float, float], ...]
    """The octaves, which cover the band."""
    sdr_db: tuple[float, ...]
    """SDR of the hybrid of every crossover, whole band."""
    band_sdr_db: tuple[tuple[float, ...], ...]
    """The same in every octave (crossover, band); NaN where the stem has nothing."""

    @property
    def crossovers_hz(self) -> tuple[float, ...]:
        """From 0 Hz, which is all real, to half the sample rate, which is all complex."""
        return (0.0, *(high for _, high in self.bands_hz))

    @property
    def gain_db(self) -> tuple[float, ...]:
        """What complex masks gain over real ones in every octave."""
        return self.band_loss_db[0]

    @property
    def loss_db(self) -> tuple[float, ...]:
        """What the hybrid of every crossover lacks of complex masks in all the band."""
        return tuple(self.sdr_db[-1] - score for score in self.sdr_db)

    @property
    def band_loss_db(self) -> tuple[tuple[float, ...], ...]:
        """What it lacks in every octave (crossover, band)."""
        best = self.band_sdr_db[-1]
        return tuple(
            tuple(b - x for b, x in zip(best, row, strict=True)) for row in self.band_sdr_db
        )

    def loss_at(self, sdr_db: float) -> tuple[float, ...]:
        """Return what every crossover costs a separator of `sdr_db` with complex masks.

        The oracle's additional error is added to the separator's own, as if independent of it.
        """
        own = 10 ** (-sdr_db / 10)
        errors = [10 ** (-score / 10) for score in self.sdr_db]
        return tuple(10 * math.log10(1 + max(0.0, x - errors[-1]) / own) for x in errors)

    def crossover_hz(
        self, limit_db: float, *, every_octave: bool = False, sdr_db: float | None = None
    ) -> float:
        """Return the lowest crossover from which on no more than `limit_db` is lost.

        Parameters
        ----------
        limit_db : float >= 0
        every_octave : bool
            In no octave, instead of in the whole band.
        sdr_db : float, optional
            Of the whole band of a separator of this SDR, instead of the oracle; see `loss_at`.

        Returns
        -------
        float
            In Hz; NaN if the losses are not defined, as of a perfect estimate.

        Raises
        ------
        ConfigError
            If `limit_db` is negative.
        """
        if not limit_db >= 0:
            raise ConfigError(f"loss: {limit_db} dB, expected >= 0 dB")
        losses = self.loss_db if sdr_db is None else self.loss_at(sdr_db)
        losses = self.worst_octave_db if every_octave else losses
        found = math.nan
        for hz, loss in zip(reversed(self.crossovers_hz), reversed(losses), strict=True):
            if not loss <= limit_db:
                break
            found = hz
        return found

    @property
    def worst_octave_db(self) -> tuple[float, ...]:
        """Largest loss of any octave at every crossover."""
        return tuple(
            max((x for x in row if not math.isnan(x)), default=math.nan)
            for row in self.band_loss_db
        )

    def describe(self) -> dict[str, Any]:
        """Return everything as plain data."""
        names = ("name", "bands_hz", "crossovers_hz", "sdr_db", "loss_db", "gain_db")
        return {name: getattr(self, name) for name in (*names, "band_sdr_db", "band_loss_db")}


def phase_benefit(
    stems: Mapping[str, Array],
    sample_rate: int,
    *,
    complex_mask: str = "complex_tanh",
    real_mask: str = "psm_unit",
    stft: STFT | None = None,
    only: Iterable[str] | None = None,
) -> list[Curve]:
    """Return the curve of every stem that is not silent, for ideal masks on ``sum(stems)``.

    Parameters
    ----------
    stems : mapping of str to array [shape=(channel, sample)], real
        The truth, all of it.
    sample_rate : int
        In Hz.
    complex_mask, real_mask : str
        Families, by name.
    stft : STFT, optional
        Front-end. Octaves begin at two of its bins: below, windows see no difference.
    only : iterable of str, optional
        The stems to score; all by default.

    Raises
    ------
    ConfigError
        If there is no such family or stem, or every stem is silent.
    """
    stft = stft or STFT()
    chosen = list(stems if only is None else only)
    if missing := [name for name in chosen if name not in stems]:
        raise ConfigError(f"stems: no {', '.join(missing)}; there are {', '.join(stems)}")
    bands = tuple(octave_bands(sample_rate, lowest_hz=2 * sample_rate / stft.n_fft))
    heard = {name: _heard(stft, stems[name], sample_rate, bands) for name in chosen}
    heard = {name: octaves for name, octaves in heard.items() if any(octaves)}
    if not heard:
        raise ConfigError(f"stems: {', '.join(chosen)} silent, expected sound; choose other stems")
    inner = [f"hybrid:{complex_mask}:{hz:.12g}:{real_mask}" for _, hz in bands[:-1]]
    whole: dict[str, list[float]] = {name: [] for name in heard}
    parts: dict[str, list[tuple[float, ...]]] = {name: [] for name in heard}
    mixture = sum_of(stems)
    for mask in (real_mask, *inner, complex_mask):
        estimates = Oracle(stems, sample_rate, mask, stft).separate(mixture, sample_rate)
        for name, octaves in heard.items():
            estimate, target = estimates[name], stems[name]
            scores = band_sdr(stft, estimate, target, sample_rate, bands)
            whole[name].append(float(sdr(estimate, target)))
            parts[name].append(
                tuple(
                    x if is_heard else math.nan for x, is_heard in zip(scores, octaves, strict=True)
                )
            )
    return [Curve(name, bands, tuple(whole[name]), tuple(parts[name])) for name in heard]


def mean(curves: Sequence[Curve], name: str = "mean") -> Curve:
    """Return the mean in dB over curves, each with the same weight; NaN counts nowhere.

    Raises
    ------
    ConfigError
        If there is none, or their octaves differ.
    """
    if not curves or len({curve.bands_hz for curve in curves}) > 1:
        raise ConfigError(
            f"curves: {len(curves)}, expected one or more with the same octaves; "
            "recordings of other sample rates make a curve of their own"
        )
    rows = zip(*(curve.band_sdr_db for curve in curves), strict=True)
    return Curve(
        name,
        curves[0].bands_hz,
        tuple(_mean(scores) for scores in zip(*(curve.sdr_db for curve in curves), strict=True)),
        tuple(tuple(_mean(scores) for scores in zip(*row, strict=True)) for row in rows),
    )


def _mean(scores: Iterable[float]) -> float:
    defined = [score for score in scores if not math.isnan(score)]
    return fmean(defined) if defined else math.nan


def _heard(
    stft: STFT, stem: Array, sample_rate: int, bands: Sequence[tuple[float, float]]
) -> list[bool]:
    """Return for every octave whether it holds a share of the stem that counts."""
    energies, _ = band_energies(stft, stem, stem, sample_rate, bands)
    least = sum(energies) * 10 ** (FLOOR_DB / 10)
    return [energy > 0 and energy >= least for energy in energies]


def __dir__() -> list[str]:
    return __all__
