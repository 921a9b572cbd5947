"""One device or several: Lightning Fabric, and processes that end with the run."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import nn

from unmask.errors import ConfigError, UnmaskError


def open_devices(accelerator: str, devices: int, precision: Any, *, batch: int) -> Fabric:
    """Return the devices to train on, and how numbers are kept there.

    Several devices are processes, each with a copy of the network and its share of every batch,
    whose gradients are averaged (distributed data parallel). They are started here, on this
    machine; or by ``torchrun``, on one or more, which then says how many there are.

    Raises
    ------
    ConfigError
        If the machine does not have them, or a batch cannot be shared out evenly.
    """
    shares = n_shares(devices)
    if devices < 1 or batch % shares:
        raise ConfigError(
            f"train: a batch of {batch} cannot be shared by {shares} devices; change train.batch "
            "or the number of devices"
        )
    # A parent that only watches its processes ends them all, whichever of them fails.
    how: dict[str, Any] = {"devices": devices, "strategy": "auto" if shares == 1 else "ddp_spawn"}
    if is_one_of_many():
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        if devices not in (1, here):
            raise ConfigError(f"devices: {devices}, torchrun has started {here}; leave it out")
        how = {"devices": here, "num_nodes": shares // here, "strategy": "ddp"}
    try:
        return Fabric(accelerator=accelerator, precision=precision, **how)
    except (RuntimeError, ValueError) as error:  # what Lightning raises for unknown or absent ones
        count = f"{devices} device{'s' * (devices > 1)}"
        subject = f"accelerator {accelerator!r}, {count}, precision {precision!r}"
        raise ConfigError(f"{subject}: {' '.join(str(error).split())}") from None


def is_one_of_many() -> bool:
    """Tell whether this process is one of those that ``torchrun`` has started."""
    return TorchElasticEnvironment.detect()


def is_first() -> bool:
    """Tell whether this process writes what is written before training."""
    return not is_one_of_many() or os.environ["RANK"] == "0"


def n_shares(devices: int) -> int:
    """Return how many processes share a batch, if `devices` is asked for."""
    return int(os.environ["WORLD_SIZE"]) if is_one_of_many() else devices


def launch(fabric: Fabric, work: Callable[[Fabric], None]) -> None:
    """Call ``work(fabric)`` on every device and wait for all of them.

    Where there are several devices, `work` must be picklable. An :class:`UnmaskError` of the work
    is raised here as it is; after any other error, or Ctrl-C, no process is left.

    Raises
    ------
    UnmaskError
        Of the work.
    """
    report: Any = _report
    with _children_that_end():
        error = fabric.launch(report, work)
    if error is not None:
        raise error


def _report(fabric: Fabric, work: Callable[[Fabric], None]) -> UnmaskError | None:
    """Do the work; return what went wrong, since processes hand back values only."""
    if fabric.world_size > 1:
        # torch has it sent to a process whose parent is killed; `nohup` and the like ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        work(fabric)
    except UnmaskError as error:
        return error
    return None


@contextlib.contextmanager
def _children_that_end() -> Iterator[None]:
    """End the processes that were started inside and still run, as they do after Ctrl-C."""
    before = set(multiprocessing.active_children())
    try:
        yield
    finally:
        left = set(multiprocessing.active_children()) - before
        for process in left:
            process.terminate()
        for process in left:
            process.join()


def with_shared_statistics(module: nn.Module, fabric: Fabric) -> nn.Module:
    """Return `module` with batch statistics over all devices, where torch can (not on CPUs)."""
    if fabric.world_size == 1 or fabric.device.type == "cpu":
        return module
    convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm
    shared: nn.Module = convert(module)
    return shared


def gather(tensor: torch.Tensor, fabric: Fabric) -> torch.Tensor:
    """Return what all devices have, (device, ...); shapes must agree."""
    if fabric.world_size == 1:
        return tensor[None]
    tensors = [torch.empty_like(tensor) for _ in range(fabric.world_size)]
    torch.distributed.all_gather(tensors, tensor)
    return torch.stack(tensors)


def copy_from_first(tensors: dict[str, torch.Tensor], fabric: Fabric) -> None:
    """Make `tensors` those of the first device, in place."""
    if fabric.world_size > 1:
        for tensor in tensors.values():
            torch.distributed.broadcast(tensor, 0)
