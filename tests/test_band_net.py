"""The band network: what it sees, where it is silent, late, and the graph that it becomes."""

from collections import Counter

import pytest

torch = pytest.importorskip("torch")

from unmask import masks, nets  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.nets.band_net import AcrossBands, compress, reshape  # noqa: E402
from unmask.nets.counting import macs_per_frame  # noqa: E402

SHAPE = {"n_freq": 65, "n_sources": 2, "n_maps": 2}
SMALL = {
    "bands": (8, 4),
    "widths": (4, 8),
    "channels": 4,
    "layers": 1,
    "narrow": 6,
    "narrow_channels": 3,
    "band_hidden": (4,),
    "hidden": (5,),
}


@pytest.fixture
def build():
    def build(**options):
        torch.set_num_threads(1)
        torch.manual_seed(1)
        return nets.build("band_net", **(SHAPE | SMALL | options)).eval()

    return build


@pytest.fixture
def spectrum():
    return torch.randn(2, 2, 65, 9, generator=torch.Generator().manual_seed(2))


def run(net, spectrum):
    with torch.no_grad():
        return net(spectrum, net.initial_state(spectrum.shape[0]))[0]


def test_above_the_full_regions_only_the_first_map_is_put_out(build, spectrum):
    raw = run(build(n_full=1), spectrum)
    assert (raw[:, :, 0] != 0).all()
    assert (raw[:, :, 1, :32] != 0).all()
    assert not raw[:, :, 1, 32:].any()


def test_above_the_full_regions_phases_are_not_seen(build, spectrum):
    turned = spectrum.clone()
    turned[:, :, 32:] = torch.stack([-spectrum[:, 1, 32:], spectrum[:, 0, 32:]], dim=1)
    for n_full, same in ((1, True), (0, False)):
        net = build(n_full=n_full)
        before, after = run(net, spectrum), run(net, turned)
        assert torch.allclose(before, after, rtol=0, atol=1e-6) is same


def test_a_hybrid_keeps_its_kinds_apart(build, spectrum):
    family = masks.get("hybrid:complex_tanh:4000:irm1", sample_rate=16000)
    raw = run(build(n_full=1), spectrum).unsqueeze(3)  # (batch, source, map, channel, freq, frame)
    mask = family.activate(raw)
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
    changed = (run(net, spectrum) - run(net, other)).abs().amax((0, 1, 2, 3)) > 1e-6
    assert net.lookahead_frames == lookahead
    assert changed.tolist() == [False] * 5 + [True] * 4


@pytest.mark.parametrize("lookahead", [0, 2])
def test_without_memory_a_frame_sees_the_one_before_it_and_those_ahead(build, spectrum, lookahead):
    net, other = build(lookahead=lookahead, band_hidden=(), hidden=()), spectrum.clone()
    other[..., 2] += 1
    changed = (run(net, spectrum) - run(net, other)).abs().amax((0, 1, 2, 3)) > 1e-6
    assert changed.nonzero().flatten().tolist() == list(range(2, 4 + lookahead))


def test_a_deeper_head_bends_and_a_shallow_one_does_not(build, spectrum):
    x = torch.randn(1, 4, 3, 12, generator=torch.Generator().manual_seed(0))
    for depth, bends in ((1, False), (3, True)):
        net = build(head_depth=depth)
        with torch.no_grad():
            zero, one, two = (net._to_bins(net.head(k * x)) for k in range(3))
        assert torch.allclose(two - one, one - zero, atol=1e-5) is not bends


def test_the_input_follows_the_fourth_root_of_the_level_and_keeps_the_phase(spectrum):
    seen = compress(spectrum)
    assert torch.allclose(compress(16 * spectrum), 2 * seen, rtol=1e-5)
    assert torch.allclose(seen[:, 2] ** 4, torch.linalg.vector_norm(spectrum, dim=1), rtol=1e-5)
    phases = [torch.atan2(x[:, 1], x[:, 0]) for x in (seen, spectrum)]
    assert torch.allclose(*phases, atol=1e-5)


def test_silence_stays_silence():
    assert not compress(torch.zeros(1, 2, 3, 4)).any()


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

    net = build(n_full=n_full, head_depth=2)
    n_states = len(net.initial_state(1))
    names = [f"state_{k}" for k in range(n_states)]
    outputs = ["raw", *(f"next_{name}" for name in names)]
    torch.onnx.export(
        Flat(net).eval(),
        (spectrum[..., :4], *net.initial_state(2)),
        tmp_path / "net.onnx",
        input_names=["spectrum", *names],
        output_names=outputs,
        dynamic_axes={"spectrum": {0: "batch", 3: "frame"}}
        | {name: {0: "batch"} for name in names},
        opset_version=17,
        dynamo=False,
    )
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node)
    assert not kinds.keys() & {"Shape", "Gather", "Pad", "ConstantOfShape", "Expand"}
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    one = spectrum[:1]
    feed = dict(zip(names, (state.numpy() for state in net.initial_state(1)), strict=True))
    raw, *_ = session.run(outputs, {"spectrum": one.numpy(), **feed})
    assert abs(raw - run(net, one).numpy()).max() < 1e-5


class Flat(torch.nn.Module):
    """A network whose state tensors are separate arguments and results."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, spectrum, *state):
        raw, state = self.net(spectrum, state)
        return (raw, *state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": (8, 5)}, r"cover 72 bins, expected 64 \(n_fft / 2\)"),
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
