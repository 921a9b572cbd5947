"""Which sources are compared: names brought together, parts added up. Decided here, for everyone.

Separators and truths name their sources each in its own way, and cut a recording into more or
fewer. What only one side has is part of what the other has: guitar of "other", all but the vocals
of "accompaniment". Both sides are added up to the sources that they have in common before anything
is measured, else "other" would be compared with something that lacks the guitar.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from unmask._arrays import Array
from unmask.errors import ConfigError
from unmask.mixtures import sum_of
from unmask.stems import PARTS_OF_OTHER, canonical

__all__ = [
    "Folding",
    "Named",
    "Rows",
    "add_up",
    "check",
    "match",
    "match_model",
    "unlike",
]

Rows = Mapping[str, tuple[str, ...]]


class Named(Protocol):
    """What says which sources it estimates: a model does."""

    stems: tuple[str, ...]
    residual: str
    """Name of what the stems leave of the mixture."""


@dataclass(frozen=True)
class Folding:
    """Which estimates, and which targets, are added up to the sources that are compared."""

    estimates: Rows
    """Source -> the estimates that it is the sum of."""
    targets: Rows
    """Source -> the targets; sources without an estimate come last."""
    automatic: Mapping[str, str]
    """Part -> the source that it was added to without being told."""

    @property
    def common(self) -> list[str]:
        """The sources that both sides have."""
        return [name for name in self.estimates if name in self.targets]

    def remarks(self) -> Iterator[str]:
        """Yield a sentence for every source that parts were added to without being told."""
        for whole in dict.fromkeys(self.automatic.values()):
            parts = [part for part, its in self.automatic.items() if its == whole]
            stem = "a stem" if len(parts) == 1 else "stems"
            yield f"{', '.join(parts)}: {stem} of one side only, compared as part of {whole}"


def match(
    estimates: Iterable[str],
    targets: Iterable[str],
    *,
    asked: Mapping[str, str] | None = None,
    residual: str | None = None,
    only: Collection[str] | None = None,
) -> Folding:
    """Return how the sources of two sides are compared.

    Parts that are `asked` for are folded on both sides. Without being told are folded

    * what only one side has and is one of :data:`unmask.stems.PARTS_OF_OTHER`, where the other
      side has "other";
    * all but STEM, where the other side is a stem and its rest: ``vocals`` and ``accompaniment``,
      ``drums`` and ``no_drums``.

    Parameters
    ----------
    estimates, targets : iterable of str
        Names of the two sides; they are compared in their :func:`unmask.stems.canonical` form.
    asked : mapping of str to str
        Part -> the source that it is added to.
    residual : str
        The estimate that is, by construction, what the other estimates leave of the mixture: all
        targets that no other estimate has are its own.
    only : collection of str
        The sources that matter: nothing is folded into others without being told.
    """
    estimates, targets = list(estimates), list(targets)
    asked = {canonical(part): canonical(whole) for part, whole in (asked or {}).items()}
    sides = [set(_rows(names, asked, {})) for names in (estimates, targets)]
    automatic = dict(_automatic(*sides)) | dict(_automatic(*sides[::-1]))
    if only is not None:
        wanted = {canonical(name) for name in only}
        automatic = {part: whole for part, whole in automatic.items() if whole in wanted}
    chosen = automatic | asked
    ours, theirs = (_rows(names, chosen, automatic) for names in (estimates, targets))
    if residual is not None:
        rest = [name for name in theirs if name not in ours]
        row = tuple(part for name in rest for part in theirs.pop(name))
        if own := (*theirs.get(canonical(residual), ()), *row):
            theirs[canonical(residual)] = own
    ordered = {name: theirs[name] for name in (*ours, *theirs) if name in theirs}
    return Folding(ours, ordered, dict(sorted(automatic.items())))


def match_model(
    model: Named, targets: Iterable[str], *, asked: Mapping[str, str] | None = None
) -> Folding:
    """Return how the outputs of a model are compared with the true stems of a recording.

    What the model does not name is its residual's.

    Raises
    ------
    ConfigError
        If no stem is one of the model's, or `asked` is not among the names.
    """
    targets, outputs = list(targets), (*model.stems, model.residual)
    check(asked or {}, outputs, targets)
    found = match(outputs, targets, asked=asked, residual=model.residual)
    if not any(
        {*row} - {model.residual} and name in found.targets for name, row in found.estimates.items()
    ):
        raise ConfigError(
            f"stems: none of {', '.join(model.stems)} is among {', '.join(targets)}; "
            "name the files as the model names its stems"
        )
    return found


def check(asked: Mapping[str, str], *sides: Iterable[str]) -> None:
    """Refuse what cannot be folded.

    Raises
    ------
    ConfigError
        If a part or what it is added to is on no side, or both are parts.
    """
    there = {canonical(name): name for side in sides for name in side}
    wholes = {canonical(whole) for whole in asked.values()}
    for part, whole in asked.items():
        for name in (part, whole):
            if canonical(name) not in there:
                raise ConfigError(
                    f"fold {part}={whole}: there is no {name}; there are {', '.join(sorted(there))}"
                )
        if canonical(part) in wholes:
            raise ConfigError(
                f"fold {part}={whole}: {part} is added to and folded; name the last of them"
            )


def add_up(rows: Rows, parts: Mapping[str, Array]) -> dict[str, Array]:
    """Return the sums of some signals: name -> array of their shape.

    Parameters
    ----------
    rows : mapping of str to tuple of str
        Name -> the names in `parts` that it is the sum of.
    parts : mapping of str to array
    """
    return {
        name: parts[row[0]] if len(row) == 1 else sum_of({part: parts[part] for part in row})
        for name, row in rows.items()
    }


def unlike(systems: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Yield a sentence for every pair of systems whose "other" is not the same source.

    Scores cannot be added up as signals can: where one system was scored on guitar and "other", the
    second on "other" alone, the two rows "other" say different things.

    Parameters
    ----------
    systems : mapping of str to collection of str
        System -> the stems that it was scored on.
    """
    with_other = {
        name: {canonical(stem) for stem in stems}
        for name, stems in systems.items()
        if "other" in {canonical(stem) for stem in stems}
    }
    everywhere: set[str] = set.intersection(*with_other.values()) if with_other else set()
    for name, stems in with_other.items():
        if apart := sorted((stems - everywhere) & PARTS_OF_OTHER):
            folds = " ".join(f"--fold {part}=other" for part in apart)
            yield (
                f"{name}: 'other' lacks {', '.join(apart)}, of other systems it does not; "
                f"evaluate it again with {folds} to compare them"
            )


def _automatic(names: Collection[str], beside: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield what of `names` is part of a source that only the other side has whole."""
    for name in names:
        if name not in beside and "other" in beside and _plain(name) in PARTS_OF_OTHER:
            yield name, "other"
    for stem in beside:
        rest = canonical(f"no_{stem}")
        if set(beside) == {stem, rest} and stem in names and rest not in names:
            yield from ((name, rest) for name in names if name != stem)


def _plain(name: str) -> str:
    return name.replace("-", "_").replace(" ", "_")


def _rows(
    names: Sequence[str], folds: Mapping[str, str], automatic: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    rows: dict[str, tuple[str, ...]] = {}
    for name in names:
        key = folds.get(canonical(name), canonical(name))
        key = automatic.get(key, key)  # what was asked for may be part of more
        rows[key] = (*rows.get(key, ()), name)
    return rows


def __dir__() -> list[str]:
    return __all__
