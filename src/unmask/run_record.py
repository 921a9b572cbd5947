"""Run records: what was read, by which model, how, and what came of it."""

import json
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from unmask import audio
from unmask._version import __version__
from unmask.engine.model import Model
from unmask.engine.settings import Settings
from unmask.files import Contents, sha256
from unmask.layout import Job, Output


def finished(job: Job, model: Model, output: Output, settings: Settings) -> dict[str, Any] | None:
    """Return the run record of a job that an earlier run has finished, None if it is to be done.

    It is finished if its run record is there, says the same of input, model and settings, and has
    all its outputs beside it; files are told by their hashes.
    """
    try:
        record: dict[str, Any] = json.loads(job.record.read_text("utf-8"))
        made = record["input"]["sha256"], record["model"]["sha256"]
        stems = {entry["stem"]: entry["sha256"] for entry in record["outputs"]}
        same = (
            record["settings"] == plain(job, output, settings)
            and stems.keys() == job.targets.keys()
        )
        same = same and made == (sha256(job.source), model.sha256)
        same = same and all(sha256(path) == stems[stem] for stem, path in job.targets.items())
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if same else None


def describe(
    job: Job,
    info: audio.AudioInfo,
    read: Contents,
    work: tuple[Model, Output, Settings],
    reports: list[audio.WriteReport],
    written: list[Contents],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Return the run record of a job: what was read, by which model, how, and what came of it."""
    packages = ("numpy", "onnxruntime", "soundfile")
    model, output, settings = work
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": asdict(info)
        | {"path": job.name_of(info.path), "sha256": read.sha256}
        | ({"version": job.version} if job.version else {}),
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "settings": plain(job, output, settings),
        "outputs": [
            {
                "stem": stem,
                "path": job.name_of(path),
                "n_samples": report.n_samples,
                "n_bytes": file.n_bytes,
                "sha256": file.sha256,
                "parts": list(parts),
                "peak": report.peak,
                "clipped": report.clipped,
                "lost": list(report.lost),
            }
            for (stem, path), parts, report, file in zip(
                job.targets.items(), job.rows.values(), reports, written, strict=True
            )
        ],
        "timings": seconds,
        "versions": {"unmask": __version__, "python": platform.python_version()}
        | {name: sys.modules[name].__version__ for name in packages if name in sys.modules},
    }


def plain(job: Job, output: Output, settings: Settings) -> dict[str, Any]:
    """Return settings as they come back from JSON."""
    stems = None if output.stems is None else list(output.stems)
    return asdict(output) | {"out": job.name_of(output.out), "stems": stems} | asdict(settings)
