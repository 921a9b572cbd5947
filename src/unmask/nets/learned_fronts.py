"""Front-ends that are learned: filters in place of a transform, in the network."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.frontends import Frames
from unmask.masks.family import Family
from unmask.metrics import si_sdr
from unmask.nets.contract import Front, Seen

#: How filters begin: drawn, or as the sines of a Fourier transform under a window.
STARTS = ("random", "fourier")
#: What a decoder is: learned, or the inverse of the encoder, whatever that becomes.
DECODERS = ("learned", "inverse")


@dataclass(frozen=True, kw_only=True)
class LearnedConfig:
    """Settings of :class:`Learned`."""

    length: int = 16
    """Samples of a frame, the kernel of the encoder."""
    hop: int = 8
    """Samples between frames, its stride."""
    filters: int = 256
    start: str = "random"
    """How they begin, one of :data:`STARTS`."""
    decoder: str = "learned"
    """One of :data:`DECODERS`; with ``inverse`` masks of 1 give the mixture back."""

    def __post_init__(self) -> None:
        if self.filters < 1:
            raise ConfigError(f"frontend: filters = {self.filters}, expected 1 or more")
        for name, value, known in (
            ("start", self.start, STARTS),
            ("decoder", self.decoder, DECODERS),
        ):
            if value not in known:
                raise ConfigError(f"frontend: {name} {value!r}; there are {list(known)}")
        if self.decoder == "inverse" or self.start == "fourier":
            self._check_inverse()

    #: Filters that it takes to keep one real number of a frame.
    _n_for_one: ClassVar[float] = 2

    def _check_inverse(self) -> None:
        """Refuse filters that cannot keep a frame, or frames that do not add up evenly."""
        least = int(self._n_for_one * self.length)
        if self.filters < least or self.filters % 4 or self.hop < 1 or self.length % self.hop:
            raise ConfigError(
                f"frontend: filters = {self.filters}, length = {self.length} and hop = {self.hop}; "
                f"decoder = 'inverse' and start = 'fourier' need {least} filters or more, a "
                "multiple of 4, and a length of whole hops"
            )

    def host(self) -> Frames:
        """Return the front-end of the host."""
        return Frames(length=self.length, hop=self.hop)

    def front(self, *, n_channels: int) -> Front:
        """Return the network's part of it."""
        return Learned(self, n_channels=n_channels)


