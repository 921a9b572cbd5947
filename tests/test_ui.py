"""The server of `unmask ui`: it works as the command does, tells its page alone, leaves nothing."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import unmask
from unmask import audio
from unmask.cli import main
from unmask.report.images import Grid

pytest.importorskip("starlette")

from local_page import KEYS, SMALL, Client, served
from unmask.ui import serving, stretches
from unmask.ui.server import _STATIC

RATE = 16000
PACKAGE = Path(unmask.__file__).parent


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    path = tmp_path_factory.mktemp("given") / "take one.wav"
    rng = np.random.default_rng(3)
    audio.write(path, 0.1 * rng.standard_normal((2, 2 * RATE)), RATE)
    return path


@pytest.fixture(scope="module")
def client():
    with served() as client:
        yield client


def run(*args):
    result = CliRunner().invoke(main, [*map(str, args)], catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("kind", [None, "flac", "mp3"])
def test_a_stem_is_the_file_that_separate_writes(kind, client, song, tmp_path):
    job = client.separated(song, format=kind, rest=True)
    chosen = ["-f", kind] if kind else []
    run("separate", "-m", SMALL, song, "--residual", "-o", tmp_path, *chosen)
    assert [one["stem"] for one in job["files"]] == ["speech", "noise"]
    for one in job["files"]:
        written = tmp_path / SMALL / "take one" / one["name"]
        assert client.get(f"api/jobs/{job['id']}/files/{one['stem']}") == written.read_bytes()


def test_a_remix_is_the_file_that_separate_writes_with_these_gains(client, song, tmp_path):
    settings = {"sensitivity": 1.5, "gains_db": {"speech": -6, "noise": None}}
    job = client.separated(song, remix=True, settings=settings)
    how = ["--remix", "--sensitivity", 1.5, "--gain", "speech=-6", "--gain", "noise=-inf"]
    run("separate", "-m", SMALL, song, "-o", tmp_path, *how)
    written = tmp_path / SMALL / "take one" / "remix.wav"
    assert client.get(f"api/jobs/{job['id']}/files/remix") == written.read_bytes()


def test_the_archive_holds_the_same_files_and_the_record(client, song):
    job = client.separated(song, rest=True)
    status, headers, content = client.ask("GET", f"api/jobs/{job['id']}/stems.zip")
    assert status == 200
    assert headers["Content-Disposition"] == "attachment; filename*=utf-8''take%20one.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            *(f"take one/{one['name']}" for one in job["files"]),
            "take one/job.json",
        ]
        speech = archive.read("take one/speech.wav")
    assert speech == client.get(f"api/jobs/{job['id']}/files/speech")


def test_what_is_heard_are_the_samples_of_the_files_from_any_sample_on(client, song):
    job = client.separated(song)
    true = [audio.read(song)[0], audio.read(io_file(client, job, "speech"))[0]]
    for k, start in ((0, 0), (1, 0), (1, 12345)):
        said = client.get(f"api/jobs/{job['id']}/samples/{k}?start={start}")
        heard = np.frombuffer(said, "<f4").reshape(-1, 2).T
        np.testing.assert_array_equal(heard, true[k][:, start:])


def io_file(client, job, stem):
    return client.desk.job(job["id"]).files()[stem]


def test_stretches_of_a_long_recording_join_and_fit_the_memory(client, song, monkeypatch):
    job = client.desk.job(client.separated(song)["id"])
    short = stretches.Stretches(most_bytes=2 * 2 * 4 * RATE)  # a second of two stereo sounds
    starts = short.said(job, 0)["starts"]
    assert starts == [0, RATE]
    parts = [b"".join(short.samples(job, song, start)[1]) for start in starts]
    assert [len(part) for part in parts] == [short.samples(job, song, s)[0] for s in starts]
    whole = np.frombuffer(b"".join(parts), "<f4").reshape(-1, 2).T
    np.testing.assert_array_equal(whole, audio.read(song)[0])


@pytest.mark.parametrize("n_samples", [100, 5000, 70001])
@pytest.mark.parametrize("block", [64, 1500, 1 << 18])
def test_a_picture_does_not_depend_on_the_blocks(n_samples, block, rng):
    x = rng.standard_normal((2, n_samples)).astype(np.float32)
    grid = Grid(8000, n_samples)
    parts = (x[:, k : k + block] for k in range(0, n_samples, block))
    np.testing.assert_allclose(stretches.power(parts, grid), grid.power(x), rtol=1e-4)


def test_pictures_are_of_every_sound(client, song):
    job = client.separated(song, rest=True)
    said = json.loads(client.get(f"api/jobs/{job['id']}/stretch"))
    versions = said["stems"][0]["versions"]
    names = [sound["picture"] for sound in said["sounds"]]
    names += [one["mask"] for one in versions if one["mask"]]
    assert names == [*(f"spectrogram/{k}" for k in range(3)), "mask/1", "mask/2"]
    found = {client.get(f"api/jobs/{job['id']}/pictures/{name}") for name in names}
    assert len(found) == 5
    assert all(picture.startswith(b"\x89PNG") for picture in found)


# Who may ask.


def test_without_the_token_there_is_nothing(client):
    for path in ("/", "/api/state", f"/{'x' * 43}/api/state", f"/{KEYS.token[:-1]}/"):
        status, _, content = client.ask("GET", path)
        assert status == 404
        assert KEYS.token.encode() not in content


def test_another_host_name_is_refused_as_rebound_names_are(client):
    status, _, _ = client.ask("GET", "api/state", Host="evil.example")
    assert status == 400
    assert client.ask("GET", "api/state", Host=f"localhost:{client.port}")[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_site_can_do_nothing_even_with_the_token(origin, client):
    for asked in (("POST", "api/jobs", {}), ("GET", "api/state"), ("POST", "api/recordings", b"x")):
        status, text = client.refused(*asked, Origin=origin)
        assert (status, text) == (403, "origin: expected this page")


def test_a_form_that_says_no_origin_can_do_nothing(client):
    status, _, _ = client.ask("GET", "api/jobs/1/stop")
    assert status == 405
    connection = client.ask("POST", "api/jobs", {}, Origin="")
    assert connection[0] == 403


def test_the_address_that_a_browser_is_started_with_works_once():
    with served(works=False) as client:
        assert client.ask("GET", f"/open/{'x' * 43}")[0] == 404
        status, headers, _ = client.ask("GET", f"/open/{KEYS.once}")
        assert (status, headers["Location"]) == (303, f"/{KEYS.token}/")
        assert client.ask("GET", f"/open/{KEYS.once}")[0] == 404


def test_the_page_may_load_nothing_from_elsewhere(client):
    status, headers, _ = client.ask("GET", "")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    for name in (*_STATIC, ""):
        text = client.get(f"static/{name}" if name else "").decode()
        found = re.findall(r"(?:https?:)?//[\w.]+\.\w+", text)
        assert set(found) <= {"http://www.w3.org"}, name


def test_all_that_the_page_asks_for_is_served(client):
    page = client.get("").decode()
    wanted = re.findall(r'(?:src|href)="(static/[^"]+)"', page)
    for name in wanted:  # grows
        text = client.get(name).decode()
        for path in re.findall(r'^import .* from "([^"]+)"', text, re.MULTILINE):
            found = os.path.normpath(os.path.join(os.path.dirname(name), path))
            if found not in wanted:
                wanted.append(found)
    assert sorted(wanted) == sorted(f"static/{name}" for name in _STATIC)
    assert {f"ui/page/{path.name}" for path in (PACKAGE / "ui" / "page").iterdir()} - set(
        _STATIC
    ) == {"ui/page/index.html"}
    assert client.ask("GET", "static/../server.py")[0] == 404


# What is refused, in one line.


def test_a_file_that_is_none_is_refused_in_the_words_of_the_command(client, tmp_path):
    path = tmp_path / "song.mp3"
    path.write_bytes(b"no sound" * 100)
    status, text = client.refused("POST", "api/recordings?name=song.mp3", path.read_bytes())
    assert status == 400
    assert text.startswith("song.mp3: ")
    assert str(client.desk.folder) not in text
    status, text = client.refused("POST", "api/recordings?name=e.wav", b"")
    assert (status, text) == (400, "e.wav: is empty (0 bytes); download or record it again")


def test_a_name_leads_nowhere(client, song):
    number = client.give(song, "../../../up/../x\0y.wav")
    [path] = (client.desk.folder / "recordings" / str(number)).iterdir()
    assert path.name == "xy.wav"


def test_what_is_too_large_is_refused_and_not_kept(song):
    with served(most_bytes=1000, works=False) as client:
        content = song.read_bytes()
        status, _ = client.refused("POST", "api/recordings?name=a.wav", content)
        assert status == 413
        parts = iter([content[:600], content[600:1200]])  # of no length that is told
        status, text = client.refused("POST", "api/recordings?name=a.wav", parts)
        assert (status, text) == (413, "too large, expected at most 1e-06 GB")
        assert list((client.desk.folder / "recordings").glob("*")) == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"model": "../../etc/passwd"}, "is not offered"),
        ({"model": ["x"]}, "is not offered"),
        ({"format": "exe"}, "format: 'exe'"),
        ({"settings": {"sensitivity": 9}}, "sensitivity: 9, expected 0.25 to 4"),
        ({"settings": {"gains_db": {"tuba": 1}}}, "no stem tuba"),
        ({"settings": {"gains_db": {"speech": "loud"}}}, "settings: expected"),
        ({"settings": [1]}, "settings: expected"),
        ({"settings": {"out": "/etc"}}, "settings: expected"),
        ({"recording": 10**6}, "is not there any more"),
        ({"recording": True}, "is not there any more"),
    ],
)
def test_what_cannot_be_is_refused_before_it_waits(said, words, client, song):
    asked = {"recording": client.give(song), "model": SMALL} | said
    status, text = client.refused("POST", "api/jobs", asked)
    assert status in {400, 404}
    assert words in text


# Jobs.


def test_one_job_runs_at_a_time_and_those_that_wait_can_be_stopped(client, tmp_path):
    path = tmp_path / "long.wav"
    noise = np.random.default_rng(1).standard_normal((1, 120 * RATE))
    audio.write(path, 0.1 * noise, RATE)
    recording = client.give(path)
    first, second, third = (client.begin(recording) for _ in range(3))
    client.wait(first, "running")
    assert client.job(second)["state"] == "waiting"
    assert client.ask("POST", f"api/jobs/{second}/stop")[0] == 200
    assert client.job(second)["state"] == "stopped"
    assert client.refused("GET", f"api/jobs/{first}/files/speech")[0] == 409
    assert client.refused("POST", f"api/jobs/{first}/remove")[0] == 409
    assert client.ask("POST", f"api/jobs/{first}/stop")[0] == 200
    stopped = client.wait(first)
    assert stopped["state"] == "stopped"
    assert stopped["share"] < 1
    assert not (client.desk.folder / "jobs" / str(first)).exists()
    client.ask("POST", f"api/jobs/{third}/stop")
    client.wait(third)


def test_a_recording_goes_with_the_last_of_its_jobs(client, song):
    recording = client.give(song)
    folder = client.desk.folder
    one, other = (client.wait(client.begin(recording))["id"] for _ in range(2))
    assert client.ask("POST", f"api/jobs/{one}/remove")[0] == 200
    assert (folder / "recordings" / str(recording)).exists()
    assert client.refused("GET", f"api/jobs/{one}/stretch")[0] == 404
    assert client.ask("POST", f"api/jobs/{other}/remove")[0] == 200
    assert not (folder / "recordings" / str(recording)).exists()
    assert not (folder / "jobs" / str(other)).exists()


def test_a_recording_that_vanishes_is_an_error_of_its_job_and_the_queue_goes_on(client, song):
    recording = client.give(song)
    path = client.desk.folder / "recordings" / str(recording) / song.name
    path.unlink()
    job = client.wait(client.begin(recording))
    assert (job["state"], job["error"]) == ("failed", f"{song.name}: no such file; check the name")
    client.separated(song)


def test_no_more_is_kept_than_was_said(song):
    with served(most_jobs=1, works=False) as client:
        client.begin(client.give(song))
        status, text = client.refused("POST", "api/recordings?name=b.wav", song.read_bytes())
        assert (status, text) == (409, "there are 1 recordings; remove some of them")


# The program.


def started(tmp_path, *options):
    """Start the program; return it and who asks its page."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "unmask", "ui", "--no-open", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    line = process.stdout.readline()
    found = re.match(r"http://127\.0\.0\.1:(\d+)/([\w-]{43})/ ", line)
    assert found, line
    return process, Client(int(found[1]), token=found[2])


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_nothing_is_left_after_sigterm_in_the_middle_nor_after_the_next_start(tmp_path):
    path = tmp_path / "long.wav"
    audio.write(path, np.random.default_rng(1).standard_normal((1, 600 * RATE)) / 10, RATE)
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        process, client = started(tmp_path)
        job = client.begin(client.give(path))
        client.wait(job, "running")
        [folder] = tmp_path.glob(".unmask-*")  # what was killed has been swept
        assert (folder / "ui").stat().st_mode & 0o077 == 0
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == code
    assert [one.name for one in tmp_path.iterdir()] == ["long.wav"]


def test_a_browser_is_opened_only_where_there_is_one(monkeypatch):
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not serving._has_browser()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert serving._has_browser()


def test_a_model_that_cannot_be_read_is_refused_at_the_start(tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"no model")
    result = CliRunner().invoke(main, ["ui", "--no-open", "-m", str(path)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"unmask: error: {path}")
    assert "Traceback" not in result.stderr
