"""How a served listening test bears load, and kill -9.

::

    python bench/listen.py load      # 100 listeners at once: latencies of every kind of request
    python bench/listen.py kills     # 1000 submissions while the server is killed and restarted

The test is made of noise; clips are of 8 s, stereo, 44.1 kHz. The server is a process of its own,
`unmask listen serve`, the listeners are threads of this one, so they share the machine with it.
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
from collections import defaultdict
from pathlib import Path

import numpy as np

from unmask import audio
from unmask.evaluate import Pairing
from unmask.listen import make as making
from unmask.listen.export import judgements
from unmask.listen.recordings import find
from unmask.listen.serving import open_store

_MAIN = "from unmask.cli import main; main()"


def make_test(folder, *, n_pages, rate, seconds, n_channels):
    rng = np.random.default_rng(0)
    for name in ("true", "one", "two"):
        for track in range(n_pages):
            (folder / name / f"t{track}").mkdir(parents=True)
            for stem in ("bass", "drums")[: 1 + (name == "true")]:
                noise = 0.1 * rng.standard_normal((n_channels, round(seconds * rate)))
                audio.write(folder / name / f"t{track}" / f"{stem}.wav", noise, rate)
    systems = {name: folder / name for name in ("one", "two")}
    recordings, _ = find(systems, folder / "true", None, Pairing(stems=("bass",)))
    settings = making.Settings(
        items=n_pages,
        pages_per_listener=n_pages,
        duration_s=seconds,
        min_heard_s=0,
        headphones="off",
    )
    making.make(making.plan(list(systems), recordings, settings), folder / "test")
    return folder / "test"


class Server:
    """The server, in a process of its own."""

    def __init__(self, folder, database=None):
        self._command = [sys.executable, "-c", _MAIN, "listen", "serve", str(folder)]
        self._command += ["--database", database] if database else []
        self.port = 0
        self.start()

    def start(self):
        """Start it, on the port that it had."""
        command = [*self._command, "--port", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline().split()[0].rstrip("/").rpartition(":")[2])

    def kill(self):
        """Kill it as nothing can prepare for."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


class Listener:
    """Asks as a page does: what fails is asked again until it is answered."""

    def __init__(self, server, number, latencies):
        self.server, self.number, self.latencies = server, number, latencies
        self.cookie, self.connection = None, None
        self.acknowledged, self.n_again = [], 0

    def ask(self, kind, method, path, said=None):
        """Return the body of an answer, however often it takes."""
        headers = {"Content-Type": "application/json"} if said is not None else {}
        headers |= {"Cookie": self.cookie} if self.cookie else {}
        body = None if said is None else json.dumps(said)
        while True:
            begun = time.perf_counter()
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(
                        "127.0.0.1", self.server.port, timeout=60
                    )
                self.connection.request(method, path, body, headers)
                response = self.connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException):
                self.connection = None
                self.n_again += 1
                time.sleep(0.02)
                continue
            if response.status == 429:
                self.n_again += 1
                time.sleep(0.25)
                continue
            assert response.status < 300, (path, response.status, content)
            self.latencies[kind].append(time.perf_counter() - begun)
            if cookie := response.headers.get("Set-Cookie"):
                self.cookie = cookie.partition(";")[0]
            return content

    def take(self, think_s):
        """Take the whole test."""
        chance = random.Random(self.number)
        begin = {"consent": True, "begin": f"{self.number:032d}"}
        self.ask("begin", "POST", "/api/session", begin)
        hearing = {"step": "hearing", "hearing": "normal", "tones_played": 3, "tones_heard": 3}
        for said in ({"step": "volume"}, hearing, {"step": "training"}):
            state = json.loads(self.ask("check", "POST", "/api/notes", said))
        for position in range(1, state["n_pages"] + 1):
            time.sleep(chance.expovariate(1 / think_s) if think_s else 0)
            page = json.loads(self.ask("page", "GET", f"/api/pages/{position}"))
            for clip in page["clips"]:
                self.ask("clip", "GET", f"/api/pages/{position}/clips/{clip['name']}")
            answers = {question["id"]: chance.choice("ab") for question in page["questions"]}
            said = {"key": f"{position:032d}", "rt_s": 1.0, "answers": answers}
            self.ask("answer", "POST", f"/api/pages/{position}/answer", said)
            self.acknowledged.append((position, answers))


