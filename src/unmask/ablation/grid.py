"""Every combination of the axes, each once: what makes no difference is no combination."""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from unmask import masks
from unmask.errors import ConfigError
from unmask.frontends import STFT
from unmask.masks import Family
from unmask.masks.complex_masks import Compressed
from unmask.masks.domains import Binary, Disk, Interval
from unmask.masks.resolution import Alignment, Interpolation, Space

#: How sources are put together.
MIXINGS = ("sum", "mean")
#: What is interpolated. An STFT counts phases from the first sample of a frame, so that those of
#: what sounds in its middle turn by half a circle from bin to bin; in a ``centred_spectrum`` they
#: are counted from the middle.
UPSAMPLED = ("mask", "spectrum", "centred_spectrum")
#: In a cell, an axis that makes no difference there.
ANY = ""


@dataclass(frozen=True)
class Cell:
    """One combination; an axis that makes no difference in it is ``""``."""

    family: str
    """Name of a mask family."""
    bound: str = "none"
    """``none``; a number, the largest magnitude; ``tanh:C``, each part compressed by
    ``tanh(C m / 2)``."""
    decimation: int = 1
    """Every so many bins are kept."""
    upsampled: str = ANY
    """What is interpolated: the ``mask``; the ``spectrum`` that it was applied to, or that with
    phases from the middle of frames, the ``centred_spectrum``."""
    space: str = ANY
    """``cartesian``: real and imaginary part; ``polar``: magnitude and phase."""
    interpolation: str = ANY
    """``nearest``, ``linear``, ``cubic``."""
    alignment: str = ANY
    """``aligned`` or ``half_bin``, see :func:`unmask.masks.upsample`."""
    mixing: str = "sum"
    """The mixture: ``sum`` of the sources, or their ``mean``."""
    n_fft: int = 2048
    hop: int = 512
    window: str = "hann"

    @property
    def stft(self) -> STFT:
        """The front-end."""
        return STFT(self.n_fft, self.hop, self.window)

    @property
    def task(self) -> tuple[Any, ...]:
        """What is common to cells that are measured together."""
        return (*self.place, self.family, self.bound, self.decimation)

    @property
    def place(self) -> tuple[Any, ...]:
        """The mixture and the front-end."""
        return self.mixing, self.n_fft, self.hop, self.window


def canonical(cell: Cell) -> Cell:
    """Return the one cell that stands for all that give the same numbers by definition.

    Without decimation nothing is interpolated; a mask that is real has no phase; a bound beyond
    what a family reaches does nothing, and compression is of complex masks.

    Raises
    ------
    ConfigError
        If there is no such family or bound, or its masks have several components.
    """
    family = of(cell.family)
    if family.has_components:
        raise ConfigError(
            f"family {cell.family}: has several numbers a bin, expected masks of one; leave it out"
        )
    limit, compressed = bound_of(cell.bound)
    if not family.is_complex if compressed else _largest(family) <= limit:
        cell = replace(cell, bound="none")
    if cell.decimation == 1:
        return replace(cell, upsampled=ANY, space=ANY, interpolation=ANY, alignment=ANY)
    if cell.upsampled == "mask" and not family.is_complex:
        return replace(cell, space=ANY)
    return cell


def of(name: str) -> Family:
    """Return the family of a name.

    Raises
    ------
    ConfigError
        If there is none, or it is a hybrid, which needs a sample rate.
    """
    if name.startswith("hybrid:"):
        raise ConfigError(f"family {name}: hybrids are not in the grid; take its halves")
    return masks.get(name)


def bound_of(text: str) -> tuple[float, Compressed | None]:
    """Return the largest magnitude that a bound allows, and the compression if it is one.

    Raises
    ------
    ConfigError
        If it is not ``none``, a number above 0, ``tanh`` or ``tanh:C``.
    """
    if text == "none":
        return math.inf, None
    found = re.fullmatch(r"(tanh:)?(\d+\.?\d*(?:e-?\d+)?)", "tanh:0.1" if text == "tanh" else text)
    if found is None or not float(found[2]) > 0:
        raise ConfigError(
            f"bound {text!r}: expected none, a number above 0, tanh or tanh:C, as 1 or tanh:0.1"
        )
    if found[1]:
        return math.inf, Compressed(name=text, paper="Williamson et al. (2016)", C=float(found[2]))
    return float(found[2]), None


