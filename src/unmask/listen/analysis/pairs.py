"""What answers about pairs of systems show: one row a question and pair."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unmask.listen.analysis.clusters import Clustered, clustered
from unmask.listen.analysis.judgements import Choice
from unmask.listen.analysis.mixed import Mixed, mixed
from unmask.listen.analysis.preference import Preference, detectable, needed, preference

#: Fewer clusters than this say little about others of their kind.
FEW = 5
#: Significance, of p corrected for the number of pairs.
ALPHA = 0.05


class PairResult(NamedTuple):
    """Which of two systems is preferred, by three methods."""

    group: str
    question: str
    system: str
    """The one preferred more often, or the first by name; shares are of it."""
    over: str
    n_none: int
    """Answers without a preference, which count nowhere here."""
    n_listeners: int
    n_items: int
    binomial: Preference
    clusters: Clustered | None
    mixed: Mixed | None
    p: float
    """That of the cluster bootstrap; the binomial one where there is none."""
    p_holm: float
    """Corrected for the pairs of this question (Holm 1979)."""
    needed: int | None
    """Judgements as alike as these that show this share with 80 % power; None of a half."""
    detectable: float | None
    """The least share that so many judgements, as alike as these, show with 80 % power."""

    @property
    def is_decided(self) -> bool:
        """Whether one is preferred, at 5 %."""
        return self.p_holm < ALPHA


def pair_results(
    choices: Sequence[Choice], *, group: str = "", n_resamples: int = 4999, seed: int = 0
) -> list[PairResult]:
    """Analyse all pairs of all questions; pages that are heard a second time do not count.

    Parameters
    ----------
    choices : sequence of Choice
    group : str
        What the answers are about, for the rows.
    n_resamples, seed : int
        Of the bootstrap.
    """
    kept: dict[tuple[str, tuple[str, str]], list[Choice]] = defaultdict(list)
    for row in choices:
        if not row.repeat:
            kept[row.question, row.pair].append(row)
    results: list[PairResult] = []
    for question in dict.fromkeys(question for question, _ in sorted(kept)):
        found = [
            result
            for (its, pair), rows in sorted(kept.items())
            if its == question
            for result in _pair(group, question, pair, rows, n_resamples, seed)
        ]
        corrected = holm([result.p for result in found])
        results += [r._replace(p_holm=p) for r, p in zip(found, corrected, strict=True)]
    return results


def _pair(
    group: str,
    question: str,
    pair: tuple[str, str],
    rows: Sequence[Choice],
    n_resamples: int,
    seed: int,
) -> list[PairResult]:
    """Return one row; none if nobody had a preference."""
    decided = [row for row in rows if row.preferred]
    if not decided:
        return []
    system, over = pair
    if 2 * sum(row.preferred == system for row in decided) < len(decided):
        system, over = over, system
    won = np.array([float(row.preferred == system) for row in decided])
    listeners = codes([row.listener for row in decided])
    items = codes([row.item for row in decided])
    test = preference(int(won.sum()), len(won))
    spread = clustered(
        won, listeners, items, null=0.5, is_share=True, n_resamples=n_resamples, seed=seed
    )
    effect = spread.design_effect if spread else 1.0
    least = needed(test.share)
    p = spread.p if spread else test.p
    return [
        PairResult(
            group=group,
            question=question,
            system=system,
            over=over,
            n_none=len(rows) - len(decided),
            n_listeners=int(listeners.max()) + 1,
            n_items=int(items.max()) + 1,
            binomial=test,
            clusters=spread,
            mixed=mixed(won, listeners, items),
            p=p,
            p_holm=p,
            needed=None if least is None else round(least * effect),
            detectable=detectable(round(len(won) / effect)),
        )
    ]


def codes(names: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each name, alike for the same."""
    return np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)[1]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm, Scand. J. Statist. 6, 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[k]))
        corrected[k] = largest
    return corrected
