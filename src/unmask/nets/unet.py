"""The U-Net of the learned complex masks: convolutions that halve bins and frames, and back."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.contract import Region, Seen, State

#: Maps of the encoder layers at width 1.
CHANNELS = (16, 32, 64, 128, 256, 512)
#: Bins and frames that the innermost layer merges into one.
UNIT = 2 ** len(CHANNELS)


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Settings of :class:`UNet`; what it sees comes from the front-end."""

    seen: Seen
    width: float = 1.0
    """Factor on the number of maps of every layer; 1 is the paper's network."""
    dropout: float = 0.5
    """Share of values that training drops after each decoder layer but the last."""

    def __post_init__(self) -> None:
        if self.seen.n_bins < 1 or self.seen.n_bins % UNIT:
            raise ConfigError(
                f"backbone: {self.seen.n_bins} bins (n_fft / 2, or filters) are no multiple of "
                f"{UNIT}, as six layers that halve them need; change these"
            )
        if not self.width * CHANNELS[0] >= 1 or not 0 <= self.dropout < 1:
            raise ConfigError(
                f"backbone: width = {self.width} and dropout = {self.dropout}, expected "
                f"width >= {1 / CHANNELS[0]:g} and dropout in [0, 1)"
            )


class UNet(nn.Module):
    """Six layers down, six up, skips between them; frequency and time are halved alike.

    Jansson, Bittner, Montecchio and Weyde (2021), after Jansson et al. (2017). Kernels are 5 x 5
    with stride 2. Encoder: batch normalisation (not in the first layer), leaky rectifier of slope
    0.2. Decoder: batch normalisation, rectifier, dropout; then the output of the encoder layer of
    that size is put beside. The last layer, which has neither, is the head's.

    It remembers nothing and looks both ways: a chunk network. The innermost values stand at the
    frames that are multiples of 64 and see 2 + 4 + ... + 64 = 126 frames to either side. Masks of
    a chunk on that grid hear of one such value outside it on the left, 64 frames before its first,
    and of two on the right, its end and 64 after: they depend on 190 frames before the chunk and
    191 after, so `context_frames` is 192. (A single frame may see 252 to one side, but only if it
    lies 62 inside.)
    """

    lookahead_frames = 0
    unit_frames = UNIT
    context_frames = 3 * UNIT

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = [max(1, round(n * config.width)) for n in CHANNELS]
        pairs = list(pairwise(channels))
        first = nn.Sequential(_conv(config.seen.n_maps, channels[0]), nn.LeakyReLU(0.2))
        deeper = [
            nn.Sequential(_conv(a, b, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2))
            for a, b in pairs
        ]
        self.encoder = nn.ModuleList([first, *deeper])
        # The first decoder layer sees the innermost values, the others a skip beside their input.
        self.decoder = nn.ModuleList(
            nn.Sequential(
                _deconv(b if b == channels[-1] else 2 * b, a, bias=False),
                nn.BatchNorm2d(a),
                nn.ReLU(),
                nn.Dropout(config.dropout),
            )
            for a, b in reversed(pairs)
        )
        self.regions = [
            Region(
                n_features=2 * channels[0],
                n_bins=config.seen.n_bins,
                n_places=config.seen.n_bins // 2,
                n_frames=2,
                readout=_deconv,
            )
        ]
        # The order of the weights decides that of the maps: a training step takes 15 % less.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def initial_state(self, batch: int) -> State:
        """Return the state: none."""
        return ()

    def forward(self, x: Tensor, state: State = ()) -> tuple[list[Tensor], State]:
        """Return the features of half as many frames and bins, and no state.

        Parameters
        ----------
        x : Tensor [shape=(batch, map, frame, bin)]
            What it sees; frames are a multiple of `unit_frames`.
        state : tuple
            Empty.
        """
        skips = []
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        x = skips.pop()
        for layer in self.decoder:
            x = torch.cat([layer(x), skips.pop()], dim=1)
        return [x], ()


def _conv(n_in: int, n_out: int, *, bias: bool = True) -> nn.Conv2d:
    """Return a convolution that halves bins and frames."""
    return nn.Conv2d(n_in, n_out, 5, stride=2, padding=2, bias=bias)


def _deconv(n_in: int, n_out: int, *, bias: bool = True) -> nn.ConvTranspose2d:
    """Return a transposed convolution that doubles bins and frames."""
    return nn.ConvTranspose2d(n_in, n_out, 5, stride=2, padding=2, output_padding=1, bias=bias)
