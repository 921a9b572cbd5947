"""The sections of a recipe, each with its defaults and what it refuses on its own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unmask import losses
from unmask.engine.metadata import FIELDS
from unmask.errors import ConfigError
from unmask.frontends import STFT, Frames
from unmask.nets import thinned
from unmask.nets.contract import FrontSettings
from unmask.nets.fronts import FRONTS
from unmask.nets.grouping import GROUPINGS

#: Ways to keep numbers that a stopped run can take up again; names of Lightning Fabric.
PRECISIONS = ("32-true", "bf16-mixed")
#: Estimates in the order of the targets; in the order that fits best (PIT); added up the way that
#: fits best; the same with mixtures of mixtures, of which the mixtures alone are known (MixIT).
ASSIGNMENTS = ["fixed", "permutation", "groups", "mixit"]
#: Where examples are made.
EXAMPLES = ("loader", "device")
#: Forms in which the records are also written, for other programs.
LOGS = ("csv", "tensorboard")


@dataclass(frozen=True, kw_only=True)
class Frontend:
    """What a network sees: which front-end, and its settings."""

    kind: str = "stft"
    channels: int = 1
    """Channels that are seen at once; with 1 each is separated by itself."""
    level: Mapping[str, float] = field(default_factory=dict)
    """``{ rms, seconds }``: what the engine brings the running level of recordings to before the
    exported network hears them, the middle of the levels that it was trained at; empty: as they
    come."""
    slow_terms: int = 0
    """Terms of the polynomial that the engine takes out of every frame: 1 an offset, 2 a slope."""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in FRONTS:
            raise ConfigError(f"frontend: no kind {self.kind!r}; there are {sorted(FRONTS)}")
        if not 1 <= self.channels <= 8:
            raise ConfigError(f"frontend: channels = {self.channels}, expected 1 to 8")
        for key, value in (("level", dict(self.level) or None), ("slow_terms", self.slow_terms)):
            check, expected = FIELDS[key]
            if not check(value):
                raise ConfigError(f"frontend: {key} = {value}, expected {expected}")
        if self.slow_terms and isinstance(self.host, Frames):
            raise ConfigError(
                f"frontend: slow_terms = {self.slow_terms}, expected 0: frames of a learned "
                "front-end are short"
            )
        _ = self.host  # refuses what cannot be inverted

    @property
    def settings(self) -> FrontSettings:
        """Settings of that kind."""
        return FRONTS[self.kind](**self.options)

    @property
    def host(self) -> STFT | Frames:
        """The host's part of it."""
        return self.settings.host()


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """Which network, and its settings."""

    kind: str = "crn"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Head:
    """Which mask family turns raw maps into masks, and what makes these maps of features.

    In a file ``mask`` is a name or ``{ family = "complex_tanh", options = { limit = 2.0 } }``.
    """

    mask: str = "complex_tanh"
    """Name of the family."""
    options: Mapping[str, float] = field(default_factory=dict)
    """Settings of the family."""
    depth: int = 1
    """Layers: 1 is linear."""
    hidden: int = 0
    """Width of the layers but the last; 0 is that of the features."""
    shared: bool = False
    """Whether one branch makes the masks of all outputs, of their features and the mixture."""
    outputs: int = 0
    """Masks that are estimated; 0 is one for each target."""
    grouping: str = "none"
    """How outputs make targets, one of :data:`GROUPINGS`."""
    decimation: int = 1
    """The network works on every so many bins, and masks are interpolated to the others."""
    interpolation: str = "nearest"
    """``nearest`` or ``linear``, of masks with a decimation above 1."""

    def __post_init__(self) -> None:
        thinned.check(self.decimation, self.interpolation)
        if self.depth < 1 or min(self.hidden, self.outputs) < 0:
            raise ConfigError(
                f"head: depth = {self.depth}, hidden = {self.hidden} and outputs = {self.outputs}, "
                "expected depth >= 1 and the others >= 0"
            )
        if self.grouping not in GROUPINGS:
            raise ConfigError(f"head: grouping {self.grouping!r}; there are {list(GROUPINGS)}")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What is made small; signals are compared at equal loudness (a mixture has RMS 1)."""

    kind: str | Mapping[str, float] = "si_sdr"
    """A sum, as ``"si_sdr + 0.5*complex"`` or ``{si_sdr = 1, complex = 0.5}``."""
    n_fft: int = 512
    hop: int = 128
    """Front-end of the spectral losses, Hann window."""
    assignment: str = "fixed"
    """Which estimate belongs to which target, one of :data:`ASSIGNMENTS`."""

    def __post_init__(self) -> None:
        weights = losses.parse(self.kind)
        if not weights or not all(0 < weight < math.inf for weight in weights.values()):
            raise ConfigError(f"loss: weights {weights}, expected one or more, each above 0")
        _ = self.stft  # refuses what cannot be inverted
        if self.assignment not in ASSIGNMENTS:
            raise ConfigError(f"loss: assignment {self.assignment!r}; there are {ASSIGNMENTS}")

    @property
    def stft(self) -> STFT:
        """The front-end of the spectral losses."""
        return STFT(n_fft=self.n_fft, hop=self.hop, window="hann")


@dataclass(frozen=True, kw_only=True)
class Train:
    """How the network is trained."""

    steps: int = 10_000
    minutes: float = 0.0
    """Time that is trained instead of `steps`, with validations and without stops; 0: `steps`
    count. Such a run cannot be repeated to the same numbers."""
    batch: int = 8
    """Examples of a step, on all devices together."""
    learning_rate: float = 1e-3
    """Highest rate; AdamW."""
    warmup_steps: int = 200
    """Steps in which the rate rises from zero."""
    decay_share: float = 0.4
    """Last share of the steps, or of the time, in which the rate falls to zero; between, it is
    constant."""
    weight_decay: float = 0.01
    max_grad_norm: float = 5.0
    ema: float = 0.0
    """Decay of the running mean of the weights that is validated and exported; 0 is none."""
    precision: str = "32-true"
    """One of :data:`PRECISIONS`."""
    seed: int = 0
    warm_start: str = ""
    """Folder of a run whose best weights it begins with, where names and shapes agree; the others
    are fresh. Empty: all are."""
    examples: str = "loader"
    """Where examples are made, one of :data:`EXAMPLES`: on the CPU, of files; or in batches on the
    device that trains, which holds all recordings in its memory. They are the same examples."""
    workers: int = 0
    """Processes that make examples, for each device; 0 makes them in the training process. What is
    made on the device they only draw."""
    log_every: int = 25
    log: tuple[str, ...] = ("csv",)
    """Some of :data:`LOGS`, beside the records."""
    valid_every: int = 500
    """Steps between validations; each writes a checkpoint."""
    monitor: str = "si_sdr_improvement_db"
    """Score of the validation that says which weights are the best, as ``loss`` or, of one stem
    among several, ``drums/si_sdr_db``."""
    patience: int = 0
    """Validations in a row without a better score after which training stops; 0 is never."""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.log_every, self.valid_every) < 1:
            raise ConfigError("train: steps, batch, log_every and valid_every must be >= 1")
        if min(self.warmup_steps, self.workers, self.patience, self.seed) < 0:
            raise ConfigError("train: warmup_steps, workers, patience and seed must be >= 0")
        if not (0 <= self.decay_share <= 1 and 0 <= self.ema < 1 and self.weight_decay >= 0):
            raise ConfigError(
                "train: expected decay_share in [0, 1], ema in [0, 1) and weight_decay >= 0"
            )
        if not (0 < self.learning_rate < math.inf and self.max_grad_norm > 0):
            raise ConfigError("train: expected learning_rate > 0 and max_grad_norm > 0")
        if not 0 <= self.minutes < math.inf:
            raise ConfigError(f"train: minutes = {self.minutes}, expected 0 or more")
        if self.examples not in EXAMPLES:
            raise ConfigError(f"train: examples {self.examples!r}; there are {list(EXAMPLES)}")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"train: precision {self.precision!r}; there are {list(PRECISIONS)}")
        if unknown := sorted(set(self.log) - set(LOGS)):
            raise ConfigError(f"train: no log {unknown}; there are {list(LOGS)}")
