"""Normalisation over time: over a recording, or over what was heard of it so far."""

import torch
from torch import Tensor, nn

#: Variance that silence counts as.
FLOOR = 1e-8


def global_norm(n_maps: int) -> nn.Module:
    """Return global layer normalisation: over all maps and frames of a recording, gains a map.

    Luo and Mesgarani (2019), equation 9: `gLN`. It hears the whole recording.
    """
    return nn.GroupNorm(1, n_maps, eps=FLOOR)


class CumulativeNorm(nn.Module):
    """Cumulative layer normalisation: over all maps and the frames so far.

    Luo and Mesgarani (2019), equation 10: `cLN`.

    Parameters
    ----------
    n_maps : int
        Maps of the input.
    """

    def __init__(self, n_maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_maps, 1))
        self.bias = nn.Parameter(torch.zeros(n_maps, 1))

    def macs(self, x: Tensor, output: Tensor) -> int:
        """Return 0: normalisation is not counted."""
        return 0

    def forward(self, x: Tensor, sums: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return the normalised `x`, and the sums after its last frame.

        Parameters
        ----------
        x : Tensor [shape=(batch, map, frame)]
        sums : Tensor [shape=(batch, 2, 1)]
            Of the means and mean squares of all frames before.
        count : Tensor [shape=(batch, 1, frame)]
            Frames so far, each of `x` included.
        """
        steps = torch.cat([x.mean(1, keepdim=True), x.square().mean(1, keepdim=True)], dim=1)
        sums = sums + torch.cumsum(steps, dim=2)
        mean, power = torch.split(sums / count, 1, dim=1)
        variance = (power - mean.square()).clamp_min(0)
        x = (x - mean) * (variance + FLOOR).rsqrt() * self.weight + self.bias
        return x, sums[:, :, -1:]


def to_segments(x: Tensor, n_frames: int) -> Tensor:
    """Return (batch and segment, map and bin, `n_frames`) of (batch, map, frame, bin).

    Frames are a multiple of `n_frames`.
    """
    n_values = x.shape[1] * x.shape[3]
    return x.permute(0, 2, 1, 3).reshape(-1, n_frames, n_values).transpose(1, 2)


def of_segments(x: Tensor, batch: int) -> Tensor:
    """Return features (batch, map, frame, 1) of those of segments (batch and segment, map, frame).

    `batch` is a size that a tracer may know as a value of the graph.
    """
    x = x.transpose(1, 2).reshape(batch, -1, x.shape[1])
    return x.transpose(1, 2).unsqueeze(-1)
