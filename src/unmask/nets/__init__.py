"""Networks that estimate masks: a front, a backbone by name, and a head, see `contract`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import unmask._training  # noqa: F401
from unmask.errors import ConfigError
from unmask.masks.family import Family
from unmask.nets.band_net import BandNet, BandNetConfig
from unmask.nets.contract import Backbone, Front, FrontSettings, Network, Region, Seen
from unmask.nets.crn import CRN, CRNConfig
from unmask.nets.dual_path import DualPath, DualPathConfig
from unmask.nets.estimator import Estimator
from unmask.nets.fronts import FRONTS
from unmask.nets.head import MaskHead
from unmask.nets.parallel import Parallel
from unmask.nets.tcn import TCN, TCNConfig
from unmask.nets.tfc_tdf import TFCTDF, TFCTDFConfig
from unmask.nets.thinned import Thinned
from unmask.nets.unet import UNet, UNetConfig

#: name -> (settings, backbone). A new architecture is one file and one line here.
NETS: dict[str, tuple[type[Any], Callable[..., Backbone]]] = {
    "band_net": (BandNetConfig, BandNet),
    "crn": (CRNConfig, CRN),
    "dual_path": (DualPathConfig, DualPath),
    "tcn": (TCNConfig, TCN),
    "tfc_tdf": (TFCTDFConfig, TFCTDF),
    "unet": (UNetConfig, UNet),
}

__all__ = [
    "FRONTS",
    "NETS",
    "Backbone",
    "Estimator",
    "Front",
    "FrontSettings",
    "MaskHead",
    "Network",
    "Parallel",
    "Region",
    "Seen",
    "build",
]


def build(
    frontend: FrontSettings,
    backbone: str,
    family: Family,
    *,
    n_sources: int,
    n_channels: int = 1,
    options: Mapping[str, Any] = MappingProxyType({}),
    decimation: int = 1,
    interpolation: str = "nearest",
    **head: Any,
) -> Estimator:
    """Return a freshly initialised network.

    Parameters
    ----------
    frontend : SpectrumConfig or LearnedConfig
        Settings of one of :data:`FRONTS`.
    backbone : str
        A name in :data:`NETS`.
    family : Family
        Of the masks.
    n_sources : int
        Sources that come out.
    n_channels : int
        Channels that are seen at once.
    options : mapping of str to value
        Settings of the backbone.
    decimation, interpolation
        With a decimation above 1 the network works on every so many bins, see
        :class:`unmask.nets.thinned.Thinned`.
    **head
        Settings of the head, see :class:`Estimator`.

    Raises
    ------
    ConfigError
        If there is no such network or setting, or they cannot work together.
    """
    if backbone not in NETS:
        raise ConfigError(f"backbone: no network named {backbone!r}; there are {sorted(NETS)}")
    config, net = NETS[backbone]
    known = sorted(config.__dataclass_fields__.keys() - {"seen"})
    if unknown := sorted(options.keys() - set(known)):
        raise ConfigError(f"backbone {backbone!r}: unknown settings {unknown}; there are {known}")
    front = frontend.front(n_channels=n_channels)
    if decimation != 1:
        front = Thinned(front, decimation=decimation, interpolation=interpolation)
    return Estimator(
        front, net(config(seen=front.seen, **options)), family, n_sources=n_sources, **head
    )