def run(server, n_listeners, think_s):
    latencies = defaultdict(list)
    listeners = [Listener(server, k, latencies) for k in range(n_listeners)]
    threads = [threading.Thread(target=one.take, args=(think_s,)) for one in listeners]
    for thread in threads:
        thread.start()
    return listeners, threads, latencies


def load(options):
    with tempfile.TemporaryDirectory() as folder:
        test = make_test(Path(folder), n_pages=options.pages, rate=44100, seconds=8.0, n_channels=2)
        server = Server(test, options.database)
        begun = time.perf_counter()
        listeners, threads, latencies = run(server, options.listeners, options.think)
        for thread in threads:
            thread.join()
        passed = time.perf_counter() - begun
        server.kill()
        check(test, listeners, options.database)
    n = sum(map(len, latencies.values()))
    print(f"{options.listeners} listeners, {options.pages} pages each, {options.think:g} s between")
    print(f"{n} requests in {passed:.1f} s, {n / passed:.0f} a second, {os.cpu_count()} cores")
    print(f"asked again: {sum(one.n_again for one in listeners)}")
    print("| request | n | 50 % | 95 % | 99 % | max, ms |\n|---|--:|--:|--:|--:|--:|")
    for kind, values in latencies.items():
        cells = [*np.percentile(values, (50, 95, 99)), max(values)]
        print(f"| {kind} | {len(values)} |", " | ".join(f"{1000 * x:.0f}" for x in cells), "|")


def kills(options):
    with tempfile.TemporaryDirectory() as folder:
        test = make_test(Path(folder), n_pages=options.pages, rate=16000, seconds=1, n_channels=1)
        server = Server(test, options.database)
        listeners, threads, _ = run(server, options.listeners, 0)
        total, n_kills = options.listeners * options.pages, 0
        chance = random.Random(0)
        while any(thread.is_alive() for thread in threads):
            done = sum(len(one.acknowledged) for one in listeners)
            if done >= (n_kills + 1) * total / (options.kills + 1):
                time.sleep(chance.uniform(0, 0.05))
                server.kill()
                n_kills += 1
                server.start()
            time.sleep(0.002)
        server.kill()
        lost, twice = check(test, listeners, options.database)
    again = sum(one.n_again for one in listeners)
    print(f"{total} submissions acknowledged, {n_kills} kills, {again} requests found no server")
    print(f"lost: {lost}, counted twice: {twice}")


def check(test, listeners, database):
    """Compare what was acknowledged with what is stored."""
    design, secret, store = open_store(test, database)
    stored, twice = {}, 0
    numbers = {}
    for row in judgements(design, secret, store):
        key = row["listener"], row["position"], row["question"]
        twice += key in stored
        stored[key] = row["answer"]
        numbers[row["listener"]] = True
    store.close()
    given = sorted(
        tuple(sorted((p, *a.values()) for p, a in one.acknowledged)) for one in listeners
    )
    kept = defaultdict(dict)
    for (listener, position, question), answer in stored.items():
        kept[listener].setdefault(position, {})[question] = answer
    found = sorted(
        tuple(sorted((p, a["quality"], a["separation"]) for p, a in pages.items()))
        for pages in kept.values()
    )
    lost = len(given) * 2 * len(given[0]) - len(stored) if given != found else 0
    assert given == found, "what is stored is not what was acknowledged"
    return lost, twice


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["load", "kills"])
    parser.add_argument("--listeners", type=int)
    parser.add_argument("--pages", type=int)
    parser.add_argument("--think", type=float, default=3.0, help="mean seconds before a page")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--database")
    options = parser.parse_args()
    usual = {"load": (100, 6), "kills": (50, 20)}[options.what]
    options.listeners, options.pages = options.listeners or usual[0], options.pages or usual[1]
    {"load": load, "kills": kills}[options.what](options)


if __name__ == "__main__":
    main()
