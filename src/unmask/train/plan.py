"""What is trained on what, found out before any step: every refusal comes from here."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from unmask import checkpoint
from unmask._version import __version__
from unmask.data import DATA, Examples
from unmask.errors import ConfigError, ModelError
from unmask.files import json_text, write_text
from unmask.nets.counting import count_parameters, macs_per_frame
from unmask.recipe import Recipe, from_dict
from unmask.train.devices import n_shares, open_devices
from unmask.train.validation import SUMS, count_active

LAST, BEST, ABOUT = "last.safetensors", "best.safetensors", "run.json"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run before it begins; the processes of several devices are handed it."""

    recipe: Recipe
    out: Path
    """Run folder."""
    data_root: Path
    """Folder that the globs of the recipe are relative to."""
    cache: Path | None = None
    """Folder of decoded recordings; ``out / "cache"`` if not given. Several runs can share one."""
    resume: bool = False
    """Whether the run goes on from its last checkpoint."""
    accelerator: str = "cpu"
    """Of Lightning Fabric: ``cpu``, ``cuda``, ``auto``."""
    devices: int = 1
    """How many of them; each takes its share of every batch."""

    def open_devices(self) -> Fabric:
        """Return the devices, if the run may use them and the folder.

        Raises
        ------
        ConfigError, ModelError
            As :meth:`check_folder`; or if the machine does not have the devices, or a batch cannot
            be shared out evenly.
        """
        self.check_folder()
        train = self.recipe.train
        return open_devices(self.accelerator, self.devices, train.precision, batch=train.batch)

    def data(self) -> tuple[Examples, Examples, Mapping[str, Any]]:
        """Return the training set, the validation set, and facts about them.

        Raises
        ------
        ConfigError, AudioFileError, SampleRateError, ShapeError
            As :class:`unmask.data.kind.Maker`.
        """
        train = self.recipe.train
        return DATA[self.recipe.data_kind].make(
            self.recipe.data,
            self.data_root,
            self.cache or self.out / "cache",
            seed=train.seed,
            n_examples=train.steps * train.batch,
        )

    def check_folder(self) -> None:
        """Refuse to overwrite a run, and to begin with or resume one that is not there."""
        path = self.out / LAST
        if self.out.exists() and not self.out.is_dir():
            raise ConfigError(f"{self.out}: is a file, expected a folder for the run")
        if self.resume != path.is_file():
            raise ConfigError(
                f"{self.out}: no checkpoint to resume from; start without resume"
                if self.resume
                else f"{self.out}: holds a run already; resume it or choose another folder"
            )
        if self.resume:
            _check_same(path, self.recipe)
        elif self.recipe.train.warm_start:
            checkpoint.read_header(Path(self.recipe.train.warm_start) / BEST)

    def describe(self, valid_set: Examples, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is written beside a run: seed, data, size, versions.

        Raises
        ------
        ConfigError
            If the data are not those that the run to resume began with, or there are too few to
            validate with.
        """
        recipe, train = self.recipe, self.recipe.train
        if len(valid_set) < (shares := n_shares(self.devices)):
            raise ConfigError(
                f"data: {len(valid_set)} validation examples for {shares} devices, expected "
                "one for each or more"
            )
        active = count_active(valid_set, recipe.data.stems)
        if recipe.train.monitor.startswith(f"{SUMS}/") and SUMS not in active:
            raise ConfigError(
                f"train: monitor {recipe.train.monitor!r}, but in none of {len(valid_set)} "
                "validation examples play stems that are known only together; watch another score"
            )
        net: Any = recipe.system().net
        frames_per_second = recipe.data.sample_rate / recipe.frontend.host.hop
        about = {
            "seed": recipe.train.seed,
            "parameters": count_parameters(net),
            "macs_per_second": round(macs_per_frame(net) * frames_per_second),
            "examples": None if train.minutes else train.steps * train.batch,
            "valid_examples": len(valid_set),
            "valid_active": active,
            "data": dict(facts),
            "data_sha256": _digest(facts),
            "versions": _versions(),
        }
        before = read_about(self.out).get("data_sha256") if self.resume else None
        if before not in (None, about["data_sha256"]):
            raise ConfigError(
                f"{self.data_root}: is not the data that {self.out} was begun with; resume with "
                "those, or start another run"
            )
        return about


#: What may be changed when a run is taken up: how long, and what is told about it.
FREE = {"name", "licence", "data.jobs"} | {
    f"train.{name}"
    for name in (
        *(
            "steps",
            "minutes",
            "decay_share",
            "examples",
            "workers",
            "log",
            "log_every",
            "valid_every",
            "patience",
        ),
        *("precision", "warm_start"),
    )
}


def read_about(out: Path) -> dict[str, Any]:
    """Return what a run folder says about its run, nothing if it does not say."""
    path = out / ABOUT
    return checkpoint.read_object(path) if path.exists() else {}


def write_about(out: Path, about: Mapping[str, Any]) -> None:
    """Write what a run folder says about its run, whole or not at all."""
    write_text(out / ABOUT, json_text(about, indent=2))


def device_facts(device: torch.device, devices: int) -> dict[str, Any]:
    """Return what a run runs on."""
    is_cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if is_cuda else platform.processor()
    return {
        "type": device.type,
        "name": name or platform.machine(),
        "devices": devices,
        "threads": torch.get_num_threads(),
    }


def _check_same(path: Path, recipe: Recipe) -> None:
    """Refuse a checkpoint that was made with other settings: its papers would be wrong."""
    saved, ours = checkpoint.read_header(path).get("recipe"), recipe.to_dict()
    before = _flat(recipe_of(saved, path).to_dict())
    now = _flat(ours)
    other = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
    if other := [key for key in other if key not in FREE]:
        raise ModelError(
            f"{path}: was made by another recipe, {', '.join(other)} differ; resume with the one "
            "beside it, or start another run with train.warm_start"
        )


def recipe_of(saved: Any, path: Path) -> Recipe:
    """Return the recipe in the header of a checkpoint.

    Raises
    ------
    ModelError
        If it is none.
    """
    try:
        return from_dict(saved)
    except (ConfigError, AttributeError, TypeError) as error:
        raise ModelError(f"{path}: its recipe cannot be read: {error}; was it edited?") from None


def _flat(table: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Return the values of nested tables by dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{start}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def _digest(facts: Mapping[str, Any]) -> str:
    """Return a hash of plain data."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str]:
    """Return the versions that decide the numbers."""
    packages = ("torch", "lightning-fabric", "numpy")
    own = {"python": platform.python_version(), "unmask": __version__}
    return own | {name: version(name) for name in packages}
