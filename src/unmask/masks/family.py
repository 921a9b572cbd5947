"""What a mask family is: five questions that everything else asks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from unmask._arrays import (
    SOURCE_AXIS,
    Array,
    check_axes,
    complex_divide,
    make_complex,
    namespace,
)
from unmask.errors import ShapeError
from unmask.masks import algebra
from unmask.masks.domains import Domain

#: raw network output is ``(..., source, map, channel, freq, frame)``
MAP_AXIS = -4
#: masks with components are ``(..., source, component, channel, freq, frame)``
COMPONENT_AXIS = -4


@dataclass(frozen=True, kw_only=True)
class Family(ABC):
    """A set of masks: its best member, its activation, its application.

    Arrays are ``targets (..., source, channel, freq, frame)`` complex, ``mixture (..., channel,
    freq, frame)`` complex, ``raw (..., source, map, channel, freq, frame)`` real, ``masks (...,
    source, channel, freq, frame)``; families with several components a bin have them on an axis of
    their own after the sources. Settings are fields; :func:`dataclasses.replace` changes them.
    """

    name: str
    """Name in the registry."""
    paper: str
    """Where it is defined."""

    # What a family is, as properties: most say it once for all as a class variable.

    @property
    @abstractmethod
    def domain(self) -> Domain:
        """Where masks lie, ideal or activated."""

    @property
    @abstractmethod
    def is_complex(self) -> bool:
        """Whether masks turn the phase."""

    @property
    def sums_to_one(self) -> bool:
        """Whether all masks of a mixture sum to one over sources, ideal or activated."""
        return False

    @property
    def is_linear(self) -> bool:
        """Whether :meth:`apply` is linear in the masks: the mask of a sum is the sum of masks."""
        return True

    @property
    def n_components(self) -> int:
        """Numbers in the mask of a bin; if more than one, on an axis after the sources."""
        return 1

    @property
    def has_components(self) -> bool:
        """Whether masks have an axis of components after the sources."""
        return self.n_components > 1

    @property
    def n_parts(self) -> int:
        """Real numbers in the mask of a bin, see :meth:`parts`."""
        return self.n_components * (2 if self.is_complex else 1)

    @property
    def n_maps(self) -> int:
        """Number of real maps per source, channel and bin that a network must put out."""
        return 2 if self.is_complex else 1

    @property
    def context(self) -> tuple[int, int]:
        """Frames before and after its own that :meth:`apply` looks at."""
        return 0, 0

    @abstractmethod
    def ideal(self, targets: Array, mixture: Array) -> Array:
        """Return the best masks of this family, given the truth.

        Where the mixture is silent they are 0, if the family has no other rule. Shares (ratio,
        binary by argmax, softmax) are taken among all sources in `targets`: give all of them.

        Raises
        ------
        ShapeError
            If `targets` are not spectra of sources of this mixture.
        """

    @abstractmethod
    def parts(self, raw: Array) -> Array:
        """Return the activated masks in real numbers, in the place of the maps.

        The real parts of all components, then, if masks are complex, their imaginary parts:
        ``(..., source, part, channel, freq, frame)``. Differentiable where that exists.

        Raises
        ------
        ShapeError
            If there are not :attr:`n_maps` maps.
        """

    def activate(self, raw: Array) -> Array:
        """Return the masks that unconstrained maps stand for."""
        return self.of_parts(self.parts(raw))

    def of_parts(self, parts: Array) -> Array:
        """Return masks from their :meth:`parts`.

        Raises
        ------
        ShapeError
            If there are not :attr:`n_parts` parts.
        """
        values, n = maps(parts, self.n_parts), self.n_components
        if self.is_complex:
            values = [make_complex(*pair) for pair in zip(values[:n], values[n:], strict=True)]
        return namespace(parts).stack(values, axis=COMPONENT_AXIS) if n > 1 else values[0]

    def halves(self, masks: Array) -> Iterator[tuple["Family", Array]]:
        """Yield the plain families of which masks are made, with their own masks each."""
        yield self, masks

    def apply(self, masks: Array, mixture: Array) -> Array:
        """Return the masked spectra, ``(..., source, channel, freq, frame)``.

        Raises
        ------
        ShapeError
            If masks and mixture differ in bins or frames.
        """
        return algebra.apply(masks, mixture)

    def at(self, sample_rate: float) -> "Family":
        """Return the family for spectra that span 0 Hz to half of `sample_rate` in Hz."""
        return self

    def describe(self) -> dict[str, Any]:
        """Return name, range, kind, maps and source as plain data."""
        options = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            "name": options.pop("name"),
            "values": str(self.domain),
            "complex": self.is_complex,
            "sums_to_one": self.sums_to_one,
            "n_maps": self.n_maps,
            "paper": options.pop("paper"),
            "options": {key: _plain(value) for key, value in options.items()},
        }


def _plain(value: Any) -> Any:
    return asdict(value) if isinstance(value, Family) else value


def check_targets(targets: Array, mixture: Array) -> None:
    """Refuse targets that are not spectra of sources of this mixture."""
    check_axes("source, channel, freq, frame", targets=targets)
    if tuple(targets.shape[-3:]) != tuple(mixture.shape[-3:]):
        raise ShapeError(
            f"targets{tuple(targets.shape)} and mixture{tuple(mixture.shape)} must agree in "
            "(channel, freq, frame)"
        )


def quotient(targets: Array, mixture: Array) -> Array:
    """Return ``targets / mixture``, the unbounded complex mask, 0 where the mixture is silent."""
    check_targets(targets, mixture)
    return complex_divide(targets, namespace(mixture).expand_dims(mixture, axis=SOURCE_AXIS))


def one_map(raw: Array) -> Array:
    """Return the only map of `raw`."""
    return maps(raw, 1)[0]


def as_map(x: Array) -> Array:
    """Return `x` as the only map; the other way round than :func:`one_map`."""
    return namespace(x).expand_dims(x, axis=MAP_AXIS)


def maps(raw: Array, n_maps: int) -> list[Array]:
    """Return the maps of `raw` one by one; refuse another number of them."""
    check_axes("source, map, channel, freq, frame", raw=raw)
    if raw.shape[MAP_AXIS] != n_maps:
        raise ShapeError(
            f"raw{tuple(raw.shape)} has {raw.shape[MAP_AXIS]} maps, expected {n_maps}; "
            "axes are (..., source, map, channel, freq, frame)"
        )
    return [raw[..., k, :, :, :] for k in range(n_maps)]


def sigmoid(x: Array) -> Array:
    """Return the logistic function of `x`, without overflow."""
    xp = namespace(x)
    own: Array = getattr(xp, "sigmoid", None)  # not in the standard; one node where it is exported
    return own(x) if own else 0.5 * (1 + xp.tanh(0.5 * x))
