"""What is in a file of masks, in numbers."""

from dataclasses import dataclass

import numpy as np

from unmask import masks
from unmask.mask_files.container import Masks

#: As in `unmask.masks.check`.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class StemSummary:
    """The masks of one stem; magnitudes over all channels, bins and frames."""

    stem: str
    least: float
    """Smallest magnitude."""
    mean: float
    greatest: float
    closed: float
    """Share of bins whose mask is 0."""
    above_one: float
    """Share of bins that it amplifies."""
    turned: float
    """Share of bins whose phase it turns by more than 0.01 rad."""
    outside: float
    """Share of bins out of the range of the family."""


def summary(saved: Masks) -> list[StemSummary]:
    """Return what masks are like, stem by stem, in constant memory.

    Raises
    ------
    SignalError
        If a mask is NaN or infinite.
    """
    header = saved.header
    family = masks.get(header.family, sample_rate=header.sample_rate, **header.options)
    n_stems, n_bins = header.shape[0], int(np.prod(header.shape[1:]))
    sums = np.zeros((5, n_stems))
    least, greatest = np.full(n_stems, np.inf), np.zeros(n_stems)
    for block in saved.blocks():
        size = np.abs(block)
        outside = np.concatenate(
            [half.domain.excess(own) > _TOLERANCE for half, own in family.halves(block)], axis=-2
        )
        counted = (size, size == 0, size > 1, np.abs(np.angle(block)) > 0.01, outside)
        sums += [x.sum(axis=(1, 2, 3), dtype=np.float64) for x in counted]
        least = np.minimum(least, size.min(axis=(1, 2, 3)))
        greatest = np.maximum(greatest, size.max(axis=(1, 2, 3)))
    columns = (least, sums[0] / n_bins, greatest, *sums[1:] / n_bins)
    values = np.stack(columns, axis=-1).tolist()
    return [StemSummary(stem, *row) for stem, row in zip(header.stems, values, strict=True)]
