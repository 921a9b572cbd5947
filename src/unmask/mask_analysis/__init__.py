"""What masks do to phases: of a model, or of the oracle of a family, beside the true stems."""

from unmask.mask_analysis.applied import AppliedMasks
from unmask.mask_analysis.corrections import (
    HISTOGRAM_EDGES_DEG,
    Corrections,
    Place,
    correction_deg,
    corrections,
)
from unmask.mask_analysis.onsets import onsets
from unmask.mask_analysis.passage import (
    Passage,
    ideal_masks,
    ideal_passage,
    model_masks,
    model_passage,
)
from unmask.mask_analysis.thinned import Thinned

__all__ = [
    "HISTOGRAM_EDGES_DEG",
    "AppliedMasks",
    "Corrections",
    "Passage",
    "Place",
    "Thinned",
    "correction_deg",
    "corrections",
    "ideal_masks",
    "ideal_passage",
    "model_masks",
    "model_passage",
    "onsets",
]


def __dir__() -> list[str]:
    return __all__
