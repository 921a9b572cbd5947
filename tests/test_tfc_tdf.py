"""The network of the music separators: its size, how far it looks, and what it is in a file."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import small_nets  # noqa: E402  (needs torch)
from unmask import masks, nets  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.nets.counting import count_parameters, macs_per_frame  # noqa: E402
from unmask.nets.fronts import SpectrumConfig  # noqa: E402
from unmask.nets.in_use import in_use  # noqa: E402
from unmask.recipe import load  # noqa: E402

ROOT = Path(__file__).parents[1]
N_FREQ, FIRST, N_CHUNK = 65, 160, 8  # a chunk of one unit in the middle of N_FRAMES
N_FRAMES = 2 * FIRST + N_CHUNK


def small(mask="complex", **options):
    return small_nets.build("tfc_tdf", mask=mask, **options)


@pytest.fixture(scope="module")
def net():
    return small().double()


def sound(n_frames=N_FRAMES):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, 2, 1, N_FREQ, n_frames, generator=generator, dtype=torch.double)


@torch.no_grad()
def raw_of(net, spectrum):
    return net(spectrum, ())[0]


def test_the_music_recipe_is_the_network_of_the_bundled_model():
    """A folded layer a scale fewer than its trainer had: 2.10 M parameters, 4.11 GMAC/s."""
    net = load(ROOT / "recipes/music.toml").system().net
    assert count_parameters(net) == 2_075_024
    per_second = macs_per_frame(net) * net.n_channels * 44100 / 1024
    assert per_second / 1e9 == pytest.approx(4.034, abs=0.001)


def test_the_count_is_the_count_on_paper():
    """One map at each scale, 8 bands of two bins: a frame of the outermost, by hand."""
    front = SpectrumConfig(n_fft=32, hop=16)
    options = {"bands": (8,), "widths": (2,), "channels": (1, 1, 1, 1)}
    net = nets.build(front, "tfc_tdf", masks.get("complex"), n_sources=1, options=options)
    to_bands = 3 * 3 * 4 * 8
    block = [2 * 9 * n + 2 * n * max(1, n // 4) for n in (8, 4, 2)]  # a frame of its scale
    outer = sum(2 * per_frame / 2**scale for scale, per_frame in enumerate(block))
    inner = 2 * (2 * 9 + 2) / 8
    steps = sum(2 * 4 * n / 2 / 2 ** (scale + 1) for scale, n in enumerate((8, 4, 2)))
    skips = sum(n / 2**scale for scale, n in enumerate((8, 4, 2)))
    head = 3 * 2 * 2 * 8
    assert macs_per_frame(net) == to_bands + outer + inner + steps + skips + head


def test_a_chunk_with_its_context_is_the_whole(net):
    whole = raw_of(net, sound())[..., FIRST : FIRST + N_CHUNK]

    def chunk(context):
        part = sound()[..., FIRST - context : FIRST + N_CHUNK + context]
        return raw_of(net, part)[..., context : context + N_CHUNK]

    assert torch.allclose(chunk(net.context_frames), whole, rtol=0, atol=1e-12)
    assert (chunk(net.context_frames - net.unit_frames) - whole).abs().max() > 1e-9


@pytest.mark.parametrize(
    ("frame", "matters"),
    [
        (FIRST - 96, False),
        (FIRST - 95, True),
        (FIRST + N_CHUNK - 1 + 95, True),
        (FIRST + N_CHUNK - 1 + 96, False),
    ],
)
def test_a_chunk_depends_on_95_frames_to_either_side(net, frame, matters):
    other = sound()
    other[..., frame] += 100
    changed = (raw_of(net, other) - raw_of(net, sound()))[..., FIRST : FIRST + N_CHUNK]
    assert (changed.abs().max() > 1e-14) == matters


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": (16, 8), "widths": (2, 3)}, r"bands = \(16, 8\) .* expected 64"),
        ({"bands": (8, 4), "widths": (4, 8)}, "bands in all a multiple of 8"),
        ({"bands": (16, 8, 4), "widths": (2, 4)}, "by as many bands as widths"),
        ({"channels": (4, 4, 4)}, r"channels = \(4, 4, 4\), expected 4 numbers >= 1"),
        ({"bottleneck": 0}, "bottleneck = 0 and inner_bottleneck = 2, expected >= 1"),
    ],
)
def test_impossible_settings_are_one_clear_line(options, message):
    with pytest.raises(ConfigError, match=message):
        small(**options)


def remembered(net, spectrum, cuts):
    """Return what a network in a file puts out for frames that come in pieces."""
    state, parts = net.initial_state(len(spectrum)), []
    for part in torch.split(spectrum, cuts, dim=-1):
        output, state = net(part, state)
        parts.append(output)
    return torch.cat(parts, dim=-1)


KINDS = {
    "joint, moved to sum to one": {"mask": "consistent:complex", "n_channels": 2, "n_sources": 4},
    "moved after a bound": {"mask": "consistent:complex_tanh"},
    "deep": {"head": small_nets.HEADS["deep"]},
    "grouped": {"head": small_nets.HEADS["deep and grouped"]},
}


@torch.no_grad()
@pytest.mark.parametrize("cuts", [[144], [8] * 18, [16, 88, 8, 32]], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_remembers_what_the_network_is_given_again(kind, cuts):
    """The masks are those of the recording in silence, 94 frames late, however it is cut."""
    net = small(**KINDS[kind])
    used = in_use(net)
    assert (used.lookahead_frames, used.context_frames, used.unit_frames) == (94, 0, 8)
    signal = small_nets.noise(net, 48)
    expected = net(torch.nn.functional.pad(signal, (96, 96)), ())[0][..., 96 : 96 + 48]
    found = remembered(used, torch.nn.functional.pad(signal, (0, 96)), cuts)[..., 94 : 94 + 48]
    assert torch.allclose(found, expected, rtol=0, atol=2e-5 * float(expected.abs().max()))


@torch.no_grad()
def test_moved_masks_sum_to_one_whatever_half_precision_does_to_the_features():
    net = small(mask="consistent:complex", n_channels=2, n_sources=3)
    for name, parameter in net.named_parameters():
        if name.startswith("backbone"):
            parameter.copy_(parameter.half())
    masks_ = remembered(in_use(net), 10 * small_nets.noise(net, 104), [104])
    assert (masks_[:, :, 0].sum(1) - 1).abs().max() < 1e-5
    assert masks_[:, :, 1].sum(1).abs().max() < 1e-5
    assert (masks_[:, 0] - masks_[:, 1]).abs().max() > 0.1


def test_other_networks_stay_as_they_are():
    for net in (small_nets.build("unet"), small(front="learned", mask="irm1")):
        assert in_use(net) is net
