"""Masks of any family, moved together until they add up to one."""

from dataclasses import dataclass, replace
from typing import ClassVar

from unmask._arrays import Array, device, namespace
from unmask.errors import ConfigError
from unmask.masks.algebra import share_missing
from unmask.masks.domains import Domain, Interval, Plane
from unmask.masks.family import MAP_AXIS, Family


@dataclass(frozen=True, kw_only=True)
class Consistent(Family):
    """The masks of another family, each with an equal share of what all of them leave of one.

    ``M_j + (1 - sum M) / n_sources``, the nearest masks that sum to one: mixture consistency
    (Wisdom et al., 2019) as a mask family, so that a network learns its sources jointly and knows
    it. Sums are over all sources that one network puts out; with a single one nothing is left to
    learn, its mask is 1.
    """

    sums_to_one: ClassVar[bool] = True
    of: Family

    def __post_init__(self) -> None:
        if self.of.has_components:
            raise ConfigError(
                f"{self.name}: the masks of {self.of.name!r} have several components a bin and no "
                "sum; take a family with a single mask value a bin"
            )

    @property
    def domain(self) -> Domain:
        """Anywhere: moved masks may leave the range of the other family."""
        text = f"{self.of.name}, moved to sum to one"
        return Plane(text) if self.is_complex else Interval(text=text)

    @property
    def is_complex(self) -> bool:
        """Whether the masks of the other family are."""
        return self.of.is_complex

    @property
    def n_maps(self) -> int:
        """Those of the other family."""
        return self.of.n_maps

    def at(self, sample_rate: float) -> "Consistent":
        """Return the moved masks of the other family at that rate."""
        return replace(self, of=self.of.at(sample_rate))

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the best masks of the other family, moved; silence is shared out evenly."""
        return share_missing(self.of.ideal(targets, mixture))

    def parts(self, raw: Array) -> Array:
        """Return the masks of the other family, moved: the real parts to 1, the others to 0."""
        parts = self.of.parts(raw)
        xp = namespace(parts)
        # What masks must add up to, part by part: (1,) or (1, 0).
        first = xp.arange(self.n_parts, device=device(parts)) == 0
        one = xp.reshape(xp.astype(first, parts.dtype), (self.n_parts, 1, 1, 1))
        missing = one - xp.sum(parts, axis=MAP_AXIS - 1, keepdims=True)
        return parts + missing / parts.shape[MAP_AXIS - 1]
