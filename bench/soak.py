"""Streams and a listening server under load for minutes, and whether their memory stays flat.

::

    python bench/soak.py [--minutes 5]

A stream of three bundled denoisers takes noise in blocks of any size, with settings that change and
a flush now and then; a server in a process of its own is asked by listeners who answer whole tests,
and by one who sends nonsense. Prints the memory (resident) of both, a line a tenth of the time, and
what they gained in the second half; the exit code is 1 if that is more than 8 MB.
"""

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from unmask import Settings, Streamer, load_model

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import listening

MOST_GAINED_MB = 8
MODELS = ("denoise-16k", "denoise-48k-live", "denoise-48k-base")


def resident_mb(process):
    """Return the memory of a process that is in use, in MB."""
    lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    said = next(line for line in lines if line.startswith("VmRSS"))
    return int(said.split()[1]) / 1024


def stream(stop):
    """Push noise through streamers; return the seconds of sound."""
    rng, n_seconds = np.random.default_rng(0), 0.0
    streamers = [Streamer(load_model(name), n_channels=2) for name in MODELS]
    while not stop.is_set():
        for streamer in streamers:
            rate = streamer.sample_rate
            block = rng.standard_normal((2, int(rng.integers(0, rate)))).astype(np.float32)
            streamer.process(0.1 * block)
            n_seconds += block.shape[1] / rate
            if rng.random() < 0.05:
                streamer.flush()
            if rng.random() < 0.05:
                streamer.settings = Settings(sensitivity=float(rng.uniform(0.5, 1.5)))
    return n_seconds


def listen(port, stop):
    """Answer whole tests, and send nonsense in between; return how many answers were stored."""
    n_stored, chance = 0, random.Random(0)
    while not stop.is_set():
        listener = listening.Listener(port, begin=f"{chance.getrandbits(128):032x}")
        listener.prepare()
        for position in range(1, 5):
            listener.hear(position)
            _, said = listener.submit(position)
            n_stored += said["stored"]
        for body in (b"{", b"[" * 10_000, os.urandom(2000)):
            listener.ask("POST", "/api/notes", body, Content_Type="application/json")
        listener.ask("GET", "/api/pages/../../../../etc/passwd")
        try:
            broken = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            broken.connect()
            broken.sock.sendall(b"POST /api/notes HTTP/1.1\r\nContent-Length: 999\r\n\r\n{")
            broken.close()
        except OSError:
            pass
        stop.wait(3)  # of new listeners from one address, a server takes so many a minute
    return n_stored


def serve(folder):
    """Start the server of a test; return the process and its port."""
    command = [sys.executable, "-m", "unmask", "listen", "serve", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    url = process.stdout.readline().split()[0]
    return process, int(url.rstrip("/").rpartition(":")[2])


def soak(folder, minutes):
    """Run all of it; return the memory of both, a row a tenth of the time, and the counts."""
    listening.write_recordings(folder)
    process, port = serve(listening.made(folder, systems=("ours", "theirs")))
    stop, counts = threading.Event(), {}
    works = {"seconds of sound": (stream,), "answers": (listen, port)}
    threads = [
        threading.Thread(target=lambda n, w: counts.update({n: w[0](*w[1:], stop)}), args=item)
        for item in works.items()
    ]
    rows = []
    try:
        for thread in threads:
            thread.start()
        for _ in range(10):
            time.sleep(6 * minutes)
            rows.append((resident_mb(os.getpid()), resident_mb(process.pid)))
            print("streams {:.1f} MB, server {:.1f} MB".format(*rows[-1]), flush=True)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        process.terminate()
        process.wait(30)
    return rows, counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    with tempfile.TemporaryDirectory() as temporary:
        rows, counts = soak(Path(temporary), parser.parse_args().minutes)
    gained = [last - third for last, third in zip(rows[-1], rows[4], strict=True)]
    print(json.dumps({"gained_mb": dict(zip(("streams", "server"), gained, strict=True))} | counts))
    sys.exit(max(gained) > MOST_GAINED_MB or len(counts) < 2)