class Learned(nn.Module):
    """Encoder and decoder are learned: frames of samples in, frames of every source out.

    Real masks on ``relu(frame @ encoder)``; what comes out is ``(mask * encoded) @ decoder`` (Luo
    and Mesgarani, 2019). Where the decoder is or begins as the inverse, the second half of the
    filters is, or begins as, the first half with the other sign: together they keep what the
    rectifier cuts off of either.

    Parameters
    ----------
    config : LearnedConfig
    n_channels : int
        Channels that are seen at once; each is encoded by itself.
    """

    repeat_last = False
    n_views = 1

    def __init__(self, config: LearnedConfig, *, n_channels: int) -> None:
        super().__init__()
        config.host()  # refuses what cannot be framed
        self.config, self.n_channels, self.length = config, n_channels, config.length
        self.overlap = config.length / config.hop
        self.encoder = nn.Linear(config.length, self._n_encoded(), bias=False)
        self.product, self.decoder = Product(), None
        if config.decoder == "learned":
            self.decoder = nn.Linear(config.filters, config.length, bias=False)
        if config.start == "fourier":
            self._start_as_fourier()
        self.seen = Seen(
            n_maps=self.n_views * n_channels, n_bins=config.filters, n_phaseless=n_channels
        )

    def _n_encoded(self) -> int:
        """Return the number of filters that are learned."""
        filters = self.config.filters
        return filters // 2 if self.config.decoder == "inverse" else filters

    @torch.no_grad()
    def _start_as_fourier(self) -> None:
        waves = fourier(self.config.filters // 4, self.length).flatten(0, 1)
        both = torch.cat([waves, -waves])
        self.encoder.weight.copy_(both[: len(self.encoder.weight)])
        if self.decoder is not None:
            inverse = inverse_of(waves, self.overlap)
            self.decoder.weight.copy_(torch.cat([inverse, -inverse], dim=1))

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
        x = self.encoder(frames.transpose(-1, -2))
        return torch.relu(x if self.decoder is not None else torch.cat([x, -x], dim=-1))

    def finish(self, masks: Tensor, seen: Tensor) -> Tensor:
        """Return the frames (batch, source, channel, sample, frame) of all sources."""
        masked = masks[:, :, 0].transpose(-1, -2) * seen.unsqueeze(1)
        if self.decoder is not None:
            frames: Tensor = self.decoder(masked)
        else:
            positive, negative = torch.split(masked, self.config.filters // 2, dim=-1)
            inverse = inverse_of(self.encoder.weight, self.overlap)
            frames = self.product(positive - negative, inverse)
        return frames.transpose(-1, -2)


@dataclass(frozen=True, kw_only=True)
class AnalyticConfig(LearnedConfig):
    """Settings of :class:`Analytic`; `filters` is the number of pairs."""

    _n_for_one: ClassVar[float] = 0.5

    def front(self, *, n_channels: int) -> Front:
        """Return the network's part of it."""
        return Analytic(self, n_channels=n_channels)


class Analytic(Learned):
    """Each learned filter has a partner, its Hilbert transform; masks turn no phase.

    Pariente, Cornell, Deleforge and Vincent (2020). The backbone sees both values and the magnitude
    of a pair, which a shift of the waveform changes little; the mask is of the pair.

    Parameters
    ----------
    config : AnalyticConfig
    n_channels : int
        Channels that are seen at once; each is encoded by itself.
    """

    n_views = 3

    def __init__(self, config: LearnedConfig, *, n_channels: int) -> None:
        super().__init__(config, n_channels=n_channels)
        self.register_buffer("hilbert", hilbert(config.length), persistent=False)
        if config.start == "fourier" and self.decoder is not None:
            inverse = inverse_of(self._pairs(self.encoder.weight.detach()), self.overlap)
            # a partner is decoded by the transform of its filter's decoder
            with torch.no_grad():
                self.decoder.weight.copy_(inverse[:, : config.filters])

    def _n_encoded(self) -> int:
        return self.config.filters

    @torch.no_grad()
    def _start_as_fourier(self) -> None:
        # half way between cosine and sine: filters that are all even would miss the highest bin
        self.encoder.weight.copy_(fourier(self.config.filters, self.length).sum(0) * 0.5**0.5)

    def _pairs(self, filters: Tensor) -> Tensor:
        """Return filters (filter, sample), then the Hilbert transform of each."""
        partners: Tensor = filters @ self.get_buffer("hilbert")
        return torch.cat([filters, partners], dim=0)

    def forward(self, frames: Tensor) -> Tensor:
        """Return values, partners and magnitudes of frames (batch, channel, sample, frame)."""
        values = self.product(frames.transpose(-1, -2), constant(self._pairs(self.encoder.weight)))
        value, partner = torch.split(values, self.config.filters, dim=-1)
        mag = torch.linalg.vector_norm(torch.stack([value, partner], dim=1), dim=1)
        return torch.cat([value, partner, mag], dim=1)

    def finish(self, masks: Tensor, seen: Tensor) -> Tensor:
        """Return the frames (batch, source, channel, sample, frame) of all sources."""
        n = self.n_channels
        pair = torch.cat([seen[:, :n], seen[:, n : 2 * n]], dim=-1)
        mask = masks[:, :, 0].transpose(-1, -2)
        masked = torch.cat([mask, mask], dim=-1) * pair.unsqueeze(1)
        if self.decoder is None:
            inverse = inverse_of(self._pairs(self.encoder.weight), self.overlap)
        else:
            inverse = constant(self._pairs(self.decoder.weight.mT)).mT
        frames: Tensor = self.product(masked, inverse)
        return frames.transpose(-1, -2)


class Product(nn.Module):
    """A linear layer whose weights are made of those of others."""

    def macs(self, x: Tensor, output: Tensor) -> int:
        """Return the multiply-accumulates of a call."""
        return output.numel() * x.shape[-1]

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return (..., out) of `x` (..., in) by a weight (out, in)."""
        return nn.functional.linear(x, weight)


def fourier(n_waves: int, length: int) -> Tensor:
    """Return cosines and sines (2, wave, sample), a half turn of the spectrum, under a window.

    The window is the root of a Hamming window: it ends above zero, so that no sample is lost.
    """
    time = torch.arange(length, dtype=torch.float64) + 0.5
    cycles = (torch.arange(n_waves, dtype=torch.float64) + 0.5)[:, None] / (2 * n_waves)
    window = (0.54 - 0.46 * torch.cos(2 * torch.pi * time / length)).sqrt()
    phase = 2 * torch.pi * cycles * (time - length / 2)
    scale = 1 / length**0.5
    waves: Tensor = scale * window * torch.stack([torch.cos(phase), torch.sin(phase)])
    return waves.float()


def hilbert(length: int) -> Tensor:
    """Return the matrix by which rows are turned by a quarter (circular Hilbert transform)."""
    spectrum = torch.fft.rfft(torch.eye(length, dtype=torch.float64))
    turned = -1j * spectrum
    turned[:, 0] = 0
    if length % 2 == 0:
        turned[:, -1] = 0
    matrix: Tensor = torch.fft.irfft(turned, n=length)
    return matrix.float()


def inverse_of(filters: Tensor, overlap: float) -> Tensor:
    """Return the decoder (sample, filter) that undoes an encoder (filter, sample).

    The pseudo-inverse, shared by the `overlap` frames that every sample is in; by the normal
    equations, in double precision.
    """
    wide = filters.double()
    inverse: Tensor = torch.linalg.solve(wide.mT @ wide, wide.mT) / overlap
    return constant(inverse.to(filters.dtype))


def constant(x: Tensor) -> Tensor:
    """Return `x`; in a graph that is being exported as numbers, not as what made them."""
    return torch.from_numpy(x.detach().cpu().numpy()) if torch.onnx.is_in_onnx_export() else x


@torch.no_grad()
def reconstruction_db(front: Any, host: Frames) -> float:
    """Return the SI-SDR of noise that was encoded and decoded with masks of 1.

    What is lost there no mask brings back. Of an inverse it is what rounding leaves.

    Parameters
    ----------
    front : Learned
    host : Frames
    """
    weight: Tensor = front.encoder.weight
    noise = torch.randn(1, front.n_channels, 4000, generator=torch.Generator().manual_seed(0))
    seen = front(host.analyze(noise.to(weight)))
    ones = torch.ones(1, 1, 1, front.n_channels, front.seen.n_bins, seen.shape[2]).to(weight)
    back = host.synthesize(front.finish(ones, seen)[:, 0], noise.shape[-1])
    return float(si_sdr(back.cpu().double(), noise.double()).mean())
