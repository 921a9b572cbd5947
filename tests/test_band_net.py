"""The band network: what it sees, where it is silent, late, and the graph that it becomes."""

import functools
from collections import Counter

import pytest

torch = pytest.importorskip("torch")

from small_nets import build as small  # noqa: E402
from small_nets import run  # noqa: E402
from unmask import masks  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.nets.band_net import AcrossBands  # noqa: E402
from unmask.nets.blocks import reshape  # noqa: E402
from unmask.nets.counting import count_parameters, macs_per_frame  # noqa: E402


@pytest.fixture
def build():
    """Networks of two sources, whose masks are the raw maps."""
    return functools.partial(small, "band_net")


@pytest.fixture
def spectrum():
    return torch.randn(2, 2, 1, 65, 9, generator=torch.Generator().manual_seed(2))


def test_above_the_full_regions_only_the_first_map_is_put_out(build, spectrum):
    raw = run(build(n_full=1), spectrum)[:, :, :, 0]  # (batch, source, part, freq, frame)
    assert (raw[:, :, 0] != 0).all()
    assert (raw[:, :, 1, :32] != 0).all()
    assert not raw[:, :, 1, 32:].any()


def test_above_the_full_regions_phases_are_not_seen(build, spectrum):
    turned = spectrum.clone()
    above = spectrum[..., 32:, :]
    turned[..., 32:, :] = torch.stack([-above[:, 1], above[:, 0]], dim=1)  # by 90 degrees
    for n_full, same in ((1, True), (0, False)):
        net = build(n_full=n_full)
        before, after = run(net, spectrum), run(net, turned)
        assert torch.allclose(before, after, rtol=0, atol=1e-6) is same


def test_a_hybrid_keeps_its_kinds_apart(build, spectrum):
    name = "hybrid:complex_tanh:4000:irm1"
    parts = run(build(n_full=1, mask=name), spectrum)
    mask = masks.get(name, sample_rate=16000).of_parts(parts)
    assert (mask[..., :32, :].imag != 0).all()
    assert not mask[..., 32:, :].imag.any()
    assert (mask[..., 32:, :].real > 0).all()


def test_fewer_maps_above_are_fewer_multiplications(build):
    # above: 4 bands, kernels of 16 bins; two maps less into 4 channels over 2 frames, one map less
    # out of 4 channels for each of 2 sources
    saved = 4 * 16 * (2 * 4 * 2 + 4 * 2)
    assert macs_per_frame(build()) - macs_per_frame(build(n_full=1)) == saved


@pytest.mark.parametrize("lookahead", [0, 1, 3])
def test_masks_come_as_late_as_it_says_and_see_that_far(build, spectrum, lookahead):
    net, other = build(lookahead=lookahead), spectrum.clone()
    other[..., 5] += 1
    changed = (run(net, spectrum) - run(net, other)).abs().flatten(0, -2).amax(0) > 1e-6
    assert net.lookahead_frames == lookahead
    assert changed.tolist() == [False] * 5 + [True] * 4


@pytest.mark.parametrize("lookahead", [0, 2])
def test_without_memory_a_frame_sees_the_one_before_it_and_those_ahead(build, spectrum, lookahead):
    net, other = build(lookahead=lookahead, band_hidden=(), hidden=()), spectrum.clone()
    other[..., 2] += 1
    changed = (run(net, spectrum) - run(net, other)).abs().flatten(0, -2).amax(0) > 1e-6
    assert changed.nonzero().flatten().tolist() == list(range(2, 4 + lookahead))


