"""Tiny ONNX models for the tests of the engine: known answers, and random ones that remember."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def metadata(**changes):
    """Return valid metadata of a test model, with `changes`."""
    values = {
        "format": 1,
        "name": "test",
        "version": "1",
        "task": "denoise",
        "sample_rate": 16000,
        "frontend": {"kind": "stft", "n_fft": 64, "hop": 32, "window": "sqrt_hann"},
        "mask": {"family": "complex_tanh", "options": {}},
        "stems": ["speech"],
        "residual": "noise",
        "lookahead_frames": 0,
        "state": [],
        "parameters": 1,
        "macs_per_second": 1,
        "licence": "MIT",
        "training": {"data": "none"},
        "scores": {},
    }
    return values | changes


class Graph:
    """A graph under construction: every call adds a node and returns the name of its output."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def __call__(self, op, *inputs, **attributes):
        output = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, values, dtype=np.float32):
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def ints(self, *values):
        return self.constant(values, np.int64)

    def name(self, output, value):
        self.nodes.append(helper.make_node("Identity", [value], [output]))

    def last_frames(self, value, n):
        """Return the last `n` > 0 frames of `value`, whose last axis is frames."""
        return self("Slice", value, self.ints(-n), self.ints(2**31 - 1), self.ints(-1))

    def magnitude(self, spectrum):
        """Return (batch, 1, freq, frame)."""
        return self("Sqrt", self("ReduceSum", self("Mul", spectrum, spectrum), self.ints(1)))


def save(path, graph, meta, n_maps, *, batch="batch"):
    """Write `graph`, whose results are named raw and next_state_*; return `path`."""
    n_freq = meta["frontend"]["n_fft"] // 2 + 1
    shapes = {"spectrum": [batch, 2, n_freq, "frame"]}
    shapes |= {state["name"]: [batch, *state["shape"]] for state in meta["state"]}
    outputs = {"raw": [batch, len(meta["stems"]), n_maps, n_freq, "frame"]}
    outputs |= {f"next_{state['name']}": [batch, *state["shape"]] for state in meta["state"]}

    def info(values):
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in values.items()
        ]

    model = helper.make_model(
        helper.make_graph(graph.nodes, "test", info(shapes), info(outputs), graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=9,
    )
    if meta:
        helper.set_model_props(model, {"unmask": json.dumps(meta)})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def constant(path, raw, **changes):
    """Write a model whose raw maps are `raw` (source, map[, freq]) in every frame."""
    raw = np.asarray(raw, np.float32)
    raw = raw.reshape(*raw.shape[:2], -1)
    graph = Graph()
    zero = graph("Mul", graph.magnitude("spectrum"), graph.constant(0.0))
    zero = graph("Unsqueeze", zero, graph.ints(1))
    graph.name("raw", graph("Add", zero, graph.constant(raw[None, ..., None])))
    return save(path, graph, metadata(**changes), raw.shape[1])


def loudness(path, *, delay, **changes):
    """Write a model whose one raw map is the magnitude of the frame `delay` steps ago."""
    graph = Graph()
    mag = graph.magnitude("spectrum")
    meta = metadata(lookahead_frames=delay, **changes)
    if delay:
        n_freq = meta["frontend"]["n_fft"] // 2 + 1
        meta["state"] = [{"name": "state_0", "shape": [1, n_freq, delay]}]
        both = graph("Concat", "state_0", mag, axis=-1)
        graph.name("next_state_0", graph.last_frames(both, delay))
        mag = graph("Slice", both, graph.ints(0), graph.ints(-delay), graph.ints(-1))
    graph.name("raw", graph("Unsqueeze", mag, graph.ints(1)))
    return save(path, graph, meta, 1)


def recurrent(path, *, n_maps, seed=0, **changes):
    """Write a random model with two memories: a causal convolution and a recurrent layer."""
    rng = np.random.default_rng(seed)
    hidden, context = 5, 2
    meta = metadata(**changes)
    n_sources, n_freq = len(meta["stems"]), meta["frontend"]["n_fft"] // 2 + 1
    meta["state"] = [
        {"name": "state_0", "shape": [2, n_freq, context]},
        {"name": "state_1", "shape": [1, hidden]},
    ]

    graph = Graph()

    def weights(*shape):
        return graph.constant(rng.standard_normal(shape))

    frames = graph("Concat", "state_0", "spectrum", axis=-1)
    graph.name("next_state_0", graph.last_frames(frames, context))
    maps = graph("Conv", frames, weights(n_sources * n_maps, 2, 3, 3), pads=[1, 0, 1, 0])

    # (batch, 1, freq, frame) -> mean over freq -> (frame, batch, 1)
    level = graph("ReduceMean", graph.magnitude("spectrum"), axes=[2], keepdims=0)
    level = graph("Transpose", level, perm=[2, 0, 1])
    before = graph("Transpose", "state_1", perm=[1, 0, 2])
    graph.nodes.append(
        helper.make_node(
            "GRU",
            [
                level,
                weights(1, 3 * hidden, 1),
                weights(1, 3 * hidden, hidden),
                "",
                "",
                before,
            ],
            ["gru_all", "gru_last"],
            hidden_size=hidden,
        )
    )
    graph.name("next_state_1", graph("Transpose", "gru_last", perm=[1, 0, 2]))
    gains = graph(
        "MatMul", graph("Squeeze", "gru_all", graph.ints(1)), weights(hidden, n_sources * n_maps)
    )
    gains = graph("Unsqueeze", graph("Transpose", gains, perm=[1, 2, 0]), graph.ints(2))
    maps = graph("Unsqueeze", graph("Add", maps, gains), graph.ints(1))
    shape = graph.ints(0, n_sources, n_maps, n_freq, -1)
    graph.name("raw", graph("Reshape", maps, shape))
    return save(path, graph, meta, n_maps)
