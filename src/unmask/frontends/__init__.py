"""Front-ends: what a host does to samples before a network sees them, and afterwards.

Both kinds cut a waveform into frames and add frames up. An :class:`STFT` transforms them, and masks
are applied to its bins; :class:`Frames` leaves that to the network.
"""

from collections.abc import Mapping
from typing import Any

from unmask.frontends.frames import Frames
from unmask.frontends.stft import STFT

#: Kind, as a model file says it -> front-end; its fields are the other entries.
FRONTENDS: Mapping[str, Any] = {"stft": STFT, "frames": Frames}

__all__ = ["FRONTENDS", "STFT", "Frames"]


def __dir__() -> list[str]:
    return __all__
