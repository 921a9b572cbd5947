"""What was given and what came of it, in one folder that goes at the end."""

import os
import re
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unmask import audio
from unmask.engine.settings import Settings
from unmask.errors import UnmaskError, one_line
from unmask.files import make_folder
from unmask.layout import Output
from unmask.separate.inputs import check_input
from unmask.ui.jobs import Job, Jobs, Recording
from unmask.ui.offers import Models

#: Longest name of a file in bytes; the file system takes 255, and stems add theirs.
_MOST_NAME = 180


class RefusedError(Exception):
    """What was asked for is not given; `status` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Desk:
    """Recordings, jobs and their files.

    Parameters
    ----------
    folder : path
        Where all of it is.
    models : Models
    most_jobs : int
        How many it keeps, done or not.
    """

    def __init__(self, folder: Path, models: Models, *, most_jobs: int = 100) -> None:
        self.folder, self.models, self.most_jobs = folder, models, most_jobs
        self.queue = Jobs(models)
        self._recordings: dict[int, Recording] = {}
        self._jobs: dict[int, Job] = {}
        self._number, self._lock = 0, threading.Lock()

    def _next(self) -> int:
        with self._lock:
            self._number += 1
            return self._number

    def place(self, name: str) -> tuple[int, Path]:
        """Return the number of a new recording, and the file to write it to.

        Raises
        ------
        RefusedError
            If there are too many already.
        """
        if len(self._recordings) >= self.most_jobs:
            raise RefusedError(409, f"there are {self.most_jobs} recordings; remove some of them")
        number = self._next()
        return number, make_folder(self.folder / "recordings" / str(number)) / safe_name(name)

    def discard(self, path: Path) -> None:
        """Take away a recording that came to nothing."""
        shutil.rmtree(path.parent, ignore_errors=True)

    def take(self, number: int, path: Path) -> Recording:
        """Keep a recording that is written, if it can be separated.

        Raises
        ------
        RefusedError
            If it cannot.
        """
        try:
            info = audio.info(path)
            check_input(info, info.n_samples)
        except UnmaskError as error:
            self.discard(path)
            raise RefusedError(400, self.plain(one_line(error))) from None
        found = Recording(number, path, info.sample_rate, info.n_channels, info.n_samples)
        self._recordings[number] = found
        return found

    def begin(self, said: Mapping[str, Any]) -> Job:
        """Put a job in the queue; refuse what the model cannot do, before it waits.

        Raises
        ------
        RefusedError
        """
        recording = self._recordings.get(_number(said, "recording"))
        if recording is None:
            raise RefusedError(404, "this recording is not there any more; give it again")
        if len(self._jobs) >= self.most_jobs:
            raise RefusedError(409, f"there are {self.most_jobs} results; remove some of them")
        name = said.get("model")
        if not isinstance(name, str) or name not in self.models:
            raise RefusedError(400, f"model {name!r}: is not offered; choose one of the list")
        number = self._next()
        folder = self.folder / "jobs" / str(number)
        try:
            settings = _settings(said.get("settings") or {})
            settings.check(self.models.get(name))
            output = Output(
                out=folder,
                filename="{track}/{stem}.{ext}",
                format=said.get("format") or None,
                residual=True if said.get("rest") is True else None,
            )
            if said.get("remix") is True:
                output = Output(**{**vars(output), "remix": True, "residual": None})
        except UnmaskError as error:
            raise RefusedError(400, one_line(error)) from None
        job = self._jobs[number] = Job(number, recording, name, output, settings, dict(said))
        self.queue.add(job)
        return job

    def job(self, number: int) -> Job:
        """Return a job.

        Raises
        ------
        RefusedError
            If there is none of that number.
        """
        if number not in self._jobs:
            raise RefusedError(404, "no such job; it was removed")
        return self._jobs[number]

    def remove(self, job: Job) -> None:
        """Forget a job, its files, and its recording if no other job is of that.

        Raises
        ------
        RefusedError
            If it is under way.
        """
        if job.state in {"waiting", "running"}:
            raise RefusedError(409, "is not done; stop it first")
        self._jobs.pop(job.id, None)
        shutil.rmtree(job.output.folder, ignore_errors=True)
        if all(other.recording != job.recording for other in self._jobs.values()):
            self._recordings.pop(job.recording.id, None)
            self.discard(job.recording.path)

    def said(self, job: Job) -> dict[str, Any]:
        """Return what the page tells of a job."""
        written = job.record.get("outputs", ())
        keys = ("stem", "n_bytes", "clipped", "lost")
        files = [
            {key: entry[key] for key in keys} | {"name": Path(entry["path"]).name}
            for entry in written
        ]
        return {
            "id": job.id,
            "recording": job.recording.id,
            "name": job.recording.path.name,
            "seconds": job.recording.n_samples / job.recording.sample_rate,
            "model": job.model,
            "remix": job.output.remix,
            "asked": job.asked,
            "state": job.state,
            "share": job.share,
            "error": self.plain(job.error),
            "remarks": job.record.get("input", {}).get("remarks") or "",
            "files": files,
            "took_s": job.record.get("timings", {}).get("seconds"),
        }

    def all_said(self) -> list[dict[str, Any]]:
        """Return what the page tells of all jobs."""
        return [self.said(job) for job in list(self._jobs.values())]

    def plain(self, text: str) -> str:
        """Return a message without the folders that users have not chosen."""
        inside = rf"(?:(?:recordings|jobs){re.escape(os.sep)}\d+{re.escape(os.sep)})?"
        return re.sub(re.escape(f"{self.folder}{os.sep}") + inside, "", text)


def safe_name(name: str) -> str:
    r"""Return the name of a file without folders and characters that steer anything.

    >>> safe_name("C:\\music\\..\\song.mp3"), safe_name("../../x/.bashrc"), safe_name("a\nb.wav")
    ('song.mp3', 'bashrc', 'ab.wav')
    >>> safe_name(".."), len(safe_name("ü" * 500 + ".flac").encode()) <= 180
    ('recording', True)
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(char for char in last if char.isprintable() and char not in '<>:"|?*')
    kept = kept.lstrip(". ").rstrip(" ") or "recording"
    path = Path(kept)
    room = max(1, _MOST_NAME - len(path.suffix.encode()))
    short = path.stem.encode()[:room].decode(errors="ignore")
    return f"{short}{path.suffix}" if len(path.suffix.encode()) < _MOST_NAME else short


def _number(said: Mapping[str, Any], key: str) -> int:
    value = said.get(key)
    return value if type(value) is int else -1


def _settings(said: Any) -> Settings:
    """Return the settings that a page asks for; gains come in decibels, null takes a stem out.

    Raises
    ------
    RefusedError
        If they are none.
    UnmaskError
        As :class:`unmask.Settings`.
    """
    try:
        chosen = {str(key): value for key, value in said.items() if value is not None}
        gains = chosen.pop("gains_db", {})
        factors = {k: 0.0 if db is None else 10 ** (float(db) / 20) for k, db in gains.items()}
        return Settings(**chosen, gains=factors)
    except UnmaskError:
        raise
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise RefusedError(400, "settings: expected those of unmask.Settings") from None
