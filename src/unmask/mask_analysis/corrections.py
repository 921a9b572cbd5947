"""How far masks turn phases, and where: figure 2 of Jansson et al. (2021) in numbers.

The *correction* of a bin is ``|angle M|`` in degrees, 0 to 180: how far the source's phase is put
from the mixture's. With ``S`` the source and ``R`` all the rest, ``angle(S / (S + R))`` is at most
``asin(|R| / |S|)`` where the rest is quieter, so a correction of more than 90 degrees needs a bin
in which the rest is louder than the source.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from unmask._arrays import Array, safe_divide
from unmask.errors import ConfigError
from unmask.mask_analysis.applied import AppliedMasks
from unmask.mask_analysis.correlation import Correlation
from unmask.mask_analysis.onsets import Flux
from unmask.octaves import octave_bands

#: Edges of the histogram of corrections in degrees.
HISTOGRAM_EDGES_DEG: tuple[float, ...] = tuple(float(edge) for edge in range(0, 181, 5))

_ROTATED_DEG = 90.0
# Below this, relative to the mixture's loudest bin, a source is silent: codecs leave such noise.
_SILENCE_DB = -90.0
# Bins of a Hann window's main lobe: closer ones are not independent.
_LOBE = 4


@dataclass(frozen=True)
class Place:
    """The corrections in some of the bins of one source."""

    kind: str
    """``whole``; ``own onset``, ``others' onset``; ``rest``, ``loudest other``; ``band``."""
    name: str
    """Which bins of that kind: ``before``, ``drums``, ``125-250 Hz``, …"""
    bins: float
    """Share of the source's bins that lie here, 0 to 1."""
    energy: float
    """Share of the energy of the masked spectrum that lies here."""
    correction: float
    """Share of all corrections, weighted by energy, that lies here."""
    mean_deg: float
    """Mean correction, weighted by energy."""
    rotated_bins: float
    """Share of the bins here that are turned by more than 90 degrees."""
    rotated_energy: float
    """Share of the energy here that is turned by more than 90 degrees."""


@dataclass(frozen=True)
class Corrections:
    """What the mask of one source does to phases; NaN where nothing is loud enough to tell."""

    source: str
    above_floor: float
    """Share of all bins that are loud enough to count; every other number is of these."""
    n_onsets: int
    """Onsets found in the source."""
    along_time: float
    """Correlation of corrections with those a window later in the same bin."""
    along_frequency: float
    """Correlation of corrections with those a main lobe higher in the same frame."""
    histogram_bins: tuple[float, ...]
    """Share of bins by correction, between :data:`HISTOGRAM_EDGES_DEG`; the last holds 180."""
    histogram_energy: tuple[float, ...]
    """Share of energy of the masked spectrum by correction."""
    places: tuple[Place, ...]
    """The whole first, then by kind; the bins of a kind do not overlap."""


def correction_deg(mask: Array) -> Array:
    """Return how far a mask turns every bin, in degrees from 0 to 180; 0 where it is 0.

    Examples
    --------
    >>> correction_deg(np.array([0.5, -0.5, 2j, 0.0]))
    array([  0., 180.,  90.,   0.])
    """
    return np.where(mask == 0, 0.0, np.degrees(np.abs(np.angle(mask))))


def corrections(
    applied: "Masks",
    *,
    floor_db: float = -60.0,
    overlap_db: float = 10.0,
    onset_s: float = 0.05,
) -> list[Corrections]:
    """Measure the phase corrections of every mask.

    Parameters
    ----------
    applied : AppliedMasks or Passage
        From :func:`ideal_masks` or :func:`model_masks`; or in pieces, gone through twice, from
        :func:`ideal_passage` or :func:`model_passage`, with the same numbers.
    floor_db : float < 0
        A bin counts if its masked spectrum is above this, relative to the source's loudest bin, and
        above -90 dB relative to the mixture's: phases of what cannot be heard say nothing.
    overlap_db : float > 0
        The source is *alone* in a bin if all the rest is this much quieter, *covered* if it is this
        much louder, and *shares* it otherwise. By all targets, not by the masks.
    onset_s : float > 0
        How long before and after the frame of an onset counts as such, in seconds. Where onsets
        are close, at goes before before, and that before after.

    Returns
    -------
    list of Corrections
        In the order of ``applied.masks``.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """
    if not (floor_db < 0 < overlap_db and onset_s > 0):
        raise ConfigError(
            f"floor_db {floor_db}, overlap_db {overlap_db}, onset_s {onset_s}: "
            "expected below 0, above 0 and above 0"
        )
    peaks = _Peaks.of(applied)
    began = _onsets(applied, peaks)
    reach = max(1, round(onset_s / applied.frame_s))
    around = _Around(
        own={name: _around(frames, reach) for name, frames in began.items()},
        others={name: _around(_elsewhere(name, began), reach) for name in began},
    )
    sums = {
        name: _Sums(max(peak * 10 ** (floor_db / 10), peaks.mixture * 10 ** (_SILENCE_DB / 10)))
        for name, peak in peaks.masked.items()
    }
    first = 0
    for piece in applied.pieces():
        frames = slice(first, first + piece.mixture.shape[-1])
        for name, total in sums.items():
            total.add(piece, name, _labels(piece, name, overlap_db, around, frames))
        first = frames.stop
    return [total.corrections(name, int(began[name].sum())) for name, total in sums.items()]


