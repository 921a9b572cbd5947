"""RNNoise (Valin, 2018; the newer weights), 48 kHz.

``pip install pyrnnoise``: Apache-2.0, with Xiph's library (BSD-3-Clause). The library is called
directly, frame by frame, in floating point: the package's own way goes through 16 bits and PyAV.
"""

import ctypes
from importlib.metadata import version

import numpy as np
from frames import Hops

FLOATS = ctypes.POINTER(ctypes.c_float)


class RNNoise(Hops):
    """``rnnoise_process_frame``: 480 samples in, 480 out."""

    licence, sample_rate, hop, delay, graphs = "BSD-3-Clause", 48000, 480, 960, []

    def __init__(self, folder):
        from pyrnnoise import rnnoise

        self._library, self._state = rnnoise.lib, None
        self.version = f"pyrnnoise {version('pyrnnoise')}"

    def stream(self):
        """Return a new stream: a function of one hop."""
        library = self._library
        if self._state is not None:
            library.rnnoise_destroy(self._state)
        self._state = state = ctypes.c_void_p(library.rnnoise_create(None))

        def process(block):
            frame = np.multiply(block, 32768, dtype=np.float32)
            pointer = frame.ctypes.data_as(FLOATS)
            library.rnnoise_process_frame(state, pointer, pointer)
            return frame / np.float32(32768)

        return process
