"""Weights and multiply-accumulates of ONNX graphs: each peer counted alike, from its own file."""

import math
import os
import tarfile
from pathlib import Path

DENSE = {"Conv", "ConvTranspose", "MatMul", "Gemm", "GRU", "LSTM", "Einsum"}


def count(paths, *, frame_rate):
    """Return weights and MACs per second of graphs that are called once a frame."""
    total = [0, 0]
    for model in (model for path in paths for model in _graphs(Path(path))):
        for k, number in enumerate((_weights(model), _macs(model))):
            total[k] += number
    return {"parameters": total[0], "macs_per_second": total[1] * frame_rate}


def _graphs(path):
    """Yield the models of an ``.onnx`` file, or of a ``.tar.gz`` of several."""
    import onnx

    if path.suffix == ".onnx":
        yield onnx.load(path)
        return
    with tarfile.open(path) as archive:
        for entry in archive:
            if entry.name.endswith(".onnx"):
                yield onnx.load_from_string(archive.extractfile(entry).read())


def _weights(model):
    import onnx

    real = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8)
    tensors = list(model.graph.initializer)
    for node in model.graph.node:
        if node.op_type == "Constant":
            tensors += [a.t for a in node.attribute if a.name == "value"]
    return sum(math.prod(t.dims) for t in tensors if t.data_type in real and math.prod(t.dims) > 1)


def _macs(model):
    """Run the graph once with every dense node's output laid open, and count from the shapes."""
    import numpy as np
    import onnx

    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    dense = [node for node in model.graph.node if node.op_type in DENSE]
    wanted = dict.fromkeys(name for node in dense for name in (*node.input, *node.output) if name)
    initial = {t.name: tuple(t.dims) for t in model.graph.initializer}
    inputs = {entry.name for entry in model.graph.input} - set(initial)
    known = {entry.name for entry in model.graph.output}
    for name in wanted:
        if name not in known | inputs | set(initial):
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    feeds = {entry.name: _silence(entry, np) for entry in session.get_inputs()}
    names = [entry.name for entry in session.get_outputs()]
    shapes = {name: x.shape for name, x in zip(names, session.run(names, feeds), strict=True)}
    shapes |= initial | {name: x.shape for name, x in feeds.items()}
    return sum(_node(node, shapes) for node in dense)


def _silence(entry, np):
    """Return zeros for an input: one frame, a batch of one."""
    shape = [n if isinstance(n, int) else 1 for n in entry.shape]
    return np.zeros(shape, np.float32 if "float" in entry.type else np.int64)


def _node(node, shapes):
    first, second = (shapes[name] for name in node.input[:2])
    out = next(shapes[name] for name in node.output if name)
    if node.op_type == "Conv":
        return math.prod(out) * math.prod(second[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(first) * math.prod(second[1:])
    if node.op_type == "MatMul":
        return math.prod(out) * first[-1]
    if node.op_type == "Gemm":
        flip = any(a.name == "transA" and a.i for a in node.attribute)
        return math.prod(out) * first[0 if flip else 1]
    if node.op_type == "Einsum":
        return _einsum(node, first, second)
    recurrent = shapes[node.input[2]]  # (direction, gates * hidden, hidden)
    steps = first[0] * first[1]
    return steps * (math.prod(second) + math.prod(recurrent))


def _einsum(node, first, second):
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation").replace(" ", "")
    terms = equation.split("->")[0].split(",")
    axes = dict(zip(terms[0], first, strict=True)) | dict(zip(terms[1], second, strict=True))
    return math.prod(axes.values())
