"""``--fold PART=WHOLE``: stems that are added up before they are compared with the truth."""

from collections.abc import Iterable, Sequence

import click

from unmask.cli import show
from unmask.errors import ConfigError


def _parse(
    _context: click.Context, _option: click.Parameter, said: Sequence[str]
) -> dict[str, str]:
    """Return part -> the stem that it is added to."""
    folds: dict[str, str] = {}
    for text in said:
        part, sign, whole = (word.strip() for word in text.partition("="))
        if not (part and sign and whole) or part == whole:
            raise ConfigError(f"--fold {text}: expected PART=WHOLE, as guitar=other")
        if folds.setdefault(part, whole) != whole:
            raise ConfigError(f"--fold {text}: {part} is part of {folds[part]} already; keep one")
    return folds


fold_option = click.option(
    "--fold",
    multiple=True,
    callback=_parse,
    metavar="PART=WHOLE",
    help="Add a stem to another on both sides before they are compared, as guitar=other; may be "
    "repeated. What only one side has of 'other', or of all but the vocals, is added unasked.",
)


def say(remarks: Iterable[str]) -> None:
    """Say on standard error what was added up without being told."""
    for sentence in remarks:
        show.note(sentence)
