"""Measure one system one way in this process; the last line printed is a JSON object.

``python bench/peers/measure.py NAME file|stream|describe``: see ``bench/speed.py``, which calls it.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
from denoisers import ABSENT, lag, make, reason

WARM_UP_S = 2


def audio(path, rate, seconds):
    """Return `seconds` of a recording at `rate`, repeated as often as needed."""
    import soundfile
    import soxr

    waveform, found = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(waveform.mean(axis=1), found, rate).astype(np.float32)
    return np.resize(mono, round(seconds * rate))


def whole(system, waveform):
    """Time the file way."""
    system.denoise(waveform[: WARM_UP_S * system.sample_rate])
    getattr(system, "fresh", lambda: None)()
    wall, cpu = time.perf_counter(), time.process_time()
    out = system.denoise(waveform)
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}, out


def hops(system, waveform):
    """Time the stream, one hop a call, and each call."""
    hop, rate = system.hop, system.sample_rate
    blocks = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    process = system.stream()
    for block in blocks[: WARM_UP_S * rate // hop]:
        process(block)
    process, outs, times = system.stream(), [], np.empty(len(blocks) + 1)
    cpu = time.process_time()
    times[0] = time.perf_counter()
    for k, block in enumerate(blocks, 1):
        outs.append(process(block))
        times[k] = time.perf_counter()
    cpu = time.process_time() - cpu
    each = 1000 * np.diff(times)
    n_out = np.cumsum([0, *map(len, outs)])
    row = {"cpu_s": cpu, "wall_s": times[-1] - times[0], "hop_ms": 1000 * hop / rate}
    row |= {"median_ms": np.median(each), "p999_ms": np.percentile(each, 99.9)}
    # Samples that wait for their hop to fill, and those held back after it.
    row["held"] = int(np.max(hop * np.arange(1, len(n_out)) - n_out[:-1]))
    return row, np.concatenate(outs)


def describe(system):
    """Return what the system says of itself, and its weights and MACs counted from its graphs."""
    said = {"rate": system.sample_rate, "licence": system.licence, "version": system.version}
    if counts := getattr(system, "counts", None):
        return said | counts
    if not system.graphs:
        return said
    from counting import count

    return said | count(system.graphs, frame_rate=system.frame_rate)


def peak_mb():
    """Return the most memory that this process held, in MB; what its parent held is not counted."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(args):
    system = make(args.name, args.peers)
    if args.way == "describe":
        return describe(system)
    if args.way == "stream" and system.hop is None:
        return {"absent": "whole files only"}
    waveform = audio(args.audio, system.sample_rate, args.seconds)
    row, out = (whole if args.way == "file" else hops)(system, waveform)
    row["peak_mb"] = peak_mb()
    row["audio_s"] = len(waveform) / system.sample_rate
    delay = lag(out, waveform)
    row["lag_ms"] = 1000 * delay / system.sample_rate
    if args.way == "stream":
        row["latency_ms"] = 1000 * (delay + row.pop("held")) / system.sample_rate
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("way", choices=("file", "stream", "describe"))
    parser.add_argument("--peers", type=Path, default=Path("peers"))
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--core", type=int)
    args = parser.parse_args()
    if args.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {args.core})
    try:
        row = measure(args)
    except ABSENT as error:
        row = {"absent": reason(error)}
    print(json.dumps(row, default=float))


if __name__ == "__main__":
    main()
