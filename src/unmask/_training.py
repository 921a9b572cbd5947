"""Imported first by all that trains: says in one line what is missing."""

from importlib.util import find_spec

from unmask.errors import MissingExtraError

for _name in ("torch", "lightning_fabric", "safetensors", "onnx"):
    if find_spec(_name) is None:
        raise MissingExtraError(f'training: {_name} is not installed; pip install "unmask[train]"')
