"""One JSON file per track, in the shape of museval; written, and read whoever wrote it."""

import json
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unmask.errors import ConfigError
from unmask.evaluate.scoring import Scores, Settings
from unmask.evaluate.table import Key, Series, Table
from unmask.files import make_folder, write_text

#: The version of museval whose files ours look like.
MUSEVAL_VERSION = "0.4.1"

_DECIMALS = 5
#: Times that an archive may be smaller than what is in it, above some size: numbers reach 50.
_MOST_RATIO, _FREE_BYTES = 200, 1 << 28
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')
# JSON has no word for these, and strict readers refuse numbers that are too large: the largest that
# there is stands for infinity, and is read as that.
_LARGEST = float(np.finfo(np.float64).max)
_OURS = {"NaN": "null", "Infinity": repr(_LARGEST), "-Infinity": repr(-_LARGEST)}
# museval rounds infinity to NaN, and writes that.
_MUSEVALS = {"Infinity": "NaN", "-Infinity": "NaN"}


def document(scores: Scores, settings: Settings, origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores in museval's shape, with two more entries, which its readers pass over.

    A target has ``frames`` (a list of ``{"time", "duration", "metrics"}``, in seconds and dB, five
    decimals) and ``whole`` (scores of the whole track). The entry ``unmask`` is `origin`.
    """
    return {
        "museval_version": MUSEVAL_VERSION,
        "targets": [
            {
                "name": stem,
                "frames": _frames({k: v for k, v in found.items() if v.ndim}, settings),
                "whole": {k: round(float(v), _DECIMALS) for k, v in found.items() if not v.ndim},
            }
            for stem, found in scores.values.items()
        ],
        "unmask": dict(origin),
    }


def _frames(columns: Mapping[str, Any], settings: Settings) -> list[dict[str, Any]]:
    return [
        {
            "time": k * settings.hop_s,
            "duration": settings.window_s,
            "metrics": {
                name: round(score, _DECIMALS) for name, score in zip(columns, frame, strict=True)
            },
        }
        for k, frame in enumerate(
            zip(*(column.tolist() for column in columns.values()), strict=True)
        )
    ]


def dumps(value: Any, *, museval: bool = False) -> str:
    """Return JSON: NaN is null and infinity the largest number; or, with `museval`, both NaN."""
    words = _MUSEVALS if museval else _OURS
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _TOKEN.sub(lambda match: words.get(match[0], match[0]), text) + "\n"


def write(path: Path, value: Any, *, museval: bool = False) -> None:
    """Write a JSON file, whole or not at all."""
    make_folder(path.parent)
    write_text(path, dumps(value, museval=museval))


def table_of(found: Any, *, method: str, track: str, file: str | Path) -> dict[Key, Series]:
    """Return the scores of a museval document, by this package or others.

    Null, NaN and metrics that a frame lacks are NaN; metrics of any name are taken.

    Raises
    ------
    ConfigError
        If `found` is no such document; the message names `file`.
    """
    table: dict[Key, Series] = {}
    try:
        for target in found["targets"]:
            for metric, series in _series(target).items():
                table[Key(method, track, target["name"], metric)] = series
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ConfigError(
            f"{file}: is no museval JSON ({type(error).__name__}: {error}); expected "
            "targets with name and frames of time and metrics"
        ) from error
    return table


def _series(target: Mapping[str, Any]) -> dict[str, Series]:
    """Metric -> its scores; None becomes NaN."""
    frames = target["frames"]
    time = np.array([frame["time"] for frame in frames], dtype=np.float64)
    found = {}
    for name in dict.fromkeys(name for frame in frames for name in frame["metrics"]):
        scores = [frame["metrics"].get(name) for frame in frames]
        found[name] = Series(time, _scores(scores))
    for name, score in target.get("whole", {}).items():
        found[name] = Series(np.array([np.nan]), _scores([score]))
    return found


def _scores(values: list[Any]) -> Any:
    """Return scores as an array: None is NaN, the largest number infinity."""
    scores = np.array(values, dtype=np.float64)
    return np.where(np.abs(scores) >= _LARGEST, np.copysign(np.inf, scores), scores)


def read_results(path: str | Path) -> dict[Key, Series]:
    """Read the scores of one system: a folder, or .zip, of museval JSON files, one per track.

    The system goes by the name of the folder, a track by that of its file; where two files of
    different folders have one name, all go by their path.

    Raises
    ------
    ConfigError
        If there are no such files, or one is something else.
    """
    path = Path(path)
    files = dict(_files(path))
    if not files:
        raise ConfigError(f"{path}: no JSON file in it; expected a folder of museval's, or a .zip")
    names = {name: name.rpartition("/")[2] for name in files}
    if len(set(names.values())) < len(names):
        names = {name: name for name in files}
    table: dict[Key, Series] = {}
    for name, content in files.items():
        file = path / f"{name}.json"
        found = _parsed(content, file)
        table |= table_of(found, method=method_of(path), track=names[name], file=file)
    if not table:
        raise ConfigError(f"{path}: its {len(files)} files hold no scores; evaluate again")
    return table


def _parsed(content: bytes, file: Path) -> Any:
    """Return what a file says: JSON in UTF-8, as its standard asks."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file}: is not UTF-8, expected JSON in UTF-8; convert it (iconv -t UTF-8)"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: is no JSON ({error}); make it again") from error


def method_of(path: Path) -> str:
    """Return the name of the system whose results lie in `path`."""
    return path.stem if path.suffix == ".zip" else Path(os.path.abspath(path)).name


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Relative name without suffix, and content, of all JSON files.

    Raises
    ------
    ConfigError
        If one cannot be read.
    """
    if path.is_file() and zipfile.is_zipfile(path):
        yield from _zipped(path)
    elif path.is_dir():
        for file in sorted(path.rglob("*.json")):
            name = file.relative_to(path).as_posix()
            if not _is_result(name):
                continue
            if not file.is_file():
                raise ConfigError(f"{file}: is no file but a folder, pipe or device; remove it")
            try:
                yield name.removesuffix(".json"), file.read_bytes()
            except OSError as error:
                raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    else:
        raise ConfigError(f"{path}: no folder and no .zip; give one of museval's JSON files")


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    damaged = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError)
    damaged += (RuntimeError, NotImplementedError)
    try:
        with zipfile.ZipFile(path) as archive:
            found = [member for member in archive.infolist() if _is_result(member.filename)]
            _check_sizes(found, path)
            for member in sorted(found, key=lambda member: member.filename):
                yield member.filename.removesuffix(".json"), archive.read(member)
    except damaged as error:
        raise ConfigError(
            f"{path}: is damaged, encrypted or no .zip ({error}); unpack it to a folder"
        ) from error


def _check_sizes(found: Sequence[zipfile.ZipInfo], path: Path) -> None:
    """Refuse an archive that is small and unpacks to what fills the memory."""
    size = sum(member.file_size for member in found)
    if size > max(_FREE_BYTES, _MOST_RATIO * path.stat().st_size):
        raise ConfigError(
            f"{path}: unpacks to {size / 1e6:.0f} MB, expected at most {_MOST_RATIO} times its "
            "size; unpack it to a folder"
        )


def _is_result(name: str) -> bool:
    """Hidden files, as those that macOS puts into archives, are none."""
    return name.endswith(".json") and not any(
        part.startswith((".", "__MACOSX")) for part in name.split("/")
    )


def read_systems(paths: Iterable[str | Path]) -> Table:
    """`read_results` of several systems, in one table; two of one name are refused.

    Raises
    ------
    ConfigError
        If two have one name, or one of them is no folder of results.
    """
    table: dict[Key, Series] = {}
    taken: dict[str, Path] = {}
    for path in map(Path, paths):
        if (other := taken.setdefault(method_of(path), path)) is not path:
            raise ConfigError(f"{path}: has the name of {other}; rename one")
        table |= read_results(path)
    return table
