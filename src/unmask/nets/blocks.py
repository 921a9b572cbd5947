"""Layers that networks share: features of a spectrum, convolutions, shapes that export well.

Axes are ``(batch, map, frame, bin)``; those of a spectrum ``(batch, part, channel, frame, bin)``.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError

#: What a network can see of a spectrum, see :func:`features`.
INPUTS = ("magnitude", "complex", "compressed")


class Features(Protocol):
    """What a network sees of a spectrum (batch, 2, ...): maps (batch, map, ...)."""

    n_maps: int
    n_phaseless: int
    """Of the maps, the last ones, which hold magnitudes."""

    def __call__(self, spectrum: Tensor) -> Tensor:
        """Return the maps."""


def features(kind: str, *, power: float) -> Features:
    """Return the layer that turns a spectrum (batch, 2, ...) into what a network sees.

    Parameters
    ----------
    kind : str
        ``magnitude`` (one map), ``complex`` (real and imaginary part) or ``compressed`` (those
        and the magnitude, by a power law, see :class:`CompressedFeatures`).
    power : float in (0, 1]
        Of the power law.

    Returns
    -------
    Features
        A module.

    Raises
    ------
    ConfigError
        If there is no such kind, or the power is no compression.
    """
    if kind not in INPUTS:
        raise ConfigError(f"frontend: no input {kind!r}; there are {list(INPUTS)}")
    if not 0 < power <= 1:
        raise ConfigError(f"frontend: power = {power}, expected above 0 and at most 1")
    if kind == "compressed":
        return CompressedFeatures(power=power)
    return Magnitude() if kind == "magnitude" else Parts()


class Magnitude(nn.Module):
    """The magnitude of a spectrum."""

    n_maps = n_phaseless = 1

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return the (batch, 1, ...) magnitude of a (batch, 2, ...) spectrum."""
        return spectrum.square().sum(1, keepdim=True).sqrt()


class Parts(nn.Module):
    """Real and imaginary part of a spectrum, as they are."""

    n_maps, n_phaseless = 2, 0

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return the (batch, 2, ...) spectrum itself."""
        return spectrum


class CompressedFeatures(nn.Module):
    """Real part, imaginary part and magnitude of a spectrum, compressed by a power law.

    ``X * max(|X|, floor)**(power - 1)``: the ear's loudness law, so that one network serves levels
    60 dB apart. Below `floor` the law is linear, which keeps silence at zero.

    Parameters
    ----------
    power : float in (0, 1]
        Exponent of the magnitude; 1 leaves the spectrum as it is. 1/4 costs a third of the others:
        two square roots.
    floor : float > 0
        Magnitude where compression ends. A full-scale sine is 1, so 1e-5 is -100 dBFS.
    """

    n_maps, n_phaseless = 3, 1

    def __init__(self, *, power: float, floor: float = 1e-5) -> None:
        super().__init__()
        self.power, self.floor = power, floor

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return (batch, 3, ...) features of a (batch, 2, ...) spectrum."""
        mag: Tensor = torch.linalg.vector_norm(spectrum, dim=1, keepdim=True)
        loud = mag.clamp_min(self.floor)
        is_root = self.power == 0.25
        gain = loud.sqrt().sqrt() / loud if is_root else loud ** (self.power - 1)
        return torch.cat([spectrum, mag], dim=1) * gain


def convolution(n_in: int, n_out: int, kernel: tuple[int, int], stride: int = 1) -> nn.Module:
    """Return a convolution over (frame, band), normalised and rectified."""
    padding = (kernel[1] - stride + 1) // 2
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel, stride=(1, stride), padding=(0, padding), bias=False),
        nn.BatchNorm2d(n_out),
        nn.LeakyReLU(0.2),
    )


def spread(n_in: int, n_out: int, *, width: int) -> nn.Module:
    """Return the layer from bands to their `width` bins each, neighbours overlapping by half."""
    return nn.ConvTranspose2d(
        n_in, n_out, (1, 2 * width), stride=(1, width), padding=(0, width // 2)
    )


def whole_frame(n_in: int, n_out: int, *, n_bins: int) -> nn.Module:
    """Return the layer from features of a whole frame, at one place, to all `n_bins`."""
    layer = nn.Conv2d(n_in, n_out * n_bins, 1)
    return nn.Sequential(layer, Interleave(n_bins, n_maps=n_out, n_bins=n_bins))


class Interleave(nn.Module):
    """Turn `n` times as many maps into `n` times as many bins (sub-pixel upsampling).

    Parameters
    ----------
    n : int
    n_maps, n_bins : int
        Of what comes out.
    """

    def __init__(self, n: int, *, n_maps: int, n_bins: int) -> None:
        super().__init__()
        self.n, self.n_maps, self.n_bins = n, n_maps, n_bins

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, n_maps, frame, n_bins) of (batch, n * n_maps, frame, n_bins / n)."""
        x = reshape(x, 0, self.n_maps, self.n, -1, self.n_bins // self.n).permute(0, 1, 3, 4, 2)
        return reshape(x, 0, 0, -1, self.n_bins)


def reshape(x: Tensor, *shape: int) -> Tensor:
    """Return `x` in another shape, where 0 keeps an axis at its place and -1 takes what is left.

    An exporter writes one node for this, if there is a -1; for sizes read from `x` it would write
    ten.
    """
    if torch.onnx.is_in_onnx_export():
        reshaped: Tensor = _Reshape.apply(x, *shape)  # type: ignore[no-untyped-call]
        return reshaped
    return x.reshape([n or x.shape[axis] for axis, n in enumerate(shape)])


class _Reshape(torch.autograd.Function):
    """What :func:`reshape` is in an ONNX file."""

    @staticmethod
    def forward(ctx: object, x: Tensor, *shape: int) -> Tensor:
        return x.reshape([n or x.shape[axis] for axis, n in enumerate(shape)])

    @staticmethod
    def symbolic(graph: Any, x: Any, *shape: int) -> Any:
        return graph.op("Reshape", x, graph.op("Constant", value_t=torch.tensor(shape)))
