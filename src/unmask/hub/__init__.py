"""Models from a hub: looked up, shown, fetched and checked once, then pinned.

Only :func:`look_up` and :func:`pull` ask a host, and only the one of ``HF_ENDPOINT``; they are told
nothing but ``unmask`` and its version, and no token unless the user says so. A model that was
pulled is loaded by its address like any other: see :mod:`unmask.pins`.
"""

from unmask.hub.pulling import Offer, look_up, pull, verify

__all__ = ["Offer", "look_up", "pull", "verify"]
