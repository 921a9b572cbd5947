"""Models from a hub: a server here speaks for one, to the library's real requests and cache."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from base64 import urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import FileHash, PackagePath
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import CliRunner

import onnx_models
from unmask import hub, load_model, pins
from unmask._version import __version__
from unmask.cli import main
from unmask.engine.model import bundled
from unmask.errors import ConfigError, FileError, ModelError, UnmaskError
from unmask.hub import pulling

pytest.importorskip("huggingface_hub")

COMMIT, LATER = "c0ffee" + 34 * "0", "c0ffee" + 34 * "1"
NAME = "hf://people/voices"


class Hub:
    """What a hub says: one repository, which may be changed; it remembers what it was told."""

    def __init__(self, content):
        self.files = {"voices.onnx": content}
        self.sha, self.card, self.status, self.changes = COMMIT, {"license": "mit"}, 200, {}
        self.sent, self.requests, self.slow = None, [], threading.Event()
        self.halves, self.stopped = threading.Event(), threading.Event()
        self.is_git = False

    def answer(self, path, asked):
        """Return status and body of a request."""
        if self.status != 200:
            return self.status, b"no"
        if path == f"/api/models/people/voices/revision/{asked}":
            return 200, json.dumps(self.described()).encode()
        name = path.removeprefix(f"/people/voices/resolve/{self.sha}/")
        if name in self.files:
            return 200, self.files[name] if self.sent is None else self.sent
        return 404, b"no"

    def described(self):
        siblings = []
        for name, content in self.files.items():
            entry = {"rfilename": name, "size": len(content), "blobId": git(content)}
            if not self.is_git:
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"size": len(content), "sha256": sha256, "pointerSize": 1}
            siblings.append(entry | self.changes)
        return {"sha": self.sha, "cardData": self.card, "siblings": siblings}


def git(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        said = self.server.hub
        said.requests.append((self.path, dict(self.headers)))
        path = unquote(urlsplit(self.path).path)
        status, body = said.answer(path, path.rpartition("/")[2])
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if said.slow.is_set() and path.endswith(".onnx"):
            self.wfile.write(body[: len(body) // 2])
            said.halves.set()
            said.stopped.wait(60)
            return
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    return onnx_models.constant(path, [[0.5, 0.1]]).read_bytes()


@pytest.fixture
def server(content, monkeypatch, tmp_path):
    """A hub on this machine; the cache and the pins are in the test's folder."""
    from huggingface_hub import constants

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.hub = Hub(content)
        http.hub.url = f"http://127.0.0.1:{http.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", http.hub.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("UNMASK_PINS", str(tmp_path / "pins"))
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield http.hub
        http.hub.stopped.set()
        http.shutdown()


def run(*words):
    return CliRunner().invoke(main, [*map(str, words)])


def pull(address=NAME, **options):
    return hub.pull(hub.look_up(address), **options)


def files_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


def test_what_was_pulled_is_a_model_by_its_address_its_commit_and_its_file(server, content):
    pin, _ = pull(f"{NAME}@main")
    assert pin.sha256 == hashlib.sha256(content).hexdigest()
    assert (pin.commit, pin.licence, pin.file) == (COMMIT, "mit", "voices.onnx")
    for address in (f"{NAME}@main", f"{NAME}@{COMMIT}", f"{NAME}@main/voices.onnx"):
        assert load_model(address).sha256 == pin.sha256


@pytest.mark.parametrize("is_git", [False, True])
def test_the_cache_is_laid_out_as_the_library_reads_it(server, content, is_git):
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    server.is_git = is_git
    pull()
    found = try_to_load_from_cache("people/voices", "voices.onnx", revision=COMMIT)
    assert Path(found).read_bytes() == content
    (repository,) = scan_cache_dir(Path(found).parents[3]).repos
    assert (repository.repo_id, repository.nb_files) == ("people/voices", 1)


