"""Model files of others: what they hold and what they give is looked at before it is used."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_models
from unmask import Streamer
from unmask.engine.container import metadata_of
from unmask.engine.model import bundled, load_model
from unmask.errors import ModelError


def graph_of(value):
    """Return the graph of a model of one stem whose mask is `value(graph, mask)`."""
    graph = onnx_models.Graph()
    zero = graph("Unsqueeze", graph("Mul", graph.magnitude("spectrum"), graph.constant(0.0)), "one")
    graph.constants.append(numpy_helper.from_array(np.array([1]), "one"))
    graph.name(
        "mask", value(graph, graph("Add", zero, graph.constant(np.full((1, 1, 2, 1, 1), 0.3))))
    )
    return graph


def model(path, value=lambda graph, mask: mask, **changes):
    """Write a model whose mask is `value(graph, mask)`, (batch, source, part, freq, frame)."""
    return onnx_models.save(path, graph_of(value), onnx_models.metadata(**changes), 2)


@pytest.fixture
def spoilt(tmp_path):
    """Write a valid model, after a function that changes its protobuf."""

    def spoilt(change):
        path = model(tmp_path / "model.onnx")
        proto = onnx.load(path)
        change(proto)
        path.write_bytes(proto.SerializeToString())
        return path

    return spoilt


def refused(path, *words):
    with pytest.raises(ModelError) as caught:
        load_model(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    for word in words:
        assert word in message


def external(location="secret.bin"):
    """Return a tensor whose values are in another file."""
    tensor = TensorProto(name="leak", data_type=TensorProto.UINT8, dims=[9])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def in_attribute(**values):
    """Return a change that adds an operator with an attribute that holds `values`."""

    def change(proto):
        node = proto.graph.node.add(op_type="Constant", output=["leak"])
        attribute = node.attribute.add(name="value")
        for name, value in values.items():
            if isinstance(value, list):
                getattr(attribute, name).extend(value)
            else:
                getattr(attribute, name).CopyFrom(value)

    return change


def in_branch(proto):
    inner = helper.make_graph([], "g", [], [], [external()])
    in_attribute(g=inner)(proto)


def in_function(proto):
    node = helper.make_node("Constant", [], ["y"], value=external())
    proto.functions.append(helper.make_function("own", "F", [], ["y"], [node], []))


def in_training(proto):
    proto.training_info.add().algorithm.initializer.append(external())


def sparse():
    values = numpy_helper.from_array(np.ones(1, np.float32), "v")
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([3]), "i"), [2**40])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda proto: proto.graph.initializer.append(external()), "outside of the file"),
        (lambda proto: proto.graph.initializer.append(external("/etc/passwd")), "outside"),
        (in_attribute(t=external()), "outside of the file"),
        (in_attribute(tensors=[external()]), "outside of the file"),
        (lambda proto: proto.graph.sparse_initializer.append(sparse()), "sparse"),
        (in_attribute(sparse_tensor=sparse()), "sparse"),
        (in_attribute(sparse_tensors=[sparse()]), "sparse"),
        (in_branch, "graphs inside of operators"),
        (in_attribute(graphs=[onnx.GraphProto()]), "graphs inside of operators"),
        (in_function, "functions"),
        (in_training, "training"),
        (lambda proto: proto.graph.node.add(op_type="EPContext", domain="com.microsoft"), "ONNX's"),
    ],
)
def test_what_no_model_needs_is_refused_by_its_place(spoilt, change, words):
    refused(spoilt(change), words)


def test_external_data_is_found_without_its_place_or_without_its_mark(spoilt):
    def unmarked(proto):
        tensor = external()
        tensor.ClearField("data_location")
        proto.graph.initializer.append(tensor)

    def nameless(proto):
        tensor = external()
        tensor.ClearField("external_data")
        proto.graph.initializer.append(tensor)

    for change in (unmarked, nameless):
        refused(spoilt(change), "outside of the file")


def field(number, content):
    """Return a field of bytes of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value):
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def test_a_second_graph_is_read_as_well(tmp_path):
    """Others join the parts of a graph that is there twice."""
    path = model(tmp_path / "model.onnx")
    more = field(7, field(5, external().SerializeToString()))
    path.write_bytes(path.read_bytes() + more)
    refused(path, "outside of the file")


