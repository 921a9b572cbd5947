"""Families of real masks: they scale every bin and keep the mixture's phase."""

import math
from dataclasses import dataclass
from typing import ClassVar

from unmask._arrays import SOURCE_AXIS, Array, clip, namespace, safe_divide
from unmask.errors import ConfigError
from unmask.masks.algebra import normalise
from unmask.masks.domains import Binary, Domain, Interval
from unmask.masks.family import (
    Family,
    as_map,
    check_targets,
    maps,
    one_map,
    quotient,
    sigmoid,
)


@dataclass(frozen=True, kw_only=True)
class BinaryArgmax(Family):
    """1 for the loudest source of a bin, 0 for the others; ties go to the first source."""

    domain: ClassVar[Domain] = Binary()
    is_complex: ClassVar[bool] = False
    sums_to_one: ClassVar[bool] = True

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return 1 where the source is the loudest, one source a bin, silence included."""
        check_targets(targets, mixture)
        return _one_hot(namespace(targets).abs(targets))

    def parts(self, raw: Array) -> Array:
        """Return 1 where the source's map is the highest; no gradient."""
        return as_map(_one_hot(one_map(raw)))


def _one_hot(score: Array) -> Array:
    xp = namespace(score)
    winner = xp.expand_dims(xp.argmax(score, axis=SOURCE_AXIS), axis=SOURCE_AXIS)
    n_sources = score.shape[SOURCE_AXIS]
    index = xp.reshape(xp.arange(n_sources, device=score.device), (n_sources, 1, 1, 1))
    return xp.astype(index == winner, score.dtype)


@dataclass(frozen=True, kw_only=True)
class BinaryThreshold(Family):
    """1 where ``|S| >= level * |X|``; several sources, or none, may own a bin."""

    domain: ClassVar[Domain] = Binary()
    is_complex: ClassVar[bool] = False
    level: float = 0.5

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return 1 where the source reaches `level` times the mixture and is not silent."""
        check_targets(targets, mixture)
        xp = namespace(targets)
        mags = xp.abs(targets)
        loud = mags >= self.level * xp.expand_dims(xp.abs(mixture), axis=SOURCE_AXIS)
        return xp.astype(loud & (mags > 0), mags.dtype)

    def parts(self, raw: Array) -> Array:
        """Return 1 where ``sigmoid(raw) >= 1/2``; no gradient."""
        maps(raw, 1)
        return namespace(raw).astype(raw >= 0, raw.dtype)


@dataclass(frozen=True, kw_only=True)
class Ratio(Family):
    """``(|S|^power / sum_j |S_j|^power)^exponent``, computed without overflow."""

    domain: ClassVar[Domain] = Interval(0, 1)
    is_complex: ClassVar[bool] = False
    power: float = 1.0
    exponent: float = 1.0

    def __post_init__(self) -> None:
        if self.power <= 0 or self.exponent <= 0:
            raise ConfigError(f"{self.name}: power and exponent must be positive")

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the share of every source among `targets`; silence is shared out evenly."""
        check_targets(targets, mixture)
        mags = namespace(targets).abs(targets)
        peak = namespace(mags).max(mags, axis=SOURCE_AXIS, keepdims=True)
        return normalise(safe_divide(mags, peak, fill=1.0) ** self.power) ** self.exponent

    def parts(self, raw: Array) -> Array:
        """Return ``sigmoid(raw)``."""
        maps(raw, 1)
        return sigmoid(raw)


@dataclass(frozen=True, kw_only=True)
class Amplitude(Family):
    """``|S| / |X|``, clipped to `limit`; more than 1 where sources cancel each other."""

    is_complex: ClassVar[bool] = False
    limit: float = math.inf

    @property
    def domain(self) -> Domain:
        """From 0 to the limit."""
        return Interval(0, self.limit)

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the quotient of magnitudes, at most `limit`."""
        mask = quotient(targets, mixture)
        return clip(namespace(mask).abs(mask), 0.0, self.limit)

    def parts(self, raw: Array) -> Array:
        """Return ``limit * sigmoid(raw)``, or softplus if there is no limit."""
        maps(raw, 1)
        if math.isinf(self.limit):
            xp = namespace(raw)
            return xp.log1p(xp.exp(-xp.abs(raw))) + clip(raw, 0.0, math.inf)
        return self.limit * sigmoid(raw)


@dataclass(frozen=True, kw_only=True)
class PhaseSensitive(Family):
    """``Re(S / X) = |S| / |X| cos(angle S - angle X)``, clipped to ``[low, high]``.

    The least-squares real mask: no real mask within the same range has a higher SDR.
    """

    is_complex: ClassVar[bool] = False
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if (self.low, self.high) not in ((0, 1), (-1, 1), (-math.inf, math.inf)):
            raise ConfigError(
                f"{self.name}: range [{self.low}, {self.high}], expected [0, 1], [-1, 1] or none"
            )

    @property
    def domain(self) -> Domain:
        """From `low` to `high`."""
        return Interval(self.low, self.high)

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the real part of the quotient, clipped."""
        mask = quotient(targets, mixture)
        return clip(namespace(mask).real(mask), self.low, self.high)

    def parts(self, raw: Array) -> Array:
        """Return sigmoid, tanh or `raw` itself, as the range asks."""
        maps(raw, 1)
        if math.isinf(self.high):
            return raw
        return sigmoid(raw) if self.low == 0 else namespace(raw).tanh(raw)


@dataclass(frozen=True, kw_only=True)
class Softmax(Family):
    """Real masks >= 0 that sum to one over sources."""

    domain: ClassVar[Domain] = Interval(0, 1)
    is_complex: ClassVar[bool] = False
    sums_to_one: ClassVar[bool] = True

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the point of the simplex nearest to the phase-sensitive masks.

        That is the least-squares member of the family (projection: Held et al., 1974). Where the
        mixture is silent, shares are even.
        """
        mask = quotient(targets, mixture)
        return _nearest_on_simplex(namespace(mask).real(mask))

    def parts(self, raw: Array) -> Array:
        """Return the softmax of the maps over sources."""
        raw = one_map(raw)
        xp = namespace(raw)
        return as_map(normalise(xp.exp(raw - xp.max(raw, axis=SOURCE_AXIS, keepdims=True))))


def _nearest_on_simplex(x: Array) -> Array:
    """Project `x` over its source axis on the vectors >= 0 with sum 1."""
    xp = namespace(x)
    n_sources = x.shape[SOURCE_AXIS]
    # With the values sorted down, the k largest stay positive while value_k > (sum_k - 1) / k.
    down = -xp.sort(-x, axis=SOURCE_AXIS)
    count = xp.reshape(
        xp.arange(1, n_sources + 1, dtype=x.dtype, device=x.device), (n_sources, 1, 1, 1)
    )
    shift = (xp.cumulative_sum(down, axis=SOURCE_AXIS) - 1) / count
    kept = xp.where(down > shift, shift, xp.full_like(shift, -math.inf))
    # `shift` rises as long as its condition holds, so the last kept one is the largest.
    return clip(x - xp.max(kept, axis=SOURCE_AXIS, keepdims=True), 0.0, math.inf)
