"""How good the weights are on what they were not trained on: scores of each stem and of all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader

from unmask.data import Examples
from unmask.errors import ConfigError, ModelError
from unmask.losses import combine
from unmask.metrics import si_sdr
from unmask.train.devices import gather

#: A target this far below the mixture is silent: an SI-SDR says nothing there.
SILENT_DB = -60.0
#: An SI-SDR counts as at most this far from 0 dB. It is infinite where a target plays alone, or an
#: estimate is silent; one such excerpt must not decide a mean.
LIMIT_DB = 30.0
#: Name of the scores of several stems that are known together.
SUMS = "sums"


def is_active(targets: Tensor, mixture: Tensor) -> Tensor:
    """Return which targets play, bool of shape (batch, source).

    Parameters
    ----------
    targets : Tensor [shape=(batch, source, channel, sample)]
    mixture : Tensor [shape=(batch, channel, sample)]
    """
    energy = mixture.square().sum((-2, -1))[:, None]
    return targets.square().sum((-2, -1)) > 10 ** (SILENT_DB / 10) * energy


def count_active(valid_set: Examples, stems: Sequence[str]) -> dict[str, int]:
    """Return in how many examples of `valid_set` every stem plays and is known on its own.

    Under :data:`SUMS` stands how many stems that are known only together play, if there are any.

    Raises
    ------
    ConfigError
        If one never does: its score would be the mean of nothing.
    """
    counts, n_together = torch.zeros(len(stems), dtype=torch.int64), 0
    for batch in _load(valid_set):
        n_stems, plays = batch["sums"].sum(-1), is_active(batch["targets"], batch["mixture"])
        counts += ((n_stems == 1) & plays)[0]
        n_together += int(((n_stems > 1) & plays).sum())
    active = dict(zip(stems, counts.tolist(), strict=True))
    if silent := [stem for stem, count in active.items() if not count]:
        raise ConfigError(
            f"data: {silent} are silent, or known only together with other stems, in all "
            f"{len(valid_set)} validation examples; validate with recordings in which they play "
            "and have a file of their own"
        )
    return active | ({SUMS: n_together} if n_together else {})


def validate(
    estimate: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor, Mapping[str, Tensor]], Tensor],
    valid_set: Examples,
    *,
    fabric: Fabric,
    batch: int,
    stems: Sequence[str],
) -> dict[str, float]:
    """Return the scores of an estimator; every device does its share, all learn the result.

    Parameters
    ----------
    estimate : callable
        Mixture (batch, channel, sample) -> estimates (batch, source, channel, sample).
    loss : callable
        ``(estimates, batch of examples)`` -> what is trained, (batch,).
    valid_set : Examples
        What is scored.
    fabric : Fabric
        The devices.
    batch : int
        Examples at a time, on one device.
    stems : sequence of str
        Names of the sources.

    Returns
    -------
    dict
        ``loss``, the mean over examples; ``si_sdr_db`` and ``si_sdr_improvement_db`` (over the
        mixture), means over stems of the means over the examples in which they play, and for
        several stems each as ``STEM/si_sdr_db``, …; ``median_improvement_db`` over all of these
        pairs; ``silent``, the number of silent targets, which do not count in those. The sums of
        stems that are known only together count as one stem more, ``sums/si_sdr_db``, ….

    Raises
    ------
    ModelError
        If the loss is not finite.
    """
    table = _gather([*_rows(estimate, loss, valid_set, fabric, batch)], fabric, len(valid_set))
    value, (after, before, n_stems) = table[:, 0].mean(), table[:, 1:].chunk(3, dim=1)
    if not value.isfinite():
        raise ModelError(
            f"validation: the loss is {value}, the weights are lost; lower train.learning_rate or "
            "train.max_grad_norm and resume from the last checkpoint"
        )
    gain = after - before
    plays = ~gain.isnan()
    columns = torch.eye(len(stems), dtype=torch.bool)
    counted = {
        stem: plays & (n_stems == 1) & column for stem, column in zip(stems, columns, strict=True)
    }
    if (together := plays & (n_stems > 1)).any():
        counted[SUMS] = together
    scores = {
        "loss": value,
        "si_sdr_db": _mean_over(counted, after),
        "si_sdr_improvement_db": _mean_over(counted, gain),
        "median_improvement_db": gain[plays].median(),
        "silent": ((n_stems > 0) & ~plays).sum(),
    }
    if len(stems) > 1:
        for name, where in counted.items():
            scores[f"{name}/si_sdr_db"] = after[where].mean()
            scores[f"{name}/si_sdr_improvement_db"] = gain[where].mean()
    return {name: score.item() for name, score in scores.items()}


def _mean_over(counted: Mapping[str, Tensor], scores: Tensor) -> Tensor:
    """Return the mean over stems of their means over examples."""
    return torch.stack([scores[where].mean() for where in counted.values()]).mean()


def _rows(
    estimate: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor, Mapping[str, Tensor]], Tensor],
    valid_set: Examples,
    fabric: Fabric,
    batch: int,
) -> Iterator[Tensor]:
    """Yield (batch, 1 + 3 * source): loss, SI-SDR of estimate and of mixture, number of stems.

    An SI-SDR is NaN where the target is silent. This device takes every n-th example, n being the
    number of devices.
    """
    mine = range(fabric.global_rank, len(valid_set), fabric.world_size)
    for example in _load(valid_set, batch_size=batch, sampler=mine):
        moved = fabric.to_device(example)
        mixture, targets, sums = moved["mixture"], moved["targets"], moved["sums"]
        estimates = estimate(mixture)
        active = is_active(targets, mixture)
        scores = [
            torch.where(active, si_sdr(signal, targets).clamp(-LIMIT_DB, LIMIT_DB), torch.nan)
            for signal in (
                combine(sums, estimates),
                mixture.unsqueeze(1).expand_as(targets).contiguous(),
            )
        ]
        yield torch.cat([loss(estimates, moved)[:, None], *scores, sums.sum(-1)], dim=1)


def _load(examples: Examples, **settings: Any) -> "DataLoader[Any]":
    """Return batches of examples; the generator of the network is left alone."""
    return DataLoader(cast(Any, examples), generator=torch.Generator(), **settings)


def _gather(rows: list[Tensor], fabric: Fabric, n_examples: int) -> Tensor:
    """Return the rows of all devices, in the order of the examples, on the CPU."""
    n_most = -(-n_examples // fabric.world_size)
    mine = torch.cat(rows)
    padding = mine.new_full((n_most - len(mine), mine.shape[1]), torch.nan)
    table = gather(torch.cat([mine, padding]), fabric)  # (device, example, column)
    return table.transpose(0, 1).flatten(0, 1)[:n_examples].cpu()
