"""noisereduce: spectral gating (Sainburg et al., 2020). ``pip install noisereduce``; MIT."""

from importlib.metadata import version


class NoiseReduce:
    """Default settings, whole files, at 48 kHz."""

    licence, sample_rate, hop, graphs = "MIT", 48000, None, []

    def __init__(self, folder):
        import noisereduce

        self._reduce, self.version = noisereduce.reduce_noise, version("noisereduce")

    def denoise(self, waveform):
        """Denoise a whole recording."""
        return self._reduce(y=waveform, sr=self.sample_rate, n_jobs=1)
