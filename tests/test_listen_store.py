"""What was stored: at once, once each, in SQLite and PostgreSQL, whatever kills the server."""

import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import pytest

from listening import Listener, made, served, write_recordings

pytest.importorskip("sqlalchemy")

from unmask.errors import ConfigError, FileError
from unmask.listen import design
from unmask.listen.assignment import clip_names, sheets
from unmask.listen.export import judgements, listeners
from unmask.listen.serving import open_store
from unmask.listen.store import Store

PG_CTL = shutil.which("pg_ctl") or next(
    iter(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), reverse=True)), None
)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder)
    return folder


def command_as_other(command):
    """Servers of PostgreSQL refuse to be root's: use who is there for it."""
    if os.getuid():
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    """The URL of a PostgreSQL of its own, on a socket in a folder."""
    pytest.importorskip("psycopg")
    if PG_CTL is None:
        pytest.skip("no PostgreSQL here (apt-get install postgresql)")
    folder = tmp_path_factory.mktemp("pg")
    home = Path(subprocess.check_output(["mktemp", "-d", "/tmp/pg.XXXXXX"], text=True).strip())
    if os.getuid() == 0:
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("no user postgres here, and root may not run PostgreSQL")
        os.chown(home, owner.pw_uid, owner.pw_gid)
    run = {"stdout": subprocess.DEVNULL, "check": True, "cwd": "/", "timeout": 120}
    initdb = str(Path(PG_CTL).resolve().with_name("initdb"))
    subprocess.run(command_as_other([initdb, "-U", "me", "-A", "trust", "-D", home / "d"]), **run)
    options = f"-c listen_addresses='' -c unix_socket_directories={home}"
    start = ["start", "-w", "-D", home / "d", "-o", options, "-l", home / "log"]
    subprocess.run(command_as_other([PG_CTL, *start]), **run)
    yield f"postgresql+psycopg://me@/postgres?host={home}"
    subprocess.run(command_as_other([PG_CTL, "stop", "-m", "fast", "-D", home / "d"]), **run)
    shutil.rmtree(home)
    assert folder.exists()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """A URL, or None for the SQLite file of the test."""
    return request.getfixturevalue("postgresql") if request.param == "postgresql" else None


def test_answers_are_kept_over_a_restart(database, recordings, tmp_path):
    folder = made(recordings, tmp_path / "test")
    with served(folder, database=database) as port:
        listener = Listener(port)
        listener.prepare()
        assert listener.answer(1) == (201, {"stored": True, "again": False})
        assert listener.submit(1) == (200, {"stored": True, "again": True})
    with served(folder, database=database) as port:
        listener.port = port
        state = listener.get("/api/state")
        assert (state["stage"], state["position"], state["n_answered"]) == ("page", 2, 1)
        for position in (2, 3, 4):
            assert listener.answer(position)[0] == 201
        assert listener.get("/api/state")["stage"] == "done"
    test, secret, store = open_store(folder, database)
    rows = list(judgements(test, secret, store))
    (person,) = listeners(test, store)
    store.close()
    assert Counter(row["position"] for row in rows) == {1: 2, 2: 2, 3: 2, 4: 2}
    assert (person["n_pages"], person["n_answered"], person["headphones"]) == (4, 4, "passed")
    assert person["finished_at"] == rows[-1]["submitted_at"]


def test_many_at_once_get_pages_balanced_within_one_and_numbers_of_their_own(
    database, recordings, tmp_path
):
    folder = made(recordings, tmp_path / "test", pages_per_listener=3, repeats=1)
    test, _, store = open_store(folder, database)

    def begin(k):
        return store.begin(f"s{k}", f"t{k}", lambda n, given: sheets(test, n, given), {})

    with ThreadPoolExecutor(16) as pool:
        begun = list(pool.map(begin, range(30)))
    given, as_first = Counter(), Counter()
    for k in range(30):
        mine = store.sheets(f"s{k}")
        assert len(mine) == 4
        for sheet in mine:
            first = sheet.shown[0] == test.page(sheet.page).stimuli[0]
            if not sheet.repeat:
                given[sheet.page] += 1
                as_first[sheet.page] += first
        (again,) = (sheet for sheet in mine if sheet.repeat)
        before = next(one for one in mine if one.page == again.page and not one.repeat)
        assert again.shown == before.shown[::-1]
    store.close()
    assert sorted(session.number for session in begun) == list(range(1, 31))
    assert max(given.values()) - min(given.values()) <= 1
    assert all(abs(2 * as_first[page] - given[page]) <= 1 for page in given)


def test_one_answer_wins_whatever_comes_at_once(database, recordings, tmp_path):
    folder = made(recordings, tmp_path / "test")
    test, _, store = open_store(folder, database)
    store.begin("s", "t", lambda n, given: sheets(test, n, given), {})

    def answer(k):
        return store.answer("s", 1, f"key{k // 2}", {"quality": "a", "separation": "b"}, 1.0)

    with ThreadPoolExecutor(16) as pool:
        results = Counter(pool.map(answer, range(16)))
    assert results == {"stored": 1, "again": 1, "other": 14}
    assert len(store.answers("s")) == 1
    store.close()


