"""A causal convolutional-recurrent mask estimator that is fast on one CPU thread."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.blocks import CausalConv, features, interleave

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
    input: str = "compressed"
    """What it sees of the spectrum, see :func:`unmask.nets.blocks.features`."""
    power: float = 0.3
    """Compression of the input ``compressed``."""

    def __post_init__(self) -> None:
        unit = self.patch * 2 ** (len(self.channels) - 1)
        if not self.channels or self.patch < 1 or (self.n_freq - 1) % unit:
            raise ConfigError(
                f"backbone: {self.n_freq - 1} bins (n_fft / 2) are no multiple of "
                f"patch * 2**(layers of channels - 1) = {unit}; change n_fft, patch or channels"
            )
        if self.hidden < 1 or self.layers < 1:
            raise ConfigError(
                f"backbone: hidden = {self.hidden} and layers = {self.layers}, expected >= 1"
            )


class CRN(nn.Module):
    """Encoder over frequency, recurrent bottleneck over time, decoder with skip connections.

    After Tan and Wang (2018), with a patch embedding for the first layer, sub-pixel upsampling
    and one frame of memory in every encoder layer. The last layer is bare: what it puts out are
    raw maps for a mask family to activate. The Nyquist bin shares the maps of its neighbour.

    The state is one tensor ``(batch, map, freq, 1)`` for each encoder layer, then the recurrent
    one ``(batch, layers, hidden)``; it starts as zeros.
    """

    lookahead_frames = context_frames = 0
    unit_frames = 1

    def __init__(self, config: CRNConfig) -> None:
        super().__init__()
        self.config = config
        channels, n_raw = config.channels, config.n_sources * config.n_maps
        pairs = list(pairwise(channels))
        self.features = features(config.input, power=config.power)
        first = CausalConv(
            self.features.n_maps, channels[0], bins=2 * config.patch, frames=2, stride=config.patch
        )
        deeper = [CausalConv(n_in, n_out, bins=4, frames=2, stride=2) for n_in, n_out in pairs]
        self.encoder = nn.ModuleList([first, *deeper])
        self.n_narrow = (config.n_freq - 1) // (config.patch * 2 ** len(pairs))
        n_flat = self.n_narrow * channels[-1]
        self.down = nn.Linear(n_flat, config.hidden)
        self.recurrent = nn.GRU(config.hidden, config.hidden, config.layers, batch_first=True)
        self.up = nn.Linear(config.hidden, n_flat)
        self.skips = nn.ModuleList(nn.Conv2d(n, n, 1) for n in reversed(channels))
        self.decoder = nn.ModuleList(
            CausalConv(n_out, 2 * n_in, bins=3, frames=1) for n_in, n_out in reversed(pairs)
        )
        self.last = nn.Conv2d(channels[0], n_raw * config.patch, (3, 1), padding=(1, 0))

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame of `batch` recordings: zeros."""
        n_maps = [self.features.n_maps, *self.config.channels[:-1]]
        n_freq = [self.config.n_freq - 1]
        n_freq += [n_freq[0] // (self.config.patch * 2**k) for k in range(len(n_maps) - 1)]
        shapes = [(batch, maps, bins, 1) for maps, bins in zip(n_maps, n_freq, strict=True)]
        hidden = (batch, self.config.layers, self.config.hidden)
        return tuple(self.last.weight.new_zeros(shape) for shape in (*shapes, hidden))

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
        x = self.features(spectrum[:, :, :-1])
        skips, past = [], []
        for layer, memory in zip(self.encoder, state[:-1], strict=True):
            x, memory = layer(x, memory)
            skips.append(x)
            past.append(memory)
        x, hidden = self._bottleneck(x, state[-1])
        for i, layer in enumerate(self.decoder):
            x = interleave(layer(x + self.skips[i](skips[-1 - i]))[0], 2)
        raw = interleave(self.last(x + self.skips[-1](skips[0])), self.config.patch)
        raw = torch.cat([raw, raw[:, :, -1:]], dim=2)
        batch, _, n_freq, n_frames = raw.shape
        shape = (batch, self.config.n_sources, self.config.n_maps, n_freq, n_frames)
        return raw.reshape(shape), (*past, hidden)

    def _bottleneck(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Look at all bins of a frame, and at all frames before it."""
        batch, n_maps, n_freq, n_frames = x.shape
        flat = x.reshape(batch, n_maps * n_freq, n_frames).transpose(
            1, 2
        )  # (batch, frame, map * freq)
        flat = torch.relu(self.down(flat))
        flat, hidden = self.recurrent(flat, hidden.transpose(0, 1).contiguous())
        x = self.up(flat).transpose(1, 2).reshape(batch, n_maps, n_freq, n_frames)
        return x, hidden.transpose(0, 1)
