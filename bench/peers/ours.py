"""Our own models, through the same measurements: ``unmask:MODEL[@RATE][+FRAMES]``.

MODEL is a bundled name or an ``.onnx`` file; FRAMES are given to the network a call.
"""

import numpy as np


class Unmask:
    """The first stem of a model; streams are fed one hop of its front-end a call."""

    def __init__(self, folder, name):
        import unmask

        name, _, frames = name.removeprefix("unmask:").partition("+")
        name, _, rate = name.partition("@")
        self._frames = int(frames) if frames else None
        self._model = model = unmask.load_model(name)
        self._streamer = unmask.Streamer
        self.sample_rate = int(rate or model.sample_rate)
        self.hop = model.stft_at(self.sample_rate).hop
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
        streamer = self._streamer(
            self._model, sample_rate=self.sample_rate, chunk_frames=self._frames
        )
        return lambda block: np.asarray(streamer.process(block[None])[stem][0])
