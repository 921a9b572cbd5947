"""What listeners said, whoever wrote it down."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Choice:
    """One answer about two systems."""

    listener: str
    item: str
    question: str
    a: str
    """What was played as A."""
    b: str
    preferred: str
    """Name of a system; empty if neither was preferred."""
    track: str = ""
    stem: str = ""
    repeat: bool = False
    """Whether the listener heard this page before."""

    @property
    def pair(self) -> tuple[str, str]:
        """The two systems in the order of their names, whatever side they were on."""
        return (self.a, self.b) if self.a < self.b else (self.b, self.a)


@dataclass(frozen=True)
class Rating:
    """One clip rated from 0 to 100."""

    listener: str
    item: str
    question: str
    system: str
    condition: str
    """``system``, ``reference`` or ``anchor``."""
    rating: float
    track: str = ""
    stem: str = ""
    repeat: bool = False


class Judgements(NamedTuple):
    """All answers of one or several tests."""

    choices: tuple[Choice, ...]
    ratings: tuple[Rating, ...]

    @property
    def listeners(self) -> list[str]:
        """Who answered, sorted."""
        return sorted(
            {row.listener for row in self.choices} | {row.listener for row in self.ratings}
        )

    def without(self, listeners: set[str]) -> "Judgements":
        """Return what the others said."""
        return Judgements(
            tuple(row for row in self.choices if row.listener not in listeners),
            tuple(row for row in self.ratings if row.listener not in listeners),
        )
