"""What a kind of data must have: settings, and a maker of two sets of examples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from unmask.data.example import Drawable, Example
from unmask.data.store import Recording


class Settings(Protocol):
    """Settings of a kind of data: a frozen dataclass, the table ``[data]`` of a recipe.

    Raises
    ------
    ConfigError
        When made, if a value is out of its range or values cannot work together.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def sample_rate(self) -> int:
        """Of the examples and of the network, Hz."""

    @property
    def seconds(self) -> float:
        """Length of an example."""

    @property
    def channels(self) -> int:
        """Of the examples."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the sources that the network estimates, in the order of the targets."""

    @property
    def residual(self) -> str | None:
        """Name of what they leave of the mixture, None if they are all there is."""

    @property
    def task(self) -> str:
        """What a model is for that was trained on this: ``"denoise"`` or ``"separate"``."""


class Examples(Drawable, Protocol):
    """A set of examples, all of one shape; each depends on a seed and its index alone."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...

    @property
    def recordings(self) -> Sequence[Recording]:
        """All that examples are made of; one may be named twice."""


class Maker(Protocol):
    """Finds the recordings and decodes them into a cache; refuses all that cannot be used."""

    def __call__(
        self, config: Any, root: Path, cache: Path, *, seed: int, n_examples: int
    ) -> tuple[Examples, Examples, Mapping[str, Any]]:
        """Return the training set, the validation set, and what they are made of.

        Parameters
        ----------
        config : Settings
            Of the same kind.
        root : Path
            Folder that the globs are relative to.
        cache : Path
            Folder of decoded recordings; several runs can share one.
        seed : int
            Of the training set.
        n_examples : int
            Length of the training set.

        Raises
        ------
        ConfigError, AudioFileError, SampleRateError, ShapeError
            If the recordings are not there, not allowed, or cannot give what `config` asks for.
        """


class Kind(NamedTuple):
    """A kind of data."""

    settings: type[Settings]
    make: Maker
