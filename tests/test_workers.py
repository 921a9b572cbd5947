"""Processes that work off a list of tasks."""

import os

import pytest

from unmask.errors import ConfigError, WorkerError
from unmask.workers import map_tasks


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
