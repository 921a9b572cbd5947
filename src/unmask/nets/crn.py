"""A causal convolutional-recurrent mask estimator that is fast on one CPU thread."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.blocks import convolution, features, interleave, reshape

State = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class CRNConfig:
    """Settings of :class:`CRN`; the first three come from the front-end, the data and the head."""

    n_freq: int
    n_sources: int
    n_maps: int
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
    source; their other maps are zero: for a hybrid of a complex and a real family."""
    coarse_bands: int = 16
    coarse_channels: int = 16
    """Maps of a coarse band."""
    input: str = "compressed"
    """What it sees of the spectrum, see :func:`unmask.nets.blocks.features`."""
    power: float = 0.3
    """Compression of the input ``compressed``."""

    def __post_init__(self) -> None:
        unit = self.patch * 2 ** (len(self.channels) - 1)
        if not self.channels or self.patch < 1 or self.n_encoded % unit:
            raise ConfigError(
                f"backbone: {self.n_encoded} bins (n_fine, or n_fft / 2) are no multiple of "
                f"patch * 2**(layers of channels - 1) = {unit}; change n_fft, patch or channels"
            )
        sizes = (*self.channels, self.hidden, self.layers, self.coarse_bands, self.coarse_channels)
        if min(sizes) < 1:
            raise ConfigError(
                f"backbone: channels = {list(self.channels)}, hidden = {self.hidden}, layers = "
                f"{self.layers}, coarse_bands = {self.coarse_bands} and coarse_channels = "
                f"{self.coarse_channels}, expected >= 1"
            )
        if not 0 <= self.n_fine < self.n_freq or self.n_coarse % (2 * self.coarse_bands):
            raise ConfigError(
                f"backbone: the {self.n_coarse} bins above n_fine = {self.n_fine} are no even "
                f"number for each of {self.coarse_bands} coarse bands"
            )

    @property
    def n_encoded(self) -> int:
        """Bins that the encoder sees."""
        return self.n_fine or self.n_freq - 1

    @property
    def n_coarse(self) -> int:
        """Bins in coarse bands."""
        return self.n_freq - 1 - self.n_encoded


