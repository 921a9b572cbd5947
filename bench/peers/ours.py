"""Our own models, through the same measurements: ``unmask:NAME`` or ``unmask:FILE.onnx[@RATE]``."""

import numpy as np


class Unmask:
    """The first stem of a model; streams are fed one hop of its front-end a call."""

    def __init__(self, folder, name):
        import unmask

        name, _, rate = name.removeprefix("unmask:").partition("@")
        self._model = model = unmask.load_model(name)
        self._streamer = unmask.Streamer
        self.sample_rate = int(rate or model.sample_rate)
        self.hop = model.stft.scaled(self.sample_rate / model.sample_rate).hop
        self.licence = model.metadata.get("licence", "")
        self.version = f"{model.name} {model.version}"
        self.counts = {key: model.metadata.get(key) for key in ("parameters", "macs_per_second")}
        self.counts["sha256"] = model.sha256

    def denoise(self, waveform):
        """Denoise a whole recording."""
        return self._model.separate(waveform[None], self.sample_rate)[self._model.stems[0]][0]

    def stream(self):
        """Return a new stream: a function of one hop."""
        stem = self._model.stems[0]
        streamer = self._streamer(self._model, sample_rate=self.sample_rate)
        return lambda block: np.asarray(streamer.process(block[None])[stem][0])
