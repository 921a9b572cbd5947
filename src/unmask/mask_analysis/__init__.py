"""What masks do to phases: of a model, or of the oracle of a family, beside the true stems."""

from unmask.mask_analysis.applied import AppliedMasks, ideal_masks, model_masks
from unmask.mask_analysis.corrections import (
    HISTOGRAM_EDGES_DEG,
    Corrections,
    Place,
    correction_deg,
    corrections,
)
from unmask.mask_analysis.onsets import onsets

__all__ = [
    "HISTOGRAM_EDGES_DEG",
    "AppliedMasks",
    "Corrections",
    "Place",
    "correction_deg",
    "corrections",
    "ideal_masks",
    "model_masks",
    "onsets",
]


def __dir__() -> list[str]:
    return __all__
