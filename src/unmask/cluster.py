"""Tasks on many machines: Ray carries them, this file knows which are to be done again.

The only file that imports Ray, whose reports to its makers are switched off before: of a cluster
that is told to send none, its head still sends one that says so, hence the address of nobody.
"""

import hashlib
import logging
import os
import pickle
import platform
import secrets
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from unmask._version import __version__
from unmask.errors import ConfigError, MissingExtraError, UnmaskError, WorkerError
from unmask.workers import call, environment

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

#: What keeps Ray from telling anybody anything; set before it is imported or started.
SILENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",
}
os.environ.update(SILENCE)

#: The address of a cluster that is this machine alone, and lasts as long as the work.
LOCAL = "local"
#: Processes that may be killed over one task.
ATTEMPTS = 3
#: Tasks that wait for each that is done, so that no machine waits for this one.
_AHEAD = 2
#: Bytes that a cluster of this machine keeps in shared memory: results are small.
_STORE_BYTES = 100_000_000


class Cluster(NamedTuple):
    """An executor: the machines of a Ray cluster, each of which has this package installed.

    A task whose process or machine is lost is done again by another. It finds out by
    :func:`unmask.workers.attempt`, and whether there is anything left to do.
    """

    address: str
    """``HOST:PORT`` of its head, ``auto`` on a machine that is part of it, or :data:`LOCAL`."""
    threads: int = 1
    """Processors that a task takes."""

    def map(
        self,
        function: Callable[[_Task], _Result],
        tasks: Iterable[_Task],
        *,
        listen: Callable[..., None] | None = None,
        lost: Callable[[_Task, WorkerError], _Result] | None = None,
    ) -> Iterator[_Result]:
        """Do as :class:`unmask.workers.Executor` says; `listen` hears nothing from so far away.

        Raises
        ------
        MissingExtraError
            If Ray is not installed.
        WorkerError
            If there is no such cluster, it has another version of this package, or the processes
            that do a task are killed :data:`ATTEMPTS` times and `lost` is left out.
        ConfigError
            If no machine of it has the processors.
        """
        waiting = deque((task, 0) for task in tasks)
        if not waiting:
            return
        with _connected(self.address) as ray:
            _check_threads(ray, self)
            pickled = pickle.dumps(function)
            work = _Work(hashlib.sha256(pickled).hexdigest(), [ray.put(pickled)], *_place(self))
            remote = ray.remote(num_cpus=self.threads, max_retries=0)(_do)
            running: dict[Any, tuple[_Task, int]] = {}
            while waiting or running:
                while waiting and len(running) < _room(ray, self.threads):
                    task, attempt = waiting.popleft()
                    running[remote.remote(__version__, work, task, attempt)] = task, attempt
                (ready, *_), _ = ray.wait(list(running), num_returns=1)
                task, attempt = running.pop(ready)
                found = _outcome(ray, ready)
                if not isinstance(found, _Lost):
                    yield found
                elif attempt + 1 < ATTEMPTS:
                    waiting.appendleft((task, attempt + 1))
                elif lost is None:
                    raise found.error
                else:
                    yield lost(task, found.error)

    def is_here(self, n_tasks: int) -> bool:
        """Tell that none is."""
        return False


class _Refused(NamedTuple):
    """An error that a task met on purpose: Ray would wrap it into one of its own."""

    error: UnmaskError


class _Lost(NamedTuple):
    """What is left of a task whose process, or machine, is no more."""

    error: WorkerError


class _Work(NamedTuple):
    """What is done with all tasks."""

    key: str
    content: list[Any]
    """Where Ray keeps it: a list, since what is no part of a list is sent with every task."""
    folder: str
    """What relative paths are relative to, where all machines share a disk."""
    home: str | None
    """Where users keep what opens their stores, if processes begin with another home."""


class _Here:
    """What this process works on."""

    key = ""
    pickled = b""


