"""What a run tells while it trains: JSON lines, and the same for spreadsheets and TensorBoard."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from unmask.files import json_text, write_text

RECORDS = "records.jsonl"
#: Kind, and name of a folder -> logger, and the files that it writes there.
LOGGERS: Mapping[str, tuple[Any, str]] = {
    "csv": (CSVLogger, "metrics.csv"),
    "tensorboard": (TensorBoardLogger, "events.out.tfevents.*"),
}


class Records:
    """The records of a run up to a step, to which more are added.

    The JSON lines are the truth; the folders ``csv`` and ``tensorboard`` are made from them anew
    whenever a run is taken up, so that no step is there twice.

    Parameters
    ----------
    out : Path
        Run folder.
    kinds : sequence of str
        Names in :data:`LOGGERS`.
    step : int
        What was recorded after it, before a stop, is dropped.
    """

    def __init__(self, out: Path, kinds: Sequence[str], *, step: int) -> None:
        self.path = out / RECORDS
        kept = [line for line in read(out) if line["step"] <= step]
        write_text(self.path, "".join(map(json_text, kept)))
        for kind, (_, files) in LOGGERS.items():
            for file in (out / kind).glob(files):
                file.unlink()
        self.loggers = [LOGGERS[kind][0](out, name=kind, version="") for kind in kinds]
        for line in kept:
            self._log(line)
        self._save()

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Append one line; numbers, or tables of numbers."""
        line = {"step": step, **values}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json_text(line))
        self._log(line)
        self._save()

    def close(self) -> None:
        """End the files for other programs."""
        for logger in self.loggers:
            logger.finalize("success")

    def _log(self, line: Mapping[str, Any]) -> None:
        flat: dict[str, float] = {}
        for name, value in line.items():
            if isinstance(value, dict):
                flat |= {f"{name}/{key}": number for key, number in value.items()}
            elif name != "step":
                flat[f"train/{name}"] = value
        for logger in self.loggers:
            logger.log_metrics(flat, step=line["step"])

    def _save(self) -> None:
        for logger in self.loggers:
            logger.save()


def read(out: Path) -> list[dict[str, Any]]:
    """Return the records of a run folder; a last line that is not whole is left out."""
    path = out / RECORDS
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
