"""W-disjoint orthogonality: whether binary masks can suffice for a mixture."""

from typing import NamedTuple

from unmask._arrays import SOURCE_AXIS, Array, check_axes, namespace, safe_divide


class Disjointness(NamedTuple):
    """How disjoint sources are under binary masks; every field is (..., source)."""

    preserved: Array
    """Share of the source's energy that its mask keeps, in [0, 1] (PSR)."""
    interference: Array
    """Energy of the source over energy of the others under its mask, >= 0 (SIR, linear)."""
    wdo: Array
    """``preserved - preserved / interference``: 1 is disjoint, <= 0 is useless."""


def disjointness(targets: Array, *, margin_db: float = 0.0) -> Disjointness:
    """Measure approximate W-disjoint orthogonality (Yilmaz and Rickard, 2004).

    The mask of a source is 1 where it is louder than all others together by `margin_db`. WDO is 1
    if the sources never overlap; from about 0.8 on binary masks sound well, below 0.5 they do not.

    Parameters
    ----------
    targets : array [shape=(..., source, channel, freq, frame)], complex
        Spectra of the sources.
    margin_db : float
        Dominance that a bin needs, in dB.

    Returns
    -------
    Disjointness
        Energies are summed over channel, freq and frame. A silent source has NaN.

    Examples
    --------
    >>> import numpy as np
    >>> targets = np.zeros((2, 1, 2, 1), dtype=complex)
    >>> targets[0, 0, 0], targets[1, 0, 1] = 1, 2j
    >>> disjointness(targets).wdo
    array([1., 1.])
    """
    check_axes("source, channel, freq, frame", targets=targets)
    xp = namespace(targets)
    mags = xp.abs(targets)
    peak = xp.max(mags, axis=(-4, -3, -2, -1), keepdims=True)
    mags = safe_divide(mags, peak, fill=0.0)  # squares neither overflow nor vanish
    others = xp.abs(xp.sum(targets, axis=SOURCE_AXIS, keepdims=True) - targets)
    others = safe_divide(others, peak, fill=0.0)
    mask = mags > others * 10 ** (margin_db / 20)

    def energy(x: Array) -> Array:
        return xp.sum(xp.where(mask, x**2, 0 * x), axis=(-3, -2, -1))

    kept = energy(mags)
    preserved = safe_divide(kept, xp.sum(mags**2, axis=(-3, -2, -1)), fill=float("nan"))
    interference = safe_divide(kept, energy(others), fill=float("inf"))
    wdo = preserved - xp.where(interference > 0, preserved / interference, 0 * preserved)
    return Disjointness(preserved, interference, wdo)
