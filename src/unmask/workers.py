"""Worker processes: as many as there are cores, one thread of linear algebra in each."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

from unmask.errors import ConfigError, WorkerError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

# What BLAS libraries read when they are loaded.
_ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM")
}


def map_tasks(
    function: Callable[[_Task], _Result], tasks: Iterable[_Task], *, jobs: int
) -> Iterator[_Result]:
    """Yield ``function(task)`` of every task, each as soon as it is done.

    Parameters
    ----------
    function, tasks
        With more than one job, both are sent to other processes: a function of a module, and data.
        A script that calls this needs ``if __name__ == "__main__":``.
    jobs : int >= 1
        Tasks at a time. One stays in this process, in the order of the tasks.

    Raises
    ------
    ConfigError
        If `jobs` is less than 1.
    WorkerError
        If a process was killed, most often for want of memory.
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
    try:
        with _processes(jobs) as pool:
            with _environment(_ONE_THREAD):  # processes start while tasks are submitted
                futures = [pool.submit(function, task) for task in tasks]
            for future in as_completed(futures):
                yield future.result()
    except BrokenExecutor as error:
        raise WorkerError(
            f"jobs: one of {jobs} processes was killed, most often for want of memory; use fewer"
        ) from error


@contextmanager
def _processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes; whatever ends this early ends them too."""
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), initializer=_ignore_interrupt
    )
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
            process.join()
        raise


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
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


def _ignore_interrupt() -> None:
    """Leave Ctrl-C to the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
