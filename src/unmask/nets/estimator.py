"""The network of a model: front, backbone, head and the activation of its masks in one module."""

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.masks.family import Family
from unmask.nets import grouping as groupings
from unmask.nets.contract import Backbone, Front, State
from unmask.nets.head import MaskHead


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
        Masks that the head estimates; 0 means one a source.
    grouping : str
        How they become those of sources, one of :data:`unmask.nets.grouping.GROUPINGS`. With
        ``assigned`` every output is a source of this network.
    depth, hidden : int
        Of the :class:`MaskHead`.
    shared : bool
        Whether one branch of it makes the masks of all outputs.

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
        shared: bool = False,
    ) -> None:
        super().__init__()
        outputs = outputs or n_sources
        groupings.check(grouping, family, n_outputs=outputs, n_sources=n_sources)
        front.check(family, lookahead=backbone.lookahead_frames)
        self.front, self.backbone, self.family = front, backbone, family
        if shared and backbone.lookahead_frames:
            raise ConfigError(
                "head: shared hears the mixture at once, features come "
                f"{backbone.lookahead_frames} frames late; set lookahead to 0, or shared to false"
            )
        self.n_sources = outputs if grouping == "assigned" else n_sources
        self.n_channels = front.n_channels
        self.grouping = groupings.made(grouping, outputs, n_sources)
        self.head = MaskHead(
            backbone.regions,
            n_outputs=outputs,
            n_maps=family.n_maps,
            n_channels=front.n_channels,
            depth=depth,
            hidden=hidden,
            shared=front.seen if shared else None,
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
        raw: Tensor = self.head(features, seen).transpose(-1, -2)
        # Half precision has too few bits near 1 for masks that are bounded, and for their slopes.
        raw = raw.float() if torch.finfo(raw.dtype).bits < 32 else raw
        masks: Tensor = self.family.parts(raw)
        masks = masks if self.grouping is None else self.grouping(masks)
        return self.front.finish(masks, seen), state
