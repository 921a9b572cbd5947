"""Finding and reading model files, and what their networks must be like."""

import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unmask import pins
from unmask.engine.container import MOST_BYTES
from unmask.errors import ModelError

if TYPE_CHECKING:
    from unmask.engine.model import Model


def bundled() -> dict[str, Path]:
    """Return the models that come with the package: name -> file."""
    folder = Path(str(files("unmask"))) / "models"
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the file of a bundled model, of one that was pulled from a hub, or that of a path.

    Raises
    ------
    ConfigError
        If it begins like the address of a hub and is none.
    ModelError
        If there is none.
    """
    if isinstance(name_or_path, str) and pins.is_address(name_or_path):
        return _pulled(name_or_path)
    path = Path(name_or_path)
    is_name = isinstance(name_or_path, str) and path.name == name_or_path
    if is_name and path.suffix != ".onnx":
        known = bundled()
        if name_or_path in known:
            return known[str(name_or_path)]
        raise ModelError(
            f"no model named {name_or_path!r}; there are {', '.join(known) or 'none bundled'}, "
            "or give the path of an .onnx file, or the address of one that was pulled "
            "(hf://ORGANISATION/NAME)"
        )
    if path.is_dir():
        raise ModelError(
            f"{path}: is a folder, expected an .onnx file; "
            "a training run becomes one with `unmask export`"
        )
    if not path.is_file():
        raise ModelError(f"{path}: no such file; check the path, or see `unmask models list`")
    return path


def _pulled(address: str) -> Path:
    path = Path(pins.find(address).path)
    if not path.is_file():
        raise ModelError(f"{path}: is gone; fetch it again with `unmask models pull {address}`")
    return path


def content_of(name_or_path: str | os.PathLike[str]) -> tuple[bytes, Path]:
    """Return the bytes of a model, and the file that they are of.

    Raises
    ------
    ConfigError
        If it begins like the address of a hub and is none.
    ModelError
        If there is no such model, it cannot be read, or is not what was pulled.
    """
    path = find(name_or_path)
    content = read(path)
    if isinstance(name_or_path, str) and pins.is_address(name_or_path):
        pins.find(name_or_path).check(content)
    return content, path


def read(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    ModelError
        If it cannot be read, or is larger than any ONNX file.
    """
    try:
        if path.stat().st_size <= MOST_BYTES:
            return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}; check its rights") from error
    raise ModelError(f"{path}: is larger than 2 GiB, which no ONNX file is; check the path")


def check_variables(model: "Model", path: Path) -> None:
    """Refuse a network whose variables are not those of the metadata, or of another type.

    Raises
    ------
    ModelError
        If it is one.
    """
    session = model._session
    for declared, names in (
        (session.get_inputs(), model._inputs),
        (session.get_outputs(), model._outputs),
    ):
        types = {variable.name: variable.type for variable in declared}
        wrong = [name for name in names if types.get(name) != "tensor(float)"]
        if wrong:
            raise ModelError(
                f"{path}: {wrong[0]} is {types.get(wrong[0], 'not there')}, "
                "expected tensor(float) by the metadata; export it again"
            )


def check_network(model: "Model", path: Path) -> None:
    """Refuse a network whose inputs or outputs are not what the metadata says: run it once.

    Raises
    ------
    ModelError
        If it is one.
    """
    n_signals, n_frames = 2, model.unit * -(-3 // model.unit)
    state = model.start(n_signals) if not model.context else []
    try:
        model._run(np.zeros((n_signals, *model._sizes, n_frames), np.float32), state)
    except ModelError as error:
        raise ModelError(f"{path}: inputs or outputs do not fit the metadata: {error}") from error
    if model.lookahead < model.family.context[1]:
        raise ModelError(
            f"{path}: mask family {model.family.name} looks {model.family.context[1]} frames "
            f"ahead, lookahead_frames is {model.lookahead}; export it again"
        )
