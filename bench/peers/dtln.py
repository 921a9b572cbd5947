"""DTLN (Westhausen and Meyer, Interspeech 2020).

``git clone https://github.com/breizhn/DTLN`` into the folder of peers (MIT), and
``pip install ai-edge-litert`` for the tflite files, onnxruntime for the others. Two networks, the
second on waveforms; the loop is that of the repository's real-time examples.
"""

import numpy as np
from frames import Hops, check, session


class DTLN(Hops):
    """512 samples in, 128 samples out, frame by frame."""

    licence, sample_rate, hop, delay = "MIT", 16000, 128, 384

    def __init__(self, folder, kind):
        home = folder / "DTLN" / "pretrained_model"
        self.graphs = [home / f"model_{k}.onnx" for k in (1, 2)]
        self.version = kind
        if kind == "ONNX":
            self._paths, self._load = self.graphs, Graph
        else:
            stem = "model_quant" if "quantised" in kind else "model"
            self._paths, self._load = [home / f"{stem}_{k}.tflite" for k in (1, 2)], Interpreter
        for path in self._paths:
            check(path)
        self._networks = [self._load(path) for path in self._paths]

    def stream(self):
        """Return a new stream: a function of one hop."""
        first, second = self._networks
        first.reset()
        second.reset()
        held, tail = np.zeros((2, 512), np.float32)

        def process(block):
            nonlocal held, tail
            held = np.concatenate([held[128:], block])
            spectrum = np.fft.rfft(held)
            mask = first(np.abs(spectrum)[None, None].astype(np.float32))
            estimate = np.fft.irfft(spectrum * mask[0, 0])
            tail = np.concatenate([tail[128:], np.zeros(128, np.float32)])
            tail += second(estimate[None, None].astype(np.float32)).squeeze()
            return tail[:128].copy()

        return process


class Interpreter:
    """A tflite network with one state."""

    def __init__(self, path):
        from ai_edge_litert.interpreter import Interpreter as LiteRT

        self._runtime = LiteRT(model_path=str(path), num_threads=1)
        self._runtime.allocate_tensors()
        self._in = [entry["index"] for entry in self._runtime.get_input_details()]
        self._out = [entry["index"] for entry in self._runtime.get_output_details()]
        self._shape = self._runtime.get_input_details()[1]["shape"]

    def reset(self):
        """Start anew."""
        self._state = np.zeros(self._shape, np.float32)

    def __call__(self, features):
        """Take one frame."""
        self._runtime.set_tensor(self._in[1], self._state)
        self._runtime.set_tensor(self._in[0], features)
        self._runtime.invoke()
        self._state = self._runtime.get_tensor(self._out[1])
        return self._runtime.get_tensor(self._out[0])


class Graph:
    """An ONNX network with one state."""

    def __init__(self, path):
        self._session = session(path)
        self._names = [entry.name for entry in self._session.get_inputs()]
        shape = self._session.get_inputs()[1].shape
        self._shape = [n if isinstance(n, int) else 1 for n in shape]

    def reset(self):
        """Start anew."""
        self._state = np.zeros(self._shape, np.float32)

    def __call__(self, features):
        """Take one frame."""
        inputs = dict(zip(self._names, (features, self._state), strict=True))
        out, self._state = self._session.run(None, inputs)
        return out