@pytest.mark.parametrize(
    "hidden",
    [
        varint((1 << 32) + (7 << 3 | 2)) + b"\x00",  # is entry 7 to who reads 32 bits
        bytes([7 << 3 | 3, 7 << 3 | 4]),  # a group
        b"\xba" + b"\x80" * 10 + b"\x00\x00",  # longer than any number
        varint(7 << 3 | 2) + varint(10**9),  # beyond the end
        b"\x02\x00",  # entry 0
    ],
)
def test_what_others_may_read_in_another_way_is_refused(tmp_path, hidden):
    path = model(tmp_path / "model.onnx")
    path.write_bytes(path.read_bytes() + hidden)
    refused(path, "is not an ONNX file")


def test_the_runtimes_own_encoding_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(field(2, b"\0\0ORTM")[:2] + b"\0\0ORTM" + bytes(100))
    refused(path, "is not an ONNX file")


@pytest.mark.parametrize("name", sorted(bundled()))
def test_bundled_models_are_sound(name):
    path = bundled()[name]
    assert json.loads(metadata_of(path.read_bytes(), path))["name"] == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "no JSON"),
        ('{"a":' * 40 + "1" + "}" * 40, "objects in objects"),
        ('{"format": ' + "9" * 5000 + "}", "5000 digits"),
        ('{"format": ' + "9" * 20 + "}", "20 digits"),
        ('{"format": 2, "x": "' + "x" * 2**20 + '"}', "bytes of metadata"),
        ('{"format": 2, "name": "\x1b[31m"', "no JSON"),
    ],
)
def test_metadata_that_would_stop_its_reader_is_refused(spoilt, text, words):
    refused(spoilt(lambda proto: helper.set_model_props(proto, {"unmask": text})), words)


def test_metadata_that_is_not_utf8_is_refused(tmp_path):
    path = model(tmp_path / "model.onnx", training="QQQQ")
    path.write_bytes(path.read_bytes().replace(b"QQQQ", b"\xff\xfe\xff\xfe"))
    refused(path, "UTF-8")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x" * 65),
        ("name", "con"),
        ("name", "COM1.x"),
        ("name", "x."),
        ("version", "\x1b]0;title\x07"),
        ("version", "x" * 65),
        ("task", "a\nb"),
        ("stems", ["nul"]),
        ("stems", ["x" * 65]),
        ("stems", [f"s{k}" for k in range(300)]),
        ("mask", {"family": "consistent:" * 1000 + "irm1", "options": {}}),
        ("mask", {"family": "complex_tanh", "options": {"limit": 1e308}}),
        ("mask", {"family": "complex_tanh", "options": {"name": 1}}),
        ("state", [{"name": "s", "shape": [2**62]}]),
        ("state", [{"name": "s", "shape": [2**20, 2**20]}]),
        ("state", [{"name": "s", "shape": [1] * 100}]),
        ("state", [{"name": "s", "shape": [1]}, {"name": "s", "shape": [1]}]),
        ("state", [{"name": f"s{k}", "shape": [1]} for k in range(1000)]),
        ("frontend", {"kind": "stft", "n_fft": 2**17, "hop": 1, "window": "sqrt_hann"}),
    ],
)
def test_metadata_that_asks_too_much_is_refused(tmp_path, field, value):
    path = model(tmp_path / "model.onnx")
    proto = onnx.load(path)
    meta = onnx_models.metadata(**{field: value})
    helper.set_model_props(proto, {"unmask": json.dumps(meta)})
    onnx.save(proto, path)
    refused(path, f"metadata field {field}")


def test_a_smallest_call_that_fills_the_memory_is_refused(spoilt):
    meta = onnx_models.metadata(
        unit_frames=10_000,
        frontend={"kind": "stft", "n_fft": 2**17, "hop": 2**16, "window": "sqrt_hann"},
    )
    refused(
        spoilt(lambda proto: helper.set_model_props(proto, {"unmask": json.dumps(meta)})), "values"
    )


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.BFLOAT16, TensorProto.STRING])
def test_an_output_of_another_type_is_refused(spoilt, kind):
    def change(proto):
        proto.graph.output[0].type.tensor_type.elem_type = kind
        last = proto.graph.node[-1].output[0]
        proto.graph.node[-1].output[0] = "before"
        proto.graph.node.append(helper.make_node("Cast", ["before"], [last], to=kind))

    refused(spoilt(change), "mask is tensor(", "expected tensor(float)")


def n_frames(graph):
    """Return the number of frames of a call, a vector of one."""
    shape = graph("Shape", "spectrum")
    return graph("Slice", shape, graph.ints(3), graph.ints(4), graph.ints(0))


def by_frames(graph, mask):
    """Give three frames at most: all of them in the check, not in use."""
    return graph("Slice", mask, graph.ints(0), graph.ints(3), graph.ints(4))


def twice(graph, mask):
    """Give a frame twice where there are more than three."""
    more = graph("Slice", mask, graph.ints(3), graph.ints(4), graph.ints(4))
    return graph("Concat", mask, more, axis=4)


