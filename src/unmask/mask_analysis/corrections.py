"""How far masks turn phases, and where: figure 2 of Jansson et al. (2021) in numbers.

The *correction* of a bin is ``|angle M|`` in degrees, 0 to 180: how far the source's phase is put
from the mixture's. With ``S`` the source and ``R`` all the rest, ``angle(S / (S + R))`` is at most
``asin(|R| / |S|)`` where the rest is quieter, so a correction of more than 90 degrees needs a bin
in which the rest is louder than the source.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unmask._arrays import Array, safe_divide
from unmask.errors import ConfigError
from unmask.mask_analysis.applied import AppliedMasks
from unmask.mask_analysis.onsets import onsets
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
    applied: AppliedMasks,
    *,
    floor_db: float = -60.0,
    overlap_db: float = 10.0,
    onset_s: float = 0.05,
) -> list[Corrections]:
    """Measure the phase corrections of every mask.

    Parameters
    ----------
    applied : AppliedMasks
        From :func:`ideal_masks` or :func:`model_masks`.
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
    began = {name: onsets(x, frame_s=applied.frame_s) for name, x in applied.targets.items()}
    reach = max(1, round(onset_s / applied.frame_s))
    return [
        _of_source(applied, name, floor_db, int(began[name].sum()), labels)
        for name in applied.masks
        for labels in [_labels(applied, name, overlap_db, reach, began)]
    ]


#: kind -> (names, which of them every bin is: an index that broadcasts to (channel, freq, frame),
#: -1 for none)
_Labels = Mapping[str, tuple[list[str], Array]]


def _of_source(
    applied: AppliedMasks, source: str, floor_db: float, n_onsets: int, labels: _Labels
) -> Corrections:
    mask = applied.masks[source]
    degrees = correction_deg(mask)
    energy = np.abs(mask * applied.mixture).astype(np.float64) ** 2
    loudest = float(np.abs(applied.mixture).max()) ** 2
    floor = max(energy.max() * 10 ** (floor_db / 10), loudest * 10 ** (_SILENCE_DB / 10))
    counts = energy > floor
    degrees_here, energy_here = degrees[counts], energy[counts]
    here = {
        kind: (names, np.broadcast_to(index, counts.shape)[counts])
        for kind, (names, index) in labels.items()
    }
    lag = applied.stft.n_fft // applied.stft.hop
    return Corrections(
        source=source,
        above_floor=float(counts.mean()),
        n_onsets=n_onsets,
        along_time=_correlation(degrees, counts, 2, lag),
        along_frequency=_correlation(degrees, counts, 1, _LOBE),
        histogram_bins=_histogram(degrees_here, np.ones_like(energy_here)),
        histogram_energy=_histogram(degrees_here, energy_here),
        places=tuple(_places(degrees_here, energy_here, here)),
    )


def _histogram(degrees: Array, weights: Array) -> tuple[float, ...]:
    found, _ = np.histogram(degrees, HISTOGRAM_EDGES_DEG, weights=weights)
    return tuple(safe_divide(found, found.sum(), fill=np.nan).tolist())


def _correlation(degrees: Array, counts: Array, axis: int, lag: int) -> float:
    """Return the correlation of corrections with those `lag` further, over pairs that count."""
    n = degrees.shape[axis] - lag
    if n < 1:
        return float("nan")
    one, other = (np.take(degrees, range(k, k + n), axis=axis) for k in (0, lag))
    both = np.logical_and(*(np.take(counts, range(k, k + n), axis=axis) for k in (0, lag)))
    one, other = one[both].astype(np.float64), other[both].astype(np.float64)
    if not both.any() or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _places(degrees: Array, energy: Array, labels: _Labels) -> Iterator[Place]:
    """Yield the sums over every group of bins; all arguments are of the bins that count."""
    rotated = degrees > _ROTATED_DEG
    columns = (np.ones_like(energy), energy, energy * degrees, rotated, energy * rotated)
    sums = {
        kind: np.transpose(
            [np.bincount(index + 1, column, len(names) + 1)[1:] for column in columns]
        )
        for kind, (names, index) in labels.items()
    }
    total = sums["whole"][0]
    for kind, (names, _) in labels.items():
        for name, row in zip(names, sums[kind], strict=True):
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


def _labels(
    applied: AppliedMasks, source: str, overlap_db: float, reach: int, began: Mapping[str, Array]
) -> _Labels:
    """Return what kind of bin every bin is for one source."""
    target = applied.targets[source]
    others = {name: x for name, x in applied.targets.items() if name != source}
    elsewhere = np.any([np.zeros_like(began[source]), *(began[name] for name in others)], axis=0)
    rest = _rest(target, applied.mixture, overlap_db)
    labels = {
        "whole": (["all"], np.zeros(1, int)),
        "own onset": (_ONSET, _around(began[source], reach)),
        "others' onset": (_ONSET, _around(elsewhere, reach)),
        "rest": (["alone", "shared", "covered"], rest),
    }
    if len(others) > 1:
        loudest = np.argmax([np.abs(x) for x in others.values()], axis=0)
        labels["loudest other"] = (list(others), np.where(rest > 0, loudest, -1))
    return labels | {"band": _octaves(applied.frequencies_hz, applied.sample_rate)}


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
