"""How the masks of a model are used: neutral by default, one field for each thing to turn."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from unmask.errors import ConfigError

if TYPE_CHECKING:
    from unmask.masks import Family

#: Least and greatest sensitivity.
SENSITIVITIES = (0.25, 4.0)


def _turn(default: Any, **words: str) -> Any:
    """Return a field with the words of its option on the command line."""
    if callable(default):
        return field(default_factory=default, metadata=words)
    return field(default=default, metadata=words)


class Configurable(Protocol):
    """What settings depend on of a model."""

    name: str
    stems: tuple[str, ...]
    residual: str
    channels: int
    family: "Family"
    masks_outside: bool
    """Whether the network gives masks, and the engine applies them."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How masks are used. A new option is a field here, and a line where it acts.

    Raises
    ------
    ConfigError
        If a value is outside its range.
    """

    sensitivity: float = _turn(
        1.0,
        help="0.25 to 4: above 1 more is taken out of each stem, below 1 less.",
        metavar="FACTOR",
    )
    """Power that the magnitude of every mask is raised to, 0.25 to 4, see
    :func:`unmask.masks.sharpen`."""
    linked: bool = _turn(
        False, option="--link", help="Give all channels one mask, that of their mean."
    )
    """Give all channels one mask, that of their mean: the network then hears one channel, and costs
    what it costs for one. What is opposite in two channels it does not hear. Not to be changed
    while a stream runs."""
    extend: bool = _turn(
        True,
        option="--extend/--no-extend",
        help="Whether the band above the model's own is masked as the top of its band.",
    )
    """Mask the band above the model's own by the mean of the mask's top third of an octave, at
    sample rates above the model's; else that band stays in the residual."""
    limit_db: float | None = _turn(
        None,
        help="Take the rest down by this much at most; for models of one stem. "
        "Default: as far as the model can.",
        metavar="DB",
    )
    """Most that a model of one stem takes the rest down by, >= 0: that share of the residual is
    left in the stem."""
    gains: Mapping[str, float] = _turn(
        dict,
        option="--gain",
        help="Gain of a stem, -inf takes it out; may be given several times.",
        metavar="STEM=DB",
    )
    """Factors >= 0 of stems, or of the residual; what is not named has 1."""

    def __post_init__(self) -> None:
        low, high = SENSITIVITIES
        if not low <= self.sensitivity <= high:
            raise ConfigError(
                f"sensitivity: {self.sensitivity}, expected {low:g} to {high:g}; 1 is neutral"
            )
        if self.limit_db is not None and not 0 <= self.limit_db < math.inf:
            raise ConfigError(f"limit_db: {self.limit_db}, expected >= 0; leave out for no limit")
        if not all(0 <= gain < math.inf for gain in self.gains.values()):
            raise ConfigError(f"gains: {dict(self.gains)}, expected finite factors >= 0")

    def check(self, model: Configurable) -> None:
        """Refuse what masks of `model` cannot be given.

        Raises
        ------
        ConfigError
            If sensitivity or linked have no meaning there, the model has several stems where one is
            limited, or none of a name.
        """
        if not model.masks_outside and (self.sensitivity != 1 or self.linked):
            raise ConfigError(
                f"sensitivity, linked: the masks of model {model.name} are inside its network and "
                "cannot be changed; leave them out"
            )
        if self.sensitivity != 1 and model.family.n_components > 1:
            raise ConfigError(
                f"sensitivity: {self.sensitivity}, but masks of {model.family.name} have several "
                "components a bin; leave it at 1"
            )
        if self.linked and model.channels > 1:
            raise ConfigError(
                f"linked: model {model.name} sees {model.channels} channels at once, their masks "
                "belong together already; leave it out"
            )
        if self.limit_db is not None and len(model.stems) > 1:
            raise ConfigError(
                f"limit_db: model {model.name} has {len(model.stems)} stems, expected one; "
                "set gains"
            )
        from unmask.stems import canonical

        parts = {canonical(part) for part in (*model.stems, model.residual)}
        if unknown := [stem for stem in self.gains if canonical(stem) not in parts]:
            raise ConfigError(
                f"gains: model {model.name} has no stem {', '.join(unknown)}; "
                f"there are {', '.join((*model.stems, model.residual))}"
            )

    def gain(self, part: str) -> float:
        """Return the factor of a stem or the residual."""
        from unmask.stems import canonical

        gains = {canonical(stem): gain for stem, gain in self.gains.items()}
        return gains.get(canonical(part), 1.0)
