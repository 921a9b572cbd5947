"""Samples as whole numbers: nearest, clamped and counted, and stems that still add up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Bits below the sign bit of the integer subtypes.
BITS = {"PCM_S8": 7, "PCM_U8": 7, "PCM_16": 15, "PCM_24": 23, "PCM_32": 31}


def round_together(stems: ArrayLike, subtype: str) -> NDArray[Any]:
    """Round `stems` (source, channel, sample) to an integer `subtype` so that their sum stays.

    Each stem takes over the rounding error of the one before it: a stem is off by at most one unit
    of the last bit, and their sum by half a unit, whatever the number of stems (rounded one by one,
    the sum of n stems would be off by up to n/2). Written by `write`, these values do not change.
    For subtypes that are not integers the stems come back as they are.
    """
    x = np.asarray(stems)
    if subtype not in BITS:
        return x
    scale = 2.0 ** BITS[subtype]
    rounded, carry = np.empty_like(x), np.zeros(x.shape[1:])
    for source, stem in enumerate(x):
        wanted = stem * scale + carry
        rounded[source] = np.rint(wanted) / scale
        carry = wanted - np.rint(wanted)
    return rounded


def quantized(x: NDArray[Any], subtype: str) -> tuple[NDArray[Any], int]:
    """Values that libsndfile stores without rounding them, and how many were beyond full scale."""
    if subtype in {"FLOAT", "DOUBLE"}:
        return x, 0
    clipped = int(np.count_nonzero(np.abs(x) > 1))
    if subtype not in BITS:
        return np.clip(x, -1, 1), clipped
    bits = BITS[subtype]
    word, width = ("int16", 15) if bits <= 15 else ("int32", 31)
    top = 2.0**bits
    whole = np.clip(np.rint(x.astype(np.float64) * top), -top, top - 1)
    return (whole * 2.0 ** (width - bits)).astype(word), clipped
