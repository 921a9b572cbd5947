"""The loop: steps over seeded examples, validations, checkpoints to go on from."""

import copy
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from unmask import checkpoint, losses
from unmask.data import Examples
from unmask.errors import ModelError
from unmask.frontends import STFT
from unmask.nets.learned_fronts import reconstruction_db
from unmask.recipe import Recipe, Train
from unmask.train.assignment import Assignment
from unmask.train.batches import batches
from unmask.train.devices import copy_from_first, with_shared_statistics
from unmask.train.plan import BEST, LAST
from unmask.train.progress import Bar, Clock
from unmask.train.records import Records
from unmask.train.validation import validate


def learning_rate(step: int, spent: float, settings: Train) -> float:
    """Return the rate of a step: a rise, a plateau, a straight fall to zero at the end.

    The plateau makes the planned length a late decision: a run can be resumed with other `steps`
    or `minutes` until its fall begins (Hägele et al., 2024).

    Parameters
    ----------
    step : int
    spent : float
        Share of the steps, or of the time, that is behind.
    settings : Train
    """
    rise = (step + 1) / max(1, settings.warmup_steps)
    fall = (1 - spent) / settings.decay_share if settings.decay_share else 1.0
    return settings.learning_rate * max(0.0, min(1.0, rise, fall))


