"""Training runs become one ``.onnx`` file: networks, metadata, and proof that they agree."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import unmask._training  # noqa: F401

# isort: split
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from unmask import checkpoint
from unmask._arrays import Array
from unmask._version import __version__
from unmask.engine.metadata import FORMAT
from unmask.engine.model import Model, load_model
from unmask.errors import ConfigError, ModelError
from unmask.files import json_text, replacing
from unmask.nets import Estimator, Network, Parallel
from unmask.nets.counting import count_parameters, macs_per_frame
from unmask.nets.in_use import in_use
from unmask.recipe import Recipe, from_dict

#: Type of the weights in the file -> largest difference between what the networks of the run and
#: of the file put out, of 1 or the largest of it. Half precision has 11 bits: networks differed
#: by 3e-4 to 6e-4, which leaves a difference 70 to 80 dB below what comes out.
TOLERANCE = {"float32": 1e-4, "float16": 5e-3}
OPSET = 17


def export(
    runs: Sequence[Path],
    path: Path,
    *,
    name: str | None = None,
    residual: str | None = None,
    version: str = "1",
    which: str = "best",
    weights: str = "float32",
    test: Any = None,
) -> dict[str, Any]:
    """Write the networks of run folders to one file and return the metadata that it carries.

    The file appears only when ONNX Runtime has given the masks that torch gives, within 1e-4, or
    5e-3 with weights in half precision: in two pieces with state, or in chunks of two lengths
    against one call over the whole.

    Parameters
    ----------
    runs : sequence of Path
        Folders that :func:`unmask.train.run` made, of one front-end, sample rate, mask family and
        task. The stems of the first come first.
    path : Path
        Where to write, ending in ``.onnx``.
    name : str
        Of the model; the recipe's when left out, for several runs that of the file.
    residual : str
        Name of what the stems leave; the run's own when left out, for several runs ``"other"`` if
        none of them has such a stem.
    version : str
        Of the model.
    which : str
        Checkpoint of the runs: ``best`` by validation or ``last``.
    weights : str
        How the file holds the weights: ``float32``, or ``float16`` for a file of half the size.
        Either way a host computes in ``float32``.
    test : JSON value
        Scores on recordings that were never trained or tuned on, for the metadata.

    Raises
    ------
    ConfigError
        If the runs do not fit together, `path` is no name of a model, or there is no such type of
        weights.
    ModelError
        If there is no such checkpoint, or the file gives other numbers than the runs.
    """
    if path.suffix != ".onnx":
        raise ConfigError(f"{path}: is no name of a model, expected one that ends in .onnx, last")
    if weights not in TOLERANCE:
        raise ConfigError(f"weights: {weights!r}, expected one of {', '.join(TOLERANCE)}")
    trained = [_load(run, which) for run in runs]
    _check_fit(trained)
    nets = [run.net for run in trained]
    net = nets[0] if len(nets) == 1 else Parallel(nets).eval()
    used = in_use(net)
    metadata = {
        "licence": " AND ".join(sorted({run.recipe.licence for run in trained})),
        "format": FORMAT,
        "name": name or (path.stem if len(nets) > 1 else trained[0].recipe.name),
        "version": version,
        **_metadata(trained, net),
        **_clock(used),
        "weights": weights,
        "residual": _residual(trained, residual),
    }
    adds_up = len(nets) == 1 and nets[0].family.sums_to_one and metadata["residual"] is None
    if metadata["slow_terms"] and adds_up:
        metadata["slow_stem"] = metadata["stems"][-1]
    if test is not None:
        metadata["scores"]["test"] = test
    with replacing(path) as partial:
        write(partial, used, metadata)
        check(load_model(partial), net, path, TOLERANCE[weights])
    return metadata


@dataclass(frozen=True)
class _Trained:
    """A run folder: where it is, what was trained, and how far."""

    folder: Path
    recipe: Recipe
    net: Estimator
    header: dict[str, Any]


def _load(run: Path, which: str) -> _Trained:
    path = run / f"{which}.safetensors"
    tensors, header = checkpoint.load(path)
    try:
        recipe = from_dict(header["recipe"], subject=str(run))
        net = recipe.system().net
        net.load_state_dict(checkpoint.select(tensors, "mean"))
        _ = header["step"], header["scores"]
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:  # of torch: other weights
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path}: is no checkpoint of a run: {reason}; copy it again") from None
    return _Trained(run, recipe, net.eval(), header)


def _check_fit(runs: Sequence[_Trained]) -> None:
    """Refuse runs that cannot share a graph, a mask family and the mixture."""
    first, *others = runs
    for run in others:
        for subject, ours, theirs in zip(
            ("front-end", "sample rate", "mask", "task"),
            _common(run.recipe),
            _common(first.recipe),
            strict=True,
        ):
            if ours != theirs:
                raise ConfigError(
                    f"{run.folder}: {subject} is {ours}, that of {first.folder} is {theirs}; "
                    "runs in one file must agree"
                )
    family = first.recipe.family
    if others and family.sums_to_one:
        raise ConfigError(
            f"{first.folder}: masks of {family.name} depend on those of the other sources; "
            "train one network for all of them"
        )
    taken: dict[str, Path] = {}
    for run in runs:
        for stem in run.recipe.estimates:
            if stem in taken:
                raise ConfigError(
                    f"{run.folder}: stem {stem!r} is also that of {taken[stem]}; export one of them"
                )
            taken[stem] = run.folder


def _common(recipe: Recipe) -> tuple[str, ...]:
    """Return in words what runs of one file share."""
    front, head = recipe.frontend, recipe.head
    host = ", ".join(f"{key} = {value}" for key, value in asdict(front.host).items())
    options = ", ".join(f"{key} = {value}" for key, value in sorted(head.options.items()))
    heard = f"level = {dict(front.level)}, slow_terms = {front.slow_terms}"
    return (
        f"{front.host.kind}, {host}, channels = {front.channels}, {heard}",
        f"{recipe.data.sample_rate} Hz",
        f"{head.mask} ({options})" if options else head.mask,
        recipe.data.task,
    )


def _residual(runs: Sequence[_Trained], wanted: str | None) -> str | None:
    """Return the name of what the stems leave."""
    stems = [stem for run in runs for stem in run.recipe.estimates]
    if wanted in stems:
        raise ConfigError(f"residual: {wanted!r} is a stem, expected none of {', '.join(stems)}")
    if wanted is not None:
        return wanted
    if len(runs) == 1:
        own: str | None = runs[0].recipe.data.residual
        return own
    return None if "other" in stems else "other"


class _Flat(nn.Module):
    """A network whose state tensors are separate arguments and results."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        output, state = self.net(x, state)
        return (output, *state)