class CRN(nn.Module):
    """Encoder over frequency, recurrent bottleneck over time, decoder with skip connections.

    After Tan and Wang (2018), with a patch embedding for the first layer, sub-pixel upsampling
    and one frame of memory in every encoder layer. The last layer is bare: what it puts out are
    raw maps for a mask family to activate. The Nyquist bin shares the maps of its neighbour.

    Axes are ``(batch, map, frame, freq)``, where a frame alone is still a long row. The state is
    the last frame of the input of every encoder layer, then one tensor ``(batch, hidden)`` for
    every recurrent layer; it starts as zeros.
    """

    lookahead_frames = context_frames = 0
    unit_frames = 1

    def __init__(self, config: CRNConfig) -> None:
        super().__init__()
        self.config = config
        channels, pairs = config.channels, list(pairwise(config.channels))
        self.features = features(config.input, power=config.power)
        n_seen = self.features.n_maps
        first = convolution(n_seen, channels[0], (2, 2 * config.patch), stride=config.patch)
        deeper = [convolution(n_in, n_out, (2, 4), stride=2) for n_in, n_out in pairs]
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
            convolution(n_out, 2 * n_in, (1, 3)) for n_in, n_out in reversed(pairs)
        )
        n_raw = config.n_sources * config.n_maps * config.patch
        self.last = nn.Conv2d(channels[0], n_raw, (1, 3), padding=(0, 1))
        self.coarse = CoarseBands(config, n_seen) if config.n_coarse else None

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame of `batch` recordings: zeros."""
        shapes: list[tuple[int, ...]] = [(self.features.n_maps, 1, self.config.n_freq - 1)]
        passed_on = zip(self.config.channels[:-1], self.n_bins[:-1], strict=True)
        shapes += [(n_maps, 1, n_bins) for n_maps, n_bins in passed_on]
        shapes += [(self.config.hidden,)] * self.config.layers
        return tuple(self.last.weight.new_zeros((batch, *shape)) for shape in shapes)

    def forward(self, spectrum: Tensor, state: State) -> tuple[Tensor, State]:
        """Return raw maps for every frame of `spectrum`, and the state after the last.

        Parameters
        ----------
        spectrum : Tensor [shape=(batch, 2, freq, frame)]
            Real and imaginary part; a full-scale sine has magnitude 1.
        state : tuple of Tensor
            What the previous call returned, or :meth:`initial_state`.

        Returns
        -------
        raw : Tensor [shape=(batch, source, map, freq, frame)]
            Unconstrained maps.
        state : tuple of Tensor
            For the frames that follow.
        """
        config, n_layers = self.config, len(self.encoder)
        x = self.features(spectrum[:, :, :-1].transpose(2, 3))
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
        raw = [self._decode(x, skips)]
        if self.coarse is not None:
            raw.append(self.coarse.decode(x, above))
        raw.append(raw[-1][..., -1:])  # the Nyquist bin
        return torch.cat(raw, dim=4).transpose(3, 4), tuple(following)

    def _decode(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Return raw maps (batch, source, map, frame, freq) of the bins that were encoded."""
        config = self.config
        x = reshape(self.up(x), 0, -1, config.channels[-1], self.n_bins[-1]).permute(1, 2, 0, 3)
        finer = zip(config.channels[-2::-1], self.n_bins[-2::-1], strict=True)
        for layer, skip, (n_maps, n_bins) in zip(self.decoder, self.skips, finer, strict=False):
            x = interleave(layer(x + skip(skips.pop())), 2, n_maps=n_maps, n_freq=n_bins)
        x = self.last(x + self.skips[-1](skips.pop()))
        n_raw = config.n_sources * config.n_maps
        x = interleave(x, config.patch, n_maps=n_raw, n_freq=config.n_encoded)
        return reshape(x, 0, config.n_sources, config.n_maps, -1, config.n_encoded)


class CoarseBands(nn.Module):
    """What a :class:`CRN` does above the bins that it encodes one by one.

    Parameters
    ----------
    config : CRNConfig
        Of the network.
    n_seen : int
        Maps of its features.
    """

    def __init__(self, config: CRNConfig, n_seen: int) -> None:
        super().__init__()
        self.shape = (config.coarse_channels, config.coarse_bands)
        n_maps, n_bands = self.shape
        width = config.n_coarse // n_bands
        self.first = convolution(n_seen, n_maps, (2, 2 * width), stride=width)
        self.down = nn.Linear(n_maps * n_bands, config.hidden, bias=False)
        nn.init.zeros_(self.down.weight)  # a bottleneck that begins trained stays what it is
        self.up = nn.Linear(config.hidden, n_maps * n_bands)
        self.skip = nn.Conv2d(n_maps, n_maps, 1)
        self.last = nn.ConvTranspose2d(
            n_maps, config.n_sources, (1, 2 * width), stride=(1, width), padding=(0, width // 2)
        )
        self.only_first: Tensor
        only_first = torch.eye(1, config.n_maps).reshape(-1, 1, 1)
        self.register_buffer("only_first", only_first, persistent=False)

    def encode(self, x: Tensor) -> Tensor:
        """Return bands (batch, map, frame, band) of features (batch, map, 1 + frame, freq)."""
        bands: Tensor = self.first(x)
        return bands

    def tell(self, bands: Tensor) -> Tensor:
        """Return what the bottleneck is told of bands, (frame, batch, hidden)."""
        told: Tensor = self.down(reshape(bands.permute(2, 0, 1, 3), 0, 0, -1))
        return told

    def decode(self, x: Tensor, bands: Tensor) -> Tensor:
        """Return raw maps (batch, source, map, frame, freq) of the bottleneck and the bands."""
        x = reshape(self.up(x), 0, -1, *self.shape).permute(1, 2, 0, 3)
        x = self.last(torch.relu(x + self.skip(bands)))
        return x.unsqueeze(2) * self.only_first
