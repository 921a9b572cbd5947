"""Networks: every backbone behind every front, under every head: cut anywhere, causal."""

from functools import cache
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from small_nets import (  # noqa: E402
    CHUNK,
    FRONTS,
    HEADS,
    RAW,
    SMALL,
    STREAMING,
    VARIANTS,
    build,
    noise,
    run,
)
from unmask import masks, nets  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.frontends import STFT  # noqa: E402
from unmask.nets.counting import count_parameters, macs_per_frame  # noqa: E402
from unmask.nets.system import MaskingSystem  # noqa: E402

N_FRAMES, N_UNITS = 12, 5
#: Front, channels and head, but not each with each.
LAYOUTS = [
    (front, n_channels, head)
    for front, n_channels, head in product(FRONTS, (1, 2), HEADS)
    if head == "shallow" or (front != "analytic" and (n_channels == 1 or head == "shared"))
]


@cache
def arranged(name, front, n_channels, head):
    """Return a network, or several in parallel; tests that change one build their own."""
    alike = {"front": front, "n_channels": n_channels, "head": HEADS[head]}
    if name == "streams":
        return nets.Parallel([build(n, **alike) for n in STREAMING])
    if name == "chunks":
        return nets.Parallel([build(n, n_sources=k, **alike) for n in CHUNK for k in (2, 1)])
    return build(name, **alike)


def arrangements(names):
    kinds = [(name, *layout) for name in names for layout in LAYOUTS]
    parallel = {"streams", "chunks"}
    shown = [kind for kind in kinds if kind[0] not in parallel or kind[3] != "deep and grouped"]
    return pytest.mark.parametrize("kind", shown, ids=lambda kind: ", ".join(map(str, kind)))


def as_it_is(names):
    """One arrangement of each, for laws of the backbone alone."""
    return pytest.mark.parametrize("kind", [(name, "stft", 1, "shallow") for name in names])


ALL = sorted([*nets.NETS, *VARIANTS])
every_net = arrangements(ALL)
every_stream = arrangements([*STREAMING, "streams"])
every_chunk_net = arrangements([*CHUNK, "chunks"])


def test_every_backbone_and_front_has_small_settings_here():
    assert SMALL.keys() == nets.NETS.keys()
    assert FRONTS.keys() == RAW.keys() == nets.FRONTS.keys()
    assert all(type(FRONTS[name]) is kind for name, kind in nets.FRONTS.items())


@every_net
def test_there_is_a_number_for_all_that_a_host_takes(kind):
    net, (_, front, n_channels, _) = arranged(*kind), kind
    output = run(net, noise(net, 128))
    inner = (2, n_channels, 65) if front == "stft" else (n_channels, 16)
    assert output.shape == (2, 2, *inner, 128)
    assert output.std() > 0.001
    assert macs_per_frame(net) > 0


@every_stream
@settings(max_examples=5)
@given(cuts=st.sets(st.integers(1, N_FRAMES - 1)))
def test_a_cut_anywhere_in_time_changes_nothing(kind, cuts):
    net = arranged(*kind)
    x, state, parts = noise(net, N_FRAMES), net.initial_state(2), []
    with torch.no_grad():
        for part in torch.tensor_split(x, sorted(cuts), dim=-1):
            output, state = net(part, state)
            parts.append(output)
    whole = run(net, x)
    assert torch.allclose(torch.cat(parts, dim=-1), whole, rtol=0, atol=1e-5 * whole.abs().max())


@every_stream
def test_the_future_beyond_the_lookahead_does_not_change_the_past(kind):
    net = arranged(*kind)
    x = noise(net, N_FRAMES)
    before = run(net, x)
    for frame in range(1, N_FRAMES):
        other = x.clone()
        other[..., frame:] += 1
        after, past = run(net, other), frame - net.lookahead_frames
        assert torch.equal(before[..., :past], after[..., :past])
        assert not torch.allclose(before[..., past:], after[..., past:])


@every_stream
def test_the_past_matters(kind):
    net = arranged(*kind)
    x = noise(net, N_FRAMES)
    other = x.clone()
    other[..., 0] += 1
    changed = (run(net, x) - run(net, other)).abs().flatten(0, -2).amax(0)
    assert (changed[:4] > 1e-7).all()


@every_stream
def test_a_streaming_network_needs_nothing_around(kind):
    net = arranged(*kind)
    assert (net.unit_frames, net.context_frames) == (1, 0)


@as_it_is([*CHUNK, "chunks"])
@given(cuts=st.sets(st.integers(1, N_UNITS - 1)))
@settings(max_examples=8)
def test_chunks_with_their_context_are_the_whole(kind, cuts):
    check_chunks(arranged(*kind), sorted(cuts))


