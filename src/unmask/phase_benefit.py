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

from unmask import masks
from unmask._arrays import Array
from unmask.errors import ConfigError
from unmask.frontends import STFT
from unmask.metrics import RunningScores
from unmask.mixtures import Sources, own_frames
from unmask.octaves import BandSums, octave_bands

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
    stems: Mapping[str, Array] | Sources,
    sample_rate: int | None = None,
    *,
    complex_mask: str = "complex_tanh",
    real_mask: str = "psm_unit",
    stft: STFT | None = None,
    only: Iterable[str] | None = None,
) -> list[Curve]:
    """Return the curve of every stem that is not silent, for ideal masks on ``sum(stems)``.

    Memory does not grow with the recording, if `stems` are :class:`unmask.mixtures.Sources`.

    Parameters
    ----------
    stems : mapping of str to array [shape=(channel, sample)], real, or Sources
        The truth, all of it.
    sample_rate : int
        In Hz; sources say it themselves.
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
    sources = stems if isinstance(stems, Sources) else Sources(stems, sample_rate)
    stft, rate = stft or STFT(), sources.sample_rate
    chosen = list(sources.names if only is None else only)
    if missing := [name for name in chosen if name not in sources.names]:
        raise ConfigError(f"stems: no {', '.join(missing)}; there are {', '.join(sources.names)}")
    bands = tuple(octave_bands(rate, lowest_hz=2 * rate / stft.n_fft))
    inner = [f"hybrid:{complex_mask}:{hz:.12g}:{real_mask}" for _, hz in bands[:-1]]
    families = [masks.get(name, sample_rate=rate) for name in (real_mask, *inner, complex_mask)]
    whole, parts = _scores(sources, families, stft, bands)
    energies = dict(zip(sources.names, parts[0].energy, strict=True))
    heard = {name: _heard(energies[name]) for name in chosen}
    heard = {name: octaves for name, octaves in heard.items() if any(octaves)}
    if not heard:
        raise ConfigError(f"stems: {', '.join(chosen)} silent, expected sound; choose other stems")
    curves = []
    for name, octaves in heard.items():
        k = sources.names.index(name)
        rows = (
            tuple(x if is_heard else math.nan for x, is_heard in zip(one[k], octaves, strict=True))
            for one in [sums.sdr for sums in parts]
        )
        curves.append(Curve(name, bands, tuple(float(one.sdr[k]) for one in whole), tuple(rows)))
    return curves


def _scores(
    sources: Sources,
    families: Sequence[masks.Family],
    stft: STFT,
    bands: Sequence[tuple[float, float]],
) -> tuple[list[RunningScores], list[BandSums]]:
    """Return the scores of the ideal masks of every family: of all the band, and of its octaves."""
    whole = [RunningScores() for _ in families]
    parts = [BandSums(stft, sources.sample_rate, bands) for _ in families]
    # Room for frames that are made, and then analysed again.
    context = stft.overlap + max(max(family.context) for family in families)
    for outer, inner, waves in sources.pieces(stft.pieces(sources.n_samples, context=context)):
        own = own_frames(inner, stft.hop)
        targets, mixture = stft.analyze(waves), stft.analyze(waves.sum(axis=0))
        for family, scores, sums in zip(families, whole, parts, strict=True):
            made = family.apply(family.ideal(targets, mixture), mixture)
            wave = stft.synthesize(made, outer.stop - outer.start)
            scores.add(wave[..., inner], waves[..., inner])
            sums.add(stft.analyze(wave)[..., own], targets[..., own])
    return whole, parts


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


def _heard(energies: Sequence[float]) -> list[bool]:
    """Return for every octave whether it holds a share of the stem that counts."""
    least = sum(energies) * 10 ** (FLOOR_DB / 10)
    return [energy > 0 and energy >= least for energy in energies]


def __dir__() -> list[str]:
    return __all__
