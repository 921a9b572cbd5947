"""Networks as a file holds them: the same numbers from fewer operations."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unmask.masks.consistent import Consistent
from unmask.masks.family import Family
from unmask.nets.blocks import reshape
from unmask.nets.contract import Network
from unmask.nets.estimator import Estimator
from unmask.nets.fronts import Spectrum
from unmask.nets.head import MaskHead
from unmask.nets.remembering import Remembering
from unmask.nets.tfc_tdf import TFCTDF, ToBins


def in_use(net: Network) -> Network:
    """Return a network for a file, in evaluation mode; its masks may come later.

    A music network remembers its past instead of being given it again with every chunk; masks that
    are moved to sum to one come out of the last layer like that, and bins leave it in the order of
    the file. All others are returned as they are, as is one behind a learned front-end, which keeps
    no frames for masks that come late.
    """
    if not isinstance(net, Estimator) or not isinstance(net.backbone, TFCTDF):
        return net
    if not isinstance(net.front, Spectrum):
        return net
    made = copy.copy(net)
    made._modules = dict(net._modules)
    backbone = made.backbone = Remembering(net.backbone)
    made.lookahead_frames, made.context_frames = backbone.lookahead_frames, backbone.context_frames
    if layers := _readouts(net):
        made.family = _unmoved(net)
        moved = made.family is not net.family
        made.head = BinsFirst(layers, net.head, moved=moved)
    return made


def _readouts(net: Estimator) -> list[ToBins]:
    """Return the layers of a shallow head, none if masks are made of more."""
    branches = [list(branch.children()) for branch in net.head.branches]
    shallow = [part for branch in branches for part in branch if isinstance(part, ToBins)]
    return shallow if sum(map(len, branches)) == len(shallow) and net.n_grouped == 1 else []


def _unmoved(net: Estimator) -> Family:
    """Return the family of masks that are only moved afterwards, if those are the raw maps."""
    if isinstance(net.family, Consistent):
        raw = torch.zeros(1, net.n_sources, net.family.n_maps, net.n_channels, 1, 1)
        if net.family.of.parts(raw) is raw:
            return net.family.of
    return net.family


class BinsFirst(MaskHead):
    """A shallow head of :class:`ToBins` layers that turns bands to bins and frames in one step.

    Parameters
    ----------
    layers : sequence of ToBins
        Of the regions.
    head : MaskHead
        That they are of.
    moved : bool
        Whether what the maps of all sources leave of one (of zero, but for the first map) is shared
        out among them, by other weights.
    """

    def __init__(self, layers: Sequence[ToBins], head: MaskHead, *, moved: bool) -> None:
        nn.Module.__init__(self)
        self.shape, self.regions, self.repeat_last = head.shape, head.regions, head.repeat_last
        self.n_bands = [layer.n_bands for layer in layers]
        made = [copy.deepcopy(layer.layer) for layer in layers]
        if moved:
            for layer in made:
                _move(layer, self.shape)
        self.exact = nn.ModuleList(made)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return raw maps (batch, source, map, channel, frame, bin) of the features of regions."""
        n_sources, n_maps, n_channels = self.shape
        n_all, parts = n_sources * n_maps * n_channels, []
        regions = zip(self.exact, self.regions, self.n_bands, features, strict=True)
        for layer, region, n_bands, x in regions:
            # (batch, map, bin of a band and frame, band): one step to frames last
            x = reshape(layer(x), 0, n_all, -1, n_bands)
            parts.append(reshape(x.transpose(2, 3), 0, n_all, region.n_bins, -1))
        if self.repeat_last:
            parts.append(parts[-1][:, :, -1:])
        x = torch.cat(parts, dim=2)
        n_freq = sum(region.n_bins for region in self.regions) + self.repeat_last
        return reshape(x, 0, *self.shape, n_freq, -1).transpose(-1, -2)


@torch.no_grad()
def _move(layer: nn.Conv2d, shape: tuple[int, int, int]) -> None:
    """Change a layer so that the maps of all sources sum to one, or zero but for the first map."""
    for values in layer.parameters():
        maps = values.double().reshape(*shape, -1, *values.shape[1:])
        maps = maps - maps.mean(0)
        if values is layer.bias:
            maps[:, 0] += 1 / shape[0]
        values.copy_(maps.flatten(0, 3))
