"""Files that appear together: made in a hidden folder, put in their places when all are whole."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from unmask.files import hidden_folder, make_folder, on_device_of, writing


@contextmanager
def staging_in(out: Path) -> Iterator[Path]:
    """Make a hidden folder in `out`; folders that are made and left empty go again at the end."""
    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    make_folder(out)
    try:
        with hidden_folder(out) as staging:
            yield staging
    finally:
        for folder in missing:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def move(files: Mapping[Path, Path]) -> None:
    """Put files in their places; the last, the record, is never beside stems of another run.

    Parameters
    ----------
    files : mapping of path to path
        Where a file is -> where it goes.

    Raises
    ------
    FileError
        If one cannot be put there.
    """
    *_, record = files.values()
    for target in files.values():
        make_folder(target.parent)
    with ExitStack() as stack:
        ready = {stack.enter_context(on_device_of(*pair)): pair[1] for pair in files.items()}
        with writing(record):
            record.unlink(missing_ok=True)
        for staged, target in ready.items():
            with writing(target):
                os.replace(staged, target)


def check_places(paths: Iterable[Path]) -> None:
    """Refuse names that the file system cannot have, before the work.

    Raises
    ------
    FileError
    """
    for path in paths:
        with writing(path), suppress(FileNotFoundError):
            try:
                path.lstat()
            except NotADirectoryError:
                make_folder(path.parent)  # says which cannot be one
