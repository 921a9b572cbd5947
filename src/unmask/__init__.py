"""Mask-based audio source separation: masks, oracles, networks, a small engine, honest tables.

Axes are ``waveform (..., channel, sample)``, ``spectrum (..., channel, freq, frame)`` and
``masks (..., source, channel, freq, frame)``; every comparison is ``(estimate, target)``.

Names are loaded when they are first used: ``import unmask`` alone loads neither PyTorch nor ONNX
Runtime, nor anything else that takes time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unmask._version import __version__

if TYPE_CHECKING:
    from unmask import (
        audio,
        errors,
        evaluate,
        gap,
        mask_analysis,
        masks,
        metrics,
        oracle,
        phase,
        plots,
        stems,
    )
    from unmask.engine.model import Model, load_model
    from unmask.engine.settings import Settings
    from unmask.engine.stream import Streamer
    from unmask.frontends import STFT
    from unmask.oracle import Oracle

__all__ = [
    "STFT",
    "Model",
    "Oracle",
    "Settings",
    "Streamer",
    "__version__",
    "audio",
    "errors",
    "evaluate",
    "gap",
    "load_model",
    "mask_analysis",
    "masks",
    "metrics",
    "oracle",
    "phase",
    "plots",
    "stems",
]

# Public name -> module that has it; the others are modules themselves.
_HOME = {
    "Model": "engine.model",
    "Oracle": "oracle",
    "STFT": "frontends",
    "Settings": "engine.settings",
    "Streamer": "engine.stream",
    "load_model": "engine.model",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'unmask' has no attribute {name!r}")
    module = import_module(f"unmask.{_HOME.get(name, name)}")
    value = getattr(module, name) if name in _HOME else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
