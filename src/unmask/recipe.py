"""A trained system as a composition in TOML: front-end, backbone, head, loss, data, train.

::

    [frontend] kind = "stft", n_fft, hop, window
    [backbone] kind = "crn" and the settings of that network
    [head]     mask = "complex_tanh" and the options of that family
    [loss]     kind = "si_sdr + 0.5*complex"
    [data]     kind = "speech_in_noise" and how examples are made
    [train]    steps, batch, learning rate, seed
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import torch

from unmask import losses, masks, nets
from unmask.data import DATA
from unmask.errors import ConfigError
from unmask.nets.system import MaskingSystem
from unmask.stft import STFT


@dataclass(frozen=True, kw_only=True)
class Frontend:
    """What a network sees."""

    kind: str = "stft"
    n_fft: int = 512
    hop: int = 256
    window: str = "sqrt_hann"

    def __post_init__(self) -> None:
        if self.kind != "stft":
            raise ConfigError(f"frontend: no kind {self.kind!r}; there is ['stft']")

    @property
    def stft(self) -> STFT:
        """The front-end itself."""
        return STFT(n_fft=self.n_fft, hop=self.hop, window=self.window)


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """Which network, and its settings."""

    kind: str = "crn"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Head:
    """Which mask family turns raw maps into masks, and its options."""

    mask: str = "complex_tanh"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What is made small; signals are compared at equal loudness (a mixture has RMS 1)."""

    kind: str | Mapping[str, float] = "si_sdr"
    """A sum, as ``"si_sdr + 0.5*complex"`` or ``{si_sdr = 1, complex = 0.5}``."""
    n_fft: int = 512
    hop: int = 128
    """Front-end of the spectral losses, Hann window."""

    def __post_init__(self) -> None:
        losses.parse(self.kind)

    @property
    def stft(self) -> STFT:
        """The front-end of the spectral losses."""
        return STFT(n_fft=self.n_fft, hop=self.hop, window="hann")


@dataclass(frozen=True, kw_only=True)
class Train:
    """How the network is trained."""

    steps: int = 10_000
    batch: int = 8
    learning_rate: float = 1e-3
    """Highest rate; AdamW."""
    warmup_steps: int = 200
    """Steps in which the rate rises from zero."""
    decay_share: float = 0.4
    """Last share of the steps, in which the rate falls to zero; between, it is constant."""
    weight_decay: float = 0.01
    max_grad_norm: float = 5.0
    ema: float = 0.0
    """Decay of the running mean of the weights that is validated and exported; 0 is none."""
    precision: str = "32-true"
    """Of Lightning Fabric: ``32-true``, ``bf16-mixed``, …"""
    seed: int = 0
    workers: int = 0
    """Processes that make examples; 0 makes them in the training process."""
    log_every: int = 25
    valid_every: int = 500
    """Steps between validations; each writes a checkpoint."""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.log_every, self.valid_every) < 1:
            raise ConfigError("train: steps, batch, log_every and valid_every must be >= 1")
        if not (0 <= self.decay_share <= 1 and 0 <= self.ema < 1 and self.learning_rate > 0):
            raise ConfigError(
                "train: expected decay_share in [0, 1], ema in [0, 1) and learning_rate > 0"
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the result of a training run, except the recordings."""

    name: str = "unnamed"
    """Of the model that comes out."""
    licence: str = "MIT"
    """Of the model that comes out."""
    frontend: Frontend = Frontend()
    backbone: Backbone = Backbone()
    head: Head = Head()
    loss: Loss = Loss()
    data_kind: str = "speech_in_noise"
    data: Any = field(default_factory=DATA["speech_in_noise"][0])
    """Settings of that kind, see :data:`unmask.data.DATA`."""
    train: Train = Train()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ConfigError(f"recipe: name {self.name!r}, expected letters, digits and . _ -")
        with torch.device(
            "meta"
        ):  # finds what cannot work together; takes no memory, draws nothing
            self.system()

    def system(self) -> MaskingSystem:
        """Return the freshly initialised system."""
        family = masks.get(
            self.head.mask, sample_rate=self.data.sample_rate, **dict(self.head.options)
        )
        stft = self.frontend.stft
        net: Any = nets.build(
            self.backbone.kind,
            n_freq=stft.n_freq,
            n_sources=len(self.data.stems),
            n_maps=family.n_maps,
            **dict(self.backbone.options),
        )
        if family.context[1] > net.lookahead_frames:
            raise ConfigError(
                f"head: {self.head.mask} is applied {family.context[1]} frames ahead, "
                f"{self.backbone.kind} looks {net.lookahead_frames} ahead; set its lookahead to 0"
            )
        return MaskingSystem(net, stft, family)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain data, in the layout of the TOML file, with every default."""
        plain = asdict(self)
        for name in ("backbone", "head"):
            plain[name] |= plain[name].pop("options")
        plain["data"] = {"kind": plain.pop("data_kind"), **plain["data"]}
        return cast(dict[str, Any], json.loads(json.dumps(plain)))

    def to_toml(self) -> str:
        """Return the recipe as a TOML file, with every default."""
        tables = self.to_dict()
        lines = [f"{k} = {_toml(v)}" for k, v in tables.items() if not isinstance(v, dict)]
        for name, table in tables.items():
            if isinstance(table, dict):
                lines += ["", f"[{name}]", *(f"{k} = {_toml(v)}" for k, v in table.items())]
        return "\n".join(lines) + "\n"


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a TOML file; `overrides` such as ``"train.steps=100"`` come on top.

    Raises
    ------
    ConfigError
        If the file is missing or no TOML, a key is unknown, or settings cannot work together.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such recipe") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not a TOML file, {error}") from None
    for override in overrides:
        _override(tables, override)
    return from_dict(tables, subject=str(path))


