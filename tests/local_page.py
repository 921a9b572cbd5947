"""What tests of the page of `unmask ui` share: the page served from a thread, and who asks it."""

import http.client
import json
import threading
import time
from contextlib import closing, contextmanager
from urllib.parse import quote

from unmask.listen.serving import Address, listening_socket, server
from unmask.ui.desk import Desk
from unmask.ui.offers import Models, Offer
from unmask.ui.server import Keys, application
from unmask.ui.serving import private_folder

SMALL = "denoise-48k-tiny"
KEYS = Keys("t" * 43, "o" * 43)
PATIENCE_S = 120


@contextmanager
def served(names=(SMALL,), *, most_bytes=10**8, most_jobs=100, works=True):
    """Serve the page; yields who asks it, with the desk behind it."""
    models = Models([Offer(name, f"{name} is wanted") for name in names])
    with closing(listening_socket(Address(port=0))) as bound, private_folder() as folder:
        desk = Desk(folder, models, most_jobs=most_jobs)
        if works:
            desk.queue.start()
        serving = server(application(desk, KEYS, most_bytes=most_bytes))
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield Client(bound.getsockname()[1], desk)
        finally:
            serving.should_exit = True
            thread.join()
            if works:
                desk.queue.close()


class Client:
    """A page that is none: it asks as the script of the page does."""

    def __init__(self, port, desk=None, token=KEYS.token):
        self.port, self.desk, self.token = port, desk, token

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/{self.token}/"

    def ask(self, method, path, body=None, **headers):
        """Return status, headers and body of an answer."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "POST":
            headers.setdefault("Origin", f"http://127.0.0.1:{self.port}")
        if isinstance(body, dict):
            body = json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            where = path if path.startswith("/") else f"/{self.token}/{path}"
            connection.request(method, where, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, path):
        status, _, content = self.ask("GET", path)
        assert status == 200, (path, status, content)
        return content

    def refused(self, *asked, **headers):
        """Return the status and the sentence of a refusal."""
        status, _, content = self.ask(*asked, **headers)
        assert status >= 400, (status, content)
        text = json.loads(content)["error"]
        assert "\n" not in text
        return status, text

    def give(self, path, name=None):
        """Hand a file over; return the number of the recording."""
        where = f"api/recordings?name={quote(name or path.name)}"
        status, _, content = self.ask("POST", where, path.read_bytes())
        assert status == 201, content
        return json.loads(content)["id"]

    def begin(self, recording, model=SMALL, **said):
        status, _, content = self.ask(
            "POST", "api/jobs", {"recording": recording, "model": model} | said
        )
        assert status == 201, content
        return json.loads(content)["id"]

    def job(self, number):
        return next(one for one in json.loads(self.get("api/state"))["jobs"] if one["id"] == number)

    def wait(self, number, *states):
        """Wait until a job is in one of some states; return it."""
        end = time.monotonic() + PATIENCE_S
        while (job := self.job(number))["state"] not in (states or ("done", "failed", "stopped")):
            assert time.monotonic() < end, job
            time.sleep(0.01)
        return job

    def separated(self, path, **said):
        """Give a file and wait until it is done."""
        job = self.wait(self.begin(self.give(path), **said))
        assert job["state"] == "done", job
        return job
