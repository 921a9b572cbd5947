"""Training: one loop over seeded examples that can be stopped and taken up to the same numbers."""

from functools import partial
from pathlib import Path
from typing import Any

import unmask._training  # noqa: F401

# isort: split
from lightning_fabric import Fabric

from unmask.data.kind import Examples
from unmask.files import make_folder, write_text
from unmask.recipe import Recipe
from unmask.train.devices import is_first, is_one_of_many, launch
from unmask.train.loop import Trainer, learning_rate
from unmask.train.plan import BEST, LAST, Plan, device_facts, read_about, write_about
from unmask.train.records import RECORDS

__all__ = [
    "BEST",
    "LAST",
    "RECORDS",
    "Plan",
    "Trainer",
    "check",
    "is_first",
    "learning_rate",
    "read_about",
    "run",
]


def run(
    recipe: Recipe,
    out: Path,
    *,
    data_root: Path,
    cache: Path | None = None,
    resume: bool = False,
    accelerator: str = "cpu",
    devices: int = 1,
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
    devices : int
        How many of them; each takes its share of every batch, so that the examples of a step are
        those of one device. More than one are processes of their own. Left out under ``torchrun``,
        of whose processes each calls this.

    Raises
    ------
    ConfigError
        If `out` already holds a run and `resume` is false, there is nothing to resume, the
        recordings are not there, not allowed or others than before, or the machine has no such
        devices.
    AudioFileError, SampleRateError, ShapeError
        If recordings cannot be read, or the stems of a song are not aligned.
    ModelError
        If the checkpoint to resume from was made by another recipe, or the weights become NaN.
    """
    plan = Plan(
        recipe=recipe,
        out=out,
        data_root=data_root,
        cache=cache,
        resume=resume,
        accelerator=accelerator,
        devices=devices,
    )
    fabric = plan.open_devices()
    train_set, valid_set, facts = plan.data()
    about = plan.describe(valid_set, facts)
    if is_first():
        make_folder(out)
        write_text(out / "recipe.toml", recipe.to_toml())
    # Processes that are started here open the data themselves: memory maps would be copied.
    sets = (train_set, valid_set) if devices == 1 or is_one_of_many() else None
    launch(fabric, partial(_work, plan=plan, about=about, sets=sets))
    return out


def check(plan: Plan) -> dict[str, Any]:
    """Return what :func:`run` would write in ``run.json``.

    The recordings are decoded into the cache; nothing else is written.

    Raises
    ------
    ConfigError, ModelError, AudioFileError, SampleRateError, ShapeError
        If :func:`run` would refuse.
    """
    plan.open_devices()
    _, valid_set, facts = plan.data()
    return plan.describe(valid_set, facts)


def _work(
    fabric: Fabric, *, plan: Plan, about: dict[str, Any], sets: tuple[Examples, Examples] | None
) -> None:
    """Train on one of the devices."""
    train_set, valid_set = sets or plan.data()[:2]
    trainer = Trainer(fabric, plan.recipe, plan.out)
    if plan.resume:
        trainer.restore()
    elif plan.recipe.train.warm_start:
        trainer.warm_start()
    about = {**about, "device": device_facts(fabric.device, fabric.world_size)}
    if fabric.is_global_zero:
        write_about(plan.out, about)
    trainer.fit(train_set, valid_set)
    if fabric.is_global_zero:
        write_about(plan.out, {**about, "result": trainer.result()})
