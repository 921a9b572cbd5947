"""Two families in one: one below a crossover frequency, another above."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from unmask._arrays import FREQ_AXIS, Array, namespace, to_complex
from unmask.errors import ConfigError
from unmask.masks.domains import Domain, Plane
from unmask.masks.family import COMPONENT_AXIS, MAP_AXIS, Family, maps


@dataclass(frozen=True, kw_only=True)
class Hybrid(Family):
    """`low` in the bins below `crossover_hz`, `high` in the others.

    Phase matters most where waves are long: below a few kHz a complex mask, above it a real one
    of half as many maps (the design of HANCE, 2023). A half with fewer components than the other is
    filled up with zeros: ``hybrid:deep_filter:4000:psm_unit`` is DeepFilterNet's design (2022).
    """

    low: Family
    high: Family
    crossover_hz: float
    sample_rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.crossover_hz <= self.sample_rate / 2:
            raise ConfigError(
                f"{self.name}: crossover at {self.crossover_hz} Hz, expected 0 to "
                f"{self.sample_rate / 2} Hz, half the sample rate"
            )

    @property
    def domain(self) -> Domain:
        """Text only: each half has its own, see :meth:`halves`."""
        return Plane(f"{self.low.name} below {self.crossover_hz:g} Hz, {self.high.name} above")

    @property
    def is_complex(self) -> bool:
        """Whether either half is complex; then all masks are."""
        return self.low.is_complex or self.high.is_complex

    @property
    def sums_to_one(self) -> bool:
        """Whether both halves do."""
        return self.low.sums_to_one and self.high.sums_to_one

    @property
    def is_linear(self) -> bool:
        """Whether both halves are."""
        return self.low.is_linear and self.high.is_linear

    @property
    def n_components(self) -> int:
        """The larger of the two; the last ones of the other half are 0."""
        return max(self.low.n_components, self.high.n_components)

    @property
    def n_maps(self) -> int:
        """The larger of the two; the other half leaves its last maps unused."""
        return max(self.low.n_maps, self.high.n_maps)

    @property
    def context(self) -> tuple[int, int]:
        """The larger of the two on each side."""
        past, future = zip(self.low.context, self.high.context, strict=True)
        return max(past), max(future)

    def at(self, sample_rate: float) -> "Hybrid":
        """Return the hybrid with its crossover in the same place in Hz.

        `high` goes on to half of the sample rate; below two times the crossover all is `low`.
        """
        crossover_hz = min(self.crossover_hz, sample_rate / 2)
        return replace(self, crossover_hz=crossover_hz, sample_rate=sample_rate)

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the best masks of each family in its own bins."""
        n = self._n_low(mixture)
        low = self.low.ideal(targets[..., :n, :], mixture[..., :n, :])
        high = self.high.ideal(targets[..., n:, :], mixture[..., n:, :])
        return _join(self._widen(low, self.low), self._widen(high, self.high))

    def parts(self, raw: Array) -> Array:
        """Return the masks of each family in its own bins."""
        maps(raw, self.n_maps)
        n = self._n_low(raw)
        low = self.low.parts(self._own_maps(raw, self.low)[..., :n, :])
        high = self.high.parts(self._own_maps(raw, self.high)[..., n:, :])
        return _join(self._widen_parts(low, self.low), self._widen_parts(high, self.high))

    def apply(self, masks: Array, mixture: Array) -> Array:
        """Return the masked spectra, of each family in its own bins."""
        if not self.has_components:  # both multiply
            return super().apply(masks, mixture)
        n = self._n_low(mixture)
        low, high = self._split(masks)
        return _join(
            self.low.apply(low, mixture[..., :n, :]), self.high.apply(high, mixture[..., n:, :])
        )

    def halves(self, masks: Array) -> Iterator[tuple[Family, Array]]:
        """Yield the families of both halves with their own masks."""
        low, high = self._split(masks)
        yield from self.low.halves(low)
        yield from self.high.halves(high)

    def _split(self, masks: Array) -> tuple[Array, Array]:
        """Return the masks of each family in its own bins, as itself has them."""
        n = self._n_low(masks)
        low, high = masks[..., :n, :], masks[..., n:, :]
        return self._own_components(low, self.low), self._own_components(high, self.high)

    def _own_components(self, masks: Array, half: Family) -> Array:
        if not self.has_components:
            return masks
        own = masks[..., : half.n_components, :, :, :]
        return own if half.has_components else own[..., 0, :, :, :]

    def _widen(self, masks: Array, half: Family) -> Array:
        """Return masks of `half` as complex as the hybrid's, with as many components."""
        masks = to_complex(masks) if self.is_complex else masks
        if self.has_components and not half.has_components:
            masks = namespace(masks).expand_dims(masks, axis=COMPONENT_AXIS)
        return _fill(masks, self.n_components - half.n_components)

    def _widen_parts(self, parts: Array, half: Family) -> Array:
        """Return parts with zeros for the components and imaginary parts that `half` has not.

        Of one real mask among three complex ones, ``re 0 0 | 0 0 0``; of two complex ones among
        three, ``re re 0 | im im 0``.
        """
        missing = self.n_components - half.n_components
        if not half.is_complex:
            return _fill(parts, self.n_parts - half.n_parts)
        re, im = parts[..., : half.n_components, :, :, :], parts[..., half.n_components :, :, :, :]
        if not missing:
            return parts
        return namespace(parts).concat([_fill(re, missing), _fill(im, missing)], axis=MAP_AXIS)

    def _own_maps(self, raw: Array, half: Family) -> Array:
        """Return the maps that `half` reads."""
        n_maps = half.n_maps
        return raw if n_maps == self.n_maps else raw[..., :n_maps, :, :, :]

    def _n_low(self, x: Array) -> int:
        """Return the number of bins below the crossover; bins span 0 Hz to half the sample rate."""
        n_freq: int = x.shape[FREQ_AXIS]
        return min(n_freq, math.ceil(self.crossover_hz / (self.sample_rate / 2) * (n_freq - 1)))


def _join(low: Array, high: Array) -> Array:
    return namespace(low).concat([low, high], axis=FREQ_AXIS)


def _fill(x: Array, n: int) -> Array:
    """Return `x` with `n` zeros after its maps, parts or components."""
    if n == 0:
        return x
    xp = namespace(x)
    zeros = xp.zeros_like(x[..., :1, :, :, :])
    return xp.concat([x, *[zeros] * n], axis=MAP_AXIS)
