"""Mask-based audio source separation: masks, oracles, networks, a small engine, honest tables.

Axes are ``waveform (..., channel, sample)``, ``spectrum (..., channel, freq, frame)`` and
``masks (..., source, channel, freq, frame)``; every comparison is ``(estimate, target)``.

Names and modules are loaded when they are first used: ``import unmask`` alone loads neither PyTorch
nor ONNX Runtime, nor anything else that takes time.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from unmask._version import __version__

if TYPE_CHECKING:
    from unmask import (
        audio,
        errors,
        evaluate,
        folding,
        frontends,
        gap,
        loudness,
        mask_analysis,
        masks,
        metrics,
        mixtures,
        octaves,
        oracle,
        phase,
        phase_benefit,
        plots,
        reference,
        separate,
        stems,
    )
    from unmask.engine.model import Model, load_model
    from unmask.engine.settings import Settings
    from unmask.engine.stream import Streamer
    from unmask.frontends import STFT
    from unmask.layout import Output
    from unmask.oracle import Oracle
    from unmask.separate import separate_file

__all__ = [
    "STFT",
    "Model",
    "Oracle",
    "Output",
    "Settings",
    "Streamer",
    "__version__",
    "audio",
    "errors",
    "evaluate",
    "folding",
    "frontends",
    "gap",
    "load_model",
    "loudness",
    "mask_analysis",
    "masks",
    "metrics",
    "mixtures",
    "octaves",
    "oracle",
    "phase",
    "phase_benefit",
    "plots",
    "reference",
    "separate",
    "separate_file",
    "stems",
]

# Public name -> module that has it; the others are modules themselves, as are `train`, `nets` and
# the rest of the training wing, which are not among the public names because they need PyTorch.
_HOME = {
    "Model": "engine.model",
    "Oracle": "oracle",
    "Output": "layout",
    "STFT": "frontends",
    "Settings": "engine.settings",
    "Streamer": "engine.stream",
    "load_model": "engine.model",
    "separate_file": "separate",
}


def __getattr__(name: str) -> Any:
    if name not in __all__ and (name.startswith("_") or not find_spec(f"unmask.{name}")):
        raise AttributeError(f"module 'unmask' has no attribute {name!r}")
    module = import_module(f"unmask.{_HOME.get(name, name)}")
    value = getattr(module, name) if name in _HOME else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
