"""A training run becomes one ``.onnx`` file: network, metadata, and proof that both agree."""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from unmask import checkpoint
from unmask.errors import ModelError
from unmask.metadata import FORMAT
from unmask.model import Model, load_model
from unmask.nets.counting import count_parameters, macs_per_frame
from unmask.recipe import Recipe, from_dict

#: Largest difference between the raw maps of the run and of the file.
TOLERANCE = 1e-4
OPSET = 17


def export(
    run: Path, path: Path, *, version: str = "1", which: str = "best", test: Any = None
) -> dict[str, Any]:
    """Write the network of a run folder to `path` and return the metadata that it carries.

    The file appears only when ONNX Runtime has given the raw maps that torch gives, within 1e-4,
    for a signal in two pieces with state.

    Parameters
    ----------
    run : Path
        Folder that :func:`unmask.train.run` made.
    path : Path
        Where to write, ending in ``.onnx``.
    version : str
        Of the model.
    which : str
        Checkpoint of the run: ``best`` by validation or ``last``.
    test : JSON value
        Scores on recordings that were never trained or tuned on, for the metadata.

    Raises
    ------
    ModelError
        If there is no such checkpoint, or the file gives other numbers than the run.
    """
    tensors, header = checkpoint.load(run / f"{which}.safetensors")
    recipe = from_dict(header["recipe"], subject=str(run))
    net: Any = recipe.system().net
    net.load_state_dict(checkpoint.select(tensors, "mean"))
    net.eval()
    metadata = _metadata(recipe, net, header, run, version)
    if test is not None:
        metadata["scores"]["test"] = test
    partial = path.with_name(path.stem + ".partial.onnx")
    _write(partial, net, metadata)
    try:
        _check(load_model(partial), net, path)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return metadata


class _Flat(nn.Module):
    """A network whose state tensors are separate arguments and results."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, spectrum: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        raw, state = self.net(spectrum, state)
        return (raw, *state)


def _write(path: Path, net: Any, metadata: dict[str, Any]) -> None:
    """Write network and metadata."""
    batch, n_frames = 2, 5
    state = net.initial_state(batch)
    names = [entry["name"] for entry in metadata["state"]]
    following = [f"next_{name}" for name in names]
    axes = {"spectrum": {0: "batch", 3: "frame"}, "raw": {0: "batch", 4: "frame"}}
    axes |= {name: {0: "batch"} for name in (*names, *following)}
    with warnings.catch_warnings():
        # The exporter that needs no further package is deprecated, and warns that traced shapes
        # may be constants; `_check` runs other shapes than the traced ones.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Flat(net).eval(),
            (torch.zeros(batch, 2, net.config.n_freq, n_frames), *state),
            path,
            input_names=["spectrum", *names],
            output_names=["raw", *following],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(path)
    model.producer_name, model.producer_version = (
        "unmask",
        metadata["training"]["versions"]["unmask"],
    )
    model.metadata_props.add(key="unmask", value=json.dumps(metadata))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _metadata(
    recipe: Recipe, net: Any, header: dict[str, Any], run: Path, version: str
) -> dict[str, Any]:
    """Return what the file says about itself."""
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    front, head = recipe.frontend, recipe.head
    frames_per_second = recipe.data.sample_rate / front.hop
    return {
        "format": FORMAT,
        "name": recipe.name,
        "version": version,
        "task": recipe.data.task,
        "sample_rate": recipe.data.sample_rate,
        "frontend": {
            "kind": front.kind,
            "n_fft": front.n_fft,
            "hop": front.hop,
            "window": front.window,
        },
        "mask": {"family": head.mask, "options": dict(head.options)},
        "stems": list(recipe.data.stems),
        "residual": recipe.data.residual,
        "lookahead_frames": net.lookahead_frames,
        "state": [
            {"name": f"state_{k}", "shape": list(tensor.shape[1:])}
            for k, tensor in enumerate(net.initial_state(1))
        ],
        "parameters": count_parameters(net),
        "macs_per_second": round(macs_per_frame(net) * frames_per_second),
        "licence": recipe.licence,
        "training": {"recipe": header["recipe"], "steps": header["step"], **facts},
        "scores": {"valid": header["scores"]},
    }


@torch.no_grad()
def _check(model: Model, net: Any, path: Path) -> None:
    """Refuse a file that gives other raw maps than the network, in two pieces with state."""
    rng = np.random.default_rng(0)
    spectrum = rng.standard_normal((3, 2, net.config.n_freq, 40)).astype(np.float32)
    spectrum *= 10 ** rng.uniform(-4, 0, (3, 1, 1, 1)).astype(np.float32)
    expected, _ = net(torch.from_numpy(spectrum), net.initial_state(3))
    first, state = model.step(spectrum[..., :23], model.start(3))
    second, _ = model.step(spectrum[..., 23:], state)
    error = np.abs(np.concatenate([first, second], axis=-1) - expected.numpy()).max()
    if not error <= TOLERANCE:
        raise ModelError(
            f"{path}: ONNX Runtime differs from torch by {error:.1e}, at most {TOLERANCE:.0e} is "
            "allowed; nothing was written"
        )
