"""Worker processes: as many as there are cores, one thread of linear algebra in each.

They end with the process that started them, whatever ends that, and leave signals to it.
"""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from unmask.errors import ConfigError, WorkerError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

# What BLAS libraries read when they are loaded.
_ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM")
}
# What asks for an end; a process that was started is ended by the one that started it.
_STOPS = [
    getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGTERM") if hasattr(signal, name)
]
#: Seconds between two messages of one process, and between two looks for messages.
_PACE_S = 0.1


class _Here:
    """What a worker process works on and whom it tells."""

    pickled = b""
    function: Callable[[Any], Any]
    messages: Any = None
    told_s = 0.0
    attempt = 0


class Executor(Protocol):
    """What does tasks: processes of this machine, or of many (:mod:`unmask.cluster`)."""

    def map(
        self,
        function: Callable[[_Task], _Result],
        tasks: Iterable[_Task],
        *,
        listen: Callable[..., None] | None = None,
        lost: Callable[[_Task, WorkerError], _Result] | None = None,
    ) -> Iterator[_Result]:
        """Yield ``function(task)`` of every task, each as soon as it is done.

        Parameters
        ----------
        function, tasks
            As of :func:`map_tasks`.
        listen : function
            Called with what tasks :func:`tell`, if they are near enough to be heard.
        lost : function
            Makes the result of a task whose processes are killed again and again; without it the
            error is raised.
        """

    def is_here(self, n_tasks: int) -> bool:
        """Tell whether that many tasks would be done in this very process."""


class Processes(NamedTuple):
    """An executor: processes of this machine, which live or die together."""

    jobs: int = 1
    """Tasks at a time; see :func:`map_tasks`."""

    def map(
        self,
        function: Callable[[_Task], _Result],
        tasks: Iterable[_Task],
        *,
        listen: Callable[..., None] | None = None,
        lost: Callable[[_Task, WorkerError], _Result] | None = None,
    ) -> Iterator[_Result]:
        """Do as :func:`map_tasks` does: one process that is killed ends them all."""
        return map_tasks(function, tasks, jobs=self.jobs, listen=listen)

    def is_here(self, n_tasks: int) -> bool:
        """Tell whether there is one task at a time."""
        return min(self.jobs, n_tasks) <= 1


def n_processors() -> int:
    """Return how many processors this process may use: of the machine, of its affinity, its group.

    >>> 1 <= n_processors() <= os.cpu_count()
    True
    """
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    try:  # what a container may use
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text("utf-8").split())
    except (OSError, ValueError):
        return count
    return max(1, min(count, -(-quota // period)))


def map_tasks(
    function: Callable[[_Task], _Result],
    tasks: Iterable[_Task],
    *,
    jobs: int,
    listen: Callable[..., None] | None = None,
) -> Iterator[_Result]:
    """Yield ``function(task)`` of every task, each as soon as it is done.

    Parameters
    ----------
    function, tasks
        With more than one job, both are sent to other processes: a function of a module, and data.
        A script that calls this needs ``if __name__ == "__main__":``.
    jobs : int >= 1
        Tasks at a time. One stays in this process, in the order of the tasks.
    listen : function
        Called here with what `function` says to :func:`tell` in other processes.

    Raises
    ------
    ConfigError
        If `jobs` is less than 1.
    WorkerError
        If a process was killed, most often for want of memory, or could not begin.
    Exception
        What `function` raises ends the run; tasks that are under way are given up.
    """
    if jobs < 1:
        raise ConfigError(f"jobs: {jobs}, should be 1 or more")
    tasks = list(tasks)
    jobs = min(jobs, len(tasks))
    if jobs <= 1:
        yield from map(function, tasks)
        return
    _check_guard(jobs)
    context = multiprocessing.get_context("spawn")
    messages, has_begun = context.SimpleQueue(), context.Event()
    # Not given to a process as it begins: one that ends there leaves what it has not read, and
    # whoever writes waits for ever.
    work = pickle.dumps(function)
    try:
        with _processes(ProcessPoolExecutor(jobs, context, _begin, (messages, has_begun))) as pool:
            with environment(_ONE_THREAD), _signals_later():  # while processes start
                futures = {pool.submit(call, work, task) for task in tasks}
            yield from _results(futures, messages, listen)
    except BrokenExecutor as error:
        if not has_begun.is_set():
            raise WorkerError(_no_guard(jobs)) from error
        raise WorkerError(
            f"jobs: one of {jobs} processes was killed, most often for want of memory; use fewer"
        ) from error


def tell(*message: Any) -> None:
    """Say from within a task how far it is; what comes too fast, or nobody hears, is left out."""
    if _Here.messages is not None and time.monotonic() - _Here.told_s >= _PACE_S:
        _Here.told_s = time.monotonic()
        _Here.messages.put(message)


def attempt() -> int:
    """Return how many processes were killed over the task that this one does."""
    return _Here.attempt


def _results(
    pending: set[Future[_Result]], messages: Any, listen: Callable[..., None] | None
) -> Iterator[_Result]:
    while pending:
        done, pending = wait(pending, _PACE_S if listen else None, FIRST_COMPLETED)
        while listen and not messages.empty():
            listen(*messages.get())
        for future in done:
            yield future.result()


def _check_guard(jobs: int) -> None:
    """Refuse to start processes from one that has not begun itself."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise WorkerError(_no_guard(jobs))


def _no_guard(jobs: int) -> str:
    return (
        f"jobs: none of {jobs} processes could begin; a script that starts some must be a file and "
        'begin its work under `if __name__ == "__main__":`'
    )


@contextmanager
def _processes(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """End the processes of a pool, also those that are at work if something ends this early."""
    before = set(multiprocessing.active_children())
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
            process.join()
        raise


@contextmanager
def _signals_later() -> Iterator[None]:
    """Let processes start that never hear what is meant for this one, which hears it later."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment, while the block lasts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin(messages: Any, has_begun: Any) -> None:
    """Begin a worker process."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Here.messages = messages
    has_begun.set()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def call(pickled: bytes, task: Any, *, attempt: int = 0) -> Any:
    """Do a task in a worker process; what cannot be unpickled is an error of the task."""
    _Here.attempt = attempt
    if _Here.pickled != pickled:
        _Here.function, _Here.pickled = pickle.loads(pickled), pickled
    return _Here.function(task)
