"""Whether arrays are masks of a family: finite, in its range, summing to one if it says so."""

import numpy as np

from unmask._arrays import SOURCE_AXIS, Array, check_axes, to_numpy
from unmask.errors import ShapeError, SignalError
from unmask.masks.family import Family

# Of the range and of a sum, relative to them: what single precision leaves of compressed masks.
_TOLERANCE = 1e-4


def check(masks: Array, family: Family) -> None:
    """Refuse arrays that are no masks of `family`.

    A hybrid is checked in each half by its own family. Masks of ``consistent:NAME`` may lie
    anywhere, but must sum to one. Real masks count as complex ones that do not turn.

    Parameters
    ----------
    masks : array [shape=(..., source, channel, freq, frame)], real or complex
        Of families with components, ``(..., source, component, channel, freq, frame)``. All the
        sources, if the family sums to one.
    family : Family

    Raises
    ------
    SignalError
        If a value is NaN or infinite or out of the family's range, or masks do not sum to one over
        sources though the family says so. The tolerance is 1e-4 of one and of the range.
    ShapeError
        If there are too few axes or another number of components.

    Examples
    --------
    >>> import numpy as np
    >>> from unmask.masks import get
    >>> check(np.full((2, 1, 3, 4), 0.5), get("softmax"))
    >>> check(np.full((2, 1, 3, 4), 3.0), get("softmax"))
    Traceback (most recent call last):
    unmask.errors.SignalError: masks of softmax: 24 of 24 values out of range, as 3 at \
(0, 0, 0, 0), expected [0, 1]; activate raw maps with the family
    """
    _check_shape(masks, family)
    values = to_numpy(masks)
    _report(~np.isfinite(values), values, family, "NaN or infinite", "finite numbers")
    for half, own in family.halves(values):
        outside = half.domain.excess(own) > _TOLERANCE
        _report(outside, own, half, "out of range", str(half.domain))
        if half.sums_to_one:
            _check_sum(own, half)


def _check_shape(masks: Array, family: Family) -> None:
    if not family.has_components:
        check_axes("source, channel, freq, frame", masks=masks)
        return
    check_axes("source, component, channel, freq, frame", masks=masks)
    if masks.shape[SOURCE_AXIS] != family.n_components:
        raise ShapeError(
            f"masks{tuple(masks.shape)} have {masks.shape[SOURCE_AXIS]} components, {family.name} "
            f"has {family.n_components}; axes are (..., source, component, channel, freq, frame)"
        )


def _report(wrong: Array, values: Array, family: Family, what: str, expected: str) -> None:
    if wrong.any():
        where = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise SignalError(
            f"masks of {family.name}: {np.count_nonzero(wrong)} of {wrong.size} values {what}, as "
            f"{values[where]:.6g} at {where}, expected {expected}; "
            "activate raw maps with the family"
        )


def _check_sum(masks: Array, family: Family) -> None:
    # Large masks that cancel have a sum as exact as they are.
    error = np.abs(np.sum(masks, axis=SOURCE_AXIS) - 1)
    wrong = error > _TOLERANCE * (1 + np.sum(np.abs(masks), axis=SOURCE_AXIS))
    if wrong.any():
        raise SignalError(
            f"masks of {family.name}: sums over sources differ from 1 by up to "
            f"{error[wrong].max():.3g}, expected 1; give all {masks.shape[SOURCE_AXIS]} sources of "
            "one network, or normalise them"
        )
