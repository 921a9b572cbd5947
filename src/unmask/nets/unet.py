"""The U-Net of the learned complex masks: convolutions that halve bins and frames, and back."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.blocks import features

#: Maps of the encoder layers at width 1.
CHANNELS = (16, 32, 64, 128, 256, 512)
#: Bins and frames that the innermost layer merges into one.
UNIT = 2 ** len(CHANNELS)


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Settings of :class:`UNet`; the first three come from the front-end, the data and the head."""

    n_freq: int
    n_sources: int
    n_maps: int
    input: str = "magnitude"
    """What it sees of the spectrum, see :func:`unmask.nets.blocks.features`."""
    width: float = 1.0
    """Factor on the number of maps of every layer; 1 is the paper's network."""
    dropout: float = 0.5
    """Share of values that training drops after each decoder layer but the last."""
    power: float = 0.3
    """Compression of the input ``compressed``."""

    def __post_init__(self) -> None:
        if self.n_freq < 2 or (self.n_freq - 1) % UNIT:
            raise ConfigError(
                f"backbone: {self.n_freq - 1} bins (n_fft / 2) are no multiple of {UNIT}, as six "
                "layers that halve them need; change n_fft"
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
    that size is put beside. The last layer is bare: what it puts out are raw maps for a mask family
    to activate. The Nyquist bin shares the maps of its neighbour.

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
        self.features = features(config.input, power=config.power)
        channels = [max(1, round(n * config.width)) for n in CHANNELS]
        pairs = list(pairwise(channels))
        first = nn.Sequential(_conv(self.features.n_maps, channels[0]), nn.LeakyReLU(0.2))
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
        self.last = _deconv(2 * channels[0], config.n_sources * config.n_maps)
        # The order of the weights decides that of the maps: a training step takes 15 % less.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        """Return the state: none."""
        return ()

    def forward(
        self, spectrum: Tensor, state: tuple[Tensor, ...] = ()
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return raw maps for every frame of `spectrum`, and no state.

        Parameters
        ----------
        spectrum : Tensor [shape=(batch, 2, freq, frame)]
            Real and imaginary part; a full-scale sine has magnitude 1. Frames are a multiple of
            `unit_frames`.
        state : tuple
            Empty.

        Returns
        -------
        raw : Tensor [shape=(batch, source, map, freq, frame)]
            Unconstrained maps.
        state : tuple
            Empty.
        """
        x = self.features(spectrum[:, :, :-1])
        skips = []
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        x = skips.pop()
        for layer in self.decoder:
            x = torch.cat([layer(x), skips.pop()], dim=1)
        raw = self.last(x)
        raw = torch.cat([raw, raw[:, :, -1:]], dim=2)
        batch, _, n_freq, n_frames = raw.shape
        shape = (batch, self.config.n_sources, self.config.n_maps, n_freq, n_frames)
        return raw.reshape(shape), ()


def _conv(n_in: int, n_out: int, *, bias: bool = True) -> nn.Conv2d:
    """Return a convolution that halves bins and frames."""
    return nn.Conv2d(n_in, n_out, 5, stride=2, padding=2, bias=bias)


def _deconv(n_in: int, n_out: int, *, bias: bool = True) -> nn.ConvTranspose2d:
    """Return a transposed convolution that doubles bins and frames."""
    return nn.ConvTranspose2d(n_in, n_out, 5, stride=2, padding=2, output_padding=1, bias=bias)
