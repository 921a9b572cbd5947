"""Masks: one registry of families, and the algebra that is independent of them.

Everything is a function on arrays of any array-API library. Axes are ``masks (..., source, channel,
freq, frame)`` and ``mixture (..., channel, freq, frame)``.
"""

from unmask.masks.algebra import (
    apply,
    complement,
    normalise,
    project_on_mixture,
    sharpen,
    threshold,
)
from unmask.masks.checking import check
from unmask.masks.disjoint import Disjointness, disjointness
from unmask.masks.family import Family
from unmask.masks.registry import FAMILIES, get, names
from unmask.masks.resolution import downsample, upsample
from unmask.masks.wiener import (
    multichannel_wiener,
    spatial_covariances,
    spatial_sums,
    wiener_filter,
)

__all__ = [
    "FAMILIES",
    "Disjointness",
    "Family",
    "apply",
    "check",
    "complement",
    "disjointness",
    "downsample",
    "get",
    "multichannel_wiener",
    "names",
    "normalise",
    "project_on_mixture",
    "sharpen",
    "spatial_covariances",
    "spatial_sums",
    "threshold",
    "upsample",
    "wiener_filter",
]


def __dir__() -> list[str]:
    return __all__