def failing(graph, mask):
    """Look up entry `n_frames` of four."""
    return graph("Add", mask, graph("Gather", graph.constant([0.0] * 4), n_frames(graph)))


def diverged(graph, mask):
    """Take the logarithm of less than nothing where there is sound."""
    loudest = graph("ReduceMax", "spectrum", keepdims=0)
    return graph("Add", mask, graph("Log", graph("Sub", graph.constant(1e-9), loudest)))


def huge(graph, mask):
    return graph("Mul", mask, graph.constant(1e38))


def made_of_a_sum(graph, mask):
    """Add zeros of a shape that is computed of the weights: 2^37 bytes of them."""
    shape = graph("Mul", graph.ints(2**18), graph.ints(2**17))
    return graph("Add", mask, graph("ReduceSum", graph("ConstantOfShape", shape), keepdims=0))


def made_of_frames(graph, mask):
    """Add zeros of a shape that is computed of the input."""
    shape = graph("Mul", n_frames(graph), graph.ints(2**35))
    return graph("Add", mask, graph("ReduceSum", graph("ConstantOfShape", shape), keepdims=0))


def repeated(graph, mask):
    """Repeat a value as often as a computed number says."""
    count = graph("Mul", graph.ints(2**18), graph.ints(2**17))
    many = graph("Tile", graph.constant([0.0]), count)
    return graph("Add", mask, graph("ReduceSum", many, keepdims=0))


def counted(graph, mask):
    """Count to a computed number."""
    end = graph("Mul", graph.constant(2**18, np.int64), graph.constant(2**17, np.int64))
    first, step = (graph.constant(k, np.int64) for k in (0, 1))
    many = graph("Cast", graph("Range", first, end, step), to=TensorProto.FLOAT)
    return graph("Mul", mask, graph("ReduceSum", many, keepdims=0))


@pytest.mark.parametrize("value", [made_of_a_sum, made_of_frames, repeated, counted])
def test_what_a_network_makes_beyond_the_memory_is_refused(tmp_path, value):
    own = "more than 4294967296 bytes" if value is repeated else "GB of memory that it may have"
    refused(model(tmp_path / "model.onnx", value), own)


MIXTURE = 50 * np.random.default_rng(0).standard_normal((2, 4000)).astype(np.float32)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (by_frames, "gave shapes"),
        (twice, "gave shapes"),
        (failing, "failed"),
        (diverged, "NaN or infinity"),
        (huge, "NaN or infinity"),
    ],
)
def test_what_a_network_gives_is_looked_at_in_files_and_streams(tmp_path, value, words):
    loaded = load_model(model(tmp_path / "model.onnx", value))
    for use in (
        lambda: loaded.separate(MIXTURE, 16000),
        lambda: Streamer(loaded, n_channels=2).process(MIXTURE),
    ):
        with pytest.raises(ModelError, match=words) as caught:
            use()
        assert str(caught.value).startswith("model test: ")


def test_a_state_that_grows_is_refused(tmp_path):
    meta = onnx_models.metadata(state=[{"name": "s", "shape": [1, 1]}])
    graph = graph_of(lambda graph, mask: mask)
    longer = graph(
        "Slice", graph.magnitude("spectrum"), graph.ints(0), graph.ints(1), graph.ints(2)
    )
    graph.name(
        "next_s",
        graph(
            "Slice",
            graph("Squeeze", longer, graph.ints(2)),
            graph.ints(2),
            graph.ints(2**31),
            graph.ints(2),
        ),
    )
    path = onnx_models.save(tmp_path / "model.onnx", graph, meta, 2)
    with pytest.raises(ModelError, match="gave shapes"):
        load_model(path).separate(MIXTURE, 16000)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("node", [True, False])
def test_a_constant_that_is_large_once_it_is_made_is_refused(spoilt, raw, node):
    def bomb(shape):
        tensor = numpy_helper.from_array(np.array(shape), "shape")
        if not raw:
            tensor = helper.make_tensor("shape", TensorProto.INT64, [len(shape)], shape)

        def change(proto):
            if node:
                constant = helper.make_node("Constant", [], ["shape"], value=tensor)
                proto.graph.node.insert(0, constant)
            else:
                proto.graph.initializer.append(tensor)
            proto.graph.node.insert(1, helper.make_node("ConstantOfShape", ["shape"], ["zeros"]))

        return change

    refused(spoilt(bomb([1 << 15, 1 << 15])), "makes a constant of 1.1e+09 values")
    load_model(spoilt(bomb([2, 3])))
