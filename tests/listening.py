"""What tests of listening tests share: small recordings, a test of them, a server, a listener."""

import http.client
import json
import threading
from contextlib import contextmanager

import numpy as np

from unmask import audio
from unmask.evaluate import Pairing
from unmask.listen import make as making
from unmask.listen.recordings import find

RATE = 16000


def write_recordings(folder, *, systems=("ours", "theirs"), tracks=2, stems=("bass", "drums"), s=3):
    """Write targets, their mixtures, and estimates: targets with more noise for each system."""
    rng = np.random.default_rng(7)
    for track in range(tracks):
        targets = {stem: 0.1 * rng.standard_normal((1, s * RATE)) for stem in stems}
        name = f"song{track}"
        for where in ("true", *systems):
            (folder / where / name).mkdir(parents=True)
        for stem, target in targets.items():
            audio.write(folder / "true" / name / f"{stem}.wav", target, RATE)
            for k, system in enumerate(systems, start=1):
                noisy = target + 0.03 * k * rng.standard_normal(target.shape)
                audio.write(folder / system / name / f"{stem}.wav", noisy, RATE)
        audio.write(folder / "true" / name / "mixture.wav", sum(targets.values()), RATE)


def found(folder, systems=("ours", "theirs"), *, targets=True, mixtures=None, **how):
    folders = {system: folder / system for system in systems}
    truth = folder / "true" if targets else None
    return find(folders, truth, mixtures, Pairing(**how)).recordings


def made(folder, out="test", *, systems=("ours", "theirs"), **settings):
    """Make a test of what `write_recordings` wrote, and return its folder."""
    given = {"items": 4, "duration_s": 1.0, "min_heard_s": 0.0} | settings
    targets = given.get("preset") != "ab"
    recordings = found(folder, systems, targets=targets)
    making.make(making.plan(systems, recordings, making.Settings(**given)), folder / out)
    return folder / out


@contextmanager
def served(folder, *, limits=None, hosts=("127.0.0.1",), database=None, origin=None, most=1000):
    """Serve a test from a thread of this process; yields the port."""
    from unmask.listen.server import application
    from unmask.listen.serving import Address, listening_socket, open_store, server
    from unmask.listen.visits import Visits

    test, secret, store = open_store(folder, database)
    app = application(
        Visits(folder, test, secret, store, most), limits=limits, hosts=list(hosts), origin=origin
    )
    bound = listening_socket(Address(port=0))
    serving = server(app)
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield bound.getsockname()[1]
    finally:
        serving.should_exit = True
        thread.join()
        bound.close()
        store.close()


class Listener:
    """A browser that speaks to the server without being one."""

    def __init__(self, port, begin="0" * 32):
        self.port, self.begun, self.cookie, self.heard = port, begin, None, None

    def ask(self, method, path, body=None, **headers):
        """Return status, headers and body of an answer."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        if isinstance(body, dict):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if cookie := response.headers.get("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        return response.status, response.headers, content

    def get(self, path):
        status, _, content = self.ask("GET", path)
        assert status == 200, (path, status, content)
        return json.loads(content)

    def refused(self, method, path, body=None, **headers):
        """Return the status and the sentence of a refusal."""
        status, _, content = self.ask(method, path, body, **headers)
        assert status >= 400, (status, content)
        text = json.loads(content)["error"]
        assert "\n" not in text
        return status, text

    def begin(self):
        status, _, content = self.ask(
            "POST", "/api/session", {"consent": True, "begin": self.begun}
        )
        assert status == 201, content
        return json.loads(content)

    def prepare(self):
        """Begin, and pass the checks; the next step is the first page."""
        self.begin()
        for step in (
            {"step": "volume"},
            {"step": "headphones", "correct": 6},
            {"step": "hearing", "hearing": "normal", "tones_played": 4, "tones_heard": 4},
            {"step": "training"},
        ):
            status, _, content = self.ask("POST", "/api/notes", step)
            assert status == 200, content
        return json.loads(content)

    def hear(self, position):
        """Fetch all clips of a page, and return it."""
        page = self.get(f"/api/pages/{position}")
        for clip in page["clips"]:
            status, _, _ = self.ask("GET", f"/api/pages/{position}/clips/{clip['name']}")
            assert status == 200
        self.heard = page
        return page

    def submit(self, position, value="a", key=None, **changes):
        """Give one answer to all questions of the page heard last; returns status and body."""
        body = {"key": f"{position:032d}" if key is None else key, "rt_s": 1.5}
        body["answers"] = {question["id"]: value for question in self.heard["questions"]}
        path = f"/api/pages/{position}/answer"
        status, _, content = self.ask("POST", path, body | changes)
        return status, json.loads(content)

    def answer(self, position, value="a"):
        """Hear and answer a page."""
        self.hear(position)
        return self.submit(position, value)
