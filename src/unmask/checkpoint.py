"""Checkpoints: tensors and a JSON header in one safetensors file, written whole or not at all."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import unmask._training  # noqa: F401

# isort: split
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from unmask.errors import ModelError
from unmask.files import replacing

FORMAT = 1


def save(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write `tensors` and `header` (anything that JSON can say) to `path`.

    The file appears under its name only when it is complete.
    """
    text = json.dumps({"format": FORMAT, **header})
    copies = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as partial:
        save_file(copies, partial, metadata={"unmask": text})


def load(path: Path, *, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the header of a checkpoint. Nothing of the file is run as code.

    Raises
    ------
    ModelError
        If the file is missing, is no safetensors file, or was not written by :func:`save`.
    """
    with _opened(path, device) as (file, header):
        return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a checkpoint, as :func:`load` does, without its tensors."""
    with _opened(path, "cpu") as (_, header):
        return header


@contextmanager
def _opened(path: Path, device: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a checkpoint of this format."""
    try:
        with safe_open(path, framework="pt", device=device) as file:
            header = _header((file.metadata() or {}).get("unmask", "{}"), path)
            if header.get("format") != FORMAT:
                raise ModelError(
                    f"{path}: checkpoint format is {header.get('format')!r}, this version reads "
                    f"{FORMAT}"
                )
            yield file, header
    except FileNotFoundError:
        raise ModelError(f"{path}: no such checkpoint; name the folder of a run") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error}; is it a file?") from None
    except SafetensorError as error:
        raise ModelError(
            f"{path}: not a safetensors file ({error}); was it copied whole?"
        ) from None


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file of a run folder holds.

    Raises
    ------
    ModelError
        If it cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path}: cannot be read: {reason}; copy the run folder again") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path}: is no JSON object; copy the run folder again")
    return found


def _header(text: str, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: header is no JSON: {error}; was it copied whole?") from None
    if not isinstance(header, dict):
        raise ModelError(f"{path}: header is no JSON object; was it written by unmask?")
    return header


def select(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with ``prefix.``, without it."""
    start = prefix + "."
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}
