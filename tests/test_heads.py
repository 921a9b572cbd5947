"""Heads, fronts and counts: what a network is made of, on paper."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from small_nets import build, noise, run  # noqa: E402
from unmask import masks, nets  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.nets.blocks import CompressedFeatures, Interleave, features  # noqa: E402
from unmask.nets.contract import Region  # noqa: E402
from unmask.nets.counting import count_parameters, macs_per_frame  # noqa: E402
from unmask.nets.fronts import LearnedConfig, SpectrumConfig  # noqa: E402
from unmask.nets.head import MaskHead  # noqa: E402
from unmask.nets.system import MaskingSystem  # noqa: E402


def readout(n_in, n_out):
    return nn.Conv2d(n_in, n_out, 1)


REGION = Region(n_features=6, n_bins=5, readout=readout)


@pytest.mark.parametrize("hidden", [9, 0])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_head_has_the_parameters_of_its_formula(depth, hidden):
    head = MaskHead([REGION], n_outputs=3, n_maps=2, n_channels=2, depth=depth, hidden=hidden)
    n_out, width = 3 * 2 * 2, hidden or 6
    expected = 6 * n_out + n_out  # the readout alone
    if depth > 1:
        first, inner = 6 * width + width, width * width + width
        expected = first + (depth - 2) * inner + width * n_out + n_out
    assert count_parameters(head) == expected


def test_a_shallow_head_is_linear_and_a_deep_one_is_not():
    x = torch.randn(1, 6, 3, 5, generator=torch.Generator().manual_seed(0))
    for depth, bends in ((1, False), (3, True)):
        torch.manual_seed(0)
        head = MaskHead([REGION], n_outputs=2, n_maps=1, depth=depth)
        with torch.no_grad():
            zero, one, two = (head([k * x], x) for k in range(3))
        assert torch.allclose(two - one, one - zero, atol=1e-6) is not bends


def test_the_maps_of_a_head_lie_where_they_are_said_to():
    regions = [REGION, Region(n_features=2, n_bins=3, readout=readout, full=False)]
    head = MaskHead(regions, n_outputs=2, n_maps=3, n_channels=2, repeat_last=True)
    places = torch.arange(12.0)
    with torch.no_grad():
        for branch, bias in zip(head.branches, (places, 100 + places[:4]), strict=True):
            branch[0].weight.zero_()
            branch[0].bias.copy_(bias)
    raw = head([torch.zeros(1, 6, 4, 5), torch.zeros(1, 2, 4, 3)], torch.zeros(1, 1, 4, 8))
    assert raw.shape == (1, 2, 3, 2, 4, 5 + 3 + 1)
    full, first = raw[0, :, :, :, 0, 0], raw[0, :, :, :, 0, 5]
    assert torch.equal(full.flatten(), places)  # source, map, channel
    assert torch.equal(first[:, 0].flatten(), 100 + places[:4])
    assert not first[:, 1:].any()
    assert torch.equal(raw[..., -1], raw[..., -2])


@pytest.mark.parametrize("settings", [{"depth": 0}, {"hidden": -1}, {"n_outputs": 0}], ids=str)
def test_a_head_that_cannot_be_is_refused(settings):
    with pytest.raises(ConfigError, match="head: depth = "):
        MaskHead([REGION], **({"n_outputs": 1, "n_maps": 1} | settings))


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("name", ["complex", "psm"])
def test_the_mask_of_a_source_is_the_sum_of_those_of_its_outputs(name, n_channels):
    grouped = {"outputs": 6, "grouping": "sum"}
    net = build("band_net", mask=name, n_channels=n_channels, head=grouped)
    apart = build("band_net", mask=name, n_channels=n_channels, n_sources=6)
    apart.load_state_dict(net.state_dict())
    x = noise(net, 4)
    masks_apart = run(apart, x).unflatten(1, (2, 3))
    assert torch.allclose(run(net, x), masks_apart.sum(2), atol=1e-6)


def test_outputs_are_added_up_after_their_activation():
    net = build("crn", mask="irm1", n_sources=1, head={"outputs": 2, "grouping": "sum"})
    with torch.no_grad():
        for parameter in net.head.parameters():
            parameter.zero_()
    x = noise(net, 3)
    assert torch.equal(run(net, x), torch.ones(2, 1, 1, 1, 65, 3))  # twice sigmoid(0)


def test_shares_stay_shares_when_outputs_are_grouped():
    net = build("crn", mask="softmax", head={"outputs": 6, "grouping": "sum"})
    parts = run(net, noise(net, 3))
    assert torch.allclose(parts.sum(1), torch.ones(2, 1, 1, 65, 3), atol=1e-6)


@pytest.mark.parametrize(
    ("mask", "head", "message"),
    [
        ("irm1", {"outputs": 4}, "head: 4 outputs for 2 sources, expected as many, or grouping"),
        ("irm1", {"outputs": 5, "grouping": "sum"}, "5 outputs cannot be shared by 2 sources; tak"),
        ("irm1", {"outputs": 1, "grouping": "sum"}, "1 outputs cannot be shared by 2 sources"),
        (
            "irm1",
            {"grouping": "mean"},
            r"grouping 'mean'; there are \['none', .*'assigned'\]",
        ),
        ("decoupled", {"outputs": 4, "grouping": "sum"}, "decoupled cannot be added up; take anot"),
        (
            "hybrid:decoupled:2000:irm1",
            {"outputs": 4, "grouping": "sum"},
            "hybrid:decoupled:2000:irm1 cannot be added up",
        ),
    ],
)
def test_outputs_that_make_no_sources_are_refused_in_one_line(mask, head, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        build("crn", mask=mask, head=head)
    assert "\n" not in str(refusal.value)


def test_masks_are_activated_in_single_precision_where_the_network_is_not():
    net = build("crn", mask="complex_tanh")
    with torch.no_grad():
        for parameter in net.head.parameters():
            parameter.mul_(20)  # where half precision would round to 1
        with torch.autocast("cpu", torch.bfloat16):
            parts, _ = net(noise(net, 20), net.initial_state(2))
    assert parts.dtype == torch.float32
    mag = torch.linalg.vector_norm(parts.double(), dim=2)
    assert 0.999 < mag.max() < 1


IDENTITY = LearnedConfig(length=16, hop=4, filters=32)


def exact(n_channels=1):
    """A learned front-end that is given both signs by two filters, and a mask of 1."""
    front, mask = IDENTITY, "irm1"
    net = build("crn", front=front, mask=mask, n_sources=1, n_channels=n_channels)
    eye = torch.eye(16)
    with torch.no_grad():
        net.front.encoder.weight.copy_(torch.cat([eye, -eye]))
        net.front.decoder.weight.copy_(torch.cat([eye, -eye], dim=1) / 4)  # frames of a sample
        for parameter in net.head.parameters():
            parameter.zero_()
        net.head.branches[0][0][0].bias.fill_(50.0)
    return MaskingSystem(net, front.host())


@pytest.mark.parametrize("n_samples", [1, 3, 16, 17, 100])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_filters_that_keep_all_give_the_waveform_back_up_to_its_edges(n_channels, n_samples):
    x = torch.randn(3, 2, n_samples, generator=torch.Generator().manual_seed(0))
    estimate = exact(n_channels)(x)
    assert estimate.shape == (3, 1, 2, n_samples)
    assert torch.allclose(estimate[:, 0], x, atol=1e-6)


def test_what_is_encoded_is_masked_before_it_is_decoded():
    system = exact()
    with torch.no_grad():
        system.net.head.branches[0][0][0].bias.fill_(0.0)
    x = torch.randn(1, 1, 50, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(system(x)[:, 0], 0.5 * x, atol=1e-6)


@pytest.mark.parametrize(
    "mask",
    [
        "complex_tanh",
        "deep_filter",
        "decoupled",
        "hybrid:complex_tanh:2000:irm1",
        "hybrid:irm1:2000:psm_unit",
        "consistent:complex",
        "consistent:hybrid:irm1:2000:irm2",
    ],
)
def test_masks_of_a_spectrum_are_refused_without_one(mask):
    with pytest.raises(ConfigError, match=f"head: {mask} masks are of a spectrum") as refusal:
        build("crn", front="learned", mask=mask)
    assert "\n" not in str(refusal.value)


def test_a_learned_front_end_does_not_wait():
    with pytest.raises(ConfigError, match="masks come 2 frames late, a learned front-end") as said:
        build("band_net", front="learned", mask="irm1", lookahead=2)
    assert "\n" not in str(said.value)


def test_filters_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="filters = 0, expected 1 or more"):
        LearnedConfig(filters=0)


@pytest.mark.parametrize("name", ["crn", "unet", "band_net"])
def test_what_a_network_sees_is_what_it_says(name):
    for sees, turns in (("magnitude", False), ("complex", True), ("compressed", True)):
        net = build(name, front=SpectrumConfig(n_fft=128, hop=64, input=sees))
        x = noise(net, 64)
        turned = torch.stack([-x[:, 1], x[:, 0]], dim=1)  # by 90 degrees: times 1j
        assert torch.allclose(run(net, x), run(net, turned), atol=1e-4) is not turns


def test_the_nyquist_bin_is_not_seen_and_shares_a_mask():
    net = build("crn")
    x = noise(net, 5)
    other = x.clone()
    other[..., -1, :] += 1
    parts = run(net, x)
    assert torch.equal(parts, run(net, other))
    assert torch.equal(parts[..., -1, :], parts[..., -2, :])


@pytest.mark.parametrize("gain", [10.0, 1000.0])
def test_features_follow_a_power_law_of_the_level(gain):
    x = torch.randn(2, 2, 1, 9, 5, generator=torch.Generator().manual_seed(0))
    for power in (0.25, 0.3, 1.0):  # the first has a form of its own
        seen = CompressedFeatures(power=power)
        assert torch.allclose(seen(gain * x), gain**power * seen(x), rtol=1e-4)


def test_features_keep_the_phase_and_add_the_compressed_magnitude():
    x = torch.randn(2, 2, 1, 9, 5, generator=torch.Generator().manual_seed(0))
    for power in (0.25, 0.5):
        real, imag, mag = CompressedFeatures(power=power)(x).unbind(1)
        assert torch.allclose(torch.atan2(imag, real), torch.atan2(x[:, 1], x[:, 0]))
        expected = torch.linalg.vector_norm(x, dim=1)
        assert torch.allclose(mag ** (1 / power), expected, rtol=1e-5)
        assert not CompressedFeatures(power=power)(0 * x).any()


def test_features_that_are_not_there_are_refused():
    with pytest.raises(ConfigError, match="frontend: no input 'mel'; there are"):
        features("mel", power=0.3)
    for power in (0.0, 1.5):
        with pytest.raises(ConfigError, match=f"power = {power}, expected above 0 and at most 1"):
            features("compressed", power=power)


def test_interleaving_puts_neighbouring_maps_into_neighbouring_bins():
    x = torch.tensor([[0.0, 2.0], [1.0, 3.0]]).reshape(1, 2, 1, 2)  # map 0: even bins, 1: odd
    assert Interleave(2, n_maps=1, n_bins=4)(x).flatten().tolist() == [0, 1, 2, 3]


class Made(nn.Module):
    """A network of any layer over the bins of a spectrum."""

    unit_frames = n_channels = 1

    def __init__(self, layer, n_signals=1):
        super().__init__()
        self.layer, self.n_signals = layer, n_signals

    @property
    def front(self):
        return self

    def example(self, batch, n_frames):
        return torch.zeros(n_frames, self.n_signals, 6)

    def initial_state(self, batch):
        return ()

    def forward(self, x, state):
        return self.layer(x), state


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6))

    def forward(self, x):
        return x * self.weight


class Told(Scaled):
    def macs(self, x, output):
        return x.numel()


@pytest.mark.parametrize("n_signals", [1, 3])
def test_recurrent_layers_are_counted_for_every_frame_and_signal(n_signals):
    gru, lstm = nn.GRU(6, 5), nn.LSTM(6, 5, num_layers=2)
    once = 3 * (5 * 6 + 5 * 5)
    assert macs_per_frame(Made(gru, n_signals), 7) == n_signals * once
    twice = 4 * (5 * 6 + 5 * 5) + 4 * (5 * 5 + 5 * 5)
    assert macs_per_frame(Made(lstm, n_signals), 7) == n_signals * twice


def test_a_layer_that_says_what_it_takes_is_counted():
    assert macs_per_frame(Made(Told()), 7) == 6
    assert macs_per_frame(Made(nn.Sequential(Told(), nn.Linear(6, 4), nn.ReLU())), 7) == 6 + 24


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (Scaled(), "layer (Scaled)"),
        (nn.MultiheadAttention(6, 2), "layer (MultiheadAttention)"),
        (nn.Sequential(nn.Linear(6, 6), nn.Bilinear(6, 6, 2)), "layer.1 (Bilinear)"),
        (nn.Embedding(3, 6), "layer (Embedding)"),
    ],
)
def test_a_layer_with_weights_that_nothing_counts_is_refused(layer, name):
    with pytest.raises(ConfigError, match="has weights whose multiplications are not counted") as e:
        macs_per_frame(Made(layer))
    assert str(e.value).startswith(name)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("n_frames", [1, 7])
def test_the_count_of_a_crn_is_the_count_on_paper(n_frames):
    options = {"channels": (4, 6), "hidden": 5, "layers": 1}
    front = SpectrumConfig(n_fft=64, hop=32)
    net = nets.build(front, "crn", masks.get("complex"), n_sources=1, options=options)
    # bins: 32 -> 8 -> 4; kernels: 8 x 2 and 4 x 2, then linear 24 -> 5 -> 24 around the GRU
    convolutions = 8 * 4 * 3 * 16 + 4 * 6 * 4 * 8
    bottleneck = 24 * 5 + 3 * (5 * 5 + 5 * 5) + 5 * 24
    decoder = 4 * 6 * 6 + 4 * 8 * 6 * 3 + 8 * 4 * 4 + 8 * 8 * 4 * 3
    assert macs_per_frame(net, n_frames) == convolutions + bottleneck + decoder
    weights = (4 * 3 * 16 + 8) + (6 * 4 * 8 + 12)  # batch normalisation has two a map
    weights += (24 * 5 + 5) + 3 * (50 + 10) + (5 * 24 + 24)
    weights += (36 + 6) + (16 + 4) + (8 * 6 * 3 + 16) + (8 * 4 * 3 + 8)
    assert count_parameters(net) == weights


def test_a_learned_front_end_is_counted():
    plain, wide = (
        build("crn", front=LearnedConfig(length=n, hop=8, filters=64), mask="irm1")
        for n in (16, 32)
    )
    # 16 samples more for each of 64 filters in, and out for each of 2 sources
    assert macs_per_frame(wide) - macs_per_frame(plain) == 16 * 64 * (1 + 2)


def test_two_channels_seen_at_once_are_counted_for_each():
    net = build("crn", front="learned", mask="irm1", n_channels=2)
    one = build("crn", front="learned", mask="irm1")
    # The filters work for every channel, the bottleneck for both.
    assert 16 * 64 * 3 < macs_per_frame(net) < macs_per_frame(one)


def test_counting_leaves_the_network_as_it_was():
    net = build("crn").train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    macs_per_frame(net)
    assert net.training
    assert all(torch.equal(before[name], t) for name, t in net.state_dict().items())
