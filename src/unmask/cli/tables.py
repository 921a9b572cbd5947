"""Tables as text: as wide as there is room, and no name is ever cut.

What is too wide for the terminal is first set closer, then its headings and prose are broken
between words, then its columns go below one another, each part with the first column.
"""

import textwrap
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

_WIDE, _CLOSE = 3, 2


class Column(NamedTuple):
    """A column of a table."""

    heading: str
    cells: Sequence[str]
    is_number: bool
    is_prose: bool
    """Whether cells may be broken between words."""

    @property
    def natural(self) -> int:
        """How wide it is if nothing is broken."""
        return max(map(width, (self.heading, *self.cells)))

    @property
    def least(self) -> int:
        """How wide it is if all is broken that may be."""
        words = [self.heading, *(self.cells if self.is_prose else ())]
        whole = () if self.is_prose else self.cells
        return max(map(width, [*(word for text in words for word in text.split()), *whole, ""]))


def width(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    from rich.cells import cell_len

    return cell_len(text)


def lines(columns: Sequence[Column], room: int | None, *, n_keys: int = 1) -> Iterator[str]:
    """Yield the lines of a table.

    Parameters
    ----------
    columns : sequence of Column
        As many cells in each.
    room : int, optional
        Cells of a line; as many as it takes when left out. More are used only for one column
        beside the keys.
    n_keys : int
        Columns that say what a row is: they stand in every part of a table that has several.
    """
    for k, part in enumerate(_parts(columns, room, n_keys)):
        if k:
            yield ""
        yield from _part(part, room)


def _parts(columns: Sequence[Column], room: int | None, n_keys: int) -> list[list[Column]]:
    """Share out columns over tables that fit."""
    keys, parts = list(columns[:n_keys]), [list(columns[:n_keys])]
    for column in columns[n_keys:]:
        if room and len(parts[-1]) > n_keys and _least([*parts[-1], column]) > room:
            parts.append([*keys])
        parts[-1].append(column)
    return parts


def _least(columns: Sequence[Column]) -> int:
    return _total([column.least for column in columns], _CLOSE)


def _total(widths: Collection[int], gap: int) -> int:
    return 2 + sum(widths) + gap * (len(widths) - 1)


def _part(columns: Sequence[Column], room: int | None) -> Iterator[str]:
    widths, gap = _widths(columns, room)
    if any(column.heading for column in columns):
        yield from _row([column.heading for column in columns], columns, widths, gap)
    yield " " + "─" * (_total(widths, gap) - 1)
    for cells in zip(*(column.cells for column in columns), strict=True):
        yield from _row(cells, columns, widths, gap)


def _widths(columns: Sequence[Column], room: int | None) -> tuple[list[int], int]:
    """Return how wide columns are, and the gap between them."""
    natural = [column.natural for column in columns]
    for gap in (_WIDE, _CLOSE):
        if room is None or _total(natural, gap) <= room:
            return natural, gap
    widths = [column.least for column in columns]
    left = max(0, room - _total(widths, _CLOSE)) if room else 0
    # Prose first, then headings, from the left.
    for k in sorted(range(len(columns)), key=lambda k: not columns[k].is_prose):
        more = min(left, natural[k] - widths[k])
        widths[k] += more
        left -= more
    return widths, _CLOSE


def _row(
    cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], gap: int
) -> Iterator[str]:
    parts = [broken(cell, wide) for cell, wide in zip(cells, widths, strict=True)]
    for texts in zip_longest(*parts, fillvalue=""):
        padded = [
            _padded(text, wide, right=column.is_number)
            for text, column, wide in zip(texts, columns, widths, strict=True)
        ]
        yield (" " * 2 + (" " * gap).join(padded)).rstrip()


def _padded(text: str, wide: int, *, right: bool) -> str:
    padding = " " * (wide - width(text))
    return padding + text if right else text + padding


def broken(text: str, wide: int) -> list[str]:
    """Return a text in lines, broken between words if it is wider than that."""
    if width(text) <= wide:
        return [text]
    return textwrap.wrap(text, wide, break_long_words=False, break_on_hyphens=False)