def test_the_count_of_a_band_net_is_the_count_on_paper(build):
    # 12 bands; first: kernels 2 x 8 over 8 bands, 2 x 16 over 4, 3 maps to 4
    first = 3 * 4 * (2 * 8 * 8 + 2 * 16 * 4)
    layers = 2 * 12 * 4 * 4 * 3
    down, up = 12 * 6 * 4 + 6 * 4 * 3, 6 * 3 * 4 + 6 * 12 * 4
    # in every one of 6 bands a GRU from 3 to 4 and back, then bands and maps mixed
    in_bands = 6 * (3 * (3 * 4 + 4 * 4) + 4 * 3) + 6 * 6 * 3 + 6 * 3 * 3
    in_frames = 18 * 5 + 3 * (5 * 5 + 5 * 5) + 5 * 18
    # a product for each of 4 maps, kernels of 2 widths, 2 parts of 2 sources
    head = 4 * (2 * 4 * 8 + 2 * 8 * 4) * 4
    expected = first + layers + down + up + in_bands + in_frames + head
    for n_frames in (1, 7):
        # the frame of memory that every convolution of the first layer sees counts for none
        assert macs_per_frame(build(), n_frames) == expected


def test_a_band_net_has_the_parameters_of_its_layers(build):
    first = 3 * 4 * (2 * 8 + 2 * 16) + 2 * 8
    layers = 2 * (4 * 4 * 3 + 8)
    down, up = 12 * 6 + (4 * 3 + 3), (3 * 4 + 4) + 6 * 12
    in_bands = 6 * 3 + 3 * (3 * 4 + 4 * 4 + 2 * 4) + (4 * 3 + 3) + 6 * 6 + (3 * 3 + 3)
    in_frames = (18 * 5 + 5) + 3 * (2 * 5 * 5 + 2 * 5) + (5 * 18 + 18)
    head = 4 * 4 * (8 + 16) + 2 * 4
    assert count_parameters(build()) == first + layers + down + up + in_bands + in_frames + head


def test_reshaping_keeps_axes_that_are_zero():
    x = torch.arange(24).reshape(2, 3, 4)
    assert torch.equal(reshape(x, 0, -1), x.reshape(2, 12))
    assert torch.equal(reshape(x, 0, 0, 2, -1), x.reshape(2, 3, 2, 2))


def test_across_bands_is_linear_over_the_last_axis_but_one():
    layer, x = AcrossBands(3, 5, bias=False), torch.randn(2, 3, 4)
    expected = torch.nn.functional.linear(x.mT, layer.weight).mT
    assert torch.allclose(layer(x), expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # the exporter's own
@pytest.mark.parametrize("n_full", [0, 1])
def test_the_graph_gives_the_same_numbers_and_computes_no_shape(build, spectrum, tmp_path, n_full):
    onnx = pytest.importorskip("onnx")
    from unmask._runtime import onnxruntime

    net = build(n_full=n_full, head={"depth": 2})
    n_states = len(net.initial_state(1))
    names = [f"state_{k}" for k in range(n_states)]
    outputs = ["mask", *(f"next_{name}" for name in names)]
    torch.onnx.export(
        Flat(net).eval(),
        (spectrum[..., :4], *net.initial_state(2)),
        tmp_path / "net.onnx",
        input_names=["spectrum", *names],
        output_names=outputs,
        dynamic_axes={"spectrum": {0: "batch", 4: "frame"}}
        | {name: {0: "batch"} for name in names},
        opset_version=17,
        dynamo=False,
    )
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node)
    assert not kinds.keys() & {"Shape", "Gather", "Pad", "ConstantOfShape", "Expand"}
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    one = spectrum[:1]
    feed = dict(zip(names, (state.numpy() for state in net.initial_state(1)), strict=True))
    mask, *_ = session.run(outputs, {"spectrum": one.numpy(), **feed})
    assert abs(mask - run(net, one).numpy()).max() < 1e-5


class Flat(torch.nn.Module):
    """A network whose state tensors are separate arguments and results."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, spectrum, *state):
        mask, state = self.net(spectrum, state)
        return (mask, *state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": (8, 5)}, r"cover 72 bins, expected 64 \(n_fft / 2, or filters\)"),
        ({"bands": (8, 4, 1)}, "as many bands as widths"),
        ({"bands": (64,), "widths": (1,)}, "widths even"),
        ({"n_full": 3}, "n_full = 3, expected 0 to 2, the regions"),
        ({"hidden": (0,)}, r"every width in hidden and band_hidden >= 1"),
        ({"lookahead": -1}, "lookahead >= 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(build, options, message):
    with pytest.raises(ConfigError, match=message):
        build(**options)