@every_chunk_net
def test_a_chunk_with_its_context_is_the_whole_behind_every_front(kind):
    check_chunks(arranged(*kind), [2])


def check_chunks(net, cuts):
    unit, context = net.unit_frames, net.context_frames
    padded = torch.nn.functional.pad(noise(net, N_UNITS * unit), (context, context))
    whole = run(net, padded)
    edges = [0, *(cut * unit for cut in cuts), N_UNITS * unit]
    parts = []
    for first, end in pairwise(edges):
        output = run(net, padded[..., first : end + 2 * context])
        parts.append(output[..., context : context + end - first])
    joined, inner = torch.cat(parts, dim=-1), whole[..., context : context + N_UNITS * unit]
    assert torch.allclose(joined, inner, rtol=0, atol=1e-5 * whole.abs().max())


@every_chunk_net
def test_a_chunk_network_remembers_nothing_and_works_in_units(kind):
    net = arranged(*kind)
    assert net.initial_state(2) == ()
    assert net.context_frames % net.unit_frames == 0
    assert net.lookahead_frames == 0
    assert net(noise(net, 64), ())[1] == ()


@every_net
def test_the_others_of_a_batch_do_not_matter(kind):
    net = arranged(*kind)
    x = noise(net, 64)
    whole = run(net, x)
    alone = torch.cat([run(net, one[None]) for one in x])
    assert torch.allclose(alone, whole, rtol=0, atol=1e-6 * whole.abs().max().clamp_min(1))


@as_it_is(ALL)
def test_state_tensors_have_the_batch_first_and_start_as_zeros(kind):
    state = arranged(*kind).initial_state(3)
    assert isinstance(state, tuple)
    assert all(len(tensor) == 3 and not tensor.any() for tensor in state)


@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-6, 1e6])
@pytest.mark.parametrize("sees", ["magnitude", "complex", "compressed", "learned", "analytic"])
@pytest.mark.parametrize("name", ALL)
def test_no_level_gives_nan_nor_does_its_gradient(name, sees, level):
    front = sees if sees in FRONTS else nets.fronts.SpectrumConfig(n_fft=128, hop=64, input=sees)
    net = build(name, front=front).train()
    output, _ = net(level * noise(net, 64), net.initial_state(2))
    output.square().mean().backward()
    gradients = [parameter.grad for parameter in net.parameters()]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@every_net
def test_every_parameter_gets_a_gradient(kind):
    name, front, n_channels, head = kind
    net = build(name, front=front, n_channels=n_channels, head=HEADS[head]).train()
    output, _ = net(noise(net, 64), net.initial_state(2))
    output.square().mean().backward()
    silent = [n for n, p in net.named_parameters() if not p.grad.abs().max() > 0]
    assert silent == []


def test_networks_side_by_side_are_each_network_by_itself():
    streams = [build("crn", n_sources=1), build("crn", n_sources=3, hidden=7, layers=1)]
    both = nets.Parallel(streams)
    x = noise(both, 20)
    output, state = both(x, both.initial_state(2))
    alone = [net(x, net.initial_state(2)) for net in streams]
    assert torch.equal(output, torch.cat([output for output, _ in alone], dim=1))
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
        (
            {"front": nets.fronts.SpectrumConfig(n_fft=256, hop=64)},
            r"given is .*65.*129.*expected",
        ),
        ({"n_channels": 2}, r"what they are given is \[\(1, 2, 1, 65, 1\), \(1, 2, 2, 65, 1\)\]"),
        ({"front": "learned", "mask": "irm1"}, r"what they are given is .*\(1, 1, 16, 1\)\]"),
        ({"mask": "irm1"}, r"mask families \['complex', 'irm1'\], expected the same"),
        (None, "some remember and some work in chunks"),
    ],
)
def test_networks_that_cannot_stand_side_by_side_are_refused(others, message):
    second = build("crn") if others is None else build("unet", **others)
    with pytest.raises(ConfigError, match=message):
        nets.Parallel([build("unet"), second])


def test_networks_that_are_late_by_different_times_are_refused():
    band_nets = [build("band_net", lookahead=late) for late in (0, 1)]
    with pytest.raises(ConfigError, match=r"frames of lookahead \[0, 1\], expected the same"):
        nets.Parallel(band_nets)


