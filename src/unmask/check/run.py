"""All checks of one separator, as rows of a table."""

import math
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from unmask._arrays import Array
from unmask.check.invariances import CHECKS, Check, Trial
from unmask.check.separators import Separator
from unmask.check.signals import recording
from unmask.errors import ConfigError, UnmaskError, one_line


@dataclass(frozen=True)
class Row:
    """What one check found."""

    check: str
    law: str
    unit: str
    bound: float
    value: float
    """Measured; NaN if it does not apply or could not be measured."""
    result: Literal["pass", "fail", "differs", "does not apply"]
    """It passes; it fails, being required; it does otherwise, which is its own affair."""
    is_required: bool
    said: str
    """What went wrong, if it was not a number."""
    seconds: float


def check(
    separator: Separator,
    *,
    mixture: Array | None = None,
    seconds: float = 3.0,
    n_channels: int = 2,
    only: Collection[str] = (),
) -> Iterator[Row]:
    """Yield the rows of a separator, check by check.

    Parameters
    ----------
    separator : Separator
    mixture : array [shape=(channel, sample)], float32, optional
        What it is given, at its own rate; :func:`recording` by default.
    seconds : float
        Length of that recording.
    n_channels : int
        Its channels.
    only : collection of str
        Names of checks; all of :data:`CHECKS` by default.

    Raises
    ------
    ConfigError
        If there is no such check, or the recording is shorter than half a second.
    """
    chosen = _chosen(only)
    if mixture is None:
        n_samples = round(seconds * separator.sample_rate)
        mixture = recording(n_samples, separator.sample_rate, n_channels)
    if mixture.shape[-1] < separator.sample_rate / 2:
        raise ConfigError(
            f"recording: {mixture.shape[-1] / separator.sample_rate:.2f} s, expected at least "
            "0.5 s; give a longer one"
        )
    trial = Trial(separator, mixture, separator.sample_rate)
    return (_row(one, trial) for one in chosen)


def is_passed(rows: Iterable[Row]) -> bool:
    """Tell whether no required check failed."""
    return all(row.result != "fail" for row in rows)


def _chosen(only: Collection[str]) -> list[Check]:
    if unknown := [name for name in only if name not in CHECKS]:
        raise ConfigError(
            f"checks: there is no {', '.join(unknown)}; there are {', '.join(CHECKS)}"
        )
    return [one for name, one in CHECKS.items() if not only or name in only]


def _row(one: Check, trial: Trial) -> Row:
    begun, said = time.perf_counter(), ""
    try:
        value = one.measure(trial)
    except UnmaskError as error:
        value, said = math.nan, one_line(error)
    is_required = one.is_required or one.name in trial.separator.promises
    bound = max(one.bound, trial.separator.floor_db) if one.unit == "dB" else one.bound
    result: Literal["pass", "fail", "differs", "does not apply"]
    if value is None:
        result, value = "does not apply", math.nan
    elif value <= bound:
        result = "pass"
    else:
        result = "fail" if is_required else "differs"
    seconds = time.perf_counter() - begun
    return Row(
        one.name, one.law, one.unit, bound, value, result, is_required, said, round(seconds, 3)
    )