def write(path: Path, net: Network, metadata: dict[str, Any]) -> None:
    """Write a network and what it says about itself as an ``.onnx`` file.

    Parameters
    ----------
    path : Path
        Written as it is, unchecked.
    net : Network
        In evaluation mode.
    metadata : dict
        See docs/architecture.md.
    """
    batch = 2
    x, state = net.front.example(batch, 2 * net.unit_frames), net.initial_state(batch)
    names = [entry["name"] for entry in metadata["state"]]
    following = [f"next_{name}" for name in names]
    of_stft = metadata["frontend"]["kind"] == "stft"
    given, made = ("spectrum", "mask") if of_stft else ("frames", "sources")
    axes = {given: {0: "batch", x.ndim - 1: "frame"}, made: {0: "batch", x.ndim: "frame"}}
    axes |= {name: {0: "batch"} for name in (*names, *following)}
    with warnings.catch_warnings():
        # The exporter that needs no further package is deprecated, and warns that traced shapes
        # may be constants; `check` runs other shapes than the traced ones.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Flat(net).eval(),
            (x, *state),
            path,
            input_names=[given, *names],
            output_names=[made, *following],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(path)
    model.producer_name, model.producer_version = "unmask", __version__
    model.metadata_props.add(key="unmask", value=json_text(metadata).rstrip())
    if metadata["weights"] == "float16":
        halve(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def halve(graph: onnx.GraphProto) -> None:
    """Store the weights of an ONNX graph in half precision, and cast them back where it begins.

    ONNX Runtime folds the casts when it loads the file. What half precision cannot hold, above
    65504, becomes infinite. Weights of a layer called ``exact`` stay as they are.
    """
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.dims and ".exact." not in tensor.name:
            name = tensor.name
            with np.errstate(over="ignore"):
                half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _metadata(runs: Sequence[_Trained], net: Estimator | Parallel) -> dict[str, Any]:
    """Return what the file says about itself, but for what its maker chooses."""
    recipe = runs[0].recipe
    front, head = recipe.frontend, recipe.head
    frames_per_second = recipe.data.sample_rate / front.host.hop
    training = [_training(run) for run in runs]
    scores = {", ".join(run.recipe.estimates): run.header["scores"] for run in runs}
    return {
        "task": recipe.data.task,
        "sample_rate": recipe.data.sample_rate,
        "frontend": {"kind": front.host.kind, **asdict(front.host)},
        "channels": net.n_channels,
        "level": dict(front.level) or None,
        "slow_terms": front.slow_terms,
        "mask": {"family": head.mask, "options": dict(head.options)},
        "stems": [stem for run in runs for stem in run.recipe.estimates],
        **({} if recipe.loss.assignment == "fixed" else {"permutation": "free"}),
        "parameters": count_parameters(net),
        "macs_per_second": round(macs_per_frame(net) * frames_per_second),
        "training": training[0] if len(runs) == 1 else training,
        "scores": {"valid": runs[0].header["scores"] if len(runs) == 1 else scores},
    }


def _clock(net: Network) -> dict[str, Any]:
    """Return how a network runs through time."""
    return {
        "lookahead_frames": net.lookahead_frames,
        "context_frames": net.context_frames,
        "unit_frames": net.unit_frames,
        "state": [
            {"name": f"state_{k}", "shape": list(tensor.shape[1:])}
            for k, tensor in enumerate(net.initial_state(1))
        ],
    }


def _training(run: _Trained) -> dict[str, Any]:
    """Return how a network was made."""
    facts = checkpoint.read_object(run.folder / "run.json")
    recipe = run.header["recipe"]
    begun = Path(recipe["train"].get("warm_start", "")).name  # folders are the machine's own
    recipe = {**recipe, "train": {**recipe["train"], "warm_start": begun}}
    return {"recipe": recipe, "steps": run.header["step"], **facts}


@torch.no_grad()
def check(model: Model, net: Network, path: Path, tolerance: float) -> None:
    """Refuse a file that differs from the network by more than `tolerance`.

    The network hears the whole signal in silence, the file two pieces of it one after the other. If
    it remembers what the network is given again, its masks come later.

    Parameters
    ----------
    model : Model
        Of the file.
    net : Network
        What was written.
    path : Path
        What the refusal names.
    tolerance : float
        Largest difference, of 1 or the largest of what comes out.

    Raises
    ------
    ModelError
        If they differ by more.
    """
    context, unit = net.context_frames, net.unit_frames
    n_units = max(4, 40 // unit)
    rng = np.random.default_rng(0)
    sizes = tuple(net.front.example(2, n_units * unit).shape)
    signal = rng.standard_normal(sizes).astype(np.float32)
    levels = 10 ** rng.uniform(-4, 0, (2, *[1] * (len(sizes) - 1)))
    beside = [(0, 0)] * (len(sizes) - 1) + [(context, context)]
    silent = np.pad(signal * levels.astype(np.float32), beside)
    whole, _ = net(torch.from_numpy(silent), net.initial_state(2))
    expected = whole.numpy()[..., context : context + n_units * unit]
    cut = 2 * context + (n_units // 3) * unit
    first, state = model.step(silent[..., context:cut], model.start(2))
    second, _ = model.step(silent[..., cut:], state)
    late = 0 if model.context else model.lookahead - net.lookahead_frames
    found = np.concatenate([first, second], axis=-1)[..., late : late + n_units * unit]
    _check_same(found, expected, path, tolerance)


def _check_same(found: Array, expected: Array, path: Path, tolerance: float) -> None:
    error = np.abs(found - expected).max()
    allowed = tolerance * max(1.0, float(np.abs(expected).max()))
    if not error <= allowed:
        raise ModelError(
            f"{path}: ONNX Runtime differs from torch by {error:.1e}, at most {allowed:.0e} is "
            "allowed; nothing was written"
        )
