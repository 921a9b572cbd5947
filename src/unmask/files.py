"""Files that appear whole or not at all, and errors that say which file it was."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unmask.errors import FileError, UnmaskError


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
    partial = target.with_name(f".unmask-{secrets.token_hex(6)}{target.suffix}")
    try:
        with writing(path):
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield partial
        with writing(path):
            os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a file of UTF-8, whole or not at all.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


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
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return f"folder {path.parent} does not exist; make it"
    return f"{error.strerror or error}; choose another place"


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
