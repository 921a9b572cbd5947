"""Which files a model's outputs become: all stems, some, one and the rest, or their sum."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from unmask.errors import ConfigError
from unmask.layout.output import Output
from unmask.stems import PARTS_OF_OTHER, canonical

#: What a model's residual is called that has no name of its own.
NO_NAME = "residual"


class Names(Protocol):
    """What the names of a model's files depend on."""

    name: str
    stems: tuple[str, ...]
    residual: str
    residual_is_source: bool


def written(model: Names, output: Output) -> dict[str, tuple[str, ...]]:
    """Return what is written: name of the file -> the outputs of the model that it adds up.

    Raises
    ------
    ConfigError
        If the model has no stem of that name, or not as many.
    """
    parts = (*model.stems, model.residual)
    if output.remix:
        return {"remix": parts}
    if output.two_stems is not None:
        one = _one(parts, output.two_stems, model)
        return {one: (one,), f"no_{one}": tuple(part for part in parts if part != one)}
    wanted = model.residual_is_source if output.residual is None else output.residual
    sources: Sequence[str] = parts if wanted else model.stems
    if output.stems is not None:
        sources = _chosen(parts, sources, output.stems, model)
    return {part: (part,) for part in sources}


def _chosen(
    parts: Sequence[str], sources: Sequence[str], asked: Sequence[str], model: Names
) -> Sequence[str]:
    """Return the outputs that are asked for by name, or by their number."""
    if len(asked) != 1 or not asked[0].isdecimal():
        return list(dict.fromkeys(_one(parts, name, model) for name in asked))
    if int(asked[0]) != len(sources):
        raise ConfigError(
            f"stems {asked[0]}: model {model.name} has {len(sources)}, {', '.join(sources)}; "
            "name those to write, or one and the rest (two_stems)"
        )
    return sources


def _one(parts: Iterable[str], asked: str, model: Names) -> str:
    """Return the output that is asked for."""
    for part in parts:
        if canonical(part) == canonical(asked):
            return part
    names = ", ".join(part for part in parts if part != NO_NAME)
    held = "other" in parts and canonical(asked) in PARTS_OF_OTHER
    remedy = f"{asked} is part of other" if held else "choose of these"
    raise ConfigError(f"stem {asked!r}: model {model.name} has {names}; {remedy}")
