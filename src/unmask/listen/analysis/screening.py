"""Whose answers count."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from unmask.errors import ConfigError, FileError, listed
from unmask.listen.analysis.judgements import Judgements, Rating
from unmask.listen.analysis.lines import lines

#: What `listeners.csv` may be asked for -> whether a row of it has that.
REQUIREMENTS: Mapping[str, Callable[[Mapping[str, str]], bool]] = {
    "headphones": lambda row: row.get("headphones") == "passed",
    "finished": lambda row: bool(row.get("finished_at")),
    "hearing": lambda row: row.get("hearing") == "normal",
}
#: ITU-R BS.1534-3, 4.1.2: rates the hidden reference below this in more than this share of items.
LEAST_RATING, MOST_SHARE = 90.0, 0.15


class Excluded(NamedTuple):
    """A listener who does not count."""

    listener: str
    reason: str


def screened(ratings: Sequence[Rating]) -> list[Excluded]:
    """Return who does not recognise the hidden reference (ITU-R BS.1534-3, post-screening).

    An assessor is left out who rates it below 90 in more than 15 % of the items; pages that are
    heard a second time do not count.
    """
    given: dict[str, list[float]] = defaultdict(list)
    for row in ratings:
        if row.condition == "reference" and not row.repeat:
            given[row.listener].append(row.rating)
    found = []
    for listener, values in sorted(given.items()):
        n_low = sum(value < LEAST_RATING for value in values)
        if n_low > MOST_SHARE * len(values):
            what = f"rates the hidden reference below 90 in {n_low} of {len(values)} items"
            found.append(Excluded(listener, what))
    return found


def named(judgements: Judgements, listeners: Collection[str]) -> list[Excluded]:
    """Return the listeners that were named.

    Raises
    ------
    ConfigError
        If one of them did not answer.
    """
    if unknown := set(listeners) - set(judgements.listeners):
        raise ConfigError(
            f"listener {listed(unknown, 3)}: no answer, expected some of "
            f"{listed(judgements.listeners, 6)}; correct the name"
        )
    return [Excluded(listener, "left out by name") for listener in sorted(listeners)]


def unfit(judgements: Judgements, path: Path, required: Sequence[str]) -> list[Excluded]:
    """Return who lacks what is required, by ``listeners.csv``.

    Raises
    ------
    ConfigError
        If it is not known what is required.
    FileError
        If the file cannot be read, or does not have who answered.
    """
    if unknown := set(required) - set(REQUIREMENTS):
        raise ConfigError(
            f"required: {listed(unknown)}, expected some of {listed(REQUIREMENTS)}; correct it"
        )
    people = {line.text("listener"): line.cells for line in lines(path)}
    if missing := set(judgements.listeners) - set(people):
        raise FileError(
            f"{path}: lacks {listed(missing, 3)}, should have all who answered; export both again"
        )
    return [
        Excluded(listener, f"{what}: not as required")
        for listener in judgements.listeners
        for what in required
        if not REQUIREMENTS[what](people[listener])
    ]