def _do(version: str, work: _Work, task: Any, attempt: int) -> Any:
    """Do a task, on one of the machines."""
    import ray

    try:
        if version != __version__:
            raise WorkerError(
                f"cluster: {platform.node()} has unmask {__version__}, this machine "
                f"{version}; install the same everywhere"
            )
        if _Here.key != work.key:
            _Here.key, _Here.pickled = work.key, ray.get(work.content[0])
            if work.home is not None:
                os.environ["HOME"] = work.home
        with suppress(OSError):
            os.chdir(work.folder)
        return call(_Here.pickled, task, attempt=attempt)
    except UnmaskError as error:
        return _Refused(error)


def _outcome(ray: Any, reference: Any) -> Any:
    """Return what came of a task; what it refused, or a bug in it, is raised."""
    try:
        found = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if "failed to import on the worker" in str(error):
            raise WorkerError(
                "cluster: its machines cannot import unmask; install the same version on all"
            ) from error
        raise
    except ray.exceptions.RayError as error:
        met = WorkerError(
            f"the processes that worked on it were killed {ATTEMPTS} times, most often for want of "
            "memory; try it alone on a larger machine"
        )
        met.__cause__ = error
        return _Lost(met)
    if isinstance(found, _Refused):
        raise found.error
    return found


def _place(cluster: Cluster) -> tuple[str, str | None]:
    """Return the folder and the home that tasks are done in."""
    return os.getcwd(), os.environ.get("HOME") if cluster.address == LOCAL else None


def _room(ray: Any, threads: int) -> int:
    """Return how many tasks may be under way; machines come and go."""
    processors = int(ray.cluster_resources().get("CPU", 0))
    return max(1, processors // threads) * _AHEAD


def _check_threads(ray: Any, cluster: Cluster) -> None:
    most = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
    if cluster.threads > most:
        raise ConfigError(
            f"threads: {cluster.threads}, the machines of the cluster {cluster.address} have "
            f"{most} processors at most"
        )


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Join a cluster; leave it at the end, unless the program had joined it before.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    WorkerError
        If there is no cluster.
    """
    with ExitStack() as stack:
        how: dict[str, Any] = {"address": address}
        home = {}
        if address == LOCAL:
            folder = tempfile.mkdtemp(prefix="unmask-ray-")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            home = _keep_alone(folder)
            how |= {"_temp_dir": folder, "object_store_memory": _STORE_BYTES}
            how |= {"include_dashboard": False}
        ray = _imported()
        if not ray.is_initialized():
            stack.enter_context(_quiet(ray))
            stack.callback(ray.shutdown)
            try:
                with environment(home):
                    ray.init(**how, log_to_driver=False, configure_logging=False)
            except Exception as error:  # Ray raises that itself, where a start takes too long
                reason = " ".join(str(error).split())[:200]
                raise WorkerError(
                    f"cluster {address}: cannot be joined: {reason}; start one with `ray start`"
                ) from error
        yield ray


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Keep off standard output what Ray says of processes: names of files belong there."""
    logging.getLogger("ray").addHandler(logging.NullHandler())
    worker = ray._private.worker
    worker._worker_logs_enabled = False
    try:
        yield
    finally:
        worker._worker_logs_enabled = True


def _keep_alone(folder: str) -> dict[str, str]:
    """Keep a cluster to this machine, and what it writes to `folder`; return where its home is.

    A file that begins a cluster in a cloud stands there, and says nothing. Without it Ray asks
    Azure, Google and Amazon which of them the machine belongs to, though reports are off.
    """
    Path(folder, "ray_bootstrap_config.yaml").write_text("{}\n", encoding="utf-8")
    if "ray" not in sys.modules:  # which reads this when it is imported
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # it listens to this machine only
        if "RAY_AUTH_MODE" not in os.environ:
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return {"HOME": folder, "USERPROFILE": folder}


def _imported() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            'cluster: Ray is not installed; pip install "unmask[cluster]"'
        ) from error
    return ray
