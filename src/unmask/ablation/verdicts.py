"""What is said about masks at a lower resolution, and whether it holds in a recording.

The statements are those of Montesinos (2021), ``Masks in sound source separation: An ablation``,
and of what was found when that ablation was repeated. Each is about the mean SDR over sources.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean

from unmask.ablation.tables import COLUMNS, Results

BINARY, COMPLEX = "ibm_argmax", "complex"
#: SDR in dB from which only rounding limits a mask, in single precision.
EXACT_DB = 100.0
#: Least step in dB between masks and spectra that are interpolated, and most that a thinned-out
#: binary mask loses: the blog has 8.4 and 0.7, its repetition 9 and 2.1.
_STEP_DB, _LOSS_DB = 5.0, 2.1
_SAME_DB = 0.05


@dataclass(frozen=True)
class Statement:
    """A sentence, whether it holds here, and by how much."""

    text: str
    holds: bool | None
    """None where the grid lacks what it is about."""
    found: str
    """The decibels in this recording."""

    @property
    def verdict(self) -> str:
        """``holds``, ``does not hold`` or ``not measured``."""
        return {True: "holds", False: "does not hold", None: "not measured"}[self.holds]


_Check = Callable[[Results], Statement]
_CHECKS: list[_Check] = []


def statements(found: Results) -> list[Statement]:
    """Return all of them, of one mixture and front-end."""
    return [check(found) for check in _CHECKS]


def _statement(text: str) -> Callable[[Callable[[Results], tuple[object, str]]], _Check]:
    """Register a check that returns whether its sentence holds, and the numbers.

    A comparison with NaN, which is what was not measured, must not count as a no: such numbers are
    found in what it says.
    """

    def register(check: Callable[[Results], tuple[object, str]]) -> _Check:
        def judged(found: Results) -> Statement:
            holds, numbers = check(found)
            if "nan" in numbers:
                return Statement(text, None, "")
            return Statement(text, bool(holds), numbers)

        _CHECKS.append(judged)
        return judged

    return register


def _mask(found: Results, interpolation: str, alignment: str, **axes: str) -> float:
    """Return the SDR of complex masks at half the bins, cartesian unless told otherwise."""
    how = {"space": "cartesian", "upsampled": "mask"} | axes
    bound = how.pop("bound", "none")
    return found.sdr(COMPLEX, bound, 2, interpolation=interpolation, alignment=alignment, **how)


def _all(found: Results, family: str, decimation: int = 2, **axes: str) -> list[float]:
    """Return the SDR of all interpolations that were measured; NaN alone if none was."""
    rows = [
        found.sdr(family, "none", decimation, alignment=alignment, interpolation=name, **axes)
        for alignment, name in COLUMNS
    ]
    return [row for row in rows if not math.isnan(row)] or [math.nan]


@_statement("At full resolution complex masks lose nothing, binary masks do.")
def _lossless(found: Results) -> tuple[object, str]:
    exact, lossy = found.sdr(COMPLEX), found.sdr(BINARY)
    return exact >= EXACT_DB > lossy, f"complex {exact:.2f} dB, binary {lossy:.2f} dB"


@_statement("Binary masks at full resolution reach 8 to 16 dB.")
def _binary_range(found: Results) -> tuple[object, str]:
    value = found.sdr(BINARY)
    return 8 <= value <= 16, f"{value:.2f} dB, {found.n_sources} sources"


@_statement(
    "Upsample the mask, never the spectrogram: at half the bins every interpolated mask is at "
    f"least {_STEP_DB:g} dB above every interpolated spectrogram (cartesian)."
)
def _mask_not_spectrum(found: Results) -> tuple[object, str]:
    gaps = []
    for family in (BINARY, COMPLEX):
        worst = min(_all(found, family, upsampled="mask", space="cartesian"))
        best = max(_all(found, family, upsampled="spectrum", space="cartesian"))
        gaps.append(worst - best)
    said = ", ".join(
        f"{gap:+.2f} dB {name}" for gap, name in zip(gaps, ("binary", "complex"), strict=True)
    )
    return min(gaps) >= _STEP_DB, f"worst mask against best spectrogram {said}"


@_statement(
    "More than half of what an interpolated spectrogram lacks is how its phases are counted: from "
    "the middle of frames instead of their start (complex, linear, aligned)."
)
def _centred(found: Results) -> tuple[object, str]:
    mask = _mask(found, "linear", "aligned")
    centred, plain = (
        _mask(found, "linear", "aligned", upsampled=what)
        for what in ("centred_spectrum", "spectrum")
    )
    said = f"from the middle {centred:.2f} dB, from the start {plain:.2f} dB, mask {mask:.2f} dB"
    return centred - plain > (mask - plain) / 2, said


@_statement(f"Half the bins cost a binary mask at most {_LOSS_DB:g} dB (blog: 0.7).")
def _binary_loss(found: Results) -> tuple[object, str]:
    rows = _all(found, BINARY, upsampled="mask")
    lost = [found.sdr(BINARY) - row for row in rows]
    return max(lost) <= _LOSS_DB, f"{min(lost):.2f} to {max(lost):.2f} dB"


@_statement("Half the bins set complex masks a ceiling, which stays above binary masks.")
def _ceiling(found: Results) -> tuple[object, str]:
    best, binary = max(_all(found, COMPLEX, upsampled="mask", space="cartesian")), found.sdr(BINARY)
    return EXACT_DB > best > binary, f"complex {best:.2f} dB, binary at all bins {binary:.2f} dB"


@_statement("Unbounded complex masks at half the bins can fall below binary ones (nearest).")
def _below_binary(found: Results) -> tuple[object, str]:
    one = _mask(found, "nearest", "half_bin")
    other = found.sdr(
        BINARY, "none", 2, upsampled="mask", interpolation="nearest", alignment="half_bin"
    )
    return one < other, f"complex {one:.2f} dB, binary {other:.2f} dB"


@_statement("With the half-bin shift of the usual library call nearest beats linear.")
def _half_bin(found: Results) -> tuple[object, str]:
    nearest, linear = (_mask(found, name, "half_bin") for name in ("nearest", "linear"))
    return nearest > linear, f"nearest {nearest:.2f} dB, linear {linear:.2f} dB"


@_statement("With interpolation aligned to the kept bins linear beats nearest.")
def _aligned(found: Results) -> tuple[object, str]:
    nearest, linear = (_mask(found, name, "aligned") for name in ("nearest", "linear"))
    return linear > nearest, f"linear {linear:.2f} dB, nearest {nearest:.2f} dB"


@_statement(
    "So the blog's ranking, nearest first, is an artefact of the shift: aligned turns it round."
)
def _artefact(found: Results) -> tuple[object, str]:
    ahead = {
        alignment: _mask(found, "nearest", alignment) - _mask(found, "linear", alignment)
        for alignment in ("half_bin", "aligned")
    }
    said = ", ".join(f"{name.replace('_', ' ')} {gap:+.2f} dB" for name, gap in ahead.items())
    return ahead["half_bin"] > 0 > ahead["aligned"], f"nearest less linear: {said}"


@_statement(
    "The same with |M| at most 1: linear first where aligned, nearest first with the shift."
)
def _artefact_bounded(found: Results) -> tuple[object, str]:
    ahead = {
        alignment: _mask(found, "nearest", alignment, bound="1")
        - _mask(found, "linear", alignment, bound="1")
        for alignment in ("half_bin", "aligned")
    }
    said = ", ".join(f"{name.replace('_', ' ')} {gap:+.2f} dB" for name, gap in ahead.items())
    return ahead["half_bin"] > 0 > ahead["aligned"], f"nearest less linear: {said}"


@_statement("Drawing complex masks back to |M| at most 1 before they are interpolated helps.")
def _bounding(found: Results) -> tuple[object, str]:
    cases = [(name, a) for a, name in COLUMNS if name != "cubic"]
    won = [_mask(found, *case, bound="1") - _mask(found, *case) for case in cases]
    return min(won) > 0, f"{min(won):+.2f} to {max(won):+.2f} dB"


@_statement("Interpolate real and imaginary part, not magnitude and phase (linear, cubic).")
def _cartesian(found: Results) -> tuple[object, str]:
    cases = [(name, a) for a, name in COLUMNS if name != "nearest"]
    won = [_mask(found, *case) - _mask(found, *case, space="polar") for case in cases]
    return fmean(won) > 0 and min(won) > -_SAME_DB, f"{min(won):+.2f} to {max(won):+.2f} dB"


@_statement(
    "Repeating a bin is the same in both spaces (the blog's 18.30 against 6.15 dB cannot be)."
)
def _repetition(found: Results) -> tuple[object, str]:
    one, other = (
        _mask(found, "nearest", "half_bin", space=space) for space in ("cartesian", "polar")
    )
    return abs(one - other) <= _SAME_DB, f"{one:.2f} and {other:.2f} dB"


@_statement("Interpolated spectrograms are worse over magnitude and phase than over their parts.")
def _polar_spectrum(found: Results) -> tuple[object, str]:
    cartesian, polar = (
        [
            _mask(found, name, "half_bin", upsampled="spectrum", space=space)
            for name in ("linear", "cubic")
        ]
        for space in ("cartesian", "polar")
    )
    gaps = [one - other for one, other in zip(cartesian, polar, strict=True)]
    return min(gaps) > 0, f"{min(gaps):+.2f} to {max(gaps):+.2f} dB"


@_statement("Smoother is better for binary masks: cubic before linear before nearest (half-bin).")
def _smooth(found: Results) -> tuple[object, str]:
    nearest, linear, cubic = (
        found.sdr(BINARY, "none", 2, upsampled="mask", interpolation=name, alignment="half_bin")
        for name in ("nearest", "linear", "cubic")
    )
    return cubic > linear > nearest, f"{cubic:.2f}, {linear:.2f}, {nearest:.2f} dB"


@_statement("At a quarter of the bins unbounded nearest falls below upsampling the spectrogram.")
def _quarter(found: Results) -> tuple[object, str]:
    mask = found.sdr(
        COMPLEX,
        "none",
        4,
        upsampled="mask",
        space="cartesian",
        interpolation="nearest",
        alignment="half_bin",
    )
    best = max(_all(found, COMPLEX, 4, upsampled="spectrum", space="cartesian"))
    return mask < best, f"mask {mask:.2f} dB, best spectrogram {best:.2f} dB"


@_statement(
    "Where the mixture is the mean of N sources, binary masks return 1/N of the level and complex "
    "masks all of it."
)
def _level(found: Results) -> tuple[object, str]:
    n = found.n_sources
    binary, whole = (found.gains(name, "mean") or [math.nan] for name in (BINARY, COMPLEX))
    # A binary mask also loses what others own: its gain is that of the sum, divided.
    summed = found.gains(BINARY, "sum") or [math.nan]
    is_shared = all(abs(n * b / s - 1) < 0.01 for b, s in zip(binary, summed, strict=True))
    is_whole = all(abs(gain - 1) < 0.01 for gain in whole)
    said = (
        f"binary {fmean(binary):.3f} (of the sum {fmean(summed):.3f}), complex {fmean(whole):.3f}"
    )
    return is_shared and is_whole, f"gain {said}, N = {n}"


def verdicts(found: Results) -> Iterator[dict[str, str]]:
    """Yield the statements as rows of a table."""
    for one in statements(found):
        yield {"statement": one.text, "here": one.verdict, "in this recording": one.found}
