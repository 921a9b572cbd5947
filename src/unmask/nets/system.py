"""A network between a front-end and a mask family: waveforms in, one waveform a source out."""

from typing import Any

import torch
from torch import Tensor, nn

from unmask.masks.family import Family
from unmask.stft import STFT


class MaskingSystem(nn.Module):
    """Analyse, estimate masks, apply them, synthesise; every step has gradients.

    Parameters
    ----------
    net : Module
        As :func:`unmask.nets.build` returns it.
    stft : STFT
        Front-end.
    family : Family
        Says how raw maps become masks.
    """

    def __init__(self, net: Any, stft: STFT, family: Family) -> None:
        super().__init__()
        self.net, self.stft, self.family = net, stft, family
        self.gain = 2.0 / float(stft.window_values.sum())

    def forward(self, mixture: Tensor) -> Tensor:
        """Return estimates (batch, source, channel, sample) of a mixture (batch, channel, sample).

        Channels run as a batch: each has its own masks and its own state.
        """
        spectrum = self.stft.analyze(mixture) * self.gain
        masks = self.family.activate(self.raw_maps(spectrum).float())
        estimates = self.family.apply(masks, spectrum)
        estimate: Tensor = self.stft.synthesize(estimates / self.gain, mixture.shape[-1])
        return estimate

    def raw_maps(self, spectrum: Tensor) -> Tensor:
        """Return raw maps (batch, source, map, channel, freq, frame) of a scaled spectrum.

        Silence follows until the last masks are out and the frames are a multiple of what the
        network works in.
        """
        late, n_frames = self.net.lookahead_frames, spectrum.shape[-1]
        x = torch.view_as_real(spectrum).movedim(-1, 2).flatten(0, 1)
        x = nn.functional.pad(x, (0, late + -(n_frames + late) % self.net.unit_frames))
        raw, _ = self.net(x, self.net.initial_state(x.shape[0]))
        raw = raw[..., late : late + n_frames].unflatten(0, spectrum.shape[:2])
        maps: Tensor = raw.movedim(1, 3)
        return maps
