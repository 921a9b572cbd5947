"""A causal convolutional-recurrent mask estimator that is fast on one CPU thread."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.blocks import Interleave, convolution, reshape, spread
from unmask.nets.contract import Region, Seen, State


@dataclass(frozen=True, kw_only=True)
class CRNConfig:
    """Settings of :class:`CRN`; what it sees comes from the front-end."""

    seen: Seen
    channels: tuple[int, ...] = (32, 64, 96)
    """Maps of each encoder layer."""
    patch: int = 4
    """Bins that the first layer merges; every later layer merges two."""
    hidden: int = 192
    """Width of the recurrent bottleneck."""
    layers: int = 2
    """Recurrent layers."""
    n_fine: int = 0
    """Bins, from 0 Hz up, that go through encoder and decoder; 0 means all. The others are
    merged into coarse bands, which only the bottleneck sees, and get the first map of every
    mask only: for a hybrid of a complex and a real family."""
    coarse_bands: int = 16
    coarse_channels: int = 16
    """Maps of a coarse band."""

    def __post_init__(self) -> None:
        unit = self.patch * 2 ** (len(self.channels) - 1)
        if not self.channels or self.patch < 1 or self.n_encoded % unit:
            raise ConfigError(
                f"backbone: {self.n_encoded} bins (n_fine, n_fft / 2 or filters) are no multiple "
                f"of patch * 2**(layers of channels - 1) = {unit}; change these"
            )
        sizes = (*self.channels, self.hidden, self.layers, self.coarse_bands, self.coarse_channels)
        if min(sizes) < 1:
            raise ConfigError(
                f"backbone: channels = {list(self.channels)}, hidden = {self.hidden}, layers = "
                f"{self.layers}, coarse_bands = {self.coarse_bands} and coarse_channels = "
                f"{self.coarse_channels}, expected >= 1"
            )
        if not 0 <= self.n_fine <= self.seen.n_bins or self.n_coarse % (2 * self.coarse_bands):
            raise ConfigError(
                f"backbone: the {self.n_coarse} bins above n_fine = {self.n_fine} are no even "
                f"number for each of {self.coarse_bands} coarse bands"
            )

    @property
    def n_encoded(self) -> int:
        """Bins that the encoder sees."""
        return self.n_fine or self.seen.n_bins

    @property
    def n_coarse(self) -> int:
        """Bins in coarse bands."""
        return self.seen.n_bins - self.n_encoded


class CRN(nn.Module):
    """Encoder over frequency, recurrent bottleneck over time, decoder with skip connections.

    After Tan and Wang (2018), with a patch embedding for the first layer, sub-pixel upsampling
    and one frame of memory in every encoder layer.

    The state is the last frame of the input of every encoder layer, then one tensor
    ``(batch, hidden)`` for every recurrent layer; it starts as zeros.
    """

    lookahead_frames = context_frames = 0
    unit_frames = 1

    def __init__(self, config: CRNConfig) -> None:
        super().__init__()
        self.config = config
        channels, pairs = config.channels, list(pairwise(config.channels))
        first = convolution(config.seen.n_maps, channels[0], (2, 2 * config.patch), config.patch)
        deeper = [convolution(n_in, n_out, (2, 4), 2) for n_in, n_out in pairs]
        self.encoder = nn.ModuleList([first, *deeper])
        #: Bins of the output of each encoder layer.
        self.n_bins = [config.n_encoded // (config.patch * 2**k) for k in range(len(channels))]
        n_flat = self.n_bins[-1] * channels[-1]
        self.down = nn.Linear(n_flat, config.hidden)
        self.recurrent = nn.ModuleList(
            nn.GRU(config.hidden, config.hidden) for _ in range(config.layers)
        )
        self.up = nn.Linear(config.hidden, n_flat)
        self.skips = nn.ModuleList(nn.Conv2d(n, n, 1) for n in reversed(channels))
        self.decoder = nn.ModuleList(
            nn.Sequential(
                convolution(n_out, 2 * n_in, (1, 3)), Interleave(2, n_maps=n_in, n_bins=n_bins)
            )
            for (n_in, n_out), n_bins in zip(pairs[::-1], self.n_bins[-2::-1], strict=True)
        )
        self.regions = [
            Region(
                n_features=channels[0],
                n_bins=config.n_encoded,
                n_places=self.n_bins[0],
                readout=self._readout,
            )
        ]
        self.coarse = CoarseBands(config) if config.n_coarse else None
        if self.coarse is not None:
            self.regions.append(self.coarse.region)

    def _readout(self, n_in: int, n_out: int) -> nn.Module:
        """Return the layer from patches to bins."""
        patch, n_bins = self.config.patch, self.config.n_encoded
        layer = nn.Conv2d(n_in, n_out * patch, (1, 3), padding=(0, 1))
        return nn.Sequential(layer, Interleave(patch, n_maps=n_out, n_bins=n_bins))

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame of `batch` recordings: zeros."""
        config = self.config
        shapes: list[tuple[int, ...]] = [(config.seen.n_maps, 1, config.seen.n_bins)]
        passed_on = zip(config.channels[:-1], self.n_bins[:-1], strict=True)
        shapes += [(n_maps, 1, n_bins) for n_maps, n_bins in passed_on]
        shapes += [(config.hidden,)] * config.layers
        return tuple(self.up.weight.new_zeros((batch, *shape)) for shape in shapes)

    def forward(self, x: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Return features of the fine and, if there are any, of the coarse bins, and the state.

        Parameters
        ----------
        x : Tensor [shape=(batch, map, frame, bin)]
            What it sees.
        state : tuple of Tensor
            What the previous call returned, or :meth:`initial_state`.
        """
        config, n_layers = self.config, len(self.encoder)
        x = torch.cat([state[0], x], dim=2)
        following = [x[:, :, -1:]]
        x, above = torch.split(x, [config.n_encoded, config.n_coarse], dim=3)
        skips = [self.encoder[0](x)]
        for layer, past in zip(self.encoder[1:], state[1:n_layers], strict=True):
            x = torch.cat([past, skips[-1]], dim=2)
            following.append(x[:, :, -1:])
            skips.append(layer(x))
        x = self.down(reshape(skips[-1].permute(2, 0, 1, 3), 0, 0, -1))  # (frame, batch, hidden)
        if self.coarse is not None:
            above = self.coarse.encode(above)
            x = x + self.coarse.tell(above)
        x = torch.relu(x)
        for recurrent, past in zip(self.recurrent, state[n_layers:], strict=True):
            x, past = recurrent(x, reshape(past, 1, -1, config.hidden))
            following.append(reshape(past, -1, config.hidden))
        features = [self._decode(x, skips)]
        if self.coarse is not None:
            features.append(self.coarse.decode(x, above))
        return features, tuple(following)

    def _decode(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Return the features (batch, map, frame, patch) of the bins that were encoded."""
        shape = (self.config.channels[-1], self.n_bins[-1])
        x = reshape(self.up(x), 0, -1, *shape).permute(1, 2, 0, 3)
        for layer, skip in zip(self.decoder, self.skips, strict=False):
            x = layer(x + skip(skips.pop()))
        last: Tensor = x + self.skips[-1](skips.pop())
        return last


class CoarseBands(nn.Module):
    """What a :class:`CRN` does above the bins that it encodes one by one.

    Parameters
    ----------
    config : CRNConfig
        Of the network.
    """

    def __init__(self, config: CRNConfig) -> None:
        super().__init__()
        self.shape = (config.coarse_channels, config.coarse_bands)
        n_maps, n_bands = self.shape
        width = config.n_coarse // n_bands
        self.first = convolution(config.seen.n_maps, n_maps, (2, 2 * width), width)
        self.down = nn.Linear(n_maps * n_bands, config.hidden, bias=False)
        nn.init.zeros_(self.down.weight)  # a bottleneck that begins trained stays what it is
        self.up = nn.Linear(config.hidden, n_maps * n_bands)
        self.skip = nn.Conv2d(n_maps, n_maps, 1)
        self.region = Region(
            n_features=n_maps,
            n_bins=config.n_coarse,
            n_places=n_bands,
            readout=partial(spread, width=width),
            full=False,
        )

    def encode(self, x: Tensor) -> Tensor:
        """Return bands (batch, map, frame, band) of what is seen (batch, map, 1 + frame, bin)."""
        bands: Tensor = self.first(x)
        return bands

    def tell(self, bands: Tensor) -> Tensor:
        """Return what the bottleneck is told of bands, (frame, batch, hidden)."""
        told: Tensor = self.down(reshape(bands.permute(2, 0, 1, 3), 0, 0, -1))
        return told

    def decode(self, x: Tensor, bands: Tensor) -> Tensor:
        """Return features (batch, map, frame, band) of the bottleneck and the bands."""
        x = reshape(self.up(x), 0, -1, *self.shape).permute(1, 2, 0, 3)
        return torch.relu(x + self.skip(bands))
