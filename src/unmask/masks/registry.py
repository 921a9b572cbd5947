"""The one registry of mask families: oracles, networks and the engine all ask here."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from unmask.errors import ConfigError
from unmask.masks.complex_masks import (
    Compressed,
    Decoupled,
    DeepFilter,
    SigmoidParts,
    TanhMagnitude,
    TanhParts,
    Unbounded,
)
from unmask.masks.consistent import Consistent
from unmask.masks.family import Family
from unmask.masks.hybrid import Hybrid
from unmask.masks.real_masks import (
    Amplitude,
    BinaryArgmax,
    BinaryThreshold,
    PhaseSensitive,
    Ratio,
    Softmax,
)

_TANH = "Choi et al. (2019), 'bounded by tanh'; Jansson et al. (2021)"
_PSM = "Erdogan et al. (2015)"
_IAM = "Wang et al. (2014), 'FFT-MASK'"

#: A new family is one entry here; tables, heads, tests and plots find it by themselves.
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            BinaryThreshold(name="ibm_threshold", paper="SiSEC 2018 oracles, |S| / |X| >= 1/2"),
            BinaryArgmax(name="ibm_argmax", paper="Wang (2005)"),
            Ratio(name="irm1", paper="Liutkus and Badeau (2015), alpha 1", power=1.0),
            Ratio(name="irm2", paper="Liutkus and Badeau (2015), alpha 2 (Wiener)", power=2.0),
            Ratio(name="irm_sqrt", paper="Wang et al. (2014), beta 1/2", power=2.0, exponent=0.5),
            Amplitude(name="iam_clip1", paper=_IAM, limit=1.0),
            Amplitude(name="iam_clip2", paper=_IAM, limit=2.0),
            Amplitude(name="iam", paper=_IAM),
            Softmax(name="softmax", paper="softmax over sources, as in RT-STT (2025)"),
            PhaseSensitive(name="psm_unit", paper=_PSM, low=0, high=1),
            PhaseSensitive(name="psm_signed", paper=_PSM, low=-1, high=1),
            PhaseSensitive(name="psm", paper=_PSM),
            SigmoidParts(name="complex_sigmoid_parts", paper="Choi et al. (2019), as published"),
            TanhMagnitude(name="complex_tanh", paper=_TANH),
            TanhParts(name="complex_tanh_parts", paper="Rong et al. (2024), GTCRN"),
            Compressed(name="cirm", paper="Williamson et al. (2016)", slope=0.5),
            Compressed(name="cirm_tanh", paper="K tanh(C m), twice Williamson's slope", slope=1.0),
            Decoupled(name="decoupled", paper="Kong et al. (2021), ResUNetDecouple+"),
            DeepFilter(name="deep_filter", paper="Mack and Habets (2020)"),
            Unbounded(name="complex", paper="Williamson et al. (2016); Choi et al. (2019)"),
        )
    }
)


def names() -> list[str]:
    """Return the names of all families, from the most restricted to the freest."""
    return list(FAMILIES)


def get(name: str, *, sample_rate: float | None = None, **options: Any) -> Family:
    """Return a mask family by name.

    Parameters
    ----------
    name : str
        A name of :func:`names`; ``"hybrid:LOW:HZ:HIGH"`` of any two, as in
        ``"hybrid:complex:6000:irm1"``; or ``"consistent:NAME"`` of any with one mask value a bin,
        hybrids included, whose masks sum to one. A half of a hybrid may be consistent.
    sample_rate : float, optional
        In Hz; a hybrid needs it to find its crossover, the others ignore it.
    **options
        Settings of the family, as ``limit=2.0``; those of ``consistent:NAME`` are those of `NAME`,
        a hybrid has none.

    Raises
    ------
    ConfigError
        If there is no such family or setting.

    Examples
    --------
    >>> get("complex_tanh", limit=2.0).limit
    2.0
    >>> get("hybrid:complex:6000:irm1", sample_rate=44100).is_complex
    True
    >>> get("consistent:complex_tanh", limit=2.0).sums_to_one
    True
    """
    if name.startswith("hybrid:"):
        return _hybrid(name, sample_rate, options)
    if name.startswith("consistent:"):
        of = get(name.removeprefix("consistent:"), sample_rate=sample_rate, **options)
        return Consistent(name=name, paper="Wisdom et al. (2019)", of=of)
    if name not in FAMILIES:
        raise ConfigError(
            f"no mask family named {name!r}; there are {', '.join(FAMILIES)}, "
            "hybrid:LOW:HZ:HIGH of any two and consistent:NAME of any"
        )
    family = FAMILIES[name]
    try:
        return replace(family, **options)
    except TypeError:
        known = ", ".join(family.describe()["options"]) or "none"
        raise ConfigError(
            f"mask family {name!r} has not all of the options {sorted(options)}; it has: {known}"
        ) from None


def _hybrid(name: str, sample_rate: float | None, options: Mapping[str, Any]) -> Hybrid:
    half = r"((?:consistent:)*\w+)"
    found = re.fullmatch(rf"hybrid:{half}:(\d+\.?\d*(?:e\d+)?):{half}", name)
    if found is None:
        raise ConfigError(
            f"mask family {name!r}: expected hybrid:LOW:HZ:HIGH, as hybrid:complex:6000:irm1; "
            "a half is no hybrid itself"
        )
    if options:
        raise ConfigError(f"mask family {name!r} has no options, got {sorted(options)}")
    if sample_rate is None or not math.isfinite(sample_rate):
        raise ConfigError(f"mask family {name!r} needs a sample rate to place its crossover")
    return Hybrid(
        name=name,
        paper="HANCE (2023); Schroeter et al. (2022)",
        low=get(found[1]),
        high=get(found[3]),
        crossover_hz=float(found[2]),
        sample_rate=sample_rate,
    )
