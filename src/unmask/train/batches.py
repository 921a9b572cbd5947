"""Batches of examples, made of files by processes on the CPU, or on the device that trains.

Either way they are the same examples. A device holds the recordings in its memory, as 16-bit
samples; the CPU only draws what is random, and the sounds of a batch are made at once.
"""

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader

from unmask.data import Examples, Held, Recording
from unmask.errors import ConfigError
from unmask.recipe import Train

#: How processes that make examples begin. A device that was itself spawned would spawn them, with a
#: copy of what is memory-mapped.
_WORKERS = "fork" if sys.platform == "linux" else None

Batch = Mapping[str, Tensor]


def batches(examples: Examples, settings: Train, fabric: Fabric, *, step: int) -> Iterator[Batch]:
    """Return this device's share of the batches from `step` on, without end.

    Raises
    ------
    ConfigError
        If the device cannot hold the recordings.
    """
    share = settings.batch // fabric.world_size
    first = step * settings.batch + fabric.global_rank * share
    mine = (range(start, start + share) for start in itertools.count(first, settings.batch))
    if settings.examples == "loader":
        return map(fabric.to_device, _load(examples, mine, settings, fabric))
    drawn = _load(_Drawn(examples), mine, settings, fabric, collate=list)
    store = hold(examples.recordings, fabric.device)
    return (cast(Batch, examples.render(batch, store)) for batch in drawn)


def hold(recordings: Any, device: torch.device, dtype: torch.dtype = torch.float32) -> Held:
    """Return recordings, each once, in the memory of a device.

    Raises
    ------
    ConfigError
        If they do not fit.
    """
    once: list[Recording] = list(dict.fromkeys(recordings))
    n_samples = sum(one.n_samples for one in once)
    try:
        samples = torch.empty(n_samples, dtype=torch.int16, device=device)
    except RuntimeError as error:  # what torch raises when memory is short
        raise ConfigError(
            f'train: examples = "device", but the recordings need {2e-9 * n_samples:.1f} GB of '
            f'{device}, which has not that much left; take fewer, or examples = "loader"'
        ) from error
    end = 0
    for one in once:
        start, end = end, end + one.n_samples
        samples[start:end] = torch.from_numpy(one.read(0, one.n_samples))
    return Held(samples, once, dtype)


class _Drawn:
    """What is random in examples, by index."""

    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    def __getitem__(self, index: int) -> Any:
        return self.examples.draw(index)


def _load(
    what: Any,
    indices: Iterator[range],
    settings: Train,
    fabric: Fabric,
    *,
    collate: Callable[[Any], Any] | None = None,
) -> Iterator[Any]:
    """Return batches of entries, made by processes of their own if the recipe says so."""
    loader: DataLoader[Any] = DataLoader(
        what,
        batch_sampler=cast(Any, indices),  # torch asks for a class of its own
        collate_fn=collate,
        num_workers=settings.workers,
        multiprocessing_context=_WORKERS if settings.workers else None,
        pin_memory=collate is None and fabric.device.type == "cuda",
        generator=torch.Generator(),  # leaves the generator of the network alone
    )
    return iter(loader)
