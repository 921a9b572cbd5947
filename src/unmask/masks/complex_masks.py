"""Families of complex masks: they scale every bin and turn its phase."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from unmask._arrays import (
    SOURCE_AXIS,
    Array,
    clip,
    make_complex,
    namespace,
    real_dtype,
    safe_divide,
    to_complex,
)
from unmask.errors import ConfigError
from unmask.masks.domains import Components, Disk, Domain, Interval, Parts, Plane
from unmask.masks.family import MAP_AXIS, Family, maps, quotient, sigmoid


@dataclass(frozen=True, kw_only=True)
class Unbounded(Family):
    """``S / X``: exact, the only limit is rounding."""

    is_complex: ClassVar[bool] = True
    domain: ClassVar[Domain] = Plane()

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the quotient itself."""
        return quotient(targets, mixture)

    def parts(self, raw: Array) -> Array:
        """Return the two maps."""
        return raw


# Maps beyond this, of no network that works, are taken for it: their squares would overflow in
# single precision. (Dividing by the larger part would do as well, in more nodes of a graph.)
_HUGE = 1e18


@dataclass(frozen=True, kw_only=True)
class TanhMagnitude(Family):
    """``limit * tanh(|O|) * O / |O|``: bounded in magnitude, free in phase."""

    is_complex: ClassVar[bool] = True
    limit: float = 1.0

    @property
    def domain(self) -> Domain:
        """The disk; the ideal mask reaches its edge, the activated one does not."""
        return Disk(self.limit)

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the quotient, drawn back to the disk along its radius (the nearest point)."""
        mask = quotient(targets, mixture)
        mag = namespace(mask).abs(mask)
        return mask * safe_divide(0 * mag + self.limit, clip(mag, self.limit, math.inf), fill=1.0)

    def parts(self, raw: Array) -> Array:
        """Return the bounded mask; the gradient at ``O = 0`` is that of `limit` times identity."""
        maps(raw, 2)
        xp = namespace(raw)
        eps = float(xp.finfo(raw.dtype).eps)
        raw = xp.clip(raw, -_HUGE, _HUGE)
        # Of a magnitude that is never 0, tanh(r) / r is 1 at r = 0, to the last digit.
        mag = xp.linalg.vector_norm(raw, axis=MAP_AXIS, keepdims=True) + eps
        # tanh rounds to 1 from about 9 on; the bound stays strict
        return raw * (xp.tanh(mag) * (self.limit * (1 - 4 * eps)) / mag)


@dataclass(frozen=True, kw_only=True)
class TanhParts(Family):
    """``tanh`` of the real and of the imaginary part."""

    is_complex: ClassVar[bool] = True
    domain: ClassVar[Domain] = Parts(Interval(-1, 1))

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the quotient with each part clipped (the nearest point of the square)."""
        return _clip_parts(quotient(targets, mixture), -1.0, 1.0)

    def parts(self, raw: Array) -> Array:
        """Return ``tanh`` of each map."""
        return namespace(raw).tanh(raw)


