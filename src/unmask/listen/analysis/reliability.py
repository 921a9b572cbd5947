"""How far answers can be trusted: agreement of listeners, repeated pages, sides."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from unmask.listen.analysis.agreement import cohens_kappa, krippendorff
from unmask.listen.analysis.judgements import Choice, Judgements, Rating
from unmask.listen.analysis.preference import Preference, preference


class Reliability(NamedTuple):
    """Of the answers to a question."""

    question: str
    kind: str
    """``pairs`` or ``ratings``."""
    alpha: float
    """Krippendorff's, of listeners; NaN where nothing was judged by two."""
    n_repeated: int
    """Answers to pages that a listener heard twice; of ratings, clips of systems."""
    same: float
    """Share of these that were answered alike; NaN of ratings."""
    same_low: float
    same_high: float
    """95 % interval (Clopper, Pearson)."""
    kappa: float
    """Cohen's, of the first and the second answers; NaN of ratings."""
    difference: float
    """Mean absolute difference of first and second rating; NaN of pairs."""
    side_a: float
    """Share of preferences for what was played as A; NaN of ratings."""
    side_p: float
    """Of the exact binomial test that it is a half."""


_NONE = float("nan")


def reliability(judgements: Judgements) -> list[Reliability]:
    """Return a row for each question, of pairs and of ratings."""
    rows = [
        _of_pairs(question, [row for row in judgements.choices if row.question == question])
        for question in sorted({row.question for row in judgements.choices})
    ]
    systems = [row for row in judgements.ratings if row.condition == "system"]
    rows += [
        _of_ratings(question, [row for row in systems if row.question == question])
        for question in sorted({row.question for row in systems})
    ]
    return rows


def _of_pairs(question: str, rows: Sequence[Choice]) -> Reliability:
    units: dict[Hashable, list[Hashable]] = defaultdict(list)
    first: dict[Hashable, str] = {}
    for row in rows:
        if not row.repeat:
            units[row.item, row.pair].append(row.preferred)
            first[row.listener, row.item, row.pair] = row.preferred
    twice = [
        (first[key], row.preferred)
        for row in rows
        if row.repeat and (key := (row.listener, row.item, row.pair)) in first
    ]
    same = _share(sum(a == b for a, b in twice), len(twice))
    sides = [row.preferred == row.a for row in rows if row.preferred]
    side = _share(sum(sides), len(sides))
    return Reliability(
        question=question,
        kind="pairs",
        alpha=krippendorff(units, "nominal"),
        n_repeated=len(twice),
        same=same.share if same else _NONE,
        same_low=same.low if same else _NONE,
        same_high=same.high if same else _NONE,
        kappa=cohens_kappa([a for a, _ in twice], [b for _, b in twice]),
        difference=_NONE,
        side_a=side.share if side else _NONE,
        side_p=side.p if side else _NONE,
    )


def _share(k: int, n: int) -> Preference | None:
    return preference(k, n) if n else None


def _of_ratings(question: str, rows: Sequence[Rating]) -> Reliability:
    units: dict[Hashable, list[Hashable]] = defaultdict(list)
    first: dict[Hashable, float] = {}
    for row in rows:
        if not row.repeat:
            units[row.item, row.system].append(row.rating)
            first[row.listener, row.item, row.system] = row.rating
    changes = [
        abs(first[key] - row.rating)
        for row in rows
        if row.repeat and (key := (row.listener, row.item, row.system)) in first
    ]
    none = dict.fromkeys(("same", "same_low", "same_high", "kappa", "side_a", "side_p"), _NONE)
    return Reliability(
        question=question,
        kind="ratings",
        alpha=krippendorff(units, "interval"),
        n_repeated=len(changes),
        difference=float(np.mean(changes)) if changes else _NONE,
        **none,
    )
