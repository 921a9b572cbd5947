"""The network of arXiv 2103.12864: its size, its layers, and how far it looks."""

import pytest

torch = pytest.importorskip("torch")

from unmask import masks, nets  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.nets.counting import count_parameters, macs_per_frame  # noqa: E402
from unmask.nets.fronts import SpectrumConfig  # noqa: E402

N_FREQ, FIRST, N_CHUNK = 65, 320, 64  # a chunk of one unit in the middle of N_FRAMES
N_FRAMES = 2 * FIRST + N_CHUNK


def build(mask="psm", *, n_freq=N_FREQ, sees="magnitude", **options):
    """Return a network whose masks are the raw maps."""
    front = SpectrumConfig(n_fft=2 * (n_freq - 1), hop=n_freq // 4, window="hann", input=sees)
    return nets.build(front, "unet", masks.get(mask), n_sources=1, options=options)


@pytest.fixture(scope="module")
def net():
    """A small one in double precision, whose normalisation fits its maps so that all see much."""
    torch.manual_seed(0)
    net = build(width=0.25).double()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        net(sound(), ())
    return net.eval()


def sound():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, 2, 1, N_FREQ, N_FRAMES, generator=generator, dtype=torch.double)


@torch.no_grad()
def raw_of(net, spectrum):
    return net(spectrum, ())[0]


@pytest.mark.parametrize(
    ("settings", "gmacs_per_second"),
    [({"mask": "psm", "sees": "magnitude"}, 0.51), ({"mask": "complex", "sees": "complex"}, 0.52)],
)
def test_parameters_and_operations_are_those_of_the_paper(settings, gmacs_per_second):
    net = build(n_freq=513, **settings)
    assert count_parameters(net) == pytest.approx(9.82e6, rel=1e-3)
    per_second = macs_per_frame(net) * 22050 / 256
    assert per_second / 1e9 == pytest.approx(gmacs_per_second, abs=0.005)


def test_the_count_of_a_u_net_is_the_count_on_paper():
    """Every product of a transposed convolution belongs to one value that goes in."""
    net = build(width=1 / 16)  # 1, 2, 4, ... maps; 64 bins and frames, then 32, 16, ... 1
    down = sum(25 * n_in * n_out * (64 >> k) ** 2 for k, n_in, n_out in _layers(down=True))
    up = sum(25 * n_in * n_out * (64 >> k) ** 2 for k, n_in, n_out in _layers(down=False))
    assert macs_per_frame(net) == (down + up) / 64


def _layers(*, down):
    maps = [1, 1, 2, 4, 8, 16, 32]
    if down:
        return [(k, maps[k - 1], maps[k]) for k in range(1, 7)]
    return [(k, maps[k] * (1 if k == 6 else 2), maps[k - 1]) for k in range(6, 0, -1)]


def test_layers_are_those_of_the_table():
    net = build("complex", n_freq=513, sees="complex")
    encoder, decoder = net.backbone.encoder, net.backbone.decoder
    ((last,),) = net.head.branches
    kinds = [[type(part).__name__ for part in layer] for layer in encoder]
    assert kinds == [["Conv2d", "LeakyReLU"]] + 5 * [["Conv2d", "BatchNorm2d", "LeakyReLU"]]
    kinds = [[type(part).__name__ for part in layer] for layer in decoder]
    assert kinds == 5 * [["ConvTranspose2d", "BatchNorm2d", "ReLU", "Dropout"]]
    assert [layer[0].out_channels for layer in encoder] == [16, 32, 64, 128, 256, 512]
    assert [layer[0].in_channels for layer in decoder] == [512, 512, 256, 128, 64]
    assert [layer[0].out_channels for layer in decoder] == [256, 128, 64, 32, 16]
    assert {layer[-1].negative_slope for layer in encoder} == {0.2}
    assert {layer[-1].p for layer in decoder} == {0.5}
    convolutions = [layer[0] for layer in (*encoder, *decoder)] + [last]
    assert {(c.kernel_size, c.stride) for c in convolutions} == {((5, 5), (2, 2))}
    assert isinstance(last, torch.nn.ConvTranspose2d)
    assert last.out_channels == 2


def test_training_drops_values_and_use_does_not(net):
    spectrum = sound()[..., :128]
    assert torch.equal(raw_of(net, spectrum), raw_of(net, spectrum))
    other = build(width=0.25).double().train()
    assert not torch.allclose(raw_of(other, spectrum), raw_of(other, spectrum))


def test_a_chunk_with_its_context_is_the_whole(net):
    whole = raw_of(net, sound())[..., FIRST : FIRST + N_CHUNK]

    def chunk(context):
        part = sound()[..., FIRST - context : FIRST + N_CHUNK + context]
        return raw_of(net, part)[..., context : context + N_CHUNK]

    assert torch.allclose(chunk(net.context_frames), whole, rtol=0, atol=1e-12)
    assert (chunk(net.context_frames - net.unit_frames) - whole).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("frame", "matters"),
    [
        (FIRST - 191, False),
        (FIRST - 190, True),
        (FIRST + N_CHUNK - 1 + 191, True),
        (FIRST + N_CHUNK - 1 + 192, False),
    ],
)
def test_a_chunk_depends_on_190_frames_before_it_and_191_after(net, frame, matters):
    other = sound()
    other[..., frame] += 1
    changed = (raw_of(net, other) - raw_of(net, sound()))[..., FIRST : FIRST + N_CHUNK]
    assert (changed.abs().max() > 1e-6) == matters


def test_the_nyquist_bin_shares_the_maps_of_its_neighbour(net):
    raw = raw_of(net, sound())
    assert torch.equal(raw[..., -1, :], raw[..., -2, :])
    other = sound()
    other[..., -1, :] += 1
    assert torch.equal(raw_of(net, other), raw)


def test_the_width_scales_every_layer():
    assert [layer[0].out_channels for layer in build(width=0.25).backbone.encoder] == [
        4,
        8,
        16,
        32,
        64,
        128,
    ]
    half = build(n_freq=513, width=0.5)
    assert count_parameters(half) == pytest.approx(9.82e6 / 4, rel=2e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_freq": 257 + 32}, "288 bins .* no multiple of 64"),
        ({"width": 0.01}, r"width = 0.01 .* expected width >= 0.0625"),
        ({"width": float("nan")}, "width = nan"),
        ({"dropout": 1.0}, r"dropout = 1.0, expected .* in \[0, 1\)"),
        ({"sees": "mel"}, r"no input 'mel'; there are \['magnitude', 'complex', 'compressed'\]"),
    ],
)
def test_impossible_settings_are_one_clear_line(settings, message):
    with pytest.raises(ConfigError, match=message):
        build(**settings)