@dataclass(frozen=True, kw_only=True)
class SigmoidParts(Family):
    """``sigmoid`` of the real and of the imaginary part: it cannot turn the phase backwards."""

    is_complex: ClassVar[bool] = True
    domain: ClassVar[Domain] = Parts(Interval(0, 1))

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the quotient with each part clipped (the nearest point of the square)."""
        return _clip_parts(quotient(targets, mixture), 0.0, 1.0)

    def parts(self, raw: Array) -> Array:
        """Return ``sigmoid`` of each map."""
        return sigmoid(raw)


def _clip_parts(mask: Array, low: float, high: float) -> Array:
    xp = namespace(mask)
    return make_complex(clip(xp.real(mask), low, high), clip(xp.imag(mask), low, high))


@dataclass(frozen=True, kw_only=True)
class Compressed(Family):
    """A complex ratio mask that a network puts out compressed, ``K tanh(slope C m)`` per part.

    Williamson et al. (2016) write ``K (1 - exp(-C m)) / (1 + exp(-C m))``, which is slope 1/2;
    others use ``K tanh(C m)``, which is slope 1. Mixing them up doubles every mask.
    """

    is_complex: ClassVar[bool] = True
    K: float = 10.0
    C: float = 0.1
    slope: float = 0.5

    def __post_init__(self) -> None:
        if not (min(self.K, self.C, self.slope) > 0 and self.slope * self.C > 0):
            raise ConfigError(
                f"{self.name}: K = {self.K}, C = {self.C} and slope = {self.slope}, expected > 0"
            )

    @property
    def limit(self) -> float:
        """Largest part that is kept: there ``tanh`` has reached 0.9999."""
        return 5.0 / (self.slope * self.C)

    @property
    def domain(self) -> Domain:
        """Parts up to the limit in size."""
        return Parts(Interval(-self.limit, self.limit))

    def compress(self, mask: Array) -> Array:
        """Return the compressed mask, parts in ``(-K, K)``: the training target."""
        return _per_part(mask, self._compress)

    def decompress(self, mask: Array) -> Array:
        """Return the mask of a compressed one, parts at most :attr:`limit` in size."""
        return _per_part(mask, self._decompress)

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the quotient with parts clipped to what survives compression."""
        return _clip_parts(quotient(targets, mixture), -self.limit, self.limit)

    def parts(self, raw: Array) -> Array:
        """Return the parts whose compressed values the maps are (clipped to the range)."""
        return self._decompress(raw)

    def _compress(self, part: Array) -> Array:
        return self.K * namespace(part).tanh(self.slope * self.C * part)

    def _decompress(self, part: Array) -> Array:
        edge = self.K * math.tanh(self.slope * self.C * self.limit)
        inner = clip(part, -edge, edge) / self.K
        xp = namespace(part)  # ONNX has no atanh
        return (xp.log1p(inner) - xp.log1p(-inner)) / (2 * self.slope * self.C)


def _per_part(mask: Array, function: Callable[[Array], Array]) -> Array:
    xp = namespace(mask)
    return make_complex(function(xp.real(mask)), function(xp.imag(mask)))


