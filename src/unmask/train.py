"""Training: one loop over seeded examples that can be stopped and taken up to the same numbers."""

import json
import math
import platform
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.data import DataLoader

from unmask import checkpoint, losses
from unmask.data import DATA
from unmask.errors import ConfigError, ModelError
from unmask.losses import si_sdr_db
from unmask.recipe import Recipe, Train

LAST, BEST, RECORDS = "last.safetensors", "best.safetensors", "records.jsonl"


def run(
    recipe: Recipe,
    out: Path,
    *,
    data_root: Path,
    cache: Path | None = None,
    resume: bool = False,
    accelerator: str = "cpu",
) -> Path:
    """Train what `recipe` describes and return the run folder `out`.

    Parameters
    ----------
    recipe : Recipe
        What to train, on what, how.
    out : Path
        Run folder: resolved recipe, versions, seed, records (JSON lines), checkpoints.
    data_root : Path
        Folder that the globs of the recipe are relative to.
    cache : Path, optional
        Folder of decoded recordings; ``out / "cache"`` if not given. Several runs can share one.
    resume : bool
        Take up a run from its last checkpoint. The numbers are those of a run that was never
        stopped, if the recipe is the same.
    accelerator : str
        Of Lightning Fabric: ``cpu``, ``cuda``, ``auto``.

    Raises
    ------
    ConfigError
        If `out` already holds a run and `resume` is false, there is nothing to resume, the
        recordings are not there or not allowed, or the machine has no such accelerator.
    ModelError
        If the checkpoint to resume from was made by another recipe.
    """
    if resume != (out / LAST).is_file():
        raise ConfigError(
            f"{out}: no checkpoint to resume from; start without resume"
            if resume
            else f"{out}: holds a run already; resume it or choose another folder"
        )
    settings = recipe.train
    fabric = _fabric(accelerator, settings.precision)
    fabric.launch()
    make = DATA[recipe.data_kind][1]
    train_set, valid_set, facts = make(
        recipe.data,
        data_root,
        cache or out / "cache",
        seed=settings.seed,
        n_examples=settings.steps * settings.batch,
    )
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(fabric, recipe, out)
    if resume:
        trainer.restore()
    (out / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    about = {"seed": settings.seed, "data": facts, "versions": _versions()}
    (out / "run.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    trainer.fit(train_set, valid_set)
    return out


def learning_rate(step: int, settings: Train) -> float:
    """Return the rate of a step: a rise, a plateau, a straight fall to zero at the end.

    The plateau makes the planned number of steps a late decision: a run can be resumed with
    another `steps` until its fall begins (Hägele et al., 2024).
    """
    rise = (step + 1) / max(1, settings.warmup_steps)
    fall = (settings.steps - step) / max(1.0, settings.decay_share * settings.steps)
    return settings.learning_rate * min(1.0, rise, fall)


class Trainer:
    """A system, its optimiser and where it writes; remembers how far it has come."""

    def __init__(self, fabric: Fabric, recipe: Recipe, out: Path) -> None:
        self.fabric, self.recipe, self.out = fabric, recipe, out
        self.settings, self.step, self.best = recipe.train, 0, -math.inf
        self.weights = losses.parse(recipe.loss.kind)
        self.losses = losses.losses(recipe.loss.stft)
        torch.manual_seed(self.settings.seed)
        system = recipe.system()
        self.bare = system
        optimizer = torch.optim.AdamW(
            system.parameters(),
            self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )
        self.system, self.optimizer = fabric.setup(system, optimizer)
        self.mean = {k: v.detach().clone() for k, v in system.net.state_dict().items()}

    def fit(self, train_set: Any, valid_set: Any) -> None:
        """Train to the last step; validate and write a checkpoint now and then."""
        steps, started, waited = self.settings.steps, time.monotonic(), 0.0
        batches = self._batches(train_set)
        with _progress() as bar:
            task = bar.add_task("train", total=steps, completed=self.step, loss=math.nan)
            while self.step < steps:
                before = time.monotonic()
                batch = next(batches)
                waited += time.monotonic() - before
                values = self._train(batch)
                self.step += 1
                if self.step % self.settings.log_every == 0:
                    values |= {"seconds": time.monotonic() - started, "data_seconds": waited}
                    self._record(values)
                    bar.update(task, completed=self.step, loss=values["loss"])
                if self.step % self.settings.valid_every == 0 or self.step == steps:
                    self._validate(valid_set)
                    self._save()

    def restore(self) -> None:
        """Go back to where the last checkpoint was written."""
        path = self.out / LAST
        tensors, header = checkpoint.load(path, device=str(self.fabric.device))
        saved, ours = header["recipe"], self.recipe.to_dict()
        if any(saved[part] != ours[part] for part in ("frontend", "backbone", "head")):
            raise ModelError(f"{path}: was made by another recipe; resume with the one beside it")
        self.bare.net.load_state_dict(checkpoint.select(tensors, "net"))
        self.mean = checkpoint.select(tensors, "mean")
        state = self.optimizer.state_dict()
        state["state"] = {}
        for name, tensor in checkpoint.select(tensors, "optimizer").items():
            index, _, key = name.partition(".")
            state["state"].setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict(state)
        torch.set_rng_state(tensors["rng"].cpu())
        self.step, self.best = header["step"], header["best"]
        self._forget_later_records()

    def _forget_later_records(self) -> None:
        """Drop what was recorded after the checkpoint, and a last line that is not whole."""
        path = self.out / RECORDS
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = (line for line in lines if line.endswith("\n"))
        kept = [line for line in whole if json.loads(line)["step"] <= self.step]
        path.write_text("".join(kept), encoding="utf-8")

    def _batches(self, examples: Any) -> Iterator[Mapping[str, Tensor]]:
        """Return the batches that are still to come; workers start now, before other threads."""
        first = self.step * self.settings.batch
        loader = DataLoader(
            examples,
            batch_size=self.settings.batch,
            sampler=range(first, self.settings.steps * self.settings.batch),
            num_workers=self.settings.workers,
            generator=torch.Generator(),  # leaves the generator of the network alone
        )
        return map(self.fabric.to_device, iter(loader))

    def _train(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Make one step of the optimiser; return what it saw."""
        self.system.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.settings)
        parts = self._losses(batch)
        total = sum(
            (weight * parts[name] for name, weight in self.weights.items()), torch.zeros(())
        )
        self.optimizer.zero_grad()
        self.fabric.backward(total)
        norm = self.fabric.clip_gradients(
            self.system, self.optimizer, max_norm=self.settings.max_grad_norm
        )
        self.optimizer.step()
        self._update_mean()
        values = {"loss": total, "grad_norm": norm, **parts}
        return {name: float(value.detach()) for name, value in values.items() if value is not None}

    def _losses(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return every loss of the recipe, with each example at equal loudness."""
        mixture, targets = batch["mixture"], batch["targets"]
        estimates = self.system(mixture)
        level = mixture.square().mean((-2, -1), keepdim=True).sqrt()
        gain = 1 / torch.where(level > 0, level, torch.ones_like(level))
        mixture, gain = mixture * gain, gain.unsqueeze(1)
        signals = estimates * gain, targets * gain, mixture
        return {name: self.losses[name](*signals) for name in self.weights}

    @torch.no_grad()
    def _update_mean(self) -> None:
        """Move the running mean of the weights towards the weights."""
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.bare.net.state_dict().items():
            if value.is_floating_point():
                self.mean[name].lerp_(value, 1 - decay)
            else:
                self.mean[name].copy_(value)

    @torch.no_grad()
    def _validate(self, valid_set: Any) -> None:
        """Record the SI-SDR of the mean weights; keep them if they are the best so far."""
        trained = {k: v.clone() for k, v in self.bare.net.state_dict().items()}
        self.bare.net.load_state_dict(self.mean)
        self.bare.eval()
        before, after = [], []
        loader = DataLoader(valid_set, batch_size=self.settings.batch, generator=torch.Generator())
        batches: Iterator[Any] = map(self.fabric.to_device, loader)
        for batch in batches:
            targets, mixture = batch["targets"], batch["mixture"]
            after.append(si_sdr_db(self.system(mixture), targets).flatten())
            before.append(si_sdr_db(mixture.unsqueeze(1).expand_as(targets), targets).flatten())
        self.bare.net.load_state_dict(trained)
        gain_db = torch.cat(after) - torch.cat(before)
        scores = {
            "si_sdr_db": float(torch.cat(after).mean()),
            "si_sdr_improvement_db": float(gain_db.mean()),
            "median_improvement_db": float(gain_db.median()),
        }
        self._record({"valid": scores})
        if scores["si_sdr_improvement_db"] > self.best:
            self.best = scores["si_sdr_improvement_db"]
            self._write(BEST, {f"mean.{k}": v for k, v in self.mean.items()}, scores)

    def _save(self) -> None:
        """Write everything that is needed to go on."""
        tensors = {f"net.{k}": v for k, v in self.bare.net.state_dict().items()}
        tensors |= {f"mean.{k}": v for k, v in self.mean.items()}
        for index, entry in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in entry.items()}
        tensors["rng"] = torch.get_rng_state()
        self._write(LAST, tensors, {})

    def _write(self, name: str, tensors: Mapping[str, Tensor], scores: Mapping[str, float]) -> None:
        header = {"step": self.step, "best": self.best, "recipe": self.recipe.to_dict()}
        checkpoint.save(self.out / name, tensors, {**header, "scores": dict(scores)})

    def _record(self, values: Mapping[str, Any]) -> None:
        """Append one line to the records."""
        with (self.out / RECORDS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self.step, **values}) + "\n")


def _fabric(accelerator: str, precision: Any) -> Fabric:
    """Return the device to train on, and how numbers are kept there."""
    try:
        return Fabric(accelerator=accelerator, devices=1, precision=precision)
    except (RuntimeError, ValueError) as error:  # what Lightning raises for unknown or absent ones
        raise ConfigError(
            f"accelerator {accelerator!r}, precision {precision!r}: {error}"
        ) from None


def _progress() -> Progress:
    """Return a progress bar on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _versions() -> dict[str, str]:
    """Return the versions that decide the numbers."""
    packages = ("unmask", "torch", "lightning-fabric", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
