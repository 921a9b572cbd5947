"""Learned filters: how they begin, what they lose, what a file makes of them."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

import model_files  # noqa: E402
from small_nets import build, fresh, noise, run  # noqa: E402
from unmask import export, load_model, masks  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.nets.counting import macs_per_frame  # noqa: E402
from unmask.nets.fronts import AnalyticConfig, LearnedConfig  # noqa: E402
from unmask.nets.learned_fronts import fourier, hilbert, inverse_of, reconstruction_db  # noqa: E402
from unmask.nets.system import MaskingSystem  # noqa: E402

SIZE = {"length": 16, "hop": 8, "filters": 64}
CONFIGS = {
    f"{kind.__name__}, {start}, {decoder}": kind(**SIZE, start=start, decoder=decoder)
    for kind in (LearnedConfig, AnalyticConfig)
    for start in ("random", "fourier")
    for decoder in ("learned", "inverse")
}
KEEPS = {name: config for name, config in CONFIGS.items() if "inverse" in name}


def macs_of(front):
    return macs_per_frame(fresh("tcn", front=front, mask="irm1"))


def measured(front, config):
    return reconstruction_db(front, config.host())


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("name", KEEPS)
def test_an_inverse_gives_back_what_was_encoded_whatever_the_filters_become(name, n_channels):
    torch.manual_seed(0)
    front = KEEPS[name].front(n_channels=n_channels)
    assert measured(front, KEEPS[name]) > 100
    with torch.no_grad():
        front.encoder.weight.add_(0.1 * torch.randn_like(front.encoder.weight))
    assert measured(front, KEEPS[name]) > 80


@pytest.mark.parametrize("kind", [LearnedConfig, AnalyticConfig])
def test_free_filters_that_are_drawn_lose_nearly_all_and_say_so(kind):
    config = kind(**SIZE)
    torch.manual_seed(0)
    assert measured(config.front(n_channels=1), config) < 3


# A decoder of pairs is one of pairs itself, which the inverse of a windowed transform nearly is.
@pytest.mark.parametrize(("kind", "least"), [(LearnedConfig, 100), (AnalyticConfig, 20)])
def test_filters_that_begin_as_a_fourier_transform_begin_with_its_inverse(kind, least):
    config = kind(**SIZE, start="fourier")
    assert measured(config.front(n_channels=1), config) > least


@pytest.mark.parametrize("name", KEEPS)
def test_masks_of_one_give_the_mixture_and_of_zero_silence(name):
    net = build("crn", front=KEEPS[name], mask="irm1", n_sources=1)
    system = MaskingSystem(net, KEEPS[name].host())
    x = torch.randn(2, 1, 501, generator=torch.Generator().manual_seed(0))
    for bias, gain in ((60.0, 1.0), (-60.0, 0.0)):
        with torch.no_grad():
            for parameter in net.head.parameters():
                parameter.zero_()
            net.head.branches[0][0][0].bias.fill_(bias)
            assert torch.allclose(system(x)[:, 0], gain * x, atol=1e-4)


@pytest.mark.parametrize("n", [15, 16])
def test_a_quarter_turn_makes_sines_of_cosines(n):
    time = 2 * torch.pi * 3 * torch.arange(n) / n
    turned = torch.cos(time) @ hilbert(n)
    assert torch.allclose(turned, torch.sin(time), atol=1e-6)
    assert torch.allclose(turned @ hilbert(n), -torch.cos(time), atol=1e-6)


def test_the_magnitude_of_a_pair_follows_the_envelope_of_a_tone():
    config = AnalyticConfig(length=32, hop=1, filters=16, start="fourier")
    front = config.front(n_channels=1)
    tone = torch.sin(2 * torch.pi * 0.171 * torch.arange(400))[None, None]
    seen = front(config.host().analyze(tone))[0, :, 40:-40]
    values, _, mag = seen
    loudest = mag.mean(0).argmax()
    steadiness = mag[:, loudest].std() / mag[:, loudest].mean()
    assert steadiness < 0.1
    assert values[:, loudest].std() / mag[:, loudest].mean() > 0.6


def test_the_inverse_of_orthogonal_rows_is_their_transpose():
    rows = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)))[0]
    assert torch.allclose(inverse_of(rows, 2.0), rows.T / 2, atol=1e-6)


def test_fourier_filters_have_their_frequencies():
    waves = fourier(8, 64)
    peaks = torch.fft.rfft(waves, n=1024).abs().argmax(-1)
    expected = (torch.arange(8) + 0.5) / 16 * 1024
    assert (peaks - expected).abs().max() <= 8  # half of a main lobe's top


@pytest.mark.parametrize("name", KEEPS)
def test_learning_reaches_the_filters_through_their_inverse(name):
    net = build("tcn", front=KEEPS[name], mask="irm1").train()
    output, _ = net(noise(net, 64), net.initial_state(2))
    output.square().mean().backward()
    assert net.front.encoder.weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", CONFIGS)
def test_the_file_has_the_filters_as_numbers_and_gives_the_same(name, tmp_path):
    settings = {"frontend": CONFIGS[name], "backbone": "crn", "net": (), "head": ()}
    path = tmp_path / "x.onnx"
    model_files.write(path, "irm1", stems=("a", "b"), residual=None, **settings)
    net = model_files.build(masks.get("irm1"), channels=1, n_sources=2, seed=0, **settings)
    model = load_model(path)
    export.check(model, net, path, 1e-4)


def test_the_multiplications_of_all_filters_are_counted():
    learned = macs_of(LearnedConfig(**SIZE))
    inverse = macs_of(LearnedConfig(**SIZE, decoder="inverse"))
    assert learned - inverse == 16 * 32 + 2 * 16 * 32  # half the filters, of two sources
    analytic = macs_of(AnalyticConfig(**SIZE))
    # twice the filters there and back; three maps instead of one in the first layer
    assert analytic - learned == 16 * 64 + 2 * 16 * 64 + 2 * 64 * 4


def test_the_past_of_a_front_end_is_its_frame():
    net = build("crn", front="analytic")
    assert run(net, noise(net, 8)).shape == (2, 2, 1, 16, 8)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (LearnedConfig, {"start": "mel"}, "start 'mel'; there are"),
        (LearnedConfig, {"decoder": "tied"}, "decoder 'tied'; there are"),
        (LearnedConfig, {"decoder": "inverse", "filters": 28}, "need 32 filters or more"),
        (AnalyticConfig, {"decoder": "inverse", "filters": 4}, "need 8 filters or more"),
        (LearnedConfig, {"start": "fourier", "hop": 5}, "a length of whole hops"),
        (LearnedConfig, {"start": "fourier", "filters": 34}, "a multiple of 4"),
    ],
)
def test_filters_that_cannot_be_are_refused_in_one_line(kind, changes, message):
    with pytest.raises(ConfigError, match=f"frontend: .*{message}") as refusal:
        kind(**(SIZE | changes))
    assert "\n" not in str(refusal.value)