def test_two_tests_share_a_server_but_not_a_file(postgresql, recordings, tmp_path):
    one, other = (made(recordings, tmp_path / name) for name in "ab")
    for folder in (one, other):
        with served(folder, database=postgresql) as port:
            Listener(port, begin=folder.name * 32).prepare()
    test, _, store = open_store(one, postgresql)
    assert len(store.sessions()) == 1
    assert [person["listener"] for person in listeners(test, store)] == ["L001"]
    store.close()
    open_store(one, None)[2].close()
    with pytest.raises(FileError, match="expected those to"):
        Store(f"sqlite:///{one / 'answers.sqlite'}", design.read(other)[0].id)


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        ("mysql://x/y", ConfigError, "no URL of a database"),
        ("not a url", ConfigError, "no URL of a database"),
        ("postgresql+psycopg://me:secret@/none?host=/nowhere", FileError, "is it there"),
        ("sqlite:////nowhere/at/all.sqlite", FileError, "is it there"),
    ],
)
def test_a_database_that_is_none_is_said_in_a_line_without_its_password(url, kind, said):
    pytest.importorskip("psycopg")
    with pytest.raises(kind, match=said) as refused:
        Store(url, "test")
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_names_of_clips_are_others_for_every_listener_page_and_place():
    key = "00" * 32
    names = [
        name
        for session in ("a", "b")
        for position in (1, 2, 11)
        for name in clip_names(key, session, position, 5)
    ]
    assert len(set(names)) == 30
    assert clip_names(key, "a", 1, 5) == clip_names(key, "a", 1, 5)
    assert not set(names) & set(clip_names("11" * 32, "a", 1, 5))


# kill -9, as often as it takes.


class Killed:
    """A server in a process of its own that is killed again and again while it is used."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, 0, None
        self.n_kills = 0
        self.start()

    def start(self):
        main = "from unmask.cli import main; main()"
        command = [sys.executable, "-c", main, "listen", "serve", self.folder, "--port"]
        self.process = subprocess.Popen(
            [*map(str, command), str(self.port)], stdout=subprocess.PIPE, text=True
        )
        url = self.process.stdout.readline().split()[0]
        self.port = int(url.rstrip("/").rpartition(":")[2])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.n_kills += 1


def stubborn(call, *arguments, **options):
    """Do what a page does: try until the server answers."""
    for _ in range(2000):
        try:
            return call(*arguments, **options)
        except (OSError, HTTPException):
            time.sleep(0.01)
    raise AssertionError("the server never came back")


def take(server, k, n_pages, acknowledged):
    """Answer all pages; note every answer that the server said it has."""
    listener = Listener(server.port, begin=f"{k:032d}")
    stubborn(listener.prepare)
    for position in range(1, n_pages + 1):
        stubborn(listener.hear, position)
        status, said = stubborn(listener.submit, position, "ab"[position % 2])
        assert said["stored"], (status, said)
        acknowledged.append((f"{k:032d}", position, said["again"]))


#: Submissions and kills; the whole thing is bench/listen.py.
N_LISTENERS, N_PAGES, N_KILLS = 8, 10, 3


def submissions_under_kills(folder, n_listeners, n_kills):
    """Take a whole test many times under kills; returns what was said to be stored."""
    server, acknowledged = Killed(folder), []
    n_pages = design.read(folder)[0].pages_per_listener
    threads = [
        threading.Thread(target=take, args=(server, k, n_pages, acknowledged))
        for k in range(n_listeners)
    ]
    for thread in threads:
        thread.start()
    chance = random.Random(0)
    total = n_listeners * n_pages
    for kill in range(1, n_kills + 1):
        while len(acknowledged) < kill * total / (n_kills + 1) and any(
            thread.is_alive() for thread in threads
        ):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.02))
        server.kill()
        server.start()
    for thread in threads:
        thread.join()
    server.kill()
    return server, acknowledged


def test_nothing_acknowledged_is_lost_and_nothing_counts_twice_under_kill_9(tmp_path):
    write_recordings(tmp_path, tracks=4, s=4)
    folder = made(tmp_path, items=N_PAGES, pages_per_listener=N_PAGES)
    server, acknowledged = submissions_under_kills(folder, N_LISTENERS, N_KILLS)
    test, secret, store = open_store(folder, None)
    rows = list(judgements(test, secret, store))
    people = list(listeners(test, store))
    store.close()
    assert server.n_kills == N_KILLS + 1
    assert len(acknowledged) == len({entry[:2] for entry in acknowledged}) == N_LISTENERS * N_PAGES
    answered = Counter((row["listener"], row["position"], row["question"]) for row in rows)
    assert set(answered.values()) == {1}
    assert len(answered) == 2 * len(acknowledged)
    assert len(people) == N_LISTENERS
    assert all(person["finished_at"] for person in people)