def test_coarse_bands_have_the_first_map_only_and_see_only_themselves():
    net = build("crn with coarse bands")
    x = noise(net, 20)
    raw = run(net, x)[:, :, :, 0]  # (batch, source, part, freq, frame)
    assert raw[:, :, 0].amax(-1).all()
    assert not raw[:, :, 1:, 32:].any()
    assert raw[:, :, 1:, :32].amax(-1).all()
    other = x.clone()
    other[..., 40:, :] += 1
    after = run(net, other)[:, :, :, 0]
    assert torch.equal(after[:, :, :, :32], raw[:, :, :, :32])  # until it has learned
    assert not torch.equal(after[:, :, :, 32:], raw[:, :, :, 32:])


@pytest.mark.parametrize(
    "options", [{"n_fine": 65}, {"n_fine": 30}, {"n_fine": 32, "coarse_bands": 5}]
)
def test_coarse_bands_that_do_not_fit_are_refused(options):
    with pytest.raises(ConfigError, match="backbone: "):
        build("crn", **options)


class Constant(torch.nn.Module):
    """A network that puts out the same parts everywhere, `lookahead_frames` late."""

    unit_frames, n_channels = 1, 1
    family = masks.get("complex_tanh")

    def __init__(self, values, lookahead_frames=0):
        super().__init__()
        self.values, self.lookahead_frames = values, lookahead_frames
        self.n_sources = len(values)

    def initial_state(self, batch):
        return ()

    def forward(self, spectrum, state):
        batch, _, _, n_freq, n_frames = spectrum.shape
        values = self.values[None, :, :, None, None, None]
        return values.expand(batch, -1, -1, 1, n_freq, n_frames), state


def mixture(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


HOST = STFT(128, 64, "sqrt_hann")


@pytest.mark.parametrize("name", masks.names())
@pytest.mark.parametrize("n_channels", [1, 2])
def test_a_system_of_any_family_gives_one_finite_waveform_a_source(name, n_channels):
    net = build("crn", mask=name, n_channels=n_channels)
    estimate = MaskingSystem(net, HOST)(mixture(3, 2, 333))
    assert estimate.shape == (3, 2, 2, 333)
    assert torch.isfinite(estimate).all()


def test_a_system_multiplies_the_mixture_by_what_the_network_says():
    parts = torch.tensor([[0.5, 0.0], [-0.9, 0.0]])  # (source, part): real masks
    x = mixture(3, 2, 333)
    for lookahead_frames in (0, 2):
        estimate = MaskingSystem(Constant(parts, lookahead_frames), HOST)(x)
        expected = parts[:, 0][:, None, None] * x[:, None]
        assert torch.allclose(estimate, expected, atol=1e-5)


def test_a_system_gives_the_network_a_spectrum_where_a_full_scale_sine_is_one():
    class Listening(Constant):
        def forward(self, spectrum, state):
            self.heard = spectrum
            return super().forward(spectrum, state)

    net = Listening(torch.tensor([[1.0, 0.0]]))
    sine = torch.sin(2 * torch.pi * 16 / 128 * torch.arange(1280.0)).expand(1, 1, -1)
    MaskingSystem(net, HOST)(sine)
    mag = torch.linalg.vector_norm(net.heard, dim=1)
    assert torch.allclose(mag[0, 0, 16, 5:-5], torch.ones(11), atol=1e-3)


@pytest.mark.parametrize("front", FRONTS)
def test_channels_that_are_not_seen_together_are_a_batch(front):
    system = MaskingSystem(build("crn", front=front), FRONTS[front].host())
    x = mixture(3, 2, 333)
    apart = torch.cat([system(x[:, [k]]) for k in range(2)], dim=-2)
    assert torch.allclose(system(x), apart, atol=1e-6)


@pytest.mark.parametrize("front", FRONTS)
def test_channels_that_are_seen_together_change_each_other(front):
    system = MaskingSystem(build("crn", front=front, n_channels=2), FRONTS[front].host())
    x = mixture(3, 2, 333)
    other = x.clone()
    other[:, 1] += 1
    assert not torch.allclose(system(x)[:, :, 0], system(other)[:, :, 0], atol=1e-3)


def test_an_unknown_network_or_setting_is_refused_by_name():
    def refused(name, message, **options):
        with pytest.raises(ConfigError, match=message):
            nets.build(FRONTS["stft"], name, masks.get("irm1"), n_sources=1, options=options)

    refused("umx", r"no network named 'umx'; there are \[.*'crn'.*'unet'\]")
    refused("crn", r"unknown settings \['hiden'\]; there are \[.*'hidden'", hiden=3)
    refused("crn", r"unknown settings \['seen'\]", seen=3)


def test_bins_that_cannot_be_halved_are_refused():
    with pytest.raises(ConfigError, match=r"33 bins .* no multiple of .* = 8"):
        build("crn", front=nets.fronts.SpectrumConfig(n_fft=66, hop=33))