@dataclass(frozen=True, kw_only=True)
class Decoupled(Family):
    """Magnitude, rotation and an added magnitude: ``|Y| = relu(a |X| + b)``, ``angle M + angle X``.

    Components are ``(a, e^(j angle M), b)``; `b` has the unit of the spectrum, so this family,
    alone of all, depends on the level of the mixture.
    """

    domain: ClassVar[Domain] = Components(
        "a in [0, 1], any rotation, any b", (Interval(0, 1), Disk(1), Interval())
    )
    is_complex: ClassVar[bool] = True
    is_linear: ClassVar[bool] = False
    n_components: ClassVar[int] = 3

    @property
    def n_maps(self) -> int:
        """Four: magnitude, two for the rotation, addition."""
        return 4

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the quotient, what exceeds magnitude 1 being added: exact but in silence."""
        mask = quotient(targets, mixture)
        xp = namespace(mask)
        mag = xp.abs(mask)
        rotation = mask * safe_divide(xp.ones_like(mag), mag, fill=0.0)
        # Where the mixture is silent, the added magnitude is all there is, with the source's phase.
        silent = mag == 0
        target_mag = xp.abs(targets)
        own = targets * safe_divide(xp.ones_like(target_mag), target_mag, fill=1.0)
        rotation = xp.where(silent, own, rotation)
        scale = clip(mag, 0.0, 1.0)
        added = target_mag - scale * xp.expand_dims(xp.abs(mixture), axis=SOURCE_AXIS)
        return xp.stack([to_complex(scale), rotation, to_complex(added)], axis=SOURCE_AXIS)

    def parts(self, raw: Array) -> Array:
        """Return ``(sigmoid x0, (tanh x1, tanh x2) on the unit circle, x3)``."""
        scale, cos, sin, added = maps(raw, 4)
        xp = namespace(raw)
        turn = xp.stack([xp.tanh(cos), xp.tanh(sin)])
        mag = xp.linalg.vector_norm(turn, axis=0)
        safe = xp.where(mag > 1e-6, mag, xp.ones_like(mag))
        cos = xp.where(mag > 1e-6, turn[0, ...] / safe, xp.ones_like(mag))
        sin = xp.where(mag > 1e-6, turn[1, ...] / safe, 0 * mag)
        none = 0 * scale
        return xp.stack([sigmoid(scale), cos, added, none, sin, none], axis=MAP_AXIS)

    def apply(self, masks: Array, mixture: Array) -> Array:
        """Return the spectra; a silent bin of the mixture counts as having phase 0."""
        xp = namespace(masks)
        scale, turn, added = (masks[..., k, :, :, :] for k in range(3))
        mixture = xp.expand_dims(mixture, axis=SOURCE_AXIS)
        mag = xp.abs(mixture)
        direction = mixture * safe_divide(xp.ones_like(mag), mag, fill=0.0)
        direction = xp.where(mag > 0, direction, xp.ones_like(direction))
        size = clip(xp.real(scale) * mag + xp.real(added), 0.0, math.inf)
        return size * turn * direction


@dataclass(frozen=True, kw_only=True)
class DeepFilter(Family):
    """A complex filter over `order` frames of every bin, `lookahead` of them to come.

    ``Y(k, n) = sum_l M_l(k, n) X(k, n + lookahead - l)``; components are the taps.
    """

    domain: ClassVar[Domain] = Plane("complex plane, per tap")
    is_complex: ClassVar[bool] = True
    order: int = 5
    lookahead: int = 0

    def __post_init__(self) -> None:
        if self.order < 2:
            raise ConfigError(
                f"{self.name}: order {self.order}, expected >= 2; a single tap is the "
                "family complex"
            )
        if not 0 <= self.lookahead < self.order:
            raise ConfigError(
                f"{self.name}: lookahead {self.lookahead}, expected 0 to {self.order - 1}"
            )

    @property
    def n_components(self) -> int:
        """The taps."""
        return self.order

    @property
    def n_maps(self) -> int:
        """Two per tap: real parts, then imaginary parts."""
        return 2 * self.order

    @property
    def context(self) -> tuple[int, int]:
        """Frames before and after its own that the taps reach."""
        return self.order - 1 - self.lookahead, self.lookahead

    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the exact filter of least norm: defined where any tap sees sound."""
        xp = namespace(targets)
        taps = self._taps(mixture)
        scale = xp.max(xp.abs(taps), axis=SOURCE_AXIS, keepdims=True)
        one = xp.ones_like(scale)
        silent = scale <= xp.finfo(real_dtype(taps)).smallest_normal
        scale = xp.where(silent, one, scale)
        taps = xp.where(silent, 0 * taps, xp.conj(taps / scale))
        power = xp.sum(xp.abs(taps) ** 2, axis=SOURCE_AXIS, keepdims=True)
        taps = taps * safe_divide(xp.ones_like(power), power, fill=0.0)
        taps, scale = (xp.expand_dims(x, axis=SOURCE_AXIS - 1) for x in (taps, scale))
        return xp.expand_dims(targets, axis=SOURCE_AXIS) / scale * taps

    def parts(self, raw: Array) -> Array:
        """Return the maps as taps; unbounded."""
        maps(raw, 2 * self.order)
        return raw

    def apply(self, masks: Array, mixture: Array) -> Array:
        """Return the filtered spectra; frames before the first and after the last are silent."""
        xp = namespace(masks)
        taps = xp.expand_dims(self._taps(mixture), axis=SOURCE_AXIS - 1)
        return xp.sum(masks * taps, axis=SOURCE_AXIS)

    def _taps(self, mixture: Array) -> Array:
        """Return the delayed mixtures, ``(..., tap, channel, freq, frame)``."""
        xp = namespace(mixture)
        n_frames = mixture.shape[-1]
        zeros = xp.zeros_like(mixture[..., :1])
        before = [zeros] * (self.order - 1 - self.lookahead)
        padded = xp.concat([*before, mixture, *[zeros] * self.lookahead], axis=-1)
        starts = range(self.order - 1, -1, -1)
        return xp.stack([padded[..., s : s + n_frames] for s in starts], axis=SOURCE_AXIS)
