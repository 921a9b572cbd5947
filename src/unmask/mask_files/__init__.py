"""Masks as files: saved in blocks, looked at, edited in NumPy, and applied again.

A file is an ``.npz`` of NumPy with two arrays and nothing pickled: ``masks (source, channel, freq,
frame)``, and ``header``, a text in JSON that says which bins these are (docs/mask_files.md).
"""

from unmask.mask_files.applying import apply, apply_to_file
from unmask.mask_files.container import Masks, MaskWriter, load, save
from unmask.mask_files.header import Header
from unmask.mask_files.inspecting import StemSummary, summary
from unmask.mask_files.making import save_ideal, save_used

__all__ = [
    "Header",
    "MaskWriter",
    "Masks",
    "StemSummary",
    "apply",
    "apply_to_file",
    "load",
    "save",
    "save_ideal",
    "save_used",
    "summary",
]


def __dir__() -> list[str]:
    return __all__
