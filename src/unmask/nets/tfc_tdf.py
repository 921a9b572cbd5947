"""The U-Net of the music separators: convolutions over time and bands, layers over all bands."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.blocks import Interleave
from unmask.nets.contract import Region, Seen, State

#: Scales of the U-Net; each has half the frames and bands of the one before.
N_SCALES = 4
#: Frames, and bands, that the innermost scale merges into one.
UNIT = 2 ** (N_SCALES - 1)
#: Frames between the taps of the innermost convolutions.
DILATIONS = ((1, 2), (4, 1))
#: Variance that normalisation adds to that of its input.
NORM_FLOOR = 1e-5


@dataclass(frozen=True, kw_only=True)
class TFCTDFConfig:
    """Settings of :class:`TFCTDF`; what it sees comes from the front-end."""

    seen: Seen
    bands: tuple[int, ...] = (256, 64, 64)
    """Bands of each region of the spectrum, from 0 Hz up; in all a multiple of 8."""
    widths: tuple[int, ...] = (2, 8, 16)
    """Bins of a band in each region, even: fine below, coarse above. Bands times widths add up to
    all bins that it sees."""
    channels: tuple[int, ...] = (48, 80, 112, 144)
    """Maps of the four scales."""
    bottleneck: int = 4
    """How many times fewer values than bands there are between the two layers over bands."""
    inner_bottleneck: int = 2
    """The same at the innermost scale."""

    def __post_init__(self) -> None:
        covered = sum(n * width for n, width in zip(self.bands, self.widths, strict=False))
        even = all(width > 0 and width % 2 == 0 for width in self.widths)
        paired = len(self.bands) == len(self.widths) and min(self.bands, default=0) > 0
        if not (paired and even and covered == self.seen.n_bins) or sum(self.bands) % UNIT:
            raise ConfigError(
                f"backbone: bands = {self.bands} of widths = {self.widths} cover {covered} bins, "
                f"expected {self.seen.n_bins} (n_fft / 2, or filters) by as many bands as widths, "
                f"bands in all a multiple of {UNIT}, widths even"
            )
        if len(self.channels) != N_SCALES or min(self.channels) < 1:
            raise ConfigError(
                f"backbone: channels = {self.channels}, expected {N_SCALES} numbers >= 1"
            )
        if not min(self.bottleneck, self.inner_bottleneck) >= 1:
            raise ConfigError(
                f"backbone: bottleneck = {self.bottleneck} and inner_bottleneck = "
                f"{self.inner_bottleneck}, expected >= 1"
            )


class TFCTDF(nn.Module):
    """Four scales down, four up; every block convolves, and sees all bands of a frame at once.

    Choi, Kim, Chung, Lee and Jung (2020), time-frequency convolutions and time-distributed fully
    connected layers; Kim, Choi, Chung, Lee and Jung (2021), the same in a U-Net of few maps.
    Normalisation and rectifier come before each layer, so that what a block adds to is never
    rectified. A skip is a convolution of one tap that is added on the way up, not put beside.

    It remembers nothing and looks both ways: a chunk network. On the way up a chunk of frames on
    the grid of 8 hears of 2 of the innermost values outside it on each side; the innermost
    convolutions reach 8 further, those of the outer scales the equivalent of 14 frames, the first
    layer one: masks depend on 95 frames to either side, so `context_frames` is 96.
    """

    lookahead_frames = 0
    unit_frames = UNIT
    context_frames = 12 * UNIT

    def __init__(self, config: TFCTDFConfig) -> None:
        super().__init__()
        self.config = config
        channels, seen = config.channels, config.seen
        bands = [sum(config.bands) >> scale for scale in range(N_SCALES)]
        outer = list(zip(channels, bands, strict=True))[:-1]
        pairs = list(pairwise(channels))
        self.to_bands = nn.ModuleList(
            nn.Conv2d(
                seen.n_maps, channels[0], (3, 2 * width), stride=(1, width), padding=(0, width // 2)
            )
            for width in config.widths
        )
        self.encoder = nn.ModuleList(Block(a, n, config.bottleneck) for a, n in outer)
        self.down = nn.ModuleList(
            _after_norm(a, nn.Conv2d(a, b, 2, stride=2, bias=False)) for a, b in pairs
        )
        self.inner = nn.Sequential(
            *(Block(channels[-1], bands[-1], config.inner_bottleneck, pair) for pair in DILATIONS)
        )
        self.up = nn.ModuleList(
            _after_norm(b, nn.ConvTranspose2d(b, a, 2, stride=2, bias=False))
            for a, b in reversed(pairs)
        )
        self.skip = nn.ModuleList(nn.Conv2d(a, a, 1, bias=False) for a, _ in reversed(pairs))
        self.decoder = nn.ModuleList(Block(a, n, config.bottleneck) for a, n in reversed(outer))
        self.last = nn.Sequential(nn.BatchNorm2d(channels[0]), nn.ReLU())
        self.regions = [
            Region(
                n_features=channels[0],
                n_bins=n * width,
                readout=partial(ToBins, n_bins=n * width, width=width),
            )
            for n, width in zip(config.bands, config.widths, strict=True)
        ]

    def initial_state(self, batch: int) -> State:
        """Return the state: none."""
        return ()

    def forward(self, x: Tensor, state: State = ()) -> tuple[list[Tensor], State]:
        """Return the features of the bands of each region, and no state.

        Parameters
        ----------
        x : Tensor [shape=(batch, map, frame, bin)]
            What it sees; frames are a multiple of `unit_frames`.
        state : tuple
            Empty.
        """
        x = self.bands_of(x, padding=1)
        skips = []
        for block, down in zip(self.encoder, self.down, strict=True):
            x = block(x)
            skips.append(x)
            x = down(x)
        x = self.inner(x)
        for up, skip, block in zip(self.up, self.skip, self.decoder, strict=True):
            x = block(up(x) + skip(skips.pop()))
        return self.split(self.last(x)), ()

    def bands_of(self, x: Tensor, *, padding: int) -> Tensor:
        """Return (batch, map, frame, band) of what is seen, with silent frames on both sides."""
        config = self.config
        n_bins = [n * width for n, width in zip(config.bands, config.widths, strict=True)]
        x = nn.functional.pad(x, (0, 0, padding, padding)) if padding else x
        parts = zip(self.to_bands, torch.split(x, n_bins, dim=3), strict=True)
        return torch.cat([layer(part) for layer, part in parts], dim=3)

    def split(self, x: Tensor) -> list[Tensor]:
        """Return the bands of each region."""
        return list(torch.split(x, list(self.config.bands), dim=3))


class Block(nn.Module):
    """Two convolutions over frames and bands around two layers over all bands, added to the input.

    Parameters
    ----------
    n_maps, n_bands : int
        Of the input (batch, map, frame, band).
    bottleneck : int
        How many times fewer values than bands lie between the layers over bands, which are the same
        for every map and frame.
    dilations : pair of int
        Frames between the taps of the two convolutions.
    """

    def __init__(
        self, n_maps: int, n_bands: int, bottleneck: int, dilations: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        self.dilations = dilations
        n_between = max(1, n_bands // bottleneck)
        first, second = (
            nn.Conv2d(n_maps, n_maps, 3, padding=(d, 1), dilation=(d, 1), bias=False)
            for d in dilations
        )
        self.first = _after_norm(n_maps, first)
        self.over_bands = nn.Sequential(
            _after_norm(n_maps, nn.Linear(n_bands, n_between, bias=False)),
            _after_norm(n_maps, nn.Linear(n_between, n_bands, bias=False)),
        )
        self.second = _after_norm(n_maps, second)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output, of the shape of `x` (batch, map, frame, band)."""
        y = self.first(x)
        y = y + self.over_bands(y)
        added: Tensor = x + self.second(y)
        return added


def _after_norm(n_maps: int, layer: nn.Module) -> nn.Sequential:
    """Return a layer with normalisation and rectifier before it."""
    return nn.Sequential(nn.BatchNorm2d(n_maps, eps=NORM_FLOOR), nn.ReLU(), layer)


class ToBins(nn.Module):
    """The layer from bands to their bins, which begins with masks near zero.

    Parameters
    ----------
    n_in, n_out : int
        Maps.
    n_bins : int
        Of what comes out.
    width : int
        Bins of a band.
    """

    def __init__(self, n_in: int, n_out: int, *, n_bins: int, width: int) -> None:
        super().__init__()
        self.n_bands = n_bins // width
        self.layer = nn.Conv2d(n_in, n_out * width, (1, 3), padding=(0, 1))
        nn.init.normal_(self.layer.weight, std=0.01)
        nn.init.zeros_(self.layer.bias)  # type: ignore[arg-type]
        self.interleave = Interleave(width, n_maps=n_out, n_bins=n_bins)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, map, frame, bin) of (batch, map, frame, band)."""
        bins: Tensor = self.interleave(self.layer(x))
        return bins
