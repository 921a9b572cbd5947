"""From answers to results."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from unmask.errors import ConfigError, listed
from unmask.listen.analysis.judgements import Choice, Judgements, Rating
from unmask.listen.analysis.pairs import PairResult, pair_results
from unmask.listen.analysis.ratings import Difference, Rated, rated
from unmask.listen.analysis.reliability import Reliability, reliability
from unmask.listen.analysis.screening import Excluded, named, screened, unfit
from unmask.listen.analysis.strengths import Strength, strengths

By = Literal["stem", "track", "item"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How answers are analysed.

    Raises
    ------
    ConfigError
        If listeners are required to have something, and nothing says whether they do; or if there
        are too few resamples for a p value of 1 %.
    """

    by: By | None = None
    """Also analyse the answers about each stem, track or item by themselves."""
    exclude: tuple[str, ...] = ()
    """Listeners to leave out."""
    listeners: Path | None = None
    """``listeners.csv``, for `require`."""
    require: tuple[str, ...] = ()
    """What listeners must have: ``headphones`` passed, ``finished``, normal ``hearing``."""
    screen: bool = True
    """Whether those who do not recognise the hidden reference are left out."""
    n_resamples: int = 4999
    """Of the bootstrap."""
    seed: int = 0
    """Of the bootstrap."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.require and self.listeners is None:
            raise ConfigError(
                f"required: {listed(self.require)}, but no listeners.csv says who has that; name "
                "it (unmask listen export --listeners)"
            )
        if self.n_resamples < 99:
            raise ConfigError(f"n_resamples: {self.n_resamples}, should be 99 or more")


class StrengthRow(NamedTuple):
    """The strength of a system for a question, or why there are none."""

    group: str
    question: str
    strength: Strength | None
    problem: str


@dataclass(frozen=True)
class Analysis:
    """What a listening test shows."""

    n_listeners: int
    """Who count."""
    n_answers: int
    """Answers of theirs, second hearings included."""
    excluded: tuple[Excluded, ...] = ()
    pairs: list[PairResult] = field(default_factory=list)
    strengths: list[StrengthRow] = field(default_factory=list)
    ratings: list[Rated] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    reliability: list[Reliability] = field(default_factory=list)


def analyse(judgements: Judgements, settings: Settings | None = None) -> Analysis:
    """Return all that answers show.

    Raises
    ------
    ConfigError
        If nobody is left whose answers count, or settings name what is not there.
    FileError
        If the list of listeners cannot be read.
    """
    settings = settings or Settings()
    excluded = _excluded(judgements, settings)
    kept = judgements.without({row.listener for row in excluded})
    if not kept.listeners:
        raise ConfigError(
            f"listeners: all {len(judgements.listeners)} are left out ({excluded[0].listener} "
            f"{excluded[0].reason}), expected one or more; require less, or do not screen them"
        )
    found = Analysis(
        len(kept.listeners),
        len(kept.choices) + len(kept.ratings),
        excluded=tuple(excluded),
        reliability=reliability(kept),
    )
    for group, part in _groups(kept, settings.by):
        _add(found, group, part, settings)
    return found


def _excluded(judgements: Judgements, settings: Settings) -> list[Excluded]:
    found = named(judgements, settings.exclude)
    if settings.listeners is not None:
        found += unfit(judgements, settings.listeners, settings.require)
    return found + (screened(judgements.ratings) if settings.screen else [])


def _groups(judgements: Judgements, by: By | None) -> list[tuple[str, Judgements]]:
    """Return all answers, then those of each group.

    Raises
    ------
    ConfigError
        If the answers do not say what is asked for.
    """
    groups = [("", judgements)]
    if by is None:
        return groups

    def key(row: Choice | Rating) -> str:
        return str(getattr(row, by))

    names = sorted(set(map(key, judgements.choices)) | set(map(key, judgements.ratings)))
    if names == [""]:
        raise ConfigError(f"by: {by}, but the answers have no column {by}; add it")
    for name in names:
        choices = tuple(row for row in judgements.choices if key(row) == name)
        ratings = tuple(row for row in judgements.ratings if key(row) == name)
        groups.append((name, Judgements(choices, ratings)))
    return groups


def _add(found: Analysis, group: str, part: Judgements, settings: Settings) -> None:
    n, seed = settings.n_resamples, settings.seed
    found.pairs.extend(pair_results(part.choices, group=group, n_resamples=n, seed=seed))
    found.strengths.extend(_strengths(part.choices, group))
    means, differences = rated(part.ratings, group=group, n_resamples=n, seed=seed)
    found.ratings.extend(means)
    found.differences.extend(differences)


def _strengths(choices: Sequence[Choice], group: str) -> list[StrengthRow]:
    """Return strengths where there are three systems or more."""
    rows: list[StrengthRow] = []
    for question in sorted({row.question for row in choices}):
        own = [row for row in choices if row.question == question and not row.repeat]
        pairs = [row.pair for row in own]
        if len({name for pair in pairs for name in pair}) < 3:
            continue
        outcomes = [
            0.5 if not row.preferred else float(row.preferred == row.pair[0]) for row in own
        ]
        result = strengths(pairs, outcomes, [row.listener for row in own])
        rows += [StrengthRow(group, question, strength, "") for strength in result.systems]
        if result.problem:
            rows.append(StrengthRow(group, question, None, result.problem))
    return rows
