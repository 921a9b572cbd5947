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

    Raises
    ------
    ShapeError
        If `targets` have fewer than four axes.

    Examples
    --------
    >>> import numpy as np
    >>> targets = np.zeros((2, 1, 2, 1), dtype=complex)
    >>> targets[0, 0, 0], targets[1, 0, 1] = 1, 2j
    >>> disjointness(targets).wdo
    array([1., 1.])
    """
    return of_energies(energies(targets, margin_db=margin_db))


def energies(targets: Array, *, margin_db: float = 0.0) -> Array:
    """Return what :func:`disjointness` is made of; over pieces of a signal it adds up.

    Parameters
    ----------
    targets : array [shape=(..., source, channel, freq, frame)], complex
    margin_db : float

    Returns
    -------
    array [shape=(..., source, 3)], float64
        Energy of the source, energy that its mask keeps of it, and of the others together.

    Raises
    ------
    ShapeError
        If `targets` have fewer than four axes.
    """
    check_axes("source, channel, freq, frame", targets=targets)
    xp = namespace(targets)
    others = xp.sum(targets, axis=SOURCE_AXIS, keepdims=True) - targets
    mags, rest = (xp.astype(xp.abs(x), xp.float64) for x in (targets, others))
    mask = mags > rest * 10 ** (margin_db / 20)
    parts = (mags, xp.where(mask, mags, 0 * mags), xp.where(mask, rest, 0 * rest))
    return xp.stack([xp.sum(x**2, axis=(-3, -2, -1)) for x in parts], axis=-1)


def of_energies(sums: Array) -> Disjointness:
    """Return the measures of the summed :func:`energies`."""
    xp = namespace(sums)
    whole, kept, interfering = (sums[..., k] for k in range(3))
    preserved = safe_divide(kept, whole, fill=float("nan"))
    interference = safe_divide(kept, interfering, fill=float("inf"))
    wdo = preserved - xp.where(interference > 0, preserved / interference, 0 * preserved)
    return Disjointness(preserved, interference, wdo)