def _largest(family: Family) -> float:
    """Return the largest magnitude in a family's domain, infinite where it is not known."""
    domain = family.domain
    if isinstance(domain, Binary):
        return 1.0
    if isinstance(domain, Disk):
        return domain.limit
    if isinstance(domain, Interval):
        return max(abs(domain.low), abs(domain.high))
    return math.inf


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The values of every axis.

    Raises
    ------
    ConfigError
        If an axis is empty or has a value that there is not.
    """

    families: Sequence[str] = ("ibm_argmax", "complex")
    bounds: Sequence[str] = ("none", "1")
    decimations: Sequence[int] = (1, 2, 4)
    upsampled: Sequence[str] = UPSAMPLED
    spaces: Sequence[str] = get_args(Space)
    interpolations: Sequence[str] = get_args(Interpolation)
    alignments: Sequence[str] = get_args(Alignment)
    mixings: Sequence[str] = ("sum",)
    stfts: Sequence[STFT] = (STFT(),)

    def __post_init__(self) -> None:
        for axis in fields(self):
            if not getattr(self, axis.name):
                raise ConfigError(f"{axis.name}: empty, expected one value or more")
        known = {
            "upsampled": UPSAMPLED,
            "spaces": get_args(Space),
            "interpolations": get_args(Interpolation),
            "alignments": get_args(Alignment),
            "mixings": MIXINGS,
        }
        for axis_name, values in known.items():
            if wrong := [value for value in getattr(self, axis_name) if value not in values]:
                raise ConfigError(f"{axis_name}: {wrong[0]!r}, expected of {', '.join(values)}")
        if wrong_factors := [factor for factor in self.decimations if factor < 1]:
            raise ConfigError(f"decimations: {wrong_factors[0]}, expected 1 or more")
        for family, bound in itertools.product(self.families, self.bounds):
            canonical(Cell(family, bound))

    def cells(self) -> list[Cell]:
        """Return every combination once; and the families in both mixings as they are.

        The latter, at full resolution without bound, are few and show what a family does to
        levels. Centred spectra are there to tell why spectra do badly: without bound, cartesian and
        aligned only.
        """
        found = [canonical(cell) for cell in (*self._levels(), *self._product())]
        return [cell for cell in dict.fromkeys(found) if _is_wanted(cell)]

    def _levels(self) -> Iterator[Cell]:
        for stft, mixing, family in itertools.product(self.stfts, MIXINGS, self.families):
            yield _at(stft, Cell(family, mixing=mixing))

    def _product(self) -> Iterator[Cell]:
        axes = (
            *(self.families, self.bounds, self.decimations, self.upsampled, self.spaces),
            *(self.interpolations, self.alignments, self.mixings),
        )
        values: tuple[Any, ...]
        for stft in self.stfts:
            for values in itertools.product(*axes):
                yield _at(stft, Cell(*values))


def _is_wanted(cell: Cell) -> bool:
    plain = (cell.bound, cell.space, cell.alignment) == ("none", "cartesian", "aligned")
    return plain or cell.upsampled != "centred_spectrum"


def _at(stft: STFT, cell: Cell) -> Cell:
    return replace(cell, n_fft=stft.n_fft, hop=stft.hop, window=stft.window)


#: Every value of every axis.
FULL = Grid(
    families=("ibm_argmax", "irm1", "irm2", "psm", "complex_tanh", "complex"),
    bounds=("none", "1", "2", "tanh:0.1"),
    decimations=(1, 2, 4, 8),
    mixings=MIXINGS,
    stfts=(STFT(1024, 256), STFT(2048, 512), STFT(4096, 1024), STFT(2048, 512, "sqrt_hann")),
)
