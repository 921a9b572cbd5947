"""Networks: cut anywhere, causal, and counted honestly."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from unmask import masks, nets  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.frontends import STFT  # noqa: E402
from unmask.nets.blocks import INPUTS, CompressedFeatures, interleave  # noqa: E402
from unmask.nets.counting import count_parameters, macs_per_frame  # noqa: E402
from unmask.nets.system import MaskingSystem  # noqa: E402

#: Settings that make each network small; a new network is tested by all of the below.
SMALL = {
    "band_net": {
        "bands": (8, 4),
        "widths": (4, 8),
        "channels": 4,
        "layers": 1,
        "narrow": 6,
        "narrow_channels": 3,
        "band_hidden": (4,),
        "hidden": (5,),
    },
    "crn": {"channels": (4, 6), "patch": 4, "hidden": 5, "layers": 2},
    "unet": {"width": 0.125},
}
#: Settings that change what a network is made of, tested by all of the below as well.
VARIANTS = {"crn with coarse bands": {"n_fine": 32, "coarse_bands": 4, "coarse_channels": 3}}
CHUNK = [name for name, (_, kind) in nets.NETS.items() if kind.context_frames]
STREAMING = sorted(nets.NETS.keys() - set(CHUNK))
STREAMS = [*STREAMING, *VARIANTS]
#: Networks that can be told what to see of a spectrum.
SEEING = [name for name, (kind, _) in nets.NETS.items() if "input" in kind.__dataclass_fields__]
ARMS = [(name, {"input": sees}) for name in SEEING for sees in INPUTS]
ARMS += [(name, {}) for name in nets.NETS if name not in SEEING]
N_FREQ, N_FRAMES = 65, 12
N_UNITS = 5


def build(name, **options):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    shape = {"n_freq": N_FREQ, "n_sources": 2, "n_maps": 3}
    kind = name.partition(" ")[0]
    net = nets.build(kind, **(shape | SMALL[kind] | VARIANTS.get(name, {}) | options))
    with torch.no_grad():  # as after training: normalisation that does something
        for _ in range(10):
            net(noise(256), net.initial_state(2))
    return net.eval()


def noise(n_frames, seed=2):
    return torch.randn(2, 2, N_FREQ, n_frames, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=sorted([*nets.NETS, *VARIANTS]))
def net(request):
    return build(request.param)


@pytest.fixture(params=[*STREAMS, "parallel"])
def streaming(request):
    if request.param == "parallel":
        return nets.Parallel([build(name, n_sources=k) for name in STREAMS for k in (1, 2)])
    return build(request.param)


@pytest.fixture(params=[*CHUNK, "parallel"])
def chunk_net(request):
    if request.param == "parallel":
        return nets.Parallel([build(name, n_sources=k) for name in CHUNK for k in (1, 2)])
    return build(request.param)


@pytest.fixture
def spectrum():
    return noise(128)


def run(net, spectrum):
    with torch.no_grad():
        return net(spectrum, net.initial_state(spectrum.shape[0]))[0]


def test_every_network_has_small_settings_here():
    assert SMALL.keys() == nets.NETS.keys()


def test_there_is_a_raw_map_for_every_source_map_bin_and_frame(net, spectrum):
    raw = run(net, spectrum)
    assert raw.shape == (2, 2, 3, N_FREQ, 128)
    assert raw.std() > 0.01


@given(cuts=st.sets(st.integers(1, N_FRAMES - 1)))
def test_a_cut_anywhere_in_time_changes_nothing(streaming, cuts):
    spectrum = noise(N_FRAMES)
    state, parts = streaming.initial_state(2), []
    with torch.no_grad():
        for part in torch.tensor_split(spectrum, sorted(cuts), dim=-1):
            raw, state = streaming(part, state)
            parts.append(raw)
    assert torch.allclose(torch.cat(parts, dim=-1), run(streaming, spectrum), rtol=0, atol=1e-5)


@pytest.mark.parametrize("frame", range(1, N_FRAMES))
def test_the_future_beyond_the_lookahead_does_not_change_the_past(streaming, frame):
    spectrum = noise(N_FRAMES)
    other = spectrum.clone()
    other[..., frame:] += 1
    before, after = run(streaming, spectrum), run(streaming, other)
    past = frame - streaming.lookahead_frames
    assert torch.equal(before[..., :past], after[..., :past])
    assert not torch.allclose(before[..., past:], after[..., past:])


def test_the_past_matters(streaming):
    spectrum = noise(N_FRAMES)
    other = spectrum.clone()
    other[..., 0] += 1
    changed = (run(streaming, spectrum) - run(streaming, other)).abs().amax((0, 1, 2, 3))
    assert (changed[:6] > 1e-6).all()


def test_a_streaming_network_needs_nothing_around(streaming):
    assert (streaming.unit_frames, streaming.context_frames) == (1, 0)


@given(cuts=st.sets(st.integers(1, N_UNITS - 1)))
@settings(max_examples=8)
def test_chunks_with_their_context_are_the_whole(chunk_net, cuts):
    unit, context = chunk_net.unit_frames, chunk_net.context_frames
    padded = torch.nn.functional.pad(noise(N_UNITS * unit), (context, context))
    whole = run(chunk_net, padded)
    edges = [0, *(cut * unit for cut in sorted(cuts)), N_UNITS * unit]
    parts = []
    for first, end in pairwise(edges):
        raw = run(chunk_net, padded[..., first : end + 2 * context])
        parts.append(raw[..., context : context + end - first])
    assert torch.allclose(torch.cat(parts, dim=-1), whole[..., context:-context], rtol=0, atol=1e-5)


def test_a_chunk_network_remembers_nothing_and_works_in_units(chunk_net, spectrum):
    assert chunk_net.initial_state(2) == ()
    assert chunk_net.context_frames % chunk_net.unit_frames == 0
    assert chunk_net.lookahead_frames == 0
    _, state = chunk_net(spectrum, ())
    assert state == ()


def test_the_others_of_a_batch_do_not_matter(net, spectrum):
    alone = torch.cat([run(net, one[None]) for one in spectrum])
    assert torch.allclose(alone, run(net, spectrum), rtol=0, atol=1e-6)


def test_state_tensors_have_the_batch_first_and_start_as_zeros(net):
    state = net.initial_state(3)
    assert isinstance(state, tuple)
    assert all(len(tensor) == 3 and not tensor.any() for tensor in state)


@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-6, 1e6])
@pytest.mark.parametrize(("name", "options"), ARMS)
def test_no_level_gives_nan_nor_does_its_gradient(name, options, level, spectrum):
    net = build(name, **options).train()
    raw, _ = net(level * spectrum, net.initial_state(2))
    raw.square().mean().backward()
    gradients = [parameter.grad for parameter in net.parameters()]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_every_parameter_gets_a_gradient(net, spectrum):
    net.train()
    raw, _ = net(spectrum, net.initial_state(2))
    raw.square().mean().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in net.parameters())


@pytest.mark.parametrize("name", SEEING)
def test_what_a_network_sees_is_what_it_says(name, spectrum):
    turned = torch.stack([-spectrum[:, 1], spectrum[:, 0]], dim=1)  # by 90 degrees: times 1j
    before, after = (run(build(name, input="magnitude"), x) for x in (spectrum, turned))
    assert torch.allclose(before, after, atol=1e-5)
    for sees in ("complex", "compressed"):
        net = build(name, input=sees)
        assert not torch.allclose(run(net, spectrum), run(net, turned), atol=1e-2)


def test_networks_side_by_side_are_each_network_by_itself(spectrum):
    streams = [build("crn", n_sources=1), build("crn", n_sources=3, hidden=7, layers=1)]
    both = nets.Parallel(streams)
    raw, state = both(spectrum, both.initial_state(2))
    alone = [net(spectrum, net.initial_state(2)) for net in streams]
    assert torch.equal(raw, torch.cat([raw for raw, _ in alone], dim=1))
    expected = [tensor for _, state in alone for tensor in state]
    assert all(torch.equal(a, b) for a, b in zip(state, expected, strict=True))
    assert count_parameters(both) == sum(count_parameters(net) for net in streams)
    assert macs_per_frame(both) == sum(macs_per_frame(net) for net in streams)


def test_networks_side_by_side_have_the_longest_context_in_the_common_unit():
    coarse, fine = build("unet"), build("unet")
    fine.unit_frames, fine.context_frames = 48, 240
    both = nets.Parallel([coarse, fine])
    assert (both.unit_frames, both.context_frames) == (192, 384)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"n_freq": 129}, r"bins \[65, 129\], expected the same"),
        ({"n_maps": 1}, r"maps a source \[3, 1\], expected the same"),
        (None, "some remember and some work in chunks"),
    ],
)
def test_networks_that_cannot_stand_side_by_side_are_refused(others, message):
    def small(name, **options):
        return nets.build(name, **({"n_freq": 65, "n_sources": 1, "n_maps": 3} | options))

    second = small("crn") if others is None else small("unet", **others)
    with pytest.raises(ConfigError, match=message):
        nets.Parallel([small("unet"), second])


@pytest.mark.parametrize("gain", [10.0, 1000.0])
def test_features_follow_a_power_law_of_the_level(spectrum, gain):
    features = CompressedFeatures(power=0.3)
    assert torch.allclose(features(gain * spectrum), gain**0.3 * features(spectrum), rtol=1e-4)


def test_features_keep_the_phase_and_add_the_compressed_magnitude(spectrum):
    real, imag, mag = CompressedFeatures(power=0.5)(spectrum).unbind(1)
    assert torch.allclose(torch.atan2(imag, real), torch.atan2(spectrum[:, 1], spectrum[:, 0]))
    assert torch.allclose(mag**2, torch.linalg.vector_norm(spectrum, dim=1), rtol=1e-5)


def test_coarse_bands_have_the_first_map_only_and_see_only_themselves(spectrum):
    net = build("crn with coarse bands")
    raw = run(net, spectrum)
    assert raw[:, :, 0].amax(-1).all()
    assert not raw[:, :, 1:, 32:].any()
    assert raw[:, :, 1:, :32].amax(-1).all()
    other = spectrum.clone()
    other[:, :, 40:] += 1
    assert torch.equal(run(net, other)[:, :, :, :32], raw[:, :, :, :32])  # until it has learned


@pytest.mark.parametrize(
    "options", [{"n_fine": 65}, {"n_fine": 30}, {"n_fine": 32, "coarse_bands": 5}]
)
def test_coarse_bands_that_do_not_fit_are_refused(options):
    with pytest.raises(ConfigError, match="backbone: "):
        build("crn", **options)


def test_interleaving_puts_neighbouring_maps_into_neighbouring_bins():
    x = torch.tensor([[0.0, 2.0], [1.0, 3.0]]).reshape(1, 2, 1, 2)  # map 0: even bins, 1: odd
    assert interleave(x, 2, n_maps=1, n_freq=4).flatten().tolist() == [0, 1, 2, 3]


class Constant(torch.nn.Module):
    """A network that puts out the same raw maps everywhere, `lookahead_frames` late."""

    unit_frames = 1

    def __init__(self, values, lookahead_frames=0):
        super().__init__()
        self.values, self.lookahead_frames = values, lookahead_frames

    def initial_state(self, batch):
        return ()

    def forward(self, spectrum, state):
        batch, _, n_freq, n_frames = spectrum.shape
        values = self.values[None, :, :, None, None]
        return values.expand(batch, -1, -1, n_freq, n_frames), state


@pytest.mark.parametrize("name", masks.names())
def test_a_system_of_any_family_gives_one_finite_waveform_a_source(name):
    family = masks.get(name)
    net = nets.build("crn", n_freq=33, n_sources=2, n_maps=family.n_maps, **SMALL["crn"])
    mixture = torch.randn(3, 2, 333, generator=torch.Generator().manual_seed(0))
    estimate = MaskingSystem(net, STFT(64, 32, "sqrt_hann"), family)(mixture)
    assert estimate.shape == (3, 2, 2, 333)
    assert torch.isfinite(estimate).all()


def test_a_system_multiplies_the_mixture_by_what_the_maps_say():
    family, stft = masks.get("complex_tanh"), STFT(64, 32, "sqrt_hann")
    raw = torch.tensor([[0.5, 0.0], [-2.0, 0.0]])  # (source, map): real masks
    mixture = torch.randn(3, 2, 333, generator=torch.Generator().manual_seed(0))
    for lookahead_frames in (0, 2):
        estimate = MaskingSystem(Constant(raw, lookahead_frames), stft, family)(mixture)
        expected = torch.tanh(raw[:, 0])[:, None, None] * mixture[:, None]
        assert torch.allclose(estimate, expected, atol=1e-5)


def test_the_channels_of_a_system_are_a_batch():
    family = masks.get("complex_tanh")
    net = nets.build("crn", n_freq=33, n_sources=1, n_maps=2, **SMALL["crn"]).eval()
    system = MaskingSystem(net, STFT(64, 32, "sqrt_hann"), family)
    mixture = torch.randn(1, 2, 333, generator=torch.Generator().manual_seed(0))
    apart = torch.cat([system(mixture[:, [k]]) for k in range(2)], dim=-2)
    assert torch.allclose(system(mixture), apart, atol=1e-6)


def test_the_count_of_a_crn_is_the_count_on_paper():
    net = nets.build("crn", n_freq=33, n_sources=1, n_maps=2, channels=(4, 6), hidden=5, layers=1)
    # bins: 32 -> 8 -> 4; kernels: 8 x 2 and 4 x 2, then linear 24 -> 5 -> 24 around the GRU
    convolutions = 8 * 4 * 3 * 16 + 4 * 6 * 4 * 8
    bottleneck = 24 * 5 + 3 * (5 * 5 + 5 * 5) + 5 * 24
    decoder = 4 * 6 * 6 + 4 * 8 * 6 * 3 + 8 * 4 * 4 + 8 * 8 * 4 * 3
    assert macs_per_frame(net, 7) == convolutions + bottleneck + decoder
    weights = (4 * 3 * 16 + 8) + (6 * 4 * 8 + 12)  # batch normalisation has two a map
    weights += (24 * 5 + 5) + 3 * (50 + 10) + (5 * 24 + 24)
    weights += (36 + 6) + (16 + 4) + (8 * 6 * 3 + 16) + (8 * 4 * 3 + 8)
    assert count_parameters(net) == weights


def test_counting_leaves_the_network_as_it_was():
    net = nets.build("crn", n_freq=33, n_sources=1, n_maps=2, channels=(4,), hidden=5).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    macs_per_frame(net)
    assert net.training
    assert all(torch.equal(before[name], t) for name, t in net.state_dict().items())


def test_an_unknown_network_or_setting_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"no network named 'umx'; there are \[.*'crn', 'unet'\]"):
        nets.build("umx")
    with pytest.raises(ConfigError, match=r"unknown settings \['hiden'\]"):
        nets.build("crn", n_freq=33, n_sources=1, n_maps=2, hiden=3)


def test_bins_that_cannot_be_halved_are_refused():
    with pytest.raises(ConfigError, match=r"33 bins .* no multiple of .* = 16"):
        nets.build("crn", n_freq=34, n_sources=1, n_maps=2)
