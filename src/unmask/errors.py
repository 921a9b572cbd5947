"""The errors that are raised on purpose.

::

    UnmaskError
    ├─ ShapeError(ValueError)       wrong number or size of axes
    ├─ SignalError(ValueError)      samples that are no sound: NaN or infinite
    ├─ SampleRateError(ValueError)  two sample rates that must agree do not, or one is impossible
    ├─ ConfigError(ValueError)      settings that cannot work together
    ├─ ModelError(ValueError)       a model or checkpoint that this version cannot read
    ├─ FileError(OSError)           a file or folder that cannot be read or written
    │  └─ AudioFileError            a file that cannot be read or written as audio
    ├─ WorkerError(RuntimeError)    a process was killed before its work was done
    └─ MissingExtraError(ImportError)  an optional package is not installed

Every message is one line: *subject: what is, what should be; what to do.* Where it arose is a note
(`BaseException.add_note`). The command line prints both (`one_line`) and exits with code 1; any
other exception is a bug and keeps its traceback.

File names, model files and tables of scores come from others: what is shown of them goes through
`printable`.
"""

import unicodedata
from collections.abc import Iterable

__all__ = [
    "AudioFileError",
    "ConfigError",
    "FileError",
    "MissingExtraError",
    "ModelError",
    "SampleRateError",
    "ShapeError",
    "SignalError",
    "UnmaskError",
    "WorkerError",
    "listed",
    "one_line",
    "printable",
]


#: Characters of a line: the longest name of a file takes 255 bytes, a path 4096 of them.
_MOST_SHOWN = 2000


class UnmaskError(Exception):
    """Base of every error that is raised on purpose."""


class ShapeError(UnmaskError, ValueError):
    """An array has the wrong number or size of axes."""


class SignalError(UnmaskError, ValueError):
    """Samples or masks that are none: NaN, infinite or out of their range."""


class SampleRateError(UnmaskError, ValueError):
    """A sample rate is impossible, or two that must agree do not."""


class ConfigError(UnmaskError, ValueError):
    """Settings that cannot work, alone or together."""


class ModelError(UnmaskError, ValueError):
    """A model or checkpoint that this version cannot read."""


class FileError(UnmaskError, OSError):
    """A file or folder that cannot be read or written."""


class AudioFileError(FileError):
    """A file that cannot be read or written as audio."""


class WorkerError(UnmaskError, RuntimeError):
    """A process was killed before its work was done."""


class MissingExtraError(UnmaskError, ImportError):
    """An optional package is needed and not installed."""


def one_line(error: BaseException) -> str:
    """Return the message of an error after its notes, which say where it arose, printable.

    What files of others put into it may be long: then its middle is left out.
    """
    line = printable(": ".join([*reversed(getattr(error, "__notes__", [])), str(error)]))
    half = _MOST_SHOWN // 2
    return line if len(line) <= _MOST_SHOWN else f"{line[:half]} … {line[-half:]}"


def printable(text: str) -> str:
    r"""Return `text` with escapes for what is no character of a line.

    Control characters can steer a terminal, line ends and marks of direction can forge what it
    shows, and halves of characters (names of files that are not UTF-8) cannot be written.

    >>> printable("naïve 日本.wav"), printable("a\x1b[31m\nb")
    ('naïve 日本.wav', 'a\\x1b[31m\\nb')
    """
    if text.isprintable():
        return text
    return "".join(char if _is_shown(char) else _escape(char) for char in text)


def _is_shown(char: str) -> bool:
    # Spaces of other widths, and the joiners that Persian and emoji are written with.
    return char.isprintable() or unicodedata.category(char) == "Zs" or char in "\u200c\u200d"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode()


def listed(names: Iterable[str], at_most: int | None = None) -> str:
    """Return names in one line of a message, sorted, not more than can be read.

    >>> listed("cab"), listed("cab", at_most=2)
    ('a, b, c', 'a, b and 1 more')
    """
    names = sorted(names)
    rest = len(names) - len(names[:at_most])
    return ", ".join(names[:at_most]) + (f" and {rest} more" if rest else "")


def __dir__() -> list[str]:
    return __all__
