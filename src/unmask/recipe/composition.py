"""A recipe: the sections put together, and what they are together."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch

from unmask import masks, nets
from unmask.data import DATA, Settings
from unmask.errors import ConfigError
from unmask.masks.family import Family
from unmask.nets import Estimator
from unmask.nets.counting import shares_of_head
from unmask.nets.system import MaskingSystem
from unmask.recipe import checks
from unmask.recipe.sections import Backbone, Frontend, Head, Loss, Train


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the result of a training run, except the recordings."""

    name: str = "unnamed"
    """Of the model that comes out."""
    licence: str = "MIT"
    """Of the model that comes out."""
    frontend: Frontend = field(default_factory=Frontend)
    backbone: Backbone = field(default_factory=Backbone)
    head: Head = field(default_factory=Head)
    loss: Loss = field(default_factory=Loss)
    data_kind: str = "speech_in_noise"
    data: Settings = field(default_factory=DATA["speech_in_noise"][0])
    """Settings of that kind, see :data:`unmask.data.DATA`."""
    train: Train = field(default_factory=Train)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ConfigError(f"recipe: name {self.name!r}, expected letters, digits and . _ -")
        checks.check_monitor(self.train.monitor, self.data)
        checks.check_examples(self.train.examples, self.data)
        checks.check_channels(self.frontend.channels, self.data)
        checks.check_head(self.family, self.data)
        checks.check_mask_losses(self.loss.kind, self.family, self.frontend.host)
        checks.check_assignment(
            self.loss, self.head.grouping, self.head.outputs, self.data, batch=self.train.batch
        )
        # Building finds what cannot work together; here it takes no memory and draws nothing.
        try:
            with torch.device("meta"):
                self.system()
        except (RuntimeError, TypeError) as error:  # of torch, layers without end
            why = str(error).partition("\n")[0]
            raise ConfigError(f"backbone: {dict(self.backbone.options)}: {why}") from error

    @property
    def family(self) -> Family:
        """The mask family of the head."""
        options = dict(self.head.options)
        return masks.get(self.head.mask, sample_rate=self.data.sample_rate, **options)

    @property
    def estimates(self) -> tuple[str, ...]:
        """Names of what the network puts out: the stems, or outputs that nobody has shared out."""
        if self.head.grouping != "assigned":
            return self.data.stems
        n_outputs = self.head.outputs or len(self.data.stems)
        return tuple(f"output{k + 1}" for k in range(n_outputs))

    @property
    def remarks(self) -> list[str]:
        """What can be trained but may not be what was meant, a line each."""
        sees = getattr(self.frontend.settings, "input", None)
        said = checks.remarks(self.family, self.loss.kind, sees=sees)
        return said + checks.remarks_on_head(*shares_of_head(self.system().net))

    def system(self) -> MaskingSystem[Estimator]:
        """Return the freshly initialised system."""
        family, head = self.family, self.head
        net = nets.build(
            self.frontend.settings,
            self.backbone.kind,
            family,
            n_sources=len(self.data.stems),
            n_channels=self.frontend.channels,
            options=self.backbone.options,
            outputs=head.outputs,
            grouping=head.grouping,
            depth=head.depth,
            hidden=head.hidden,
            shared=head.shared,
            decimation=head.decimation,
            interpolation=head.interpolation,
        )
        if family.context[1] > max(net.lookahead_frames, net.context_frames):
            raise ConfigError(
                f"head: {head.mask} is applied {family.context[1]} frames ahead, "
                f"{self.backbone.kind} looks {net.lookahead_frames} ahead; set its lookahead to 0"
            )
        return MaskingSystem(net, self.frontend.host)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain data, in the layout of the TOML file, with every default."""
        plain = asdict(self)
        for name in ("frontend", "backbone"):
            plain[name] |= plain[name].pop("options")
        head = plain["head"]
        mask = {"family": head.pop("mask"), "options": head.pop("options")}
        plain["head"] = {"mask": mask, **head}
        plain["data"] = {"kind": plain.pop("data_kind"), **plain["data"]}
        return cast(dict[str, Any], json.loads(json.dumps(plain)))

    def to_toml(self) -> str:
        """Return the recipe as a TOML file, with every default."""
        tables = self.to_dict()
        lines = [f"{k} = {_toml(v)}" for k, v in tables.items() if not isinstance(v, dict)]
        for name, table in tables.items():
            if isinstance(table, dict):
                lines += ["", f"[{name}]", *(f"{_key(k)} = {_toml(v)}" for k, v in table.items())]
        return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """Write a value as TOML; strings, numbers and truth values are as in JSON."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + "".join(f"  {_toml(entry)},\n" for entry in value) + "]"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def _key(name: str) -> str:
    """Write a key as TOML, in quotes where it needs them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
