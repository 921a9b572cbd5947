"""Networks as a file holds them: the same numbers from fewer operations."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unmask.masks.consistent import Consistent
from unmask.nets.blocks import reshape
from unmask.nets.contract import Network
from unmask.nets.estimator import Estimator
from unmask.nets.remembering import Remembering
from unmask.nets.tfc_tdf import TFCTDF, ToBins


def in_use(net: Network) -> Network:
    """Return a network for a file, in evaluation mode; its masks may come later.

    A music network remembers its past instead of being given it again with every chunk; masks that
    are moved to sum to one come out of the last layer like that, and bins leave it in the order of
    the file. All others are returned as they are.
    """
    if not isinstance(net, Estimator) or not isinstance(net.backbone, TFCTDF):
        return net
    made = copy.copy(net)
    made._modules = dict(net._modules)
    made.backbone = Remembering(net.backbone)
    made.lookahead_frames = made.backbone.lookahead_frames
    made.context_frames = made.backbone.context_frames
    layers = [branch[-1] for branch in net.head.branches if len(branch) == 1]
    if len(layers) == len(net.head.branches) and net.n_grouped == 1:
        moved = isinstance(net.family, Consistent) and _is_plain(net)
        made.head = BinsFirst(layers, net.head.shape, moved=moved)
        made.family = net.family.of if moved else net.family
    return made


def _is_plain(net: Estimator) -> bool:
    """Return whether masks, before they are moved, are the raw maps."""
    raw = torch.zeros(1, net.n_sources, net.family.n_maps, net.n_channels, 1, 1)
    return net.family.of.parts(raw) is raw


class BinsFirst(nn.Module):
    """A shallow head of :class:`ToBins` layers that turns bands to bins and frames in one step.

    Parameters
    ----------
    layers : sequence of ToBins
        Of the regions.
    shape : tuple of int
        Sources, maps of a mask, channels.
    moved : bool
        Whether what the maps of all sources leave of one (of zero, but for the first map) is shared
        out among them, by other weights.
    """

    def __init__(
        self, layers: Sequence[ToBins], shape: tuple[int, int, int], *, moved: bool
    ) -> None:
        super().__init__()
        self.shape = shape
        self.n_bins = [layer.n_bins for layer in layers]
        self.exact = nn.ModuleList(copy.deepcopy(layer.layer) for layer in layers)
        if moved:
            for layer in self.exact:
                _move(layer, shape)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Return raw maps (batch, source, map, channel, frame, bin) of the features of regions."""
        n_all, parts = self.shape[0] * self.shape[1] * self.shape[2], []
        for layer, n_bins, x in zip(self.exact, self.n_bins, features, strict=True):
            n_bands = n_bins * n_all // layer.out_channels
            x = reshape(layer(x), 0, n_all, -1, n_bands)  # (batch, map, bin of a band, frame; band)
            parts.append(reshape(x.transpose(2, 3), 0, n_all, n_bins, -1))
        x = torch.cat([*parts, parts[-1][:, :, -1:]], dim=2)
        return reshape(x, 0, *self.shape, sum(self.n_bins) + 1, -1).transpose(-1, -2)


@torch.no_grad()
def _move(layer: nn.Conv2d, shape: tuple[int, int, int]) -> None:
    """Change a layer so that the maps of all sources sum to one, or zero but for the first map."""
    for values in (layer.weight, layer.bias):
        maps = values.double().unflatten(0, (*shape, -1))
        values.copy_((maps - maps.mean(0)).flatten(0, 3))
    layer.bias.unflatten(0, (*shape, -1))[:, 0].add_(1 / shape[0])
