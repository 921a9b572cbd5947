"""Sources in no order: which of two talkers is which of two true ones. Once for a recording.

Nothing says who is the first talker. Estimates are compared with the targets that they fit best,
by the sum of their SI-SDR over the whole recording: a separator that lets talkers change places
within it is not helped.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from unmask import audio
from unmask._arrays import Array
from unmask.metrics import RunningScores, best_permutation
from unmask.stems import in_no_order

__all__ = ["best_order", "best_order_of_files"]

_Files = Mapping[str, Sequence[Path | audio.Place]]


def best_order(names: Sequence[str], blocks: Iterable[tuple[Array, Array]]) -> list[int]:
    """Return which estimate belongs to each target: 0, 1, … but for talkers.

    Parameters
    ----------
    names : sequence of str
        Of the sources, on either side.
    blocks : iterable of (array, array) [shape=(source, channel, sample)]
        Estimates and targets, in pieces; none is looked at if no sources are in no order.
    """
    order, free = list(range(len(names))), [list(names).index(name) for name in in_no_order(names)]
    if not free:
        return order
    scores = RunningScores()
    for estimates, targets in blocks:
        shape = (len(free), len(free), *targets.shape[1:])
        scores.add(
            np.broadcast_to(estimates[free][:, None], shape),
            np.broadcast_to(targets[free][None], shape),
        )
    for place, k in zip(free, best_permutation(scores.si_sdr), strict=True):
        order[place] = free[k]
    return order


def best_order_of_files(estimates: _Files, targets: _Files) -> dict[str, str]:
    """Return which estimate belongs to each target, by name.

    Parameters
    ----------
    estimates, targets : mapping of str to sequence of path or Place
        Source -> the files, or streams of one, that it is the sum of. Names of one side only
        count for nothing.

    Raises
    ------
    AudioFileError, ShapeError
        If files cannot be read or do not agree.
    """
    names = [name for name in targets if name in estimates]
    sides = [
        [audio.SumOnDisk(side[name]) for name in in_no_order(names)]
        for side in (estimates, targets)
    ]
    free = in_no_order(names)
    blocks = (
        tuple(np.split(np.stack(block), 2))
        for block in zip(*(x.blocks() for side in sides for x in side), strict=True)
    )
    order = best_order(free, blocks)  # type: ignore[arg-type]
    return {name: name for name in names} | {
        name: free[k] for name, k in zip(free, order, strict=True)
    }


def __dir__() -> list[str]:
    return __all__
