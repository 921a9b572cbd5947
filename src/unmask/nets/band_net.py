"""A causal mask estimator over bands, shaped by what ONNX Runtime does fast on one CPU thread."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.blocks import convolution, reshape, spread
from unmask.nets.contract import Region, Seen, State


@dataclass(frozen=True, kw_only=True)
class BandNetConfig:
    """Settings of :class:`BandNet`; what it sees comes from the front-end."""

    seen: Seen
    bands: tuple[int, ...] = (48, 24)
    """Bands of each region of the spectrum, from 0 Hz up."""
    widths: tuple[int, ...] = (4, 24)
    """Bins of a band in each region, even: fine below, coarse above. Bands times widths add up to
    all bins that it sees."""
    n_full: int = 0
    """Regions, from 0 Hz up, that see phases and get all maps of a mask; those above see magnitudes
    and get the first map only. 0 means all."""
    channels: int = 32
    """Maps of the layers over bands."""
    layers: int = 2
    """Convolutions over bands, before and after the memory."""
    narrow: int = 24
    """Bands of the memory, learned sums of the others."""
    narrow_channels: int = 16
    """Maps of the memory."""
    band_hidden: tuple[int, ...] = ()
    """Width of each recurrent layer that runs in every band, with weights that bands share."""
    hidden: tuple[int, ...] = (192, 192)
    """Width of each recurrent layer that sees a whole frame; they follow those of bands."""
    lookahead: int = 0
    """Frames that the masks come late, and see ahead."""

    def __post_init__(self) -> None:
        covered = sum(n * width for n, width in zip(self.bands, self.widths, strict=False))
        even = all(width > 0 and width % 2 == 0 for width in self.widths)
        paired = len(self.bands) == len(self.widths) and min(self.bands, default=0) > 0
        if not (paired and even and covered == self.seen.n_bins):
            raise ConfigError(
                f"backbone: bands = {self.bands} of widths = {self.widths} cover {covered} bins, "
                f"expected {self.seen.n_bins} (n_fft / 2, or filters) by as many bands as widths, "
                "widths even"
            )
        if not 0 <= self.n_full <= len(self.bands):
            raise ConfigError(
                f"backbone: n_full = {self.n_full}, expected 0 to {len(self.bands)}, the regions"
            )
        sizes = (self.channels, self.narrow, self.narrow_channels)
        if min(*sizes, *self.band_hidden, *self.hidden) < 1 or min(self.layers, self.lookahead) < 0:
            raise ConfigError(
                "backbone: expected channels, narrow, narrow_channels and every width in hidden "
                "and band_hidden >= 1, layers and lookahead >= 0"
            )

    @property
    def regions(self) -> list[tuple[int, int, bool]]:
        """Bands, width of a band and whether phases are seen, of each region."""
        full = [k < (self.n_full or len(self.bands)) for k in range(len(self.bands))]
        return list(zip(self.bands, self.widths, full, strict=True))


class BandNet(nn.Module):
    """Bands of a spectrum, convolutions over them, a recurrent bottleneck, and back with skips.

    What decides the speed of one frame is the number of nodes and of bytes of weights, not of
    multiplications, so: convolutions see one frame, the first one two; the memory is ``(frame,
    batch, band, map)``, where nothing needs to be moved; no shape is computed in the graph.

    A band overlaps its neighbours by half. Phases are seen where `n_full` says so: in a hybrid of a
    complex and a real family, below the crossover.

    The state is the last ``1 + lookahead`` frames of the features, then one tensor for each
    recurrent layer; it starts as zeros.
    """

    context_frames = 0
    unit_frames = 1

    def __init__(self, config: BandNetConfig) -> None:
        super().__init__()
        self.config = config
        self.lookahead_frames = config.lookahead
        channels, n_bands, seen = config.channels, sum(config.bands), config.seen
        self.first = nn.ModuleList(
            convolution(
                seen.n_maps if full else seen.n_phaseless or seen.n_maps,
                channels,
                (2 + config.lookahead, 2 * width),
                width,
            )
            for _, width, full in config.regions
        )
        self.encoder = nn.ModuleList(
            convolution(channels, channels, (1, 3)) for _ in range(config.layers)
        )
        self.reduce = nn.Linear(n_bands, config.narrow, bias=False)
        self.down = nn.Linear(channels, config.narrow_channels)
        shape = (config.narrow, config.narrow_channels)
        memory: list[BandMemory | FrameMemory] = []
        memory += [BandMemory(*shape, hidden) for hidden in config.band_hidden]
        memory += [FrameMemory(*shape, hidden) for hidden in config.hidden]
        self.memory = nn.ModuleList(memory)
        past: tuple[int, ...] = (seen.n_maps, 1 + config.lookahead, seen.n_bins)
        self.state_shapes = [past, *(layer.state_shape for layer in memory)]
        self.up = nn.Linear(config.narrow_channels, channels)
        self.expand = nn.Linear(config.narrow, n_bands, bias=False)
        self.decoder = nn.ModuleList(
            convolution(channels, channels, (1, 3)) for _ in range(config.layers)
        )
        self.regions = [
            Region(
                n_features=channels,
                n_bins=n * width,
                n_places=n,
                readout=partial(spread, width=width),
                full=full,
            )
            for n, width, full in config.regions
        ]

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame of `batch` recordings: zeros."""
        return tuple(self.up.weight.new_zeros((batch, *shape)) for shape in self.state_shapes)

    def forward(self, x: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Return the features of the bands of each region, and the state after the last frame.

        Parameters
        ----------
        x : Tensor [shape=(batch, map, frame, bin)]
            What it sees.
        state : tuple of Tensor
            What the previous call returned, or :meth:`initial_state`.
        """
        x = torch.cat([state[0], x], dim=2)
        following = [x[:, :, -1 - self.config.lookahead :]]
        x = self._to_bands(x)
        skips = [x]
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        x = self.down(self.reduce(x).permute(2, 0, 3, 1))  # (frame, batch, band, map)
        for layer, past in zip(self.memory, state[1:], strict=True):
            x, past = layer(x, past)
            following.append(past)
        x = self.expand(self.up(x).permute(1, 3, 0, 2))  # (batch, map, frame, band)
        for layer in self.decoder:
            x = layer(x + skips.pop())
        bands = torch.split(x + skips.pop(), list(self.config.bands), dim=3)
        return list(bands), tuple(following)

    def _to_bands(self, x: Tensor) -> Tensor:
        """Return (batch, map, frame, band) of what is seen (batch, map, frame, bin)."""
        first = -self.config.seen.n_phaseless
        n_bins = [n * width for n, width, _ in self.config.regions]
        regions = zip(self.config.regions, self.first, torch.split(x, n_bins, dim=3), strict=True)
        parts = [layer(part if full else part[:, first:]) for (_, _, full), layer, part in regions]
        return torch.cat(parts, dim=3)


class BandMemory(nn.Module):
    """A recurrent layer in every band, then what bands tell each other; both add to the input.

    Weights are shared by bands, which an offset for each tells apart.

    Parameters
    ----------
    n_bands, n_maps : int
        Of the input (frame, batch, band, map).
    hidden : int
        Width in each band.
    """

    def __init__(self, n_bands: int, n_maps: int, hidden: int) -> None:
        super().__init__()
        self.state_shape: tuple[int, ...] = (n_bands, hidden)
        self.place = nn.Parameter(torch.zeros(n_bands, n_maps))
        self.recurrent = nn.GRU(n_maps, hidden)
        self.out = nn.Linear(hidden, n_maps)
        self.mix = AcrossBands(n_bands, n_bands, bias=False)
        self.mixed = nn.Linear(n_maps, n_maps)

    def macs(self, x: Tensor, output: Tensor) -> int:
        """Return 0: its own weights, the offsets, multiply nothing."""
        return 0

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output, of the shape of `x`, and the `past` (batch, band, hidden) to come."""
        n_bands, hidden = self.state_shape
        y = reshape(x + self.place, 0, -1, self.recurrent.input_size)
        y, past = self.recurrent(y, reshape(past, 1, -1, hidden))
        x = x + self.out(reshape(y, 0, -1, n_bands, hidden))
        x = x + torch.relu(self.mixed(self.mix(x)))
        return x, reshape(past, -1, n_bands, hidden)


class FrameMemory(nn.Module):
    """A recurrent layer that sees all bands of a frame, added to its input.

    Parameters
    ----------
    n_bands, n_maps : int
        Of the input (frame, batch, band, map).
    hidden : int
        Width.
    """

    def __init__(self, n_bands: int, n_maps: int, hidden: int) -> None:
        super().__init__()
        self.shape = (n_bands, n_maps)
        self.state_shape: tuple[int, ...] = (hidden,)
        self.down = nn.Linear(n_bands * n_maps, hidden)
        self.recurrent = nn.GRU(hidden, hidden)
        self.up = nn.Linear(hidden, n_bands * n_maps)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output, of the shape of `x`, and the `past` (batch, hidden) to come."""
        y = torch.relu(self.down(reshape(x, 0, 0, -1)))
        y, past = self.recurrent(y, reshape(past, 1, -1, *self.state_shape))
        x = x + reshape(self.up(y), 0, -1, *self.shape)
        return x, reshape(past, -1, *self.state_shape)


class AcrossBands(nn.Linear):
    """A linear layer over the last axis but one."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out, map) of (..., in, map)."""
        return torch.matmul(self.weight, x)
