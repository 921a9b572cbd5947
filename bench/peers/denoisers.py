"""Run peers that pip installs on a folder of recordings: each writes its own folder beside it.

``python bench/peers/denoisers.py FOLDER`` reads FOLDER/mixture/*.wav (mono) and writes
FOLDER/{rnnoise,noisereduce}/*.wav and FOLDER/peers.json with CPU seconds per second of audio. It
needs ``pip install pyrnnoise noisereduce soundfile soxr`` in an environment of its own.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import noisereduce
import numpy as np
import soundfile
import soxr
from pyrnnoise import RNNoise


def rnnoise(waveform, rate):
    """48 kHz in frames of 10 ms through its Python binding, in 16 bits as it asks; delay undone."""
    resampled = soxr.resample(waveform, rate, 48000) if rate != 48000 else waveform
    chunk = (np.clip(resampled, -1, 1) * 32767).astype(np.int16)[None]
    frames = [frame for _, frame in RNNoise(48000).denoise_chunk(chunk)]
    out = np.concatenate(frames, axis=-1)[0] / 32767
    out = soxr.resample(out, 48000, rate) if rate != 48000 else out
    return aligned(out, waveform)


def reduce_noise(waveform, rate):
    """Spectral gating with default settings."""
    return noisereduce.reduce_noise(y=waveform, sr=rate)


def aligned(out, waveform):
    """Shift by the lag of highest correlation with the input, which is what favours the peer."""
    n = 1 << (len(out) + len(waveform)).bit_length()
    spectrum = np.fft.rfft(out, n) * np.conj(np.fft.rfft(waveform, n))
    lag = int(np.argmax(np.fft.irfft(spectrum, n)[:4096]))
    return np.pad(out[lag:], (0, len(waveform)))[: len(waveform)]


PEERS = {"rnnoise": rnnoise, "noisereduce": reduce_noise}
PACKAGES = {"rnnoise": "pyrnnoise", "noisereduce": "noisereduce"}


def main(folder):
    folder, report = Path(folder), {}
    for name, denoise in PEERS.items():
        (folder / name).mkdir(exist_ok=True)
        seconds = length = 0.0
        for path in sorted((folder / "mixture").glob("*.wav")):
            waveform, rate = soundfile.read(path)
            start = time.process_time()
            out = denoise(waveform, rate)
            seconds += time.process_time() - start
            length += len(waveform) / rate
            soundfile.write(folder / name / path.name, out, rate, subtype="FLOAT")
        package = PACKAGES[name]
        report[name] = {"version": f"{package} {version(package)}", "load": seconds / length}
    (folder / "peers.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main(sys.argv[1])
