"""Networks that work on every few bins: their masks are whole, they cost less, train and export."""

import json

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("lightning_fabric")

from small_nets import STREAMING, VARIANTS, build, noise, run  # noqa: E402
from unmask import export, load_model, masks, nets, recipe, train  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.nets.counting import macs_per_frame  # noqa: E402
from unmask.nets.fronts import SpectrumConfig  # noqa: E402

RATE = 8000
ALL = sorted([*nets.NETS, *VARIANTS])
#: Twice the bins of the small networks, so that half of them are as many.
WIDE = SpectrumConfig(n_fft=256, hop=64)


def thinned(name, decimation=2, interpolation="nearest", **options):
    head = {"decimation": decimation, "interpolation": interpolation}
    return build(name, front=WIDE, head=head, **options)


@pytest.mark.parametrize("name", ALL)
def test_decimation_1_is_the_network_without(name):
    plain, same = build(name), build(name, head={"decimation": 1})
    assert plain.state_dict().keys() == same.state_dict().keys()
    x = noise(plain, 128)
    assert torch.equal(run(plain, x), run(same, x))


@pytest.mark.parametrize(
    ("name", "mask"),
    [*((name, "complex") for name in ALL), ("crn", "irm1"), ("crn", "deep_filter")],
)
def test_masks_have_all_bins_and_the_other_ones_are_interpolated(name, mask):
    options = {"mask": mask, "n_channels": 2}
    nearest, linear = (thinned(name, 2, how, **options) for how in ("nearest", "linear"))
    x = noise(nearest, 128)
    repeated, between = run(nearest, x), run(linear, x)
    assert repeated.shape == (2, 2, masks.get(mask).n_parts, 2, 129, 128)
    assert repeated.std() > 0.001
    kept = repeated[..., ::2, :]
    assert torch.equal(repeated[..., 1::2, :], kept[..., :-1, :])
    torch.testing.assert_close(between[..., ::2, :], kept)
    torch.testing.assert_close(
        between[..., 1::2, :], (kept[..., :-1, :] + kept[..., 1:, :]) / 2, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("name", ALL)
def test_bins_that_are_left_out_have_no_say(name):
    net = thinned(name)
    x = noise(net, 128)
    louder = x.clone()
    louder[..., 1::2, :] *= 7
    assert torch.equal(run(net, x), run(net, louder))
    louder[..., ::2, :] *= 7
    assert not torch.equal(run(net, x), run(net, louder))


def test_masks_are_those_that_the_package_interpolates():
    from unmask.masks import downsample, upsample

    net = thinned("crn", 4, "linear")
    found = run(net, noise(net, 20)).double().numpy()
    expected = upsample(downsample(found, 4), 129, 4, interpolation="linear")
    assert np.abs(found - expected).max() < 1e-6


# Others say how many bins each band has, so that a half of them is another recipe.
@pytest.mark.parametrize("name", ["crn", "unet"])
def test_multiplications_fall_with_the_bins(name):
    whole, half = build(name, front=WIDE), thinned(name)
    assert macs_per_frame(half) < 0.75 * macs_per_frame(whole)


@pytest.mark.parametrize("name", STREAMING)
def test_a_stream_may_be_cut_anywhere(name):
    net = thinned(name, 2, "linear")
    x = noise(net, 20)
    with torch.no_grad():
        first, state = net(x[..., :7], net.initial_state(2))
        second, _ = net(x[..., 7:], state)
    torch.testing.assert_close(torch.cat([first, second], -1), run(net, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mask", ["complex_tanh", "irm1", "softmax", "complex_tanh_parts"])
def test_masks_stay_in_the_range_of_their_family(mask):
    net = thinned("crn", 4, "linear", mask=mask)
    family = masks.get(mask)
    parts = 30 * noise(net, 20)
    found = family.of_parts(run(net, parts).double()).numpy()
    assert family.domain.excess(found).max() < 1e-6
    if family.sums_to_one:
        assert np.abs(found.sum(axis=1) - 1).max() < 1e-5


# ---- from a recipe to the engine


def made(**head):
    return recipe.from_dict(
        {
            "frontend": {"n_fft": 256, "hop": 128},
            "backbone": {"kind": "crn", "channels": [4, 6], "hidden": 5, "layers": 1},
            "head": {"mask": "complex_tanh", **head},
            "loss": {"kind": "complex + mask_l1", "n_fft": 128, "hop": 64},
            "data": {
                "sample_rate": RATE,
                "seconds": 0.25,
                "valid_examples": 2,
                "recordings": [
                    {"role": "speech", "glob": "1.wav"},
                    {"role": "speech", "glob": "2.wav", "valid_share": 1.0},
                    {"role": "noise", "glob": "1.wav"},
                    {"role": "noise", "glob": "3.wav", "valid_share": 1.0},
                ],
            },
            "train": {"steps": 2, "batch": 2, "valid_every": 2},
        }
    )


@pytest.fixture
def root(tmp_path):
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    for k in range(1, 4):
        soundfile.write(tmp_path / f"{k}.wav", 0.1 * rng.standard_normal(RATE), RATE)
    return tmp_path


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_it_trains_exports_and_runs_in_the_engine(interpolation, root, rng):
    from unmask import checkpoint

    settings = made(decimation=2, interpolation=interpolation)
    folder = train.run(settings, root / "run", data_root=root)
    about = export.export([folder], root / "x.onnx")
    assert about["training"]["recipe"]["head"]["decimation"] == 2
    system = settings.system().eval()
    tensors, _ = checkpoint.load(folder / train.BEST)
    system.net.load_state_dict(checkpoint.select(tensors, "mean"))
    mixture = rng.standard_normal((2, 3001)).astype(np.float32)
    found = load_model(root / "x.onnx").separate(mixture, RATE)["speech"]
    with torch.no_grad():
        expected = system(torch.from_numpy(mixture)[None])[0, 0].numpy()
    assert np.abs(found - expected).max() <= 1e-4
    assert np.abs(expected).max() > 1e-3
    plain = made().system().net
    whole = macs_per_frame(plain) * RATE / 128
    assert about["macs_per_second"] < 0.75 * whole


def test_a_recipe_says_it_and_takes_it_back():
    settings = made(decimation=4, interpolation="linear")
    again = recipe.from_dict(json.loads(json.dumps(settings.to_dict())))
    assert again == settings
    assert "decimation = 4" in settings.to_toml()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"decimation": 0}, "decimation = 0, expected 1 or more"),
        ({"decimation": 3}, "decimation = 3, the network sees 128 bins; expected a divisor"),
        ({"interpolation": "cubic"}, "interpolation 'cubic'; there are"),
        ({"decimation": 2, "mask": "hybrid:complex:2000:irm1"}, "changes family at a bin"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(head, message):
    with pytest.raises(ConfigError, match=message) as caught:
        made(**head)
    assert "\n" not in str(caught.value)


def test_a_learned_front_end_has_no_bins_to_leave_out():
    with pytest.raises(ConfigError, match="divisor of the bins of a spectrum"):
        build("crn", front="learned", head={"decimation": 2})
