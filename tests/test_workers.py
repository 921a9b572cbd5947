"""Processes that work off a list of tasks."""

import os
import subprocess
import sys

import pytest

from unmask.errors import ConfigError, WorkerError
from unmask.workers import map_tasks, n_processors, tell

if sys.platform != "win32":
    import fcntl


def double(x):
    """Twice `x`, and how many threads this process allows itself."""
    if x == 13:
        raise ConfigError("13: brings bad luck; take another")
    return 2 * x, os.environ.get("OPENBLAS_NUM_THREADS")


def die(x):
    os._exit(1)


def test_tasks_are_done_here_in_order_if_there_is_one_job():
    assert [value for value, _ in map_tasks(double, [1, 2, 3], jobs=1)] == [2, 4, 6]
    with pytest.raises(ConfigError, match="13: brings bad luck"):
        list(map_tasks(double, [1, 13], jobs=1))
    with pytest.raises(ConfigError, match="jobs: 0, should be 1 or more"):
        list(map_tasks(double, [1], jobs=0))


def test_processes_have_one_thread_each_and_this_one_keeps_its_own(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert sorted(map_tasks(double, [1, 2, 3], jobs=2)) == [(2, "1"), (4, "1"), (6, "1")]
    assert os.environ["OPENBLAS_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_no_tasks_need_no_process():
    assert list(map_tasks(double, [], jobs=4)) == []


def test_an_error_in_a_process_arrives_here():
    with pytest.raises(ConfigError, match="13: brings bad luck"):
        list(map_tasks(double, [1, 13], jobs=2))


def test_a_process_that_is_killed_is_said():
    with pytest.raises(WorkerError, match=r"jobs: one of 2 processes was killed, .*use fewer"):
        list(map_tasks(die, [1, 2], jobs=2))


def speak(x):
    tell("at", x)
    return x


def test_what_a_process_tells_is_heard_here():
    heard = []
    assert sorted(map_tasks(speak, [1, 2], jobs=2, listen=lambda *m: heard.append(m))) == [1, 2]
    assert heard
    assert set(heard) <= {("at", 1), ("at", 2)}


def test_a_script_without_a_guard_is_told_so(tmp_path):
    work = "from unmask.workers import map_tasks; list(map_tasks(abs, [1, 2], jobs=2))"
    (tmp_path / "script.py").write_text(work)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=False
    )
    assert 'under `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_processes_end_with_the_one_that_started_them(tmp_path):
    """The lock that each holds is free as soon as all are gone."""
    script = tmp_path / "script.py"
    script.write_text(
        "import fcntl, os, time\nfrom unmask.workers import map_tasks\n"
        "def wait(path):\n"
        "    file = open(path, 'w')\n    fcntl.flock(file, fcntl.LOCK_EX)\n"
        "    os.write(1, (path + chr(10)).encode())\n    time.sleep(1000)\n"
        f"if __name__ == '__main__':\n    paths = [f'{tmp_path}/{{k}}' for k in 'ab']\n"
        "    list(map_tasks(wait, paths, jobs=2))\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert {parent.stdout.readline().strip()[-1] for _ in range(2)} == {"a", "b"}
    parent.kill()
    parent.wait()
    for name in "ab":
        with (tmp_path / name).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # waits for the end
    parent.stdout.close()


def test_processors_are_those_that_may_be_used(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert n_processors() == 1