def test_requests_tell_the_programs_version_and_nothing_of_its_user(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull()
    assert [path for path, _ in server.requests] == [
        "/api/models/people/voices/revision/main?blobs=true",
        f"/people/voices/resolve/{COMMIT}/voices.onnx",
    ]
    numbers = set()
    for _, told in server.requests:
        told = {key.lower(): value for key, value in told.items()}
        assert told.pop("user-agent") == f"unmask/{__version__}"
        numbers.add(told.pop("x-amzn-trace-id"))
        assert told.keys() <= {"host", "accept", "accept-encoding", "connection"}
    # A random one for each request, by which the hub finds the line in its logs: it links nothing.
    assert len(numbers) == len(server.requests)


def test_a_token_is_sent_where_the_user_says_so(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.look_up(NAME, with_token=True)
    ((_, told),) = server.requests
    assert {k.lower(): v for k, v in told.items()}["authorization"] == "Bearer hf_secret"


def test_using_a_model_asks_nobody(server):
    pull()
    asked = len(server.requests)
    load_model(NAME)
    with pytest.raises(ModelError, match=r"fetch it once with `unmask models pull hf://people/x`"):
        load_model("hf://people/x")
    assert len(server.requests) == asked


def test_a_pin_holds_when_the_hub_has_another_file(server, content, tmp_path):
    pull()
    server.sha = LATER
    other = onnx_models.constant(tmp_path / "o.onnx", [[0.25, 0.0]]).read_bytes()
    server.files["voices.onnx"] = other
    assert load_model(NAME).sha256 == hashlib.sha256(content).hexdigest()
    pull()
    assert load_model(NAME).sha256 == hashlib.sha256(other).hexdigest()


def test_a_changed_file_is_refused(server):
    pin, _ = pull()
    path = Path(pin.path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="was changed or damaged"):
        load_model(NAME)
    done = run("models", "verify", NAME)
    assert done.exit_code == 1
    assert "bad" in done.stdout
    path.unlink()
    with pytest.raises(ModelError, match="is gone"):
        load_model(NAME)


def nothing_kept(tmp_path):
    return not (tmp_path / "pins").exists() and files_in(tmp_path / "cache") == []


def test_other_bytes_than_the_hub_tells_are_refused(server, content, tmp_path):
    server.sent = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(ModelError, match="the hub tells"):
        pull()
    assert nothing_kept(tmp_path)


def test_another_hash_than_the_user_gives_is_refused(server, tmp_path):
    with pytest.raises(ModelError, match="expected 0000"):
        pull(sha256=64 * "0")
    assert nothing_kept(tmp_path)
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        pull(sha256="abc")


def test_more_bytes_than_were_told_are_not_taken(server, content, tmp_path):
    server.sent = content + bytes(2**20)
    with pytest.raises(FileError, match=f"more than {len(content)} bytes"):
        pull()
    assert nothing_kept(tmp_path)


def test_a_file_that_is_no_model_is_refused_and_not_kept(server, tmp_path):
    server.files["voices.onnx"] = b"\x80\x04cposix\nsystem\n"
    with pytest.raises(ModelError, match="is not an ONNX file"):
        pull()
    assert nothing_kept(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"sha": "../../../../tmp/x"},
        {"sha": None},
        {"siblings": None},
        {"siblings": [{"rfilename": "../../../x.onnx", "size": 1, "blobId": 40 * "a"}]},
        {"siblings": [{"rfilename": "/etc/x.onnx", "size": 1, "blobId": 40 * "a"}]},
        {"siblings": [{"rfilename": "x\x1b[31m.onnx", "size": 1, "blobId": 40 * "a"}]},
        {"siblings": [{"rfilename": "x.onnx", "size": 1, "blobId": "../../../../x"}]},
        {"siblings": [{"rfilename": "x.onnx", "size": -1, "blobId": 40 * "a"}]},
        {"siblings": [{"rfilename": "x.onnx", "size": 2**40, "blobId": 40 * "a"}]},
        {"siblings": [{"rfilename": "x.onnx", "size": 1, "lfs": {"sha256": "/x", "size": 1}}]},
    ],
)
def test_what_a_hostile_hub_says_leads_nowhere(server, tmp_path, monkeypatch, change):
    said = server.described() | change
    monkeypatch.setattr(server, "described", lambda: said)
    before = files_in(tmp_path)
    done = run("models", "pull", NAME, "-y")
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("unmask: error: hf://people/voices")
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("body", [b"[]", b"<html>", b"[" * 100_000, b"{}"])
def test_an_answer_that_is_none_is_said_in_a_line(server, monkeypatch, body):
    monkeypatch.setattr(server, "answer", lambda *_: (200, body))
    with pytest.raises(UnmaskError, match=r"^hf://people/voices: [^\n]*$"):
        hub.look_up(NAME)


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "not for everybody"), (403, "--with-token"), (404, "no such"), (500, "said 500")],
)
def test_what_the_hub_refuses_is_said_in_a_line(server, status, words):
    server.status = status
    with pytest.raises(FileError, match=words):
        hub.look_up(NAME)


@pytest.mark.parametrize(
    "address",
    [
        "hf://voices",
        "hf://../voices",
        "hf://people/../x.onnx",
        "hf://people/voices@../../x",
        "hf://people/voices@v1/../x.onnx",
        "hf://people/voices//etc/x.onnx",
        "hf://people/voices/x.pkl",
        "hf://people--voices/x",
        "hf://people/voices\n",
        "hf://datasets/people/voices",
    ],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigError, match="is no address"):
        load_model(address)


def test_of_several_files_one_is_named(server, content):
    server.files["sub/other.onnx"] = content
    with pytest.raises(ModelError, match="name one, as hf://people/voices/"):
        hub.look_up(NAME)
    pin, _ = pull(f"{NAME}/sub/other.onnx")
    assert pin.file == "sub/other.onnx"
    assert load_model(f"{NAME}/sub/other.onnx").sha256 == pin.sha256


