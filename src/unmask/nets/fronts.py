"""The part of a front-end that lies in the network: what it sees, and what it puts out.

A front shows a backbone ``(batch, map, frame, bin)`` of what the host gives, and makes what the
host takes of the masks. The host's part is :mod:`unmask.frontends`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unmask.frontends import STFT
from unmask.masks.family import Family
from unmask.nets.blocks import features, reshape
from unmask.nets.contract import Front, FrontSettings, Seen
from unmask.nets.learned_fronts import AnalyticConfig, LearnedConfig


@dataclass(frozen=True, kw_only=True)
class SpectrumConfig:
    """Settings of :class:`Spectrum`."""

    n_fft: int = 512
    hop: int = 256
    window: str = "sqrt_hann"
    input: str = "compressed"
    """What the network sees of the spectrum, see :func:`unmask.nets.blocks.features`."""
    power: float = 0.3
    """Compression of the input ``compressed``."""

    def host(self) -> STFT:
        """Return the front-end of the host."""
        return STFT(n_fft=self.n_fft, hop=self.hop, window=self.window)

    def front(self, *, n_channels: int) -> Front:
        """Return the network's part of it."""
        return Spectrum(self, n_channels=n_channels)


class Spectrum(nn.Module):
    """The host transforms and masks: spectrum in, activated masks out.

    The backbone does not see the Nyquist bin, which shares the mask of its neighbour.

    Parameters
    ----------
    config : SpectrumConfig
    n_channels : int
        Channels that are seen at once.
    """

    repeat_last = True

    def __init__(self, config: SpectrumConfig, *, n_channels: int) -> None:
        super().__init__()
        self.n_channels, self.n_freq = n_channels, config.host().n_freq
        self.features = features(config.input, power=config.power)
        self.seen = Seen(
            n_maps=self.features.n_maps * n_channels,
            n_bins=self.n_freq - 1,
            n_phaseless=self.features.n_phaseless * n_channels,
        )

    def check(self, family: Family, *, lookahead: int) -> None:
        """Accept every mask family."""

    def example(self, batch: int, n_frames: int) -> Tensor:
        """Return silence, as the host gives it."""
        return torch.zeros(batch, 2, self.n_channels, self.n_freq, n_frames)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return what the backbone sees of a spectrum (batch, part, channel, freq, frame)."""
        x = self.features(spectrum[..., :-1, :].transpose(-1, -2))
        return reshape(x, 0, self.seen.n_maps, -1, self.seen.n_bins)

    def finish(self, masks: Tensor, seen: Tensor) -> Tensor:
        """Return masks (batch, source, part, channel, freq, frame) as they are."""
        return masks


#: kind -> settings, which make a front. A new front-end is two classes here, and one of the host if
#: that must do something new.
FRONTS: dict[str, type[FrontSettings]] = {
    "stft": SpectrumConfig,
    "learned": LearnedConfig,
    "analytic": AnalyticConfig,
}
