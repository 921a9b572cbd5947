"""Two families in one: one below a crossover frequency, another above."""

import math
from dataclasses import dataclass
from typing import ClassVar

from unmask._arrays import FREQ_AXIS, Array, namespace
from unmask.errors import ConfigError
from unmask.masks.family import MAP_AXIS, Family, maps


@dataclass(frozen=True, kw_only=True)
class Hybrid(Family):
    """`low` in the bins below `crossover_hz`, `high` in the others.

    Phase matters most where waves are long: below a few kHz a complex mask, above it a real one
    of half as many maps (the design of HANCE, 2023, and of DeepFilterNet, 2022).
    """

    values: ClassVar[str] = "{self.low.name} below {self.crossover_hz:g} Hz, {self.high.name} above"
    low: Family
    high: Family
    crossover_hz: float
    sample_rate: float

    def __post_init__(self) -> None:
        if self.low.has_components or self.high.has_components:
            raise ConfigError(
                f"{self.name}: a family with several components a bin cannot be half of a hybrid; "
                "take one with a single mask value a bin"
            )
        if not 0 <= self.crossover_hz <= self.sample_rate / 2:
            raise ConfigError(
                f"{self.name}: crossover at {self.crossover_hz} Hz, expected 0 to "
                f"{self.sample_rate / 2} Hz, half the sample rate"
            )

    @property
    def is_complex(self) -> bool:  # type: ignore[override]
        """Whether either half is complex; then all masks are."""
        return self.low.is_complex or self.high.is_complex

    @property
    def sums_to_one(self) -> bool:  # type: ignore[override]
        """Whether both halves do."""
        return self.low.sums_to_one and self.high.sums_to_one

    @property
    def n_maps(self) -> int:
        """The larger of the two; the other half leaves its last maps unused."""
        return max(self.low.n_maps, self.high.n_maps)

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the best masks of each family in its own bins."""
        n = self._n_low(mixture)
        return self._join(
            self.low.ideal(targets[..., :n, :], mixture[..., :n, :]),
            self.high.ideal(targets[..., n:, :], mixture[..., n:, :]),
        )

    def parts(self, raw: Array) -> Array:
        """Return the masks of each family in its own bins."""
        maps(raw, self.n_maps)
        n = self._n_low(raw)
        low = self.low.parts(self._own(raw, self.low)[..., :n, :])
        high = self.high.parts(self._own(raw, self.high)[..., n:, :])
        return self._join(*(self._widen(half) for half in (low, high)))

    def _widen(self, parts: Array) -> Array:
        """Return parts with the imaginary ones that a real half has not."""
        if not self.is_complex or parts.shape[MAP_AXIS] == 2:
            return parts
        return namespace(parts).concat([parts, 0 * parts], axis=MAP_AXIS)

    def _own(self, raw: Array, half: Family) -> Array:
        """Return the maps that `half` reads."""
        n_maps = half.n_maps
        return raw if n_maps == self.n_maps else raw[..., :n_maps, :, :, :]

    def _n_low(self, x: Array) -> int:
        """Return the number of bins below the crossover; bins span 0 Hz to half the sample rate."""
        n_freq: int = x.shape[FREQ_AXIS]
        return min(n_freq, math.ceil(self.crossover_hz / (self.sample_rate / 2) * (n_freq - 1)))

    def _join(self, low: Array, high: Array) -> Array:
        return namespace(low).concat([low, high], axis=FREQ_AXIS)
