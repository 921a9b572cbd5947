"""The part of a front-end that lies in the network: what it sees, and what it puts out.

A front shows a backbone ``(batch, map, frame, bin)`` of what the host gives, and makes what the
host takes of the masks. The host's part is :mod:`unmask.frontends`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.frontends import STFT, Frames
from unmask.masks.family import Family
from unmask.nets.blocks import features, reshape
from unmask.nets.contract import Front, FrontSettings, Seen


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


@dataclass(frozen=True, kw_only=True)
class LearnedConfig:
    """Settings of :class:`Learned`."""

    length: int = 16
    """Samples of a frame, the kernel of the encoder."""
    hop: int = 8
    """Samples between frames, its stride."""
    filters: int = 256

    def __post_init__(self) -> None:
        if self.filters < 1:
            raise ConfigError(f"frontend: filters = {self.filters}, expected 1 or more")

    def host(self) -> Frames:
        """Return the front-end of the host."""
        return Frames(length=self.length, hop=self.hop)

    def front(self, *, n_channels: int) -> Front:
        """Return the network's part of it."""
        return Learned(self, n_channels=n_channels)


class Learned(nn.Module):
    """Encoder and decoder are learned: frames of samples in, frames of every source out.

    Real masks on ``relu(frame @ encoder)``; what comes out is ``(mask * encoded) @ decoder`` (Luo
    and Mesgarani, 2019).

    Parameters
    ----------
    config : LearnedConfig
    n_channels : int
        Channels that are seen at once; each is encoded by itself.
    """

    repeat_last = False

    def __init__(self, config: LearnedConfig, *, n_channels: int) -> None:
        super().__init__()
        config.host()  # refuses what cannot be framed
        self.n_channels, self.length = n_channels, config.length
        self.encoder = nn.Linear(config.length, config.filters, bias=False)
        self.decoder = nn.Linear(config.filters, config.length, bias=False)
        self.seen = Seen(n_maps=n_channels, n_bins=config.filters, n_phaseless=n_channels)

    def check(self, family: Family, *, lookahead: int) -> None:
        """Refuse masks that need a spectrum, and those that come late.

        Raises
        ------
        ConfigError
            If masks are complex, have several components, differ by frequency or are late.
        """
        if family.n_parts > 1 or "hybrid:" in family.name:
            raise ConfigError(
                f"head: {family.name} masks are of a spectrum, a learned front-end has none; take "
                "a real family, as irm1 or softmax"
            )
        if lookahead:
            raise ConfigError(
                f"backbone: masks come {lookahead} frames late, a learned front-end keeps no "
                "frames to wait for them; set lookahead to 0"
            )

    def example(self, batch: int, n_frames: int) -> Tensor:
        """Return silence, as the host gives it."""
        return torch.zeros(batch, self.n_channels, self.length, n_frames)

    def forward(self, frames: Tensor) -> Tensor:
        """Return what the backbone sees of frames (batch, channel, sample, frame)."""
        return torch.relu(self.encoder(frames.transpose(-1, -2)))

    def finish(self, masks: Tensor, seen: Tensor) -> Tensor:
        """Return the frames (batch, source, channel, sample, frame) of all sources."""
        masked = masks[:, :, 0].transpose(-1, -2) * seen.unsqueeze(1)
        frames: Tensor = self.decoder(masked).transpose(-1, -2)
        return frames


#: kind -> settings, which make a front. A new front-end is two classes here, and one of the host if
#: that must do something new.
FRONTS: dict[str, type[FrontSettings]] = {"stft": SpectrumConfig, "learned": LearnedConfig}
