"""Jobs one after the other: each separates a recording as the command does, and can be stopped."""

import shutil
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unmask.engine.settings import Settings
from unmask.errors import UnmaskError, one_line
from unmask.layout import Output
from unmask.separate import separate_file
from unmask.ui.offers import Models

#: Seconds that a job has to end in when the program does; a block of sound takes less.
_PATIENCE_S = 20.0


class _StoppedError(Exception):
    """Ends a job that is under way."""


@dataclass(frozen=True)
class Recording:
    """A file that was given."""

    id: int
    path: Path
    sample_rate: int
    n_channels: int
    n_samples: int


@dataclass
class Job:
    """A recording, a model, and how far they are."""

    id: int
    recording: Recording
    model: str
    output: Output
    settings: Settings
    asked: dict[str, Any]
    """In the words of who asked."""
    state: str = "waiting"
    """``waiting``, ``running``, ``done``, ``failed`` or ``stopped``."""
    share: float = 0.0
    error: str = ""
    record: dict[str, Any] = field(default_factory=dict)
    is_wanted: bool = True

    def files(self) -> dict[str, Path]:
        """Return the files that were written, by stem."""
        return {entry["stem"]: Path(entry["path"]) for entry in self.record.get("outputs", ())}


class Jobs:
    """A queue, and the thread that does what is in it.

    Parameters
    ----------
    models : Models
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._running: Job | None = None
        self._is_open = True
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Stop what is under way and do no more."""
        with self._changed:
            self._is_open = False
            self._waiting.clear()
            if self._running:
                self._running.is_wanted = False
            self._changed.notify_all()
        self._thread.join(_PATIENCE_S)

    def add(self, job: Job) -> None:
        """Let a job be done when those before it are."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify_all()

    def stop(self, job: Job) -> None:
        """Take a job out of the queue, or end it at its next block; one that has ended stays."""
        with self._changed:
            job.is_wanted = False
            if job in self._waiting:
                self._waiting.remove(job)
                job.state = "stopped"

    def _next(self) -> Job | None:
        with self._changed:
            while self._is_open and not self._waiting:
                self._changed.wait()
            if not self._is_open:
                return None
            self._running = self._waiting.popleft()
            self._running.state = "running"
            return self._running

    def _work(self) -> None:
        while (job := self._next()) is not None:
            state, error = self._outcome(job)
            if state != "done":
                shutil.rmtree(job.output.folder, ignore_errors=True)
            with self._changed:
                job.error, job.state, self._running = error, state, None

    def _outcome(self, job: Job) -> tuple[str, str]:
        """Do a job; return its state and what went wrong. Nothing ends the queue."""

        def progress(_path: Path, share: float) -> None:
            job.share = share
            if not job.is_wanted:
                raise _StoppedError

        try:
            model = self._models.get(job.model)
            path, how = job.recording.path, (job.output, job.settings)
            job.record = separate_file(path, model, *how, progress=progress)
        except _StoppedError:
            return "stopped", ""
        except UnmaskError as error:
            return "failed", one_line(error)
        except Exception as error:
            return "failed", f"{type(error).__name__}: {one_line(error)}; this is a bug"
        return "done", ""
