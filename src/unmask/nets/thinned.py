"""Masks at a lower frequency resolution: a network that works on every few bins."""

from typing import cast, get_args

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.masks.family import Family
from unmask.masks.resolution import Interpolation, taps
from unmask.nets.contract import Front, Seen

#: How masks of the other bins are made; a cubic would leave the range of a family.
INTERPOLATIONS = tuple(name for name in get_args(Interpolation) if name != "cubic")


class Thinned(nn.Module):
    """A front of which a backbone sees every few bins, from 0 Hz on.

    Their activated masks are interpolated to all bins, aligned, over their real parts, so that they
    stay within the range of their family, and masks that sum to one still do. Montesinos et al.
    (2021, "Y-Net") train so, with every second bin and nearest; what it costs, ``unmask ablate``
    shows.

    Parameters
    ----------
    front : Front
        Of a spectrum.
    decimation : int >= 1
        Every so many bins are seen; a divisor of the bins that the front shows.
    interpolation : str
        One of :data:`INTERPOLATIONS`.

    Raises
    ------
    ConfigError
        If there is no such interpolation, or the bins cannot be thinned out so.
    """

    def __init__(self, front: Front, *, decimation: int, interpolation: str) -> None:
        super().__init__()
        check(decimation, interpolation)
        if not getattr(front, "repeat_last", False) or front.seen.n_bins % decimation:
            raise ConfigError(
                f"head: decimation = {decimation}, the network sees {front.seen.n_bins} bins; "
                "expected a divisor of the bins of a spectrum (n_fft / 2)"
            )
        self.front, self.decimation = front, decimation
        self.n_channels, self.repeat_last = front.n_channels, front.repeat_last
        n_maps, n_phaseless = front.seen.n_maps, front.seen.n_phaseless
        n_bins = front.seen.n_bins // decimation
        self.seen = Seen(n_maps=n_maps, n_bins=n_bins, n_phaseless=n_phaseless)
        found = taps(
            front.seen.n_bins + 1, decimation, cast(Interpolation, interpolation), "aligned"
        )
        self.n_taps = len(found)
        for k, (index, weight) in enumerate(found):
            self.register_buffer(f"index_{k}", torch.from_numpy(index), persistent=False)
            column = torch.from_numpy(weight).float()[:, None]
            self.register_buffer(f"weight_{k}", column, persistent=False)

    def check(self, family: Family, *, lookahead: int) -> None:
        """Refuse hybrids, which change at one bin, and what the front refuses.

        Raises
        ------
        ConfigError
            If these masks cannot be interpolated.
        """
        if "hybrid:" in family.name:
            raise ConfigError(
                f"head: {family.name} changes family at a bin, between which nothing can be "
                "interpolated; set decimation to 1, or take one family"
            )
        self.front.check(family, lookahead=lookahead)

    def example(self, batch: int, n_frames: int) -> Tensor:
        """Return silence, as the host gives it."""
        return self.front.example(batch, n_frames)

    def forward(self, x: Tensor) -> Tensor:
        """Return every few bins of what the front shows."""
        return self.front(x)[..., :: self.decimation]

    def finish(self, masks: Tensor, seen: Tensor) -> Tensor:
        """Return the masks (batch, source, part, channel, freq, frame) of all bins."""
        total = None
        for k in range(self.n_taps):
            part = masks.index_select(-2, self.get_buffer(f"index_{k}"))
            if self.n_taps > 1:
                part = part * self.get_buffer(f"weight_{k}")
            total = part if total is None else total + part
        return self.front.finish(cast(Tensor, total), seen)


def check(decimation: int, interpolation: str) -> None:
    """Refuse what no network can have.

    Raises
    ------
    ConfigError
        If `decimation` is below 1, or there is no such interpolation.
    """
    if decimation < 1:
        raise ConfigError(f"head: decimation = {decimation}, expected 1 or more")
    if interpolation not in INTERPOLATIONS:
        raise ConfigError(
            f"head: interpolation {interpolation!r}; there are {list(INTERPOLATIONS)}"
        )