class Masks(Protocol):
    """What is measured, in pieces that follow one another."""

    @property
    def frame_s(self) -> float:
        """Step between frames in seconds."""

    def pieces(self) -> Iterator[AppliedMasks]:
        """Yield the pieces; they may be asked for again."""

    def spectra(self) -> Iterator[Mapping[str, Array]]:
        """Yield the spectra of the targets (channel, freq, frame) in pieces."""


@dataclass
class _Peaks:
    """The loudest bins of a whole stretch."""

    mixture: float = 0.0
    """Energy."""
    masked: dict[str, float] = field(default_factory=dict)
    """Source -> energy of the masked spectrum."""
    targets: dict[str, float] = field(default_factory=dict)
    """Source -> magnitude."""

    @classmethod
    def of(cls, applied: Masks) -> "_Peaks":
        peaks = cls()
        for piece in applied.pieces():
            peaks.mixture = max(peaks.mixture, float(np.abs(piece.mixture).max()) ** 2)
            for name, mask in piece.masks.items():
                loudest = float(_energy(mask, piece.mixture).max())
                peaks.masked[name] = max(peaks.masked.get(name, 0.0), loudest)
            for name, target in piece.targets.items():
                loudest = float(np.abs(target).max())
                peaks.targets[name] = max(peaks.targets.get(name, 0.0), loudest)
        return peaks


def _energy(mask: Array, mixture: Array) -> Array:
    return np.abs(mask * mixture).astype(np.float64) ** 2


def _onsets(applied: Masks, peaks: _Peaks) -> dict[str, Array]:
    """Return the frames of the whole stretch in which each target begins something."""
    fluxes = {name: Flux(loudest) for name, loudest in peaks.targets.items()}
    for targets in applied.spectra():
        for name, spectrum in targets.items():
            fluxes[name].add(spectrum)
    return {name: flux.onsets(frame_s=applied.frame_s) for name, flux in fluxes.items()}


def _elsewhere(source: str, began: Mapping[str, Array]) -> Array:
    others = [frames for name, frames in began.items() if name != source]
    return np.any([np.zeros_like(began[source]), *others], axis=0)


#: kind -> (names, which of them every bin is: an index that broadcasts to (channel, freq, frame),
#: -1 for none)
_Labels = Mapping[str, tuple[list[str], Array]]


