"""What ratings show: means of systems, and differences between them (ITU-R BS.1534-3)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from unmask.listen.analysis.clusters import Clustered, clustered
from unmask.listen.analysis.judgements import Rating
from unmask.listen.analysis.pairs import ALPHA, codes, holm

_Place = tuple[str, str]  # listener, item


class Rated(NamedTuple):
    """How a system is rated."""

    group: str
    question: str
    system: str
    condition: str
    n: int
    n_listeners: int
    n_items: int
    mean: float
    low: float
    high: float
    """95 % interval of the mean, by the cluster bootstrap; NaN where nothing varies."""
    median: float
    first_quartile: float
    third_quartile: float


class Difference(NamedTuple):
    """How much better a system is rated than another, by those who rated both on the same item."""

    group: str
    question: str
    system: str
    """The one rated higher."""
    over: str
    n: int
    difference: float
    low: float
    high: float
    """95 % interval by the cluster bootstrap; NaN where nothing varies."""
    p: float
    p_holm: float
    """Corrected for the pairs of this question (Holm 1979)."""

    @property
    def is_decided(self) -> bool:
        """Whether one is rated higher, at 5 %."""
        return self.p_holm < ALPHA


def rated(
    ratings: Sequence[Rating], *, group: str = "", n_resamples: int = 4999, seed: int = 0
) -> tuple[list[Rated], list[Difference]]:
    """Return means of all systems, best first, and differences of all pairs of systems.

    Pages that are heard a second time do not count. References and anchors have means, but are not
    compared with systems.

    Parameters
    ----------
    ratings : sequence of Rating
    group : str
        What the ratings are about, for the rows.
    n_resamples, seed : int
        Of the bootstrap.
    """
    tables: dict[str, dict[tuple[str, str], dict[_Place, float]]] = {}
    for row in ratings:
        if not row.repeat:
            of_question = tables.setdefault(row.question, defaultdict(dict))
            of_question[row.system, row.condition][row.listener, row.item] = row.rating
    means: list[Rated] = []
    differences: list[Difference] = []
    for question, table in sorted(tables.items()):
        found = [
            _mean(group, question, *key, values, n_resamples, seed) for key, values in table.items()
        ]
        means += sorted(found, key=lambda row: -row.mean)
        systems = {name: values for (name, kind), values in table.items() if kind == "system"}
        differences += _differences(group, question, systems, n_resamples, seed)
    return means, differences


def _spread(
    values: Mapping[_Place, float], n_resamples: int, seed: int
) -> tuple[np.ndarray, Clustered | None]:
    numbers = np.array(list(values.values()))
    listeners = codes([listener for listener, _ in values])
    items = codes([item for _, item in values])
    return numbers, clustered(
        numbers, listeners, items, null=0.0, n_resamples=n_resamples, seed=seed
    )


def _mean(
    group: str,
    question: str,
    system: str,
    condition: str,
    values: Mapping[_Place, float],
    n_resamples: int,
    seed: int,
) -> Rated:
    numbers, found = _spread(values, n_resamples, seed)
    quartiles = np.percentile(numbers, (50, 25, 75))
    return Rated(
        group,
        question,
        system,
        condition,
        len(numbers),
        len({listener for listener, _ in values}),
        len({item for _, item in values}),
        float(numbers.mean()),
        found.low if found else float("nan"),
        found.high if found else float("nan"),
        *map(float, quartiles),
    )


def _differences(
    group: str,
    question: str,
    systems: Mapping[str, Mapping[_Place, float]],
    n_resamples: int,
    seed: int,
) -> list[Difference]:
    rows = []
    for a, b in combinations(sorted(systems), 2):
        both = [place for place in systems[a] if place in systems[b]]
        if not both:
            continue
        values = {place: systems[a][place] - systems[b][place] for place in both}
        if sum(values.values()) < 0:
            a, b, values = b, a, {place: -value for place, value in values.items()}
        numbers, found = _spread(values, n_resamples, seed)
        low, high = (found.low, found.high) if found else (float("nan"), float("nan"))
        p = found.p if found else float("nan")
        rows.append(
            Difference(group, question, a, b, len(both), float(numbers.mean()), low, high, p, p)
        )
    known = [k for k, row in enumerate(rows) if not np.isnan(row.p)]
    for k, p in zip(known, holm([rows[k].p for k in known]), strict=True):
        rows[k] = rows[k]._replace(p_holm=p)
    return rows
