"""A network between the two halves of a front-end: waveforms in, one waveform a source out."""

from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from unmask.frontends import STFT, Frames
from unmask.nets.contract import Network

N = TypeVar("N", bound=Network)


class MaskingSystem(nn.Module, Generic[N]):
    """Analyse, estimate, synthesise as the engine does; every step has gradients.

    Parameters
    ----------
    net : Estimator
        Or several in parallel.
    frontend : STFT or Frames
        Of the host.
    """

    def __init__(self, net: N, frontend: STFT | Frames) -> None:
        super().__init__()
        self.net, self.frontend = net, frontend

    def forward(self, mixture: Tensor) -> Tensor:
        """Return estimates (batch, source, channel, sample) of a mixture (batch, channel, sample).

        Channels run as a batch, each by itself, if the network sees one at a time.
        """
        apart = mixture.reshape(-1, self.net.n_channels, mixture.shape[-1])
        if isinstance(self.frontend, STFT):
            estimates = self._by_masks(apart, self.frontend)[0]
        else:
            estimates = self._decoded(apart, self.frontend)
        return self._beside(estimates, len(mixture))

    def masked(self, mixture: Tensor) -> tuple[Tensor, Tensor]:
        """Return the estimates, and the masks (batch, source, channel, freq, frame) they are by.

        Only of a network whose host masks a spectrum; its masks have one number a bin.
        """
        apart = mixture.reshape(-1, self.net.n_channels, mixture.shape[-1])
        stft = cast(STFT, self.frontend)
        estimates, masks = (self._beside(x, len(mixture)) for x in self._by_masks(apart, stft))
        return estimates, masks

    def _beside(self, x: Tensor, n_batch: int) -> Tensor:
        """Return (batch, source, channel, ...) of what ran as a batch, some channels each."""
        shape = (n_batch, -1, self.net.n_sources, self.net.n_channels, *x.shape[3:])
        return x.reshape(shape).transpose(1, 2).flatten(2, 3)

    def _by_masks(self, mixture: Tensor, stft: STFT) -> tuple[Tensor, Tensor]:
        """Return estimates by masks on the spectrum, where a full-scale sine is 1, and these."""
        family = self.net.family
        spectrum = stft.analyze(mixture) * stft.unit
        parts = torch.view_as_real(spectrum).movedim(-1, 1)
        masks = family.of_parts(self._run(parts).float())
        estimate: Tensor = stft.synthesize(
            family.apply(masks, spectrum) / stft.unit, mixture.shape[-1]
        )
        return estimate, masks

    def _decoded(self, mixture: Tensor, host: Frames) -> Tensor:
        """Return estimates by the network's own decoder."""
        frames = self._run(host.analyze(mixture)).float()
        estimate: Tensor = host.synthesize(frames, mixture.shape[-1])
        return estimate

    def _run(self, x: Tensor) -> Tensor:
        """Return what the network puts out for every frame (the last axis) of `x`.

        Silence follows until the last is out and the frames are a multiple of what the network
        works in.
        """
        late, n_frames = self.net.lookahead_frames, x.shape[-1]
        x = nn.functional.pad(x, (0, late + -(n_frames + late) % self.net.unit_frames))
        output: Tensor = self.net(x, self.net.initial_state(len(x)))[0]
        return output[..., late : late + n_frames]
