"""What an analysis means, in sentences."""

from collections.abc import Iterator

from unmask.listen.analysis.pairs import ALPHA, FEW, PairResult
from unmask.listen.analysis.ratings import Difference
from unmask.listen.analysis.run import Analysis
from unmask.listen.analysis.tables import p_text, percent


def sentences(analysis: Analysis) -> list[str]:
    """Return a sentence for each pair of systems, and warnings."""
    many = "s" * (analysis.n_listeners != 1)
    found = [f"{analysis.n_listeners} listener{many}, {analysis.n_answers} answers"]
    found += [_pair(row) for row in analysis.pairs]
    found += [_difference(row) for row in analysis.differences]
    return found + _warnings(analysis)


def _about(group: str, question: str) -> str:
    return ", ".join(filter(None, (group, question))) or "preference"


def _is(p: float) -> str:
    return f"p {'' if p < 0.001 else '= '}{p_text(p)}"


def _pair(row: PairResult) -> str:
    test, spread = row.binomial, row.clusters
    low, high = (spread.low, spread.high) if spread else (test.low, test.high)
    between = f"95 % interval {100 * low:.0f} to {100 * high:.0f} %, {_is(row.p)}"
    if spread:
        between += f", binomial {_is(test.p)}"
    if row.p_holm != row.p:
        between += f", {_is(row.p_holm)} after Holm"
    where, share = _about(row.group, row.question), percent(test.share)
    if row.is_decided:
        return (
            f"{where}: {row.system} is preferred to {row.over} by {share} of {test.n} ({between})"
        )
    said = (
        f"{where}: cannot decide between {row.system} and {row.over}: {share} of {test.n} prefer "
        f"{row.system} ({between})"
    )
    if test.p < ALPHA <= row.p:
        said += "; the binomial test takes them for independent, which they are not"
    return said + _what_would(row)


def _what_would(row: PairResult) -> str:
    """Say how many answers would decide, if the share is what it seems."""
    n = row.binomial.n
    parts = []
    if row.needed and row.needed > n:
        parts.append(
            f"if that many do prefer it, about {row.needed} such answers are needed (80 % power)"
        )
    if row.detectable:
        parts.append(f"{n} show {percent(row.detectable)} or more")
    return "; " + ", ".join(parts) if parts else ""


def _difference(row: Difference) -> str:
    where = _about(row.group, row.question)
    if row.p != row.p:
        return f"{where}: {row.system} and {row.over}: too little varies to compare them"
    between = f"95 % interval {row.low:.1f} to {row.high:.1f}, {_is(row.p)}"
    if row.p_holm != row.p:
        between += f", {_is(row.p_holm)} after Holm"
    points = f"{row.difference:.1f} points"
    if row.is_decided:
        return f"{where}: {row.system} is rated {points} above {row.over} ({between})"
    return f"{where}: cannot decide between {row.system} and {row.over}: {points} ({between})"


def _warnings(analysis: Analysis) -> list[str]:
    return [f"warning: {text}" for text in (*_few(analysis), *_models(analysis), *_sides(analysis))]


def _few(analysis: Analysis) -> Iterator[str]:
    numbers = [(row.n_listeners, row.n_items) for row in analysis.pairs if not row.group]
    numbers += [(row.n_listeners, row.n_items) for row in analysis.ratings if not row.group]
    for k, what in enumerate(("listeners", "items")):
        if (least := min(row[k] for row in numbers)) < FEW:
            one = what[:-1] if least == 1 else what
            yield f"{least} {one} cannot speak for others; take {FEW} or more"


def _models(analysis: Analysis) -> Iterator[str]:
    for row in analysis.pairs:
        if row.mixed and row.mixed.problem:
            yield f"{_about(row.group, row.question)}: the mixed model: {row.mixed.problem}"


def _sides(analysis: Analysis) -> Iterator[str]:
    for row in analysis.reliability:
        if row.side_p < 0.01:
            share = f"{percent(row.side_a)} of preferences are for A"
            yield f"{_about('', row.question)}: {share}, whatever it was ({_is(row.side_p)})"
