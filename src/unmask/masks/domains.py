"""Where the masks of a family may lie: said once, printed in tables and checked in arrays."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unmask._arrays import SOURCE_AXIS, Array


class Domain(ABC):
    """A set of mask values, as text (``str``) and as a measure of distance.

    Masks are NumPy arrays, finite; real ones count as complex with imaginary part 0.
    """

    @abstractmethod
    def __str__(self) -> str:
        """Return the set for people, short."""

    @abstractmethod
    def excess(self, masks: Array) -> Array:
        """Return how far every value lies outside, in units of ``1 + the largest bound``."""


@dataclass(frozen=True)
class Plane(Domain):
    """Every complex number."""

    text: str = "complex plane"

    def __str__(self) -> str:
        return self.text

    def excess(self, masks: Array) -> Array:
        """Return zeros."""
        return np.zeros(masks.shape)


@dataclass(frozen=True)
class Disk(Domain):
    """``|M| <= limit``."""

    limit: float

    def __str__(self) -> str:
        return f"|M| < {self.limit:g}"

    def excess(self, masks: Array) -> Array:
        """Return the distance to the disk."""
        return np.maximum(0, np.abs(masks) - self.limit) / (1 + self.limit)


@dataclass(frozen=True)
class Interval(Domain):
    """Real numbers from `low` to `high`."""

    low: float = -math.inf
    high: float = math.inf
    text: str = ""

    def __str__(self) -> str:
        return self.text or f"[{self.low:g}, {self.high:g}]"

    def excess(self, masks: Array) -> Array:
        """Return the distance to the interval, or that to the real axis if it is larger."""
        return np.maximum(self.outside(masks.real), np.abs(masks.imag))

    def outside(self, x: Array) -> Array:
        """Return how far real numbers lie outside, in units of ``1 + the largest bound``."""
        largest = max((abs(b) for b in (self.low, self.high) if math.isfinite(b)), default=0.0)
        return np.maximum(0, np.maximum(self.low - x, x - self.high)) / (1 + largest)


@dataclass(frozen=True)
class Parts(Domain):
    """Complex numbers whose real and imaginary part lie in an interval."""

    interval: Interval

    def __str__(self) -> str:
        return f"parts in {self.interval}"

    def excess(self, masks: Array) -> Array:
        """Return the distance of the part that is further outside."""
        return np.maximum(self.interval.outside(masks.real), self.interval.outside(masks.imag))


@dataclass(frozen=True)
class Binary(Domain):
    """0 and 1."""

    def __str__(self) -> str:
        return "{0, 1}"

    def excess(self, masks: Array) -> Array:
        """Return the distance to the nearer of the two."""
        return np.minimum(np.abs(masks), np.abs(masks - 1))


@dataclass(frozen=True)
class Components(Domain):
    """Another domain for every component of a bin."""

    text: str
    domains: Sequence[Domain]

    def __str__(self) -> str:
        return self.text

    def excess(self, masks: Array) -> Array:
        """Return the distances of every component to its domain."""
        each = [domain.excess(masks[..., k, :, :, :]) for k, domain in enumerate(self.domains)]
        return np.stack(each, axis=SOURCE_AXIS)
