"""CSV, row by row, with errors that say which row it was."""

import csv
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from unmask.errors import FileError, listed


class Line(NamedTuple):
    """One row of a file, and where it stands."""

    path: Path
    number: int
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """Return a cell that may not be empty.

        Raises
        ------
        FileError
            If it is.
        """
        if found := self.cells.get(column, ""):
            return found
        raise self.error(f"{column} is empty, should name one; fill it in or leave the row out")

    def one_of(self, column: str, known: Collection[str]) -> str:
        """Return a cell that holds one of a few words.

        Raises
        ------
        FileError
            If it holds another.
        """
        if (found := self.cells.get(column, "")) in known:
            return found
        raise self.error(f"{column} is {found!r}, should be one of {listed(known)}; correct it")

    def error(self, what: str) -> FileError:
        """Return an error that says where it was."""
        return FileError(f"{self.path}, line {self.number}: {what}")


def lines(path: Path) -> Iterator[Line]:
    """Yield the rows of a CSV with a header; rows without content are passed over.

    Raises
    ------
    FileError
        If it cannot be read, or a row has not as many cells as the header.
    """
    table = csv.reader(_text(path).splitlines(keepends=True), strict=True)
    try:
        header = [name.strip() for name in next(table, [])]
        if twice := {name for name in header if name and header.count(name) > 1}:
            raise FileError(f"{path}: column {listed(twice)} twice, expected once; rename one")
        for cells in table:
            line = Line(path, table.line_num, {})
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise line.error(
                    f"{len(cells)} cells, should be {len(header)} as in the header; quote cells "
                    "that hold commas"
                )
            stripped = (cell.strip() for cell in cells)
            yield line._replace(cells=dict(zip(header, stripped, strict=True)))
    except csv.Error as error:
        raise FileError(
            f"{path}, line {table.line_num}: is no CSV: {error}; export it anew"
        ) from None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(f"{path}: is not UTF-8, should be; save it as that") from None
    except OSError as error:
        raise FileError(
            f"{path}: cannot be read: {error.strerror or error}; unmask listen export writes one"
        ) from error
