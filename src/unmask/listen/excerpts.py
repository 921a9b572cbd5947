"""Which stretches of recordings are heard: where the target sounds, by chance among these."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unmask import audio
from unmask.errors import ConfigError, SignalError
from unmask.listen.recordings import Recording

#: Excerpts begin on multiples of this.
_GRID_S = 0.5
#: How far an excerpt may be below the loudest of its recording.
_WITHIN_DB = 6.0


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a recording."""

    recording: Recording
    start_s: float
    duration_s: float


def spread(
    recordings: Sequence[Recording], n: int, rng: np.random.Generator
) -> list[tuple[Recording, int]]:
    """Return `n` recordings and how many excerpts of each, stems in turn, tracks by chance.

    No recording gets a second excerpt before all have one.

    Parameters
    ----------
    recordings : sequence of Recording
    n : int
        Excerpts in all.
    rng : numpy.random.Generator
    """
    shuffled = [recordings[k] for k in rng.permutation(len(recordings))]
    stems = sorted({one.stem for one in recordings})
    queues = [[one for one in shuffled if one.stem == stem] for stem in stems]
    longest = max(map(len, queues))
    ordered = [queue[k] for k in range(longest) for queue in queues if k < len(queue)]
    rounds, rest = divmod(n, len(ordered))
    counts = [rounds + (k < rest) for k in range(len(ordered))]
    return [(one, count) for one, count in zip(ordered, counts, strict=True) if count]


def choose(
    recording: Recording, n: int, duration_s: float, rng: np.random.Generator
) -> list[Excerpt]:
    """Return `n` excerpts that do not overlap, of those within 6 dB of the loudest of the target.

    Recordings shorter than `duration_s` are taken whole.

    Raises
    ------
    SignalError
        If the target is silent.
    ConfigError
        If there is no room for so many.
    """
    energy = energies(recording)
    width = max(1, round(duration_s / _GRID_S))
    length_s = audio.info(recording.sounding[0]).duration_s
    if length_s <= duration_s:
        windows, duration_s = np.array([energy.sum()]), length_s
    else:
        last = int((length_s - duration_s) / _GRID_S)
        windows = np.convolve(energy, np.ones(width), "valid")[: last + 1]
    if not windows.max() > 0:
        raise SignalError(f"{recording.sounding[0]}: is silent, expected sound; leave it out")
    loud = np.flatnonzero(windows >= windows.max() * 10 ** (-_WITHIN_DB / 10))
    starts: list[int] = []
    for start in rng.permutation(loud):
        if len(starts) < n and all(abs(start - other) >= width for other in starts):
            starts.append(int(start))
    if len(starts) < n:
        raise ConfigError(
            f"{recording.name}: has {len(starts)} loud excerpts of {duration_s:g} s that do not "
            f"overlap, {n} were asked for; ask for fewer (--items), or shorter (--duration)"
        )
    return [Excerpt(recording, _GRID_S * start, duration_s) for start in starts]


def energies(recording: Recording) -> NDArray[np.float64]:
    """Return the energy of the target on the grid of half seconds, summed over channels."""
    rate = audio.info(recording.sounding[0]).sample_rate
    size = max(1, round(_GRID_S * rate))
    parts = [audio.read_blocks(path, block=size) for path in recording.sounding]
    sums = (np.sum(np.asarray(blocks, np.float64), axis=0) for blocks in zip(*parts, strict=False))
    return np.array([float(np.sum(np.square(x))) for x in sums])
