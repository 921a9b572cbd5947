"""Models in use, under a short name; see :mod:`unmask.engine`."""

from unmask.engine.model import Model, bundled, load_model

__all__ = ["Model", "bundled", "load_model"]