class _Sums:
    """The sums over pieces of which the numbers of one source are made."""

    def __init__(self, floor: float) -> None:
        self.floor = floor
        self.n_bins = 0
        self.histograms: list[Array] = [np.zeros(1), np.zeros(1)]
        self.places: dict[str, tuple[list[str], Array]] = {}
        self.along_time, self.along_frequency = Correlation(), Correlation()
        self.past: tuple[Array, Array] | None = None

    def add(self, piece: AppliedMasks, source: str, labels: _Labels) -> None:
        """Add the bins of a piece."""
        mask = piece.masks[source]
        degrees, energy = correction_deg(mask), _energy(mask, piece.mixture)
        counts = energy > self.floor
        self._correlate(degrees, counts, piece.stft.n_fft // piece.stft.hop)
        self.n_bins += counts.size
        turned, loud = degrees[counts], energy[counts]
        self.histograms = [
            total + np.histogram(turned, HISTOGRAM_EDGES_DEG, weights=weights)[0]
            for total, weights in zip(self.histograms, (np.ones_like(loud), loud), strict=True)
        ]
        rotated = turned > _ROTATED_DEG
        columns = (np.ones_like(loud), loud, loud * turned, rotated, loud * rotated)
        for kind, (names, index) in labels.items():
            here = np.broadcast_to(index, counts.shape)[counts] + 1
            found = np.transpose([np.bincount(here, x, len(names) + 1)[1:] for x in columns])
            self.places[kind] = names, found + (self.places[kind][1] if kind in self.places else 0)

    def _correlate(self, degrees: Array, counts: Array, lag: int) -> None:
        """Pair bins with those `lag` frames later, and with those a main lobe higher."""
        self.along_frequency.add(
            degrees[:, :-_LOBE], degrees[:, _LOBE:], counts[:, :-_LOBE] & counts[:, _LOBE:]
        )
        if self.past is not None:
            past = zip(self.past, (degrees, counts), strict=True)
            degrees, counts = (np.concatenate(both, axis=-1) for both in past)
        n = degrees.shape[-1] - lag
        if n > 0:
            self.along_time.add(
                degrees[..., :n], degrees[..., lag:], counts[..., :n] & counts[..., lag:]
            )
        self.past = degrees[..., -lag:], counts[..., -lag:]

    def corrections(self, source: str, n_onsets: int) -> Corrections:
        """Return the numbers."""
        bins, energy = (
            tuple(safe_divide(x, x.sum(), fill=np.nan).tolist()) for x in self.histograms
        )
        return Corrections(
            source=source,
            above_floor=float(self.places["whole"][1][0, 0] / self.n_bins),
            n_onsets=n_onsets,
            along_time=self.along_time.value,
            along_frequency=self.along_frequency.value,
            histogram_bins=bins,
            histogram_energy=energy,
            places=tuple(_places(self.places)),
        )


def _places(sums: _Labels) -> Iterator[Place]:
    """Yield the shares of every group of bins."""
    total = sums["whole"][1][0]
    for kind, (names, rows) in sums.items():
        for name, row in zip(names, rows, strict=True):
            n, loud, turned, n_rotated, loud_rotated = row
            yield Place(
                kind=kind,
                name=name,
                bins=_share(n, total[0]),
                energy=_share(loud, total[1]),
                correction=_share(turned, total[2]),
                mean_deg=_share(turned, loud),
                rotated_bins=_share(n_rotated, n),
                rotated_energy=_share(loud_rotated, loud),
            )


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


class _Around(NamedTuple):
    """Source -> where the frames of the whole stretch lie from onsets, as `_around` says."""

    own: dict[str, Array]
    others: dict[str, Array]


def _labels(
    piece: AppliedMasks, source: str, overlap_db: float, around: _Around, frames: slice
) -> _Labels:
    """Return what kind of bin every bin of a piece, the `frames` of a stretch, is for a source."""
    target = piece.targets[source]
    others = {name: x for name, x in piece.targets.items() if name != source}
    rest = _rest(target, piece.mixture, overlap_db)
    labels = {
        "whole": (["all"], np.zeros(1, int)),
        "own onset": (_ONSET, around.own[source][frames]),
        "others' onset": (_ONSET, around.others[source][frames]),
        "rest": (["alone", "shared", "covered"], rest),
    }
    if len(others) > 1:
        loudest = np.argmax([np.abs(x) for x in others.values()], axis=0)
        labels["loudest other"] = (list(others), np.where(rest > 0, loudest, -1))
    return labels | {"band": _octaves(piece.frequencies_hz, piece.sample_rate)}


_ONSET = ["before", "at", "after", "elsewhere"]


def _around(began: Any, reach: int) -> Any:
    """Return 0 before, 1 at, 2 after an onset, 3 elsewhere: (frame,)."""
    place = np.full(len(began), 3)
    frames = np.flatnonzero(began)
    for step in range(reach, 0, -1):
        later = frames + step
        place[later[later < len(began)]] = 2
    for step in range(reach, 0, -1):
        earlier = frames - step
        place[earlier[earlier >= 0]] = 0
    place[frames] = 1
    return place


def _rest(target: Array, mixture: Array, overlap_db: float) -> Any:
    """Return 0 where the source is alone, 1 where it shares the bin, 2 where it is covered."""
    own, rest = np.abs(target), np.abs(mixture - target)
    factor = 10 ** (overlap_db / 20)
    return (rest * factor > own).astype(int) + (rest > own * factor)


def _octaves(hz: Any, sample_rate: int) -> tuple[list[str], Any]:
    """Return the names of octave bands, and the band of every bin, (freq, 1)."""
    bands = list(octave_bands(sample_rate))
    edges = [high for _, high in bands[:-1]]
    names = [f"{low:g}-{high:g} Hz" for low, high in bands]
    return names, np.searchsorted(edges, hz, side="right")[:, None]
