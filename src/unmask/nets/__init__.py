"""Networks that estimate masks, by name.

A network is called as ``raw, state = net(spectrum, state)`` (see :class:`unmask.nets.crn.CRN`) for
training, files and streams alike; ``net.initial_state(batch)`` starts it, ``net.config`` is what
it was built from, and ``net.lookahead_frames`` says how many frames its masks come late.

A *streaming* network has a state and can be cut anywhere: ``unit_frames`` is 1, ``context_frames``
0. A *chunk* network has none: frames must be a multiple of ``unit_frames``, and the masks of a
chunk that starts and ends on such multiples depend on ``context_frames`` to either side of it.
"""

from typing import Any

from torch import nn

from unmask.errors import ConfigError
from unmask.nets.band_net import BandNet, BandNetConfig
from unmask.nets.crn import CRN, CRNConfig
from unmask.nets.parallel import Parallel
from unmask.nets.unet import UNet, UNetConfig

#: name -> (settings, network). A new architecture is one file and one line here.
NETS: dict[str, tuple[Any, Any]] = {
    "band_net": (BandNetConfig, BandNet),
    "crn": (CRNConfig, CRN),
    "unet": (UNetConfig, UNet),
}

__all__ = [
    "CRN",
    "NETS",
    "BandNet",
    "BandNetConfig",
    "CRNConfig",
    "Parallel",
    "UNet",
    "UNetConfig",
    "build",
]


def build(name: str, **settings: Any) -> nn.Module:
    """Return a freshly initialised network; see ``NETS[name][0]`` for its settings.

    Raises
    ------
    ConfigError
        If there is no network `name`, or a setting is unknown or impossible.
    """
    if name not in NETS:
        raise ConfigError(f"backbone: no network named {name!r}; there are {sorted(NETS)}")
    config, net = NETS[name]
    if unknown := settings.keys() - config.__dataclass_fields__.keys():
        raise ConfigError(
            f"backbone {name!r}: unknown settings {sorted(unknown)}; "
            f"there are {sorted(config.__dataclass_fields__)}"
        )
    module: nn.Module = net(config(**settings))
    return module
