"""Mask-based audio source separation."""

from unmask._version import __version__

__all__ = ["__version__"]