class Trainer:
    """A system, its optimiser and where it writes; remembers how far it has come.

    Parameters
    ----------
    fabric : Fabric
        The devices; each has a trainer of its own, all take the same steps.
    recipe : Recipe
        What to train.
    out : Path
        Run folder; only the first device writes.
    """

    def __init__(self, fabric: Fabric, recipe: Recipe, out: Path) -> None:
        self.fabric, self.recipe, self.out = fabric, recipe, out
        self.settings, self.step, self.clock = recipe.train, 0, Clock()
        self.spent = 0.0
        #: The best validation so far, None before the first, and how many came after it.
        self.best: float | None = None
        self.worse = 0
        self.weights = losses.parse(recipe.loss.kind)
        self.losses = losses.losses(recipe.loss.stft)
        self.assign = Assignment(recipe.loss.assignment, self._sum)
        self.needs_masks = bool(self.weights.keys() & losses.MASK_LOSSES)
        torch.manual_seed(self.settings.seed)
        self.bare: Any = with_shared_statistics(recipe.system(), fabric)
        optimizer = torch.optim.AdamW(
            self.bare.parameters(),
            self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )
        self.system: Any
        self.system, self.optimizer = fabric.setup(self.bare, optimizer)
        self.system.mark_forward_method("masked")
        self.mean: dict[str, Tensor] = _copy(self.bare.net)

    @property
    def is_over(self) -> bool:
        """Whether all is spent, or the last validations brought nothing better."""
        return 0 < self.settings.patience <= self.worse or self.spent >= 1

    def _spend(self) -> None:
        """Find out which share of the steps or of the time is behind; all devices agree."""
        self.spent = self.step / self.settings.steps
        if self.settings.minutes:
            share = torch.tensor(self.clock.seconds / (60 * self.settings.minutes))
            copy_from_first({"share": share.to(self.fabric.device)}, self.fabric)
            self.spent = share.item()

    def fit(self, train_set: Examples, valid_set: Examples) -> None:
        """Train until it is over; validate and write a checkpoint now and then.

        Raises
        ------
        ModelError
            If the loss or the weights become NaN.
        """
        settings, is_first = self.settings, self.fabric.is_global_zero
        # processes start now, before there are threads
        stream = batches(train_set, settings, self.fabric, step=self.step)
        records = Records(self.out, settings.log, step=self.step) if is_first else None
        self._spend()
        with Bar(settings, self.step, self.spent, shown=is_first) as bar:
            while not self.is_over:
                since = time.monotonic()
                batch = next(stream)
                self.clock.wait(since)
                values = self._train(batch)
                self.step += 1
                self._spend()
                if self.step % settings.log_every == 0:
                    line = self._mean_over_devices(values) | self.clock.lap()
                    loss, share = line["loss"], line["data_share"]
                    bar.update(self.step, self.spent, loss=loss, share=share)
                    if records:
                        records.add(self.step, line)
                if self.step % settings.valid_every == 0 or self.spent >= 1:
                    scores = self._validate(valid_set)
                    if records:
                        records.add(self.step, {"valid": scores})
                    self._save(scores)
        if records:
            records.close()

    def warm_start(self) -> None:
        """Take over the weights of the run that the recipe begins with.

        Raises
        ------
        ModelError
            If there is no such run, or no weight of it fits.
        """
        path = Path(self.settings.warm_start) / BEST
        mine = self.bare.net.state_dict()
        theirs = checkpoint.select(checkpoint.load(path)[0], "mean")
        same = {k: v for k, v in theirs.items() if k in mine and v.shape == mine[k].shape}
        if not same:
            raise ModelError(f"{path}: no weight has the name and shape of one of this network")
        self.bare.net.load_state_dict(same, strict=False)
        self.mean = _copy(self.bare.net)

    def restore(self) -> None:
        """Go back to where the last checkpoint was written.

        Raises
        ------
        ModelError
            If there is none, or it cannot be read.
        """
        tensors, header = checkpoint.load(self.out / LAST, device=str(self.fabric.device))
        self.bare.net.load_state_dict(checkpoint.select(tensors, "net"))
        self.mean = checkpoint.select(tensors, "mean")
        state = self.optimizer.state_dict()
        state["state"] = {}
        for name, tensor in checkpoint.select(tensors, "optimizer").items():
            index, _, key = name.partition(".")
            state["state"].setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict(state)
        self.step, self.best = header["step"], header["best"]
        self.worse = header.get("worse", 0)
        self.clock = Clock(
            seconds=header.get("seconds", 0.0), waited=header.get("data_seconds", 0.0)
        )

    def result(self) -> dict[str, Any]:
        """Return how far the run has come, how long it took and what it waited for data."""
        seconds, waited = self.clock.seconds, self.clock.waited
        return {
            "steps": self.step,
            "examples": self.step * self.settings.batch,
            "stopped_early": self.spent < 1,
            "seconds": round(seconds, 3),
            "steps_per_second": round(self.step / seconds, 4),
            "data_share": round(waited / seconds, 4),
            "best": self.best,
            **self._lost(),
        }

    def _lost(self) -> dict[str, float]:
        """Return what a learned front-end gives back of a mixture that nothing masks."""
        host = self.recipe.frontend.host
        if isinstance(host, STFT):
            return {}
        front = copy.deepcopy(self.bare.net.front).cpu()
        front.load_state_dict(checkpoint.select(self.mean, "front"))
        return {"reconstruction_db": round(reconstruction_db(front, host), 2)}

    def _train(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Make one step of the optimiser; return what this device saw."""
        self._seed()
        self.system.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.spent, self.settings)
        batch = self.assign.examples(batch)
        estimates, masks = self._run(self.system, batch["mixture"])
        values = self._losses(estimates, batch, masks)
        means = {name: value.mean() for name, value in values.items()}
        self.optimizer.zero_grad()
        self.fabric.backward(means["loss"])
        norm: Any = self.fabric.clip_gradients(
            self.system,
            self.optimizer,
            max_norm=self.settings.max_grad_norm,
            error_if_nonfinite=False,  # asking at every step would make a GPU wait
        )
        self.optimizer.step()
        self._update_mean()
        return {"loss": means["loss"], "grad_norm": norm, **means}

    def _seed(self) -> None:
        """Draw what dropout draws from the seed, the step and the device, so a stop is no break."""
        words = (self.settings.seed, self.step, self.fabric.global_rank)
        (state,) = np.random.SeedSequence(words).generate_state(1, np.uint64)
        torch.manual_seed(int(state))

    def _run(self, system: Any, mixture: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the estimates of a mixture and, if a loss looks at them, the masks."""
        estimates, masks = system.masked(mixture) if self.needs_masks else (system(mixture), None)
        return estimates, masks

    def _losses(
        self, estimates: Tensor, batch: Mapping[str, Tensor], masks: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the loss of each example, (batch,), and what it is made of, at equal loudness.

        Sources that are known together are compared together; where their order is not given, the
        one that fits best counts.
        """
        mixture, targets, sums = batch["mixture"], batch["targets"], batch["sums"]
        level = mixture.square().mean((-2, -1), keepdim=True).sqrt()
        gain = 1 / torch.where(level > 0, level, torch.ones_like(level))
        mixture, gain = mixture * gain, gain.unsqueeze(1)
        arranged = self.assign(estimates * gain, targets * gain, mixture, sums)
        signals = arranged, targets * gain, mixture
        found = {name: self.losses[name](*signals) for name in self.weights if name in self.losses}
        if masks is not None:
            stft, family = self.recipe.frontend.host, self.recipe.family
            seen = losses.masked((masks, *signals[1:]), sums, stft=cast(STFT, stft), family=family)
            found |= {
                name: losses.MASK_LOSSES[name](seen) for name in self.weights.keys() - found.keys()
            }
        values = {name: losses.mean_of_known(found[name], sums) for name in self.weights}
        total = torch.stack([weight * values[name] for name, weight in self.weights.items()]).sum(0)
        return {"loss": total, **values}

    def _sum(self, estimate: Tensor, target: Tensor, mixture: Tensor) -> Tensor:
        """Return the weighted sum of the losses of waveforms."""
        terms = [w * self.losses[n](estimate, target, mixture) for n, w in self.weights.items()]
        return torch.stack(terms).sum(0)

    def _mean_over_devices(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Return numbers to record; refuse to go on from what is none."""
        row: Any = torch.stack([value.detach().float() for value in values.values()])
        row = self.fabric.all_reduce(row, reduce_op="mean")
        mean: list[float] = row.tolist()
        if not np.isfinite(mean).all():
            raise ModelError(
                f"step {self.step}: the loss is {mean[0]} and the norm of the gradients {mean[1]}; "
                "lower train.learning_rate or train.max_grad_norm, resume from the last checkpoint"
            )
        return dict(zip(values, mean, strict=True))

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
    def _validate(self, valid_set: Examples) -> dict[str, float]:
        """Return the scores of the mean weights, which become the best if there are none better."""
        copy_from_first(self.mean, self.fabric)
        trained = _copy(self.bare.net)
        self.bare.net.load_state_dict(self.mean)
        self.bare.eval()
        scores = validate(
            self._estimate,
            self._valid_loss,
            self.assign,
            valid_set,
            fabric=self.fabric,
            batch=self.settings.batch // self.fabric.world_size,
            stems=self.recipe.data.stems,
        )
        self.bare.net.load_state_dict(trained)
        self.worse += 1
        if self.best is None or self._rank(scores[self.settings.monitor]) > self._rank(self.best):
            self.best, self.worse = scores[self.settings.monitor], 0
        return scores

    def _estimate(self, mixture: Tensor) -> Tensor:
        """Return what this device makes of a mixture, without asking the others."""
        with self.fabric.autocast():
            estimates: Tensor = self.bare(mixture)
        return estimates.float()

    def _valid_loss(self, estimates: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of each example; masks that it looks at are made anew."""
        masks = None
        if self.needs_masks:
            with self.fabric.autocast():
                masks = self.bare.masked(batch["mixture"])[1]
        return self._losses(estimates, batch, masks)["loss"]

    def _rank(self, score: float) -> float:
        """Return a score so that more is better."""
        return -score if self.settings.monitor == "loss" else score

    def _save(self, scores: Mapping[str, float]) -> None:
        """Write the best weights, and everything that is needed to go on."""
        if not self.fabric.is_global_zero:
            return
        mean = {f"mean.{k}": v for k, v in self.mean.items()}
        if self.worse == 0:
            self._write(BEST, mean, scores)
        tensors = mean | {f"net.{k}": v for k, v in self.bare.net.state_dict().items()}
        for index, entry in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in entry.items()}
        self._write(LAST, tensors, scores)

    def _write(self, name: str, tensors: Mapping[str, Tensor], scores: Mapping[str, float]) -> None:
        header = {
            "step": self.step,
            "best": self.best,
            "worse": self.worse,
            "seconds": self.clock.seconds,
            "data_seconds": self.clock.waited,
            "recipe": self.recipe.to_dict(),
            "scores": dict(scores),
        }
        checkpoint.save(self.out / name, tensors, header)


def _copy(module: Any) -> dict[str, Tensor]:
    """Return the weights and statistics of a module, which no longer change with it."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
