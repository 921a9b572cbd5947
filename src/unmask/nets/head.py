"""From features to the raw maps of masks: one layer, or a deep module before it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.blocks import reshape
from unmask.nets.contract import Region


class MaskHead(nn.Module):
    """A shallow or deep mask estimation on the features of any backbone.

    Shallow is one layer, the readout of each region. Deep is an MLP on every feature vector: layers
    of `hidden` maps with tanh between, the readout last (Li, Hu and Luo, 2022, with a depth of 3).

    Parameters
    ----------
    regions : sequence of Region
        Of the backbone.
    n_outputs : int
        Masks, of every channel.
    n_maps : int
        Raw maps of a mask.
    n_channels : int
        Channels that are masked at once.
    depth : int >= 1
        Layers.
    hidden : int
        Maps of all layers but the last; 0 means as many as there are features.
    repeat_last : bool
        Put the highest bin out twice, for the Nyquist bin of a front that leaves it out.

    Raises
    ------
    ConfigError
        If a number is below its least.
    """

    def __init__(
        self,
        regions: Sequence[Region],
        *,
        n_outputs: int,
        n_maps: int,
        n_channels: int = 1,
        depth: int = 1,
        hidden: int = 0,
        repeat_last: bool = False,
    ) -> None:
        super().__init__()
        if depth < 1 or hidden < 0 or n_outputs < 1:
            raise ConfigError(
                f"head: depth = {depth}, hidden = {hidden} and outputs = {n_outputs}, expected "
                "depth >= 1, hidden >= 0 and outputs >= 1"
            )
        self.regions, self.repeat_last = tuple(regions), repeat_last
        self.shape = (n_outputs, n_maps, n_channels)
        n_all, n_first = n_outputs * n_maps * n_channels, n_outputs * n_channels
        self.branches = nn.ModuleList(
            _branch(region, n_all if region.full else n_first, depth=depth, hidden=hidden)
            for region in self.regions
        )
        self.only_first: Tensor
        only_first = torch.eye(1, n_maps).reshape(-1, 1, 1, 1)
        self.register_buffer("only_first", only_first, persistent=False)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return raw maps (batch, source, map, channel, frame, bin) of the features of regions."""
        n_outputs, n_maps, n_channels = self.shape
        parts = []
        for branch, region, x in zip(self.branches, self.regions, features, strict=True):
            n_present = n_maps if region.full else 1
            raw = reshape(branch(x), 0, n_outputs, n_present, n_channels, -1, region.n_bins)
            parts.append(raw if n_present == n_maps else raw * self.only_first)
        if self.repeat_last:
            parts.append(parts[-1][..., -1:])
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def _branch(region: Region, n_out: int, *, depth: int, hidden: int) -> nn.Module:
    """Return what a head does in a region."""
    n_in, layers = region.n_features, []
    for _ in range(depth - 1):
        n_hidden = hidden or region.n_features
        layers += [nn.Conv2d(n_in, n_hidden, 1), nn.Tanh()]
        n_in = n_hidden
    return nn.Sequential(*layers, region.readout(n_in, n_out))
