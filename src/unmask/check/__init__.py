"""Whether a separator keeps what it should when something else is turned: invariances, measured.

Any model, Python callable or program is given the same recording in other forms, and what comes out
is compared; every row says its bound and what was measured (docs/check.md).
"""

from unmask.check.invariances import CHECKS, Check
from unmask.check.run import Row, check, is_passed
from unmask.check.separators import (
    CallableSeparator,
    CommandSeparator,
    ModelSeparator,
    Separator,
    identity,
)
from unmask.check.signals import recording

__all__ = [
    "CHECKS",
    "CallableSeparator",
    "Check",
    "CommandSeparator",
    "ModelSeparator",
    "Row",
    "Separator",
    "check",
    "identity",
    "is_passed",
    "recording",
]


def __dir__() -> list[str]:
    return __all__
