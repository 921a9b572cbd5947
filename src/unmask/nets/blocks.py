"""Layers that networks share: features from a spectrum, convolutions that remember the past.

Axes everywhere: ``(batch, map, freq, frame)``. A layer with memory takes what it saw last and
returns what it must see next, so that a recording cut anywhere in time gives the same numbers.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError

#: What a network can see of a spectrum, see :func:`features`.
INPUTS = ("magnitude", "complex", "compressed")


def features(kind: str, *, power: float) -> Any:
    """Return the layer that turns a spectrum (batch, 2, freq, frame) into what a network sees.

    Parameters
    ----------
    kind : str
        ``magnitude`` (one map), ``complex`` (real and imaginary part) or ``compressed`` (those
        and the magnitude, by a power law, see :class:`CompressedFeatures`).
    power : float in (0, 1]
        Of the power law.

    Returns
    -------
    Module
        Its `n_maps` says how many maps it puts out.

    Raises
    ------
    ConfigError
        If there is no such kind, or the power is no compression.
    """
    if kind not in INPUTS:
        raise ConfigError(f"backbone: no input {kind!r}; there are {list(INPUTS)}")
    if not 0 < power <= 1:
        raise ConfigError(f"backbone: power = {power}, expected above 0 and at most 1")
    if kind == "compressed":
        return CompressedFeatures(power=power)
    return Magnitude() if kind == "magnitude" else Parts()


class Magnitude(nn.Module):
    """The magnitude of a spectrum."""

    n_maps = 1

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return the (batch, 1, freq, frame) magnitude of a (batch, 2, freq, frame) spectrum."""
        return spectrum.square().sum(1, keepdim=True).sqrt()


class Parts(nn.Module):
    """Real and imaginary part of a spectrum, as they are."""

    n_maps = 2

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return the (batch, 2, freq, frame) spectrum itself."""
        return spectrum


class CompressedFeatures(nn.Module):
    """Real part, imaginary part and magnitude of a spectrum, compressed by a power law.

    ``X * max(|X|, floor)**(power - 1)``: the ear's loudness law, so that one network serves levels
    60 dB apart. Below `floor` the law is linear, which keeps silence at zero.

    Parameters
    ----------
    power : float in (0, 1]
        Exponent of the magnitude; 1 leaves the spectrum as it is.
    floor : float > 0
        Magnitude where compression ends. A full-scale sine is 1, so 1e-5 is -100 dBFS.
    """

    n_maps = 3

    def __init__(self, *, power: float, floor: float = 1e-5) -> None:
        super().__init__()
        self.power, self.floor = power, floor

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return (batch, 3, freq, frame) features of a (batch, 2, freq, frame) spectrum."""
        mag = spectrum.square().sum(1, keepdim=True).sqrt()
        gain = mag.clamp_min(self.floor) ** (self.power - 1)
        return torch.cat([spectrum, mag], dim=1) * gain


class CausalConv(nn.Module):
    """Convolution over frequency and past frames, batch normalisation, leaky rectifier.

    Parameters
    ----------
    n_in, n_out : int
        Maps in and out.
    bins, frames : int
        Size of the kernel; it sees the present frame and ``frames - 1`` past ones.
    stride : int
        Step over frequency. ``bins - stride`` must be even: then ``freq / stride`` bins come out.
    """

    def __init__(self, n_in: int, n_out: int, *, bins: int, frames: int, stride: int = 1) -> None:
        super().__init__()
        self.n_past = frames - 1
        padding = ((bins - stride + 1) // 2, 0)
        self.conv = nn.Conv2d(
            n_in, n_out, (bins, frames), stride=(stride, 1), padding=padding, bias=False
        )
        self.norm = nn.BatchNorm2d(n_out)
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the output, with as many frames as `x`, and the `past` of the next call.

        `past` is (batch, n_in, freq, frames - 1); None where the kernel sees one frame.
        """
        if past is not None:
            x = torch.cat([past, x], dim=-1)
        y: Tensor = self.activation(self.norm(self.conv(x)))
        return y, x[..., x.shape[-1] - self.n_past :]


def interleave(x: Tensor, n: int) -> Tensor:
    """Turn ``n`` times as many maps into ``n`` times as many bins (sub-pixel upsampling)."""
    batch, n_maps, n_freq, n_frames = x.shape
    x = x.reshape(batch, n_maps // n, n, n_freq, n_frames).transpose(2, 3)
    return x.reshape(batch, n_maps // n, n_freq * n, n_frames)