def from_dict(tables: Mapping[str, Any], *, subject: str = "recipe") -> Recipe:
    """Return the recipe that `tables` describe, in the layout of the TOML file."""
    known = ["name", "licence", "frontend", "backbone", "head", "loss", "data", "train"]
    _refuse_unknown(subject, tables, known)
    data = dict(tables.get("data", {}))
    data_kind = data.pop("kind", "speech_in_noise")
    if data_kind not in DATA:
        raise ConfigError(f"{subject}: [data] kind {data_kind!r}; there are {sorted(DATA)}")
    for f in fields(DATA[data_kind][0]):
        if "entries" in f.metadata:
            data[f.name] = tuple(
                _build(f.metadata["entries"], entry, f"{subject}: data.{f.name}")
                for entry in data.get(f.name, [])
            )
    backbone, head = dict(tables.get("backbone", {})), dict(tables.get("head", {}))
    return Recipe(
        name=tables.get("name", "unnamed"),
        licence=tables.get("licence", "MIT"),
        frontend=_build(Frontend, tables.get("frontend", {}), f"{subject}: [frontend]"),
        backbone=Backbone(kind=backbone.pop("kind", "crn"), options=_tuples(backbone)),
        head=Head(mask=head.pop("mask", "complex_tanh"), options=_tuples(head)),
        loss=_build(Loss, tables.get("loss", {}), f"{subject}: [loss]"),
        data_kind=data_kind,
        data=_build(DATA[data_kind][0], data, f"{subject}: [data]"),
        train=_build(Train, tables.get("train", {}), f"{subject}: [train]"),
    )


def _override(tables: dict[str, Any], override: str) -> None:
    """Set one value, named by a dotted key, in `tables`."""
    key, equals, text = override.partition("=")
    *path, last = key.strip().split(".")
    if not equals or not last:
        raise ConfigError(f"override {override!r}: expected KEY=VALUE, as train.steps=100")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for name in path:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise ConfigError(f"override {override!r}: {name} is no table")
    tables[last] = value


def _build(kind: Any, table: Mapping[str, Any], subject: str) -> Any:
    """Return the dataclass `kind` of the values in `table`, with types checked against defaults."""
    _refuse_unknown(subject, table, [f.name for f in fields(kind)])
    values = _tuples(table)
    for f in fields(kind):
        if f.default is MISSING or f.name not in values or is_dataclass(f.default):
            continue
        wanted = type(f.default)
        if wanted is float and type(values[f.name]) is int:
            values[f.name] = float(values[f.name])
        mapping = isinstance(values[f.name], Mapping) and "Mapping" in str(f.type)
        if type(values[f.name]) is not wanted and not mapping:
            found = values[f.name]
            raise ConfigError(f"{subject}: {f.name} is {found!r}, expected {wanted.__name__}")
    try:
        return kind(**values)
    except TypeError:
        needed = [f.name for f in fields(kind) if f.default is MISSING]
        raise ConfigError(f"{subject}: needs {needed}, got {sorted(values)}") from None


def _refuse_unknown(subject: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    if unknown := sorted(table.keys() - set(known)):
        raise ConfigError(f"{subject}: unknown keys {unknown}; there are {sorted(known)}")


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    """Turn lists into tuples, so that settings are frozen through and through."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}


def _toml(value: Any) -> str:
    """Write a value as TOML; strings, numbers and truth values are as in JSON."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + "".join(f"  {_toml(entry)},\n" for entry in value) + "]"
    return json.dumps(value)
