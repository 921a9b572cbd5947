"""A causal mask estimator over bands, shaped by what ONNX Runtime does fast on one CPU thread."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.blocks import convolution, reshape

State = tuple[Tensor, ...]

#: Magnitude below which the input is not compressed further; a full-scale sine is 1.
_FLOOR = 1e-5


@dataclass(frozen=True, kw_only=True)
class BandNetConfig:
    """Settings of :class:`BandNet`; the first three come from the front-end, the data, the head."""

    n_freq: int
    n_sources: int
    n_maps: int
    bands: tuple[int, ...] = (48, 24)
    """Bands of each region of the spectrum, from 0 Hz up."""
    widths: tuple[int, ...] = (4, 24)
    """Bins of a band in each region, even: fine below, coarse above. Bands times widths add up to
    all bins but Nyquist's."""
    n_full: int = 0
    """Regions, from 0 Hz up, that see phases and put out all maps; those above see magnitudes and
    put out the first map only, the others are zero there. 0 means all."""
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
    head_depth: int = 1
    """Layers of the mask estimation: 1 is linear, more put tanh between (Li, Hu and Luo, 2022)."""
    lookahead: int = 0
    """Frames that the masks come late, and see ahead."""

    def __post_init__(self) -> None:
        covered = sum(n * width for n, width in zip(self.bands, self.widths, strict=False))
        even = all(width > 0 and width % 2 == 0 for width in self.widths)
        paired = len(self.bands) == len(self.widths) and min(self.bands, default=0) > 0
        if not (paired and even and covered == self.n_freq - 1):
            raise ConfigError(
                f"backbone: bands = {self.bands} of widths = {self.widths} cover {covered} bins, "
                f"expected {self.n_freq - 1} (n_fft / 2) by as many bands as widths, widths even"
            )
        if not 0 <= self.n_full <= len(self.bands):
            raise ConfigError(
                f"backbone: n_full = {self.n_full}, expected 0 to {len(self.bands)}, the regions"
            )
        sizes = (self.channels, self.narrow, self.narrow_channels, self.head_depth)
        if min(*sizes, *self.band_hidden, *self.hidden) < 1 or min(self.layers, self.lookahead) < 0:
            raise ConfigError(
                "backbone: expected channels, narrow, narrow_channels, head_depth and every width "
                "in hidden and band_hidden >= 1, layers and lookahead >= 0"
            )


class BandNet(nn.Module):
    """Bands of a spectrum, convolutions over them, a recurrent bottleneck, and back with skips.

    What decides the speed of one frame is the number of nodes and of bytes of weights, not of
    multiplications, so: axes are ``(batch, map, frame, band)``, where a frame alone is still a long
    row; convolutions see one frame, the first one two; the memory is ``(frame, batch, band, map)``,
    where nothing needs to be moved; no shape is computed in the graph.

    A band overlaps its neighbours by half. Complex values are seen and put out where `n_full` says
    so: in a hybrid of a complex and a real family, below the crossover. The Nyquist bin shares the
    maps of its neighbour.

    The state is the last ``1 + lookahead`` frames of the features, then one tensor for each
    recurrent layer; it starts as zeros.
    """

    context_frames = 0
    unit_frames = 1

    def __init__(self, config: BandNetConfig) -> None:
        super().__init__()
        self.config = config
        self.lookahead_frames = config.lookahead
        channels, n_bands = config.channels, sum(config.bands)
        self.n_bins = [n * width for n, width in zip(config.bands, config.widths, strict=True)]
        self.full = [k < (config.n_full or len(config.bands)) for k in range(len(config.bands))]
        frames = 2 + config.lookahead
        self.first = nn.ModuleList(
            convolution(3 if full else 1, channels, (frames, 2 * width), stride=width)
            for width, full in zip(config.widths, self.full, strict=True)
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
        past: tuple[int, ...] = (3, 1 + config.lookahead, config.n_freq - 1)
        self.state_shapes = [past, *(layer.state_shape for layer in memory)]
        self.up = nn.Linear(config.narrow_channels, channels)
        self.expand = nn.Linear(config.narrow, n_bands, bias=False)
        self.decoder = nn.ModuleList(
            convolution(channels, channels, (1, 3)) for _ in range(config.layers)
        )
        self.head = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(channels, channels, 1), nn.Tanh())
                for _ in range(1, config.head_depth)
            )
        )
        self.last = nn.ModuleList(
            nn.ConvTranspose2d(
                channels,
                config.n_sources * (config.n_maps if full else 1),
                (1, 2 * width),
                stride=(1, width),
                padding=(0, width // 2),
            )
            for width, full in zip(config.widths, self.full, strict=True)
        )
        self.only_first: Tensor
        only_first = torch.eye(1, config.n_maps).reshape(-1, 1, 1)
        self.register_buffer("only_first", only_first, persistent=False)

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame of `batch` recordings: zeros."""
        return tuple(self.up.weight.new_zeros((batch, *shape)) for shape in self.state_shapes)

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
        x = compress(spectrum[:, :, :-1].transpose(2, 3))
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
        return self._to_bins(self.head(x + skips.pop())), tuple(following)

    def _to_bands(self, x: Tensor) -> Tensor:
        """Return (batch, map, frame, band) of features (batch, 3, frame, freq)."""
        regions = zip(self.full, self.first, torch.split(x, self.n_bins, dim=3), strict=True)
        parts = [layer(part if full else part[:, 2:]) for full, layer, part in regions]
        return torch.cat(parts, dim=3)

    def _to_bins(self, x: Tensor) -> Tensor:
        """Return raw maps (batch, source, map, freq, frame) of (batch, map, frame, band)."""
        n_sources, n_maps = self.config.n_sources, self.config.n_maps
        parts = []
        regions = torch.split(x, list(self.config.bands), dim=3)
        for full, layer, region, n_bins in zip(
            self.full, self.last, regions, self.n_bins, strict=True
        ):
            n_present = n_maps if full else 1
            raw = reshape(layer(region), 0, n_sources, n_present, -1, n_bins)
            parts.append(raw if n_present == n_maps else raw * self.only_first)
        return torch.cat([*parts, parts[-1][..., -1:]], dim=4).transpose(3, 4)


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


def compress(x: Tensor) -> Tensor:
    """Return real part, imaginary part and magnitude, by the fourth root of the level.

    ``X / |X| * |X|**0.25`` by two square roots, which cost a third of a power; linear below 1e-5.

    Parameters
    ----------
    x : Tensor [shape=(batch, 2, ...)]
        Real and imaginary part.

    Returns
    -------
    Tensor [shape=(batch, 3, ...)]
    """
    real, imag = torch.split(x, 1, dim=1)
    mag = (real * real + imag * imag).sqrt()
    loud = mag.clamp_min(_FLOOR)
    return torch.cat([x, mag], dim=1) * (loud.sqrt().sqrt() / loud)
