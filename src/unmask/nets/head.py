"""From features to the raw maps of masks: one layer, or a deep module before it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.blocks import reshape
from unmask.nets.contract import Region, Seen


class MaskHead(nn.Module):
    """A shallow or deep mask estimation on the features of any backbone.

    Shallow is one layer, the readout of each region. Deep is an MLP on every feature vector: layers
    of `hidden` maps with tanh between, the readout last (Li, Hu and Luo, 2022, with a depth of 3).
    Either may be shared by all outputs, see :class:`Shared`.

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
    shared : Seen, optional
        What the backbone sees, if one branch makes the masks of all outputs of features and this.
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
        shared: Seen | None = None,
        repeat_last: bool = False,
    ) -> None:
        super().__init__()
        if depth < 1 or hidden < 0 or n_outputs < 1:
            raise ConfigError(
                f"head: depth = {depth}, hidden = {hidden} and outputs = {n_outputs}, expected "
                "depth >= 1, hidden >= 0 and outputs >= 1"
            )
        self.regions, self.repeat_last = tuple(regions), repeat_last
        self.shape, self.shared = (n_outputs, n_maps, n_channels), shared is not None
        self.branches = nn.ModuleList()
        for region in self.regions:
            n_one = (n_maps if region.full else 1) * n_channels
            if shared is None:
                branch = _branch(region, region.n_features, n_outputs * n_one, depth, hidden)
            else:
                branch = Shared(region, shared, n_outputs, n_one, depth=depth, hidden=hidden)
            self.branches.append(branch)
        self.only_first: Tensor
        only_first = torch.eye(1, n_maps).reshape(-1, 1, 1, 1)
        self.register_buffer("only_first", only_first, persistent=False)

    def forward(self, features: Sequence[Tensor], seen: Tensor) -> Tensor:
        """Return raw maps (batch, source, map, channel, frame, bin).

        Parameters
        ----------
        features : sequence of Tensor [shape=(batch, map, frame, place)]
            Of the regions.
        seen : Tensor [shape=(batch, map, frame, bin)]
            What the backbone saw; only a shared head hears it.
        """
        n_outputs, n_maps, n_channels = self.shape
        parts = []
        heard = self._heard(features, seen)
        for branch, region, x in zip(self.branches, self.regions, heard, strict=True):
            n_present = n_maps if region.full else 1
            raw = reshape(branch(x), 0, n_outputs, n_present, n_channels, -1, region.n_bins)
            parts.append(raw if n_present == n_maps else raw * self.only_first)
        if self.repeat_last:
            parts.append(parts[-1][..., -1:])
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def _heard(self, features: Sequence[Tensor], seen: Tensor) -> Sequence[Tensor]:
        """Return what each branch gets: features and, if it is shared, what was seen beside."""
        if not self.shared:
            return features
        parts = torch.split(seen, [region.n_bins for region in self.regions], dim=3)
        each = zip(features, parts, self.regions, strict=True)
        return [torch.cat([x, folded(part, region)], dim=1) for x, part, region in each]


class Shared(nn.Module):
    """One branch for the masks of all outputs, on features of each and what the backbone saw.

    One layer gives every output features of its own; from there on weights are shared, and each
    hears the encoded mixture again (SIMO-SISO: Luo, Chen, Han, Li, Zhou and Mesgarani, 2021).

    Parameters
    ----------
    region : Region
        Of the features.
    seen : Seen
        What the backbone sees.
    n_outputs, n_maps : int
        Outputs, and raw maps of each.
    depth, hidden : int
        As in :class:`MaskHead`; the layer that tells outputs apart is not among them.
    """

    def __init__(
        self, region: Region, seen: Seen, n_outputs: int, n_maps: int, *, depth: int, hidden: int
    ) -> None:
        super().__init__()
        self.n_features, self.n_outputs, self.n_maps = region.n_features, n_outputs, n_maps
        n_each = region.n_bins // (region.n_places or region.n_bins)
        self.n_heard = region.n_features + seen.n_maps * region.n_frames * n_each
        self.apart = nn.Conv2d(region.n_features, n_outputs * region.n_features, 1)
        self.branch = _branch(region, self.n_heard, n_maps, depth, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (batch, output and map, frame, bin) of features and what was seen."""
        n = self.n_features
        each = torch.split(self.apart(x[:, :n]), n, dim=1)
        x = torch.cat([part for own in each for part in (own, x[:, n:])], dim=1)
        x = self.branch(reshape(x, -1, self.n_heard, 0, 0))
        return reshape(x, -1, self.n_outputs * self.n_maps, 0, 0)


def folded(seen: Tensor, region: Region) -> Tensor:
    """Return what is seen (batch, map, frame, bin) of the bins of a region at its places.

    Frames and bins of a place become maps: (batch, map, frame, place).
    """
    n_maps, n_places = int(seen.shape[1]), region.n_places or region.n_bins
    n_each = region.n_bins // n_places
    if n_each == region.n_frames == 1:
        return seen
    x = reshape(seen, 0, n_maps, -1, region.n_frames, n_places, n_each)
    x = x.permute(0, 1, 3, 5, 2, 4)
    return reshape(x, 0, n_maps * region.n_frames * n_each, -1, n_places)


def _branch(region: Region, n_in: int, n_out: int, depth: int, hidden: int) -> nn.Module:
    """Return what a head does in a region, with `n_in` maps of it."""
    layers: list[nn.Module] = []
    for _ in range(depth - 1):
        n_hidden = hidden or region.n_features
        layers += [nn.Conv2d(n_in, n_hidden, 1), nn.Tanh()]
        n_in = n_hidden
    return nn.Sequential(*layers, region.readout(n_in, n_out))
