"""The HANCE engine's Python package, closed, 48 kHz.

``pip install hance`` (the wrapper is MIT; the engine and its models are HANCE's). Release 26.1
wants glibc 2.38; ``pip install "hance<26"`` gives 3.0.0. Without a licence key the engine adds
noise to the first seconds, which changes its scores but not its speed. Its library is called
directly: the package's ``process`` makes a Python number of every sample.
"""

import ctypes
from importlib.metadata import version
from pathlib import Path

import numpy as np
from frames import Hops

FLOATS = ctypes.POINTER(ctypes.c_float)


class HANCE(Hops):
    """One processor of a denoising model, fed hop by hop."""

    licence, sample_rate, graphs = "closed (wrapper MIT)", 48000, []

    def __init__(self, folder, kind):
        import hance

        names = [name for name in hance.list_models() if name.startswith("speech-denoise-")]
        names = [n for n in names if "dereverb" not in n and _is(n, kind)]
        if not names:
            raise FileNotFoundError(f"the package has no model {kind}")
        self._model, self._engine = names[0], hance.HanceEngine()
        self.fresh()
        info = self._processor.get_info()
        self.hop, self.delay = info["hopSize"], info["latencyInSamples"]
        self.version = f"hance {version('hance')}, {Path(names[0]).stem}"

    def fresh(self):
        """Load the model anew: not part of what is timed."""
        self._processor = self._engine.create_processor(self._model, 1, self.sample_rate)
        for bus in range(self._processor.get_number_of_output_buses()):
            self._processor.set_output_bus_sensitivity(bus, 0.0)
            self._processor.set_output_bus_volume(bus, float(bus == 0))  # all of them are the input
        self._is_fresh = True

    def stream(self):
        """Return a new stream: a function of one hop."""
        if not self._is_fresh:
            self.fresh()
        self._is_fresh = False
        processor, library = self._processor, self._engine.hance_engine
        handle = processor.handle

        def process(block, _alive=processor):
            block = np.ascontiguousarray(block, np.float32)
            library.hanceAddAudioInterleaved(handle, block.ctypes.data_as(FLOATS), len(block))
            out = np.empty(library.hanceGetNumOfPendingSamples(handle), np.float32)
            if len(out):
                library.hanceGetAudioInterleaved(handle, out.ctypes.data_as(FLOATS), len(out))
            return out

        return process

    def denoise(self, waveform):
        """Feed blocks of 65536 samples, as the package does, then silence until all is out."""
        process, silence = self.stream(), np.zeros(65536, np.float32)
        n_blocks = -(-len(waveform) // 65536)
        parts = [process(block) for block in np.array_split(waveform, max(n_blocks, 1))]
        while sum(map(len, parts)) < len(waveform):
            parts.append(process(silence))
        return np.concatenate(parts)[: len(waveform)]


def _is(name, kind):
    """Say whether a file is the model `kind`, such as "32ms" or "32ms-tiny"."""
    stem = name.removesuffix(".hance").split(".v")[0]
    return stem.endswith(f"-{kind}")
