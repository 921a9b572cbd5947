"""Files that appear whole or not at all, and errors that say which file it was.

What is not whole yet has a hidden name, and whoever writes it holds a lock on it: what a killed
process has left is known by its lock, which is free, and taken away by the next that writes there.
"""

import errno
import hashlib
import json
import math
import os
import platform
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from unmask.errors import FileError, UnmaskError

_HIDDEN = ".unmask-"
#: Hidden names tell the machine: not every network file system shows locks to other machines.
_OURS = f"{_HIDDEN}{hashlib.sha256(platform.node().encode()).hexdigest()[:6]}-"
#: Seconds after which nobody works any more on what another machine has left.
_ABANDONED_S = 86400
_LOCK = ".lock"
#: Folders in which this process has looked for what others left.
_SWEPT: set[Path] = set()


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a hidden name beside `path` to write to, which becomes `path` if the block succeeds.

    Whatever else ends the block, `KeyboardInterrupt` included, removes what was written, and a file
    that was there before stays as it was. The hidden name has the suffix of `path`, for writers
    that look at it, and is like no other, so several processes may write the same file: the last
    one wins. The mode is that of a new file. A link stays, and what it leads to is replaced; what
    is no file and no folder, as ``/dev/null``, is written as it is.

    Parameters
    ----------
    path : path
        The file to write; its folder must exist.

    Raises
    ------
    FileError
        If the file cannot be written there, or an `OSError` ends the block.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/poem.txt") as partial:
    ...         print(partial.name.startswith("."), partial.suffix, partial.write_text("roses"))
    ...     print(Path(folder, "poem.txt").read_text())
    True .txt 5
    roses
    """
    with writing(path), staged(path) as partial:
        yield partial


@contextmanager
def staged(path: str | Path) -> Iterator[Path]:
    """Do as :func:`replacing` does, but leave errors of the block, which may not be about `path`.

    Raises
    ------
    FileError
        If the file cannot be written there.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError(f"{path}: is a folder, should be a file to write; add a file name")
    if path.exists() and not path.is_file():
        yield path
        return
    target = Path(os.path.realpath(path))
    partial = target.with_name(f"{_OURS}{secrets.token_hex(6)}{target.suffix}")
    with writing(path):
        _sweep_once(target.parent)
        lock = os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), "wb")
        mode = os.fstat(lock.fileno()).st_mode
    try:
        if not _try_lock(lock.fileno()):
            lock.close()  # Windows replaces no file that is open
        yield partial
        with writing(path):
            os.chmod(partial, mode)  # some writers make a file of their own, for the user alone
            os.replace(partial, target)
    finally:
        lock.close()
        partial.unlink(missing_ok=True)


@contextmanager
def hidden_folder(parent: Path) -> Iterator[Path]:
    """Make a hidden folder in `parent`, which goes at the end with all that is in it.

    What processes that were killed have left in `parent` goes before.

    Raises
    ------
    FileError
        If it cannot be made.
    """
    with writing(parent):
        sweep(parent)
        folder, lock = _locked_folder(parent)
    try:
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """Make a folder that no other process takes for abandoned."""
    while True:
        folder = parent / f"{_OURS}{secrets.token_hex(6)}"
        folder.mkdir()
        # Who sweeps may have been here before the lock.
        with suppress(FileNotFoundError):
            lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            if _try_lock(lock) is not False:
                return folder, lock
            os.close(lock)


def sweep(folder: Path) -> None:
    """Take away what killed processes have left in `folder`, and nothing of one that lives."""
    for path in folder.glob(f"{_HIDDEN}*"):
        with suppress(OSError):
            if path.name.startswith(_OURS) or time.time() - _newest(path) > _ABANDONED_S:
                _remove_if_free(path)


def _sweep_once(folder: Path) -> None:
    if folder not in _SWEPT and not folder.name.startswith(_HIDDEN):
        _SWEPT.add(folder)
        sweep(folder)


def _newest(path: Path) -> float:
    """Return when anything in a folder, or a file, was last written."""
    return max(file.lstat().st_mtime for file in (path, *path.rglob("*")))


def _remove_if_free(path: Path) -> None:
    is_folder = path.is_dir() and not path.is_symlink()
    lock = os.open(path / _LOCK if is_folder else path, os.O_RDWR | os.O_CREAT * is_folder, 0o600)
    try:
        if _try_lock(lock):
            shutil.rmtree(path, ignore_errors=True) if is_folder else path.unlink()
    finally:
        os.close(lock)


def _try_lock(file: int) -> bool | None:
    """Lock an open file until it is closed: whether nobody else has it, None if there are no locks.

    The lock ends with the process, whatever ends that.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems have none
        return None
    return True


@contextmanager
def on_device_of(staged: Path, target: Path) -> Iterator[Path]:
    """Give `staged` itself, or a copy beside `target` if that is on another file system.

    Raises
    ------
    FileError
        If it cannot be copied there.
    """
    with writing(target):
        if staged.stat().st_dev == target.parent.stat().st_dev:
            copy = None
        else:
            copy = target.with_name(f"{_OURS}{secrets.token_hex(6)}")
    if copy is None:
        yield staged
        return
    try:
        with writing(target):
            _sweep_once(target.parent)
            shutil.copyfile(staged, copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a file of UTF-8, whole or not at all.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def json_text(value: Any, *, indent: int | None = None) -> str:
    r"""Return `value` as a line, or lines, of JSON that the strictest reader takes.

    JSON has no word for NaN, which becomes null, and none for infinity, which becomes the text
    "Infinity" or "-Infinity": Python's ``float`` and JavaScript's ``Number`` read it, and nobody
    adds it up unawares. Arrays and numbers of NumPy become lists and numbers, paths text.

    >>> json_text({"sdr": [1.5, float("inf"), float("nan")]})
    '{"sdr": [1.5, "Infinity", null]}\n'
    """
    return json.dumps(_plain(value), indent=indent, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return what JSON can say."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # of NumPy, which is not loaded for this
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def make_folder(path: str | Path) -> Path:
    """Return `path`, a folder from now on.

    Raises
    ------
    FileError
        If it cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"{path}: cannot be made a folder: {error.strerror}; choose another place"
        ) from error
    return Path(path)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Say in one line that a file or folder cannot be written.

    Raises
    ------
    FileError
        If an `OSError` ends the block that is none of ours.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, UnmaskError):
            raise
        raise FileError(f"{path}: cannot be written: {_reason(Path(path), error)}") from error


def _reason(path: Path, error: OSError) -> str:
    if error.errno == errno.ENAMETOOLONG:
        return f"{error.strerror}; shorten the name"
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return f"folder {path.parent} does not exist; make it"
    return f"{error.strerror or error}; choose another place"


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Contents(NamedTuple):
    """What a file is at a time."""

    device: int
    inode: int
    n_bytes: int
    mtime_ns: int
    sha256: str


def contents(path: Path) -> Contents:
    """Return which file it is, and the hash of its bytes; equal if it has not changed meanwhile."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Contents(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, digest)
