r"""Means of answers that are not independent: two-way cluster bootstrap over listeners and items.

What one listener says about several items is alike, and so is what several say about one. With
residuals :math:`r_{ij}` summed within listeners, items and cells, the variance of a mean over
:math:`n` answers is (Cameron, Gelbach, Miller, "Robust inference with multiway clustering", JBES
29(2), 2011)

.. math:: V = \frac{1}{n^2} \left( \tfrac{I}{I-1} \sum_i r_{i\cdot}^2
          + \tfrac{J}{J-1} \sum_j r_{\cdot j}^2 - \sum_{ij} r_{ij}^2 \right),

and not less than either sum alone; that of a share not less than if answers were independent. How
far a mean may be from the truth in these units is found by drawing listeners and, independently,
items with replacement, an answer counting as often as its listener times its item was drawn (Owen,
"The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007). Where answers are independent,
the variance of that bootstrap is three times too large, so each draw is divided by its own standard
error.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Reals = NDArray[np.float64]


class Clustered(NamedTuple):
    """A mean over listeners and items."""

    mean: float
    low: float
    high: float
    """95 % interval, symmetric (of a share: in log odds)."""
    p: float
    """Two-sided, of `null`; the interval holds `null` where it is 0.05 or more."""
    n_listeners: int
    n_items: int
    design_effect: float
    """The variance as a multiple of that of independent answers, 1 or more (Kish 1965)."""


class _Cells(NamedTuple):
    """Sums and numbers of answers, ``[listener, item]``."""

    sums: _Reals
    counts: _Reals
    squares: _Reals
    """Sums of squares."""


def clustered(
    values: _Reals,
    listeners: NDArray[np.int64],
    items: NDArray[np.int64],
    *,
    null: float,
    is_share: bool = False,
    n_resamples: int = 4999,
    seed: int = 0,
) -> Clustered | None:
    """Return a mean with a 95 % interval that holds for other listeners and other items.

    With one item it holds for other listeners only, with one listener for other items only.

    Parameters
    ----------
    values : array [answer]
    listeners, items : array of int [answer]
        Who, and about what.
    null : float
        What `p` tests the mean against.
    is_share : bool
        Whether values are 0 and 1; intervals are then within 0 and 1.
    n_resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    Clustered, or None
        None where nothing varies: all answers are alike, or there is one listener and one item.
    """
    cells = _table(values, listeners, items)
    n_each = cells.counts.shape
    ones = [np.ones((1, n)) for n in n_each]
    means, variances, n = _estimates(cells, *ones)
    if max(n_each) < 2 or variances[0] <= 0:
        return None
    rng = np.random.default_rng(seed)
    rows, columns = (
        rng.multinomial(k, np.full(k, 1 / k), size=n_resamples).astype(float) for k in n_each
    )
    # Where not all were asked about all, none of those drawn may have been asked.
    is_any = np.sum((rows @ cells.counts) * columns, axis=1) > 0
    n_resamples = int(is_any.sum())
    resampled, their_variances, their_n = _estimates(cells, rows[is_any], columns[is_any])
    scale = _Scale(is_share)
    centre, error = scale.of(means, n), scale.error(means, variances, n)
    off = np.abs(scale.of(resampled, their_n) - centre)
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = off / scale.error(resampled, their_variances, their_n)
    distances[off == 0] = 0
    farthest = np.sort(distances)[min(n_resamples - 1, n_resamples + 1 - (n_resamples + 1) // 20)]
    reach = float(farthest * error[0])
    from_null = abs(float(centre[0]) - scale.null(null)) / float(error[0])
    independent = np.sum(cells.squares) - n[0] * means[0] ** 2
    effect = float(variances[0] * n[0] ** 2 / independent * (n[0] - 1) / n[0])
    return Clustered(
        mean=float(means[0]),
        low=scale.back(float(centre[0]) - reach),
        high=scale.back(float(centre[0]) + reach),
        p=float((1 + np.sum(distances >= from_null)) / (n_resamples + 1)),
        n_listeners=n_each[0],
        n_items=n_each[1],
        design_effect=max(1.0, effect),
    )


def _table(values: _Reals, listeners: NDArray[np.int64], items: NDArray[np.int64]) -> _Cells:
    rows, i = np.unique(listeners, return_inverse=True)
    columns, j = np.unique(items, return_inverse=True)
    found = []
    for added in (values, np.ones(len(values)), np.square(values)):
        cells = np.zeros((len(rows), len(columns)))
        np.add.at(cells, (i, j), added)
        found.append(cells)
    return _Cells(*found)


def _estimates(cells: _Cells, rows: _Reals, columns: _Reals) -> tuple[_Reals, _Reals, _Reals]:
    """Return means, their variances, and the numbers of answers, of draws.

    Parameters
    ----------
    rows, columns : array [draw, listener], [draw, item]
        How often each was drawn.
    """

    def total(table: _Reals) -> _Reals:
        return np.asarray(np.sum((rows @ table) * columns, axis=1))

    sums, counts, _ = cells
    n = total(counts)
    means = total(sums) / n
    mean = means[:, None]
    of_rows = _between(rows, columns @ sums.T - mean * (columns @ counts.T))
    of_columns = _between(columns, rows @ sums - mean * (rows @ counts))
    within = total(sums**2) - 2 * means * total(sums * counts) + means**2 * total(counts**2)
    if min(sums.shape) == 1:  # one of them does not vary
        return means, np.maximum(of_rows, of_columns) / n**2, n
    both = of_rows + of_columns - within
    return means, np.maximum(both, np.maximum(of_rows, of_columns)) / n**2, n


def _between(drawn: _Reals, sums: _Reals) -> _Reals:
    """Return the sum of squares of clusters, each as often as it was drawn."""
    n = drawn.shape[1]
    if n < 2:
        return np.zeros(len(drawn))
    return np.asarray(np.sum(drawn * sums**2, axis=1) * n / (n - 1))


class _Scale:
    """Log odds of shares, half an answer of either kind added; means of all else as they are."""

    def __init__(self, is_share: bool) -> None:
        self._is_share = is_share

    def of(self, means: _Reals, n: _Reals) -> _Reals:
        if not self._is_share:
            return means
        moved = (means * n + 0.5) / (n + 1)
        return np.asarray(np.log(moved / (1 - moved)))

    def error(self, means: _Reals, variances: _Reals, n: _Reals) -> _Reals:
        """Return standard errors; those of shares are not less than of independent answers."""
        if not self._is_share:
            return np.asarray(np.sqrt(variances))
        moved = (means * n + 0.5) / (n + 1)
        spread = moved * (1 - moved)
        return np.asarray(np.sqrt(np.maximum(variances, spread / n)) / spread)

    def null(self, value: float) -> float:
        return float(np.log(value / (1 - value))) if self._is_share else value

    def back(self, value: float) -> float:
        return float(1 / (1 + np.exp(-value))) if self._is_share else value
