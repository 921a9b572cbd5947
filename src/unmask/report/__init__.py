"""Reports that one listens to: a page in one file, and the same player in notebooks."""

from unmask.report.contents import Recording, Stem, Version, contents
from unmask.report.document import Packed, pack, page, write
from unmask.report.excerpts import Excerpt, by_files, by_model, loudest
from unmask.report.notebook import Page, play

__all__ = [
    "Excerpt",
    "Packed",
    "Page",
    "Recording",
    "Stem",
    "Version",
    "by_files",
    "by_model",
    "contents",
    "loudest",
    "pack",
    "page",
    "play",
    "write",
]


def __dir__() -> list[str]:
    return __all__
