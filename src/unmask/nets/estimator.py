"""The network of a model: front, backbone, head and the activation of its masks in one module."""

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.masks.family import Family
from unmask.nets.blocks import reshape
from unmask.nets.contract import Backbone, Front, State
from unmask.nets.head import MaskHead

#: How more outputs than sources become sources.
GROUPINGS = ("none", "sum")


class Estimator(nn.Module):
    """Everything between what a host transforms and what it transforms back.

    Parameters
    ----------
    front : Front
        One of :data:`unmask.nets.fronts.FRONTS`.
    backbone : Backbone
        One of :data:`unmask.nets.NETS`.
    family : Family
        Of the masks.
    n_sources : int
        Sources that come out.
    outputs : int
        Masks that the head estimates, a multiple of `n_sources`; 0 means one a source.
    grouping : str
        ``sum``: masks of neighbouring outputs are added up to those of a source (over-separation,
        with the assignment fixed); ``none``: as many outputs as sources.
    depth, hidden : int
        Of the :class:`MaskHead`.

    Raises
    ------
    ConfigError
        If these do not fit together.
    """

    def __init__(
        self,
        front: Front,
        backbone: Backbone,
        family: Family,
        *,
        n_sources: int,
        outputs: int = 0,
        grouping: str = "none",
        depth: int = 1,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        outputs = outputs or n_sources
        _check_grouping(family, n_sources, outputs, grouping)
        front.check(family, lookahead=backbone.lookahead_frames)
        self.front, self.backbone, self.family = front, backbone, family
        self.n_sources, self.n_channels = n_sources, front.n_channels
        self.n_grouped = outputs // n_sources
        self.head = MaskHead(
            backbone.regions,
            n_outputs=outputs,
            n_maps=family.n_maps,
            n_channels=front.n_channels,
            depth=depth,
            hidden=hidden,
            repeat_last=front.repeat_last,
        )
        self.lookahead_frames = backbone.lookahead_frames
        self.context_frames = backbone.context_frames
        self.unit_frames = backbone.unit_frames

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame of `batch` recordings: zeros."""
        return self.backbone.initial_state(batch)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return what the front makes of the masks of every frame, and the state after the last.

        Parameters
        ----------
        x : Tensor
            As the front takes it; of a spectrum real and imaginary part, (batch, part, channel,
            freq, frame), where a full-scale sine has magnitude 1.
        state : tuple of Tensor
            What the previous call returned, or :meth:`initial_state`.

        Returns
        -------
        Tensor
            Of a spectrum the activated masks in real parts, (batch, source, part, channel, freq,
            frame), see :meth:`unmask.masks.Family.parts`.
        state : tuple of Tensor
            For the frames that follow.
        """
        seen = self.front(x)
        features, state = self.backbone(seen, state)
        raw: Tensor = self.head(features).transpose(-1, -2)
        # Half precision has too few bits near 1 for masks that are bounded, and for their slopes.
        raw = raw.float() if torch.finfo(raw.dtype).bits < 32 else raw
        masks: Tensor = self.family.parts(raw)
        return self.front.finish(self._group(masks), seen), state

    def _group(self, masks: Tensor) -> Tensor:
        """Return the masks of sources, each the sum of its outputs."""
        if self.n_grouped == 1:
            return masks
        n_freq = self.front.seen.n_bins + self.front.repeat_last
        shape = (self.n_sources, self.n_grouped, self.family.n_parts, self.n_channels, n_freq)
        return reshape(masks, 0, *shape, -1).sum(2)


def _check_grouping(family: Family, n_sources: int, outputs: int, grouping: str) -> None:
    """Refuse outputs that cannot become sources."""
    if grouping not in GROUPINGS:
        raise ConfigError(f"head: grouping {grouping!r}; there are {list(GROUPINGS)}")
    if grouping == "none" and outputs != n_sources:
        raise ConfigError(
            f"head: {outputs} outputs for {n_sources} sources, expected as many, or "
            'grouping = "sum"'
        )
    if outputs % n_sources:
        raise ConfigError(
            f"head: {outputs} outputs cannot be shared by {n_sources} sources; take a multiple"
        )
    if outputs > n_sources and not family.is_linear:
        raise ConfigError(
            f"head: masks of {family.name} cannot be added up; take another family, or one output "
            "a source"
        )
