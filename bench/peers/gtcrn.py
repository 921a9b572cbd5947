"""GTCRN (Rong et al., ICASSP 2024) and UL-UNAS (Rong et al., TASLP 2026), weights for DNS3.

``git clone https://github.com/Xiaobin-Rong/gtcrn`` and ``…/Xiaobin-Rong/ul-unas`` into the folder
of peers; both MIT. The streams need onnxruntime, the whole-file ways torch and einops.
"""

import numpy as np
from frames import Frames, Hops, hann, module, session


class Stream(Hops):
    """A graph of one frame with its state in and out, called frame by frame from Python."""

    licence, sample_rate, hop, delay = "MIT", 16000, 256, 256

    def __init__(self, path, window, version):
        self._session, self.graphs = session(path), [path]
        self._window, self.version = window, version

    def stream(self):
        """Return a new stream: a function of one hop."""
        spectrum, *states = self._session.get_inputs()
        state = {entry.name: np.zeros(entry.shape, np.float32) for entry in states}

        def step(frame):
            parts = np.stack([frame.real, frame.imag], axis=-1).astype(np.float32)
            out, *after = self._session.run(None, {spectrum.name: parts[None, :, None], **state})
            state.update(zip(state, after, strict=True))
            return out[0, :, 0, 0] + 1j * out[0, :, 0, 1]

        return Frames(self._window, self.hop, step)


class Offline:
    """The network in PyTorch over the whole file at once, as the repository's own script does."""

    licence, sample_rate, hop, frame_rate = "MIT", 16000, None, 62.5

    def __init__(self, code, weights, name, graph):
        import torch

        torch.set_num_threads(1)
        self._net = getattr(module(code), name)().eval()
        self._net.load_state_dict(torch.load(weights, map_location="cpu")["model"])
        self._torch, self.graphs = torch, [graph]
        self.version = f"PyTorch {torch.__version__}"


class OfflineGTCRN(Offline):
    """GTCRN takes and gives spectra."""

    def denoise(self, waveform):
        """Denoise a whole recording."""
        torch = self._torch
        front = {"n_fft": 512, "hop_length": 256, "window": torch.hann_window(512).pow(0.5)}
        with torch.no_grad():
            mixture = torch.stft(torch.from_numpy(waveform), return_complex=True, **front)
            out = self._net(torch.view_as_real(mixture)[None])[0]
            spectrum = torch.view_as_complex(out.contiguous())
            return torch.istft(spectrum, length=len(waveform), **front).numpy()


class OfflineULUNAS(Offline):
    """UL-UNAS takes and gives waveforms."""

    def denoise(self, waveform):
        """Denoise a whole recording."""
        with self._torch.inference_mode():
            out = self._net(self._torch.from_numpy(waveform)[None]).numpy().squeeze()
        return np.pad(out, (0, max(0, len(waveform) - len(out))))[: len(waveform)]


def gtcrn_stream(folder):
    path = folder / "gtcrn/stream/onnx_models/gtcrn_simple.onnx"
    return Stream(path, np.sqrt(hann(512)), "DNS3 weights, ONNX")


def gtcrn(folder):
    home = folder / "gtcrn"
    weights = home / "checkpoints/model_trained_on_dns3.tar"
    graph = home / "stream/onnx_models/gtcrn_simple.onnx"
    return OfflineGTCRN(home / "gtcrn.py", weights, "GTCRN", graph)


def ulunas_stream(folder):
    path = folder / "ul-unas/ulunas_onnx/onnx_models/ulunas_stream_simple.onnx"
    return Stream(path, hann(512), "DNS3 weights, ONNX")


def ulunas(folder):
    home = folder / "ul-unas"
    weights = home / "checkpoints/model_trained_on_dns3.tar"
    graph = home / "ulunas_onnx/onnx_models/ulunas_stream_simple.onnx"
    return OfflineULUNAS(home / "ulunas.py", weights, "ULUNAS", graph)
