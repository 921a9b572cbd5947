"""Seconds of CPU that an hour of audio costs, of every bundled model, and what it is made of.

``python bench/unit_costs.py`` separates two minutes twice, takes the faster, and times the parts.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from unmask import audio
from unmask.engine.model import bundled, load_model
from unmask.files import sha256
from unmask.layout import Output
from unmask.separate import separate_file

ASSETS = Path(__file__).parents[1] / "assets"
SECONDS = 120
RATES = {"denoise-16k": 16000, "music": 44100}


def cpu(work):
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(name, folder, ext):
    model = load_model(name)
    rate = RATES.get(name, 48000)
    x, found = audio.read(ASSETS / ("music" if name == "music" else "demo") / "mixture.flac")
    x = audio.resample(x, found, rate) if found != rate else x
    x = np.tile(x, (1, -(-SECONDS * rate // x.shape[1])))[:, : SECONDS * rate]
    path = folder / f"x.{ext}"
    audio.write(path, x, rate)
    records = [separate_file(path, model, Output(out=folder / "out")) for _ in range(2)]
    an_hour = 3600 / SECONDS
    parts = {
        "whole job": min(record["timings"]["cpu_seconds"] for record in records),
        "decode": cpu(lambda: [None for _ in audio.read_blocks(path)]),
        "hash": cpu(lambda: sha256(path)),
        "encode a stem": cpu(lambda: audio.write(folder / f"y.{ext}", x, rate)),
    }
    written = sum(entry["n_bytes"] for entry in records[0]["outputs"])
    sizes = {"MB in": path.stat().st_size / 1e6, "MB out": written / 1e6}
    said = {key: round(value * an_hour, 2) for key, value in (parts | sizes).items()}
    print(name, ext, *(f"{key} {value}" for key, value in said.items()), sep=", ", flush=True)


if __name__ == "__main__":
    for name in bundled():
        for ext in ("flac", "wav"):
            with tempfile.TemporaryDirectory() as folder:
                measure(name, Path(folder), ext)
