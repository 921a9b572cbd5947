"""HANCE's models for songs, by file, so that they can run in an environment of their own.

``python bench/peers/hance_stems.py MIXTURE.wav OUT`` writes ``OUT/MODEL/vocals.wav``, ``drums``,
``bass`` and ``other`` (with the piano that these models know) for every model for songs that the
package has, and prints as JSON how many times real time one thread was: a stem a pass, as its
interface has it. The first 2.5 s hold noise without a licence key. For packages and licence see
``hance_engine.py``.
"""

import argparse
import json
import time
from pathlib import Path

import hance
import numpy as np
import soundfile
from hance_engine import FLOATS

STEMS = {
    "vocals": {"Vocals"},
    "drums": {"Drums"},
    "bass": {"Bass"},
    "other": {"Other", "Piano"},
}


def stem(engine, name, rate, waveform, buses):
    """Return the sum of some outputs of a model, (sample, channel), in time with the input."""
    processor = engine.create_processor(name, waveform.shape[1], rate)
    for bus in range(processor.get_number_of_output_buses()):
        is_heard = processor.get_output_bus_name(bus) in buses
        processor.set_output_bus_volume(bus, float(is_heard))
    library, handle = engine.hance_engine, processor.handle
    silence = np.zeros((65536, waveform.shape[1]), np.float32)
    parts, given = [], 0
    while sum(map(len, parts)) < len(waveform):
        block = np.ascontiguousarray(waveform[given : given + 65536])
        block = block if len(block) else silence
        given += len(block)
        library.hanceAddAudioInterleaved(handle, block.ctypes.data_as(FLOATS), len(block))
        out = np.empty((library.hanceGetNumOfPendingSamples(handle), waveform.shape[1]), np.float32)
        if len(out):
            library.hanceGetAudioInterleaved(handle, out.ctypes.data_as(FLOATS), len(out))
        parts.append(out)
    return np.concatenate(parts)[: len(waveform)]


def main():
    """Separate with every model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mixture", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    waveform, rate = soundfile.read(args.mixture, dtype="float32", always_2d=True)
    engine, speeds = hance.HanceEngine(), {}
    for name in (name for name in hance.list_models() if "stem" in name):
        folder = args.out / Path(name).stem
        folder.mkdir(parents=True, exist_ok=True)
        start = time.process_time()
        stems = {k: stem(engine, name, rate, waveform, buses) for k, buses in STEMS.items()}
        speeds[folder.name] = len(waveform) / rate / (time.process_time() - start)
        for k, samples in stems.items():
            soundfile.write(folder / f"{k}.wav", samples, rate, subtype="FLOAT")
    print(json.dumps(speeds))


if __name__ == "__main__":
    main()
