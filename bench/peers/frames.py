"""What the wrappers share: hops, spectra of one frame, an ONNX session on one thread."""

import os

import numpy as np


class Hops:
    """A peer that only streams: its file way is its stream over the whole file, delay taken off.

    It has ``hop`` (samples a call), ``delay`` (samples by which its output lags) and ``stream()``.
    """

    @property
    def frame_rate(self):
        """Frames a second."""
        return self.sample_rate / self.hop

    def denoise(self, waveform):
        """Denoise a whole recording."""
        process, hop = self.stream(), self.hop
        n_hops = -(-(len(waveform) + self.delay) // hop)
        padded = np.pad(waveform, (0, n_hops * hop - len(waveform)))
        out = np.concatenate([process(block) for block in padded.reshape(n_hops, hop)])
        return out[self.delay : self.delay + len(waveform)]


class Frames:
    """Take a hop, give a hop: `step` turns one spectrum (freq,) into another.

    Windowed overlap-add as ``torch.stft`` and ``torch.istft`` do it; the output lags by
    ``len(window) - hop`` samples.
    """

    def __init__(self, window, hop, step):
        envelope = np.sum(np.square(window).reshape(-1, hop), axis=0)
        self._analysis = window.astype(np.float32)
        self._synthesis = (window / np.tile(envelope, len(window) // hop)).astype(np.float32)
        self._hop, self._step = hop, step
        self._held, self._tail = np.zeros((2, len(window)), np.float32)

    def __call__(self, block):
        """Take one frame."""
        hop = self._hop
        self._held = np.concatenate([self._held[hop:], block])
        spectrum = self._step(np.fft.rfft(self._analysis * self._held))
        self._tail += self._synthesis * np.fft.irfft(spectrum)
        ready = self._tail[:hop]
        self._tail = np.concatenate([self._tail[hop:], np.zeros(hop, np.float32)])
        return ready


def hann(n_fft):
    """Return the periodic Hann window."""
    return np.hanning(n_fft + 1)[:-1]


def session(path):
    """Return an ONNX Runtime session on one thread."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    check(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def module(path):
    """Import one Python file of a peer's repository by its path."""
    import importlib.util

    check(path)
    spec = importlib.util.spec_from_file_location(f"peer_{path.stem}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def check(path):
    """Say so where a peer's file is not there."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is not there")