def test_the_licence_is_shown_before_and_nothing_comes_unless_it_is_taken(server, tmp_path):
    server.card = {"license": "other", "license_name": "no-commerce-1.0"}
    refused = run("models", "pull", NAME)
    assert refused.exit_code == 1
    assert "licence: other, no-commerce-1.0" in refused.stderr
    assert "--accept-licence" in refused.stderr
    assert len(server.requests) == 1
    assert files_in(tmp_path) == []
    taken = run("models", "pull", NAME, "--accept-licence")
    assert taken.exit_code == 0, taken.stderr
    assert "MIT" in taken.stdout  # what the file says itself


def test_pulled_models_are_listed_shown_and_verified(server):
    run("models", "pull", NAME, "-y")
    listed = run("models", "list", "--json", "-")
    (row,) = [row for row in json.loads(listed.stdout) if "address" in row]
    assert (row["address"], row["state"]) == (f"{NAME}/voices.onnx", "here")
    assert "SHA-256" in run("models", "show", NAME).stdout
    verified = run("models", "verify", "denoise-16k", NAME)
    assert verified.exit_code == 0
    assert verified.stdout.count("good") == 2


def test_commands_take_an_address(server, tmp_path):
    run("models", "pull", NAME, "-y")
    clip = Path(__file__).parents[1] / "assets" / "demo" / "mixture.flac"
    done = run("denoise", "-m", NAME, clip, "-o", tmp_path / "out", "--end", "0.2")
    assert done.exit_code == 0, done.stderr
    assert run("gap", "-m", "hf://people/none", clip.parent).exit_code == 1


def test_offline_takes_what_the_cache_has_and_asks_nobody(server, content, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FileError, match="HF_HUB_OFFLINE forbids"):
        hub.look_up(NAME)
    snapshot = tmp_path / "cache" / "models--people--voices" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "voices.onnx").write_bytes(content)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "v1").write_text(COMMIT)
    pin, model = pull(f"{NAME}@v1")
    assert (pin.commit, model.name, pin.licence) == (COMMIT, "test", "MIT")
    assert load_model(f"{NAME}@v1").sha256 == pin.sha256
    assert server.requests == []


def test_what_the_library_has_fetched_is_not_fetched_again(server, content, tmp_path):
    snapshot = tmp_path / "cache" / "models--people--voices" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "voices.onnx").write_bytes(content)
    pull()
    assert len(server.requests) == 1


def environment(server, tmp_path):
    kept = {k: v for k, v in os.environ.items() if k.startswith(("PYTHON", "PATH", "OMP", "LD_"))}
    return kept | {
        "HOME": str(tmp_path),
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "hf"),
        "UNMASK_PINS": str(tmp_path / "pins"),
    }


PULL = [sys.executable, "-m", "unmask", "models", "pull", NAME, "-y"]


def test_killed_in_the_middle_nothing_half_is_left(server, tmp_path):
    own = environment(server, tmp_path)
    server.slow.set()
    with subprocess.Popen(PULL, env=own, stderr=subprocess.DEVNULL) as process:
        cache = tmp_path / "hf"
        while not (server.halves.is_set() and any(cache.rglob(".unmask-*"))):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "pins").exists()
    assert all(Path(name).name.startswith(".unmask-") for name in files_in(cache))
    server.slow.clear()
    server.stopped.set()
    subprocess.run(PULL, env=own, check=True, capture_output=True)
    blob = hashlib.sha256(server.files["voices.onnx"]).hexdigest()
    top = "hub/models--people--voices"
    assert files_in(cache) == [f"{top}/blobs/{blob}", f"{top}/snapshots/{COMMIT}/voices.onnx"]


def test_a_host_that_is_not_there_is_said_in_a_line(server, tmp_path):
    own = environment(server, tmp_path) | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(PULL, env=own, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be had of http://127.0.0.1:9" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_the_extra_what_to_install_is_said(server, tmp_path):
    code = "import sys; sys.modules['huggingface_hub'] = None\n"
    code += "from unmask.cli import main; main(sys.argv[1:])"
    words = [sys.executable, "-c", code, "models", "pull", NAME]
    own = environment(server, tmp_path)
    done = subprocess.run(words, env=own, capture_output=True, text=True)
    assert (done.returncode, 'pip install "unmask[hub]"' in done.stderr) == (1, True)


def test_a_file_that_is_no_pin_is_named(server, tmp_path):
    pull()
    (bad,) = (tmp_path / "pins").glob("*.json")
    said = json.loads(bad.read_text())
    for change in ({"sha256": "x"}, {"path": 1}, {"n_bytes": "1"}, {"other": 1}, {"file": "../x"}):
        bad.write_text(json.dumps(said | change))
        with pytest.raises(ModelError, match="is no pin"):
            pins.find(NAME)


def test_a_bundled_model_that_is_not_as_it_was_installed_is_bad(monkeypatch):
    path = bundled()["denoise-48k-tiny"]
    digest = urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()

    def installed(hashed):
        file = PackagePath(f"unmask/models/{path.name}")
        file.hash = FileHash(f"sha256={hashed}")
        monkeypatch.setattr(pulling, "files", lambda _: [file])
        return dict(hub.verify([path.stem]))[path.stem]

    assert installed(digest).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "install unmask again" in str(installed("A" + digest[1:]))
