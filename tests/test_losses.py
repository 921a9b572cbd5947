"""Losses: the facts of the papers, and silence."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from unmask import losses  # noqa: E402
from unmask.errors import ConfigError, ShapeError  # noqa: E402
from unmask.frontends import STFT  # noqa: E402

PER_SOURCE = losses.losses(STFT(64, 32, "hann"))
SHAPE = (2, 1, 1, 400)


def mean(loss):
    """What a trainer makes of a loss."""
    return lambda *signals: loss(*signals).mean()


LOSSES = {name: mean(loss) for name, loss in PER_SOURCE.items()}


@pytest.fixture
def signals():
    """Estimate, target (batch, source, channel, sample) and mixture, none of them silent."""
    generator = torch.Generator().manual_seed(0)
    target, noise, error = (torch.randn(SHAPE, generator=generator) for _ in range(3))
    return target + 0.3 * error, target, (target + noise)[:, 0]


def orthogonal(seed):
    """Two orthogonal signals of norm 1."""
    columns = np.linalg.qr(np.random.default_rng(seed).standard_normal((400, 2)))[0].T
    return torch.from_numpy(columns.copy()).reshape(2, 1, 1, 400)


@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(-3, 3))
def test_the_sdr_losses_lie_between_minus_one_and_one(seed, a, b):
    target, other = orthogonal(seed)
    estimate, mixture = a * target + b * other, (target + 2 * other)
    for name in ("sdr", "weighted_sdr"):
        assert -1 - 1e-12 <= LOSSES[name](estimate, target, mixture) <= 1 + 1e-12


@pytest.mark.parametrize("gain", [1e-6, 0.5, 1.0, 1e6])
def test_the_sdr_loss_of_the_scaled_target_is_minus_one(signals, gain):
    _, target, mixture = signals
    assert LOSSES["sdr"](gain * target, target, mixture) == pytest.approx(-1, abs=1e-6)
    assert LOSSES["sdr"](-gain * target, target, mixture) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("rho", "si_sdr"), [(0.7, -0.2), (0.8, 2.5), (0.9, 6.3), (0.99, 16.9)])
def test_si_sdr_and_correlation_are_one_function_of_each_other(rho, si_sdr):
    target, other = orthogonal(0)
    estimate = 7 * (rho * target + math.sqrt(1 - rho**2) * other)
    assert losses.correlation(estimate, target).item() == pytest.approx(rho, abs=1e-9)
    found = losses.si_sdr_db(estimate, target).item()
    assert found == pytest.approx(10 * math.log10(rho**2 / (1 - rho**2)), abs=1e-3)
    assert found == pytest.approx(si_sdr, abs=0.051)


def test_the_weighted_sdr_loss_is_its_formula(signals):
    expected = 0.0
    for estimate, target, mixture in zip(
        *(s.flatten(1).double().numpy() for s in signals), strict=True
    ):
        noise, residual = mixture - target, mixture - estimate
        share = (target @ target) / (target @ target + noise @ noise)
        parts = [
            -(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b))
            for a, b in ((estimate, target), (residual, noise))
        ]
        expected += (share * parts[0] + (1 - share) * parts[1]) / 2
    assert LOSSES["weighted_sdr"](*signals).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("ratio_db", [-20.0, 0.0, 20.0])
def test_si_sdr_of_orthogonal_noise_is_the_ratio_of_the_gains(ratio_db):
    target, other = orthogonal(3)
    estimate = 5 * (10 ** (ratio_db / 20) * target + other)
    assert losses.si_sdr_db(estimate, target).item() == pytest.approx(ratio_db, abs=1e-6)


def test_the_limit_bends_si_sdr_and_bounds_it():
    target, other = orthogonal(3)
    at_limit = losses.si_sdr_db(target + 10**-1.5 * other, target, limit_db=30.0)
    assert at_limit.item() == pytest.approx(30 - 10 * math.log10(2), abs=1e-6)
    assert losses.si_sdr_db(target, target, limit_db=30.0).item() == pytest.approx(30, abs=1e-6)


@pytest.mark.parametrize(
    "name", ["waveform", "magnitude", "complex", "complex_l1", "multi_resolution"]
)
def test_losses_that_know_the_level_are_zero_for_the_target_alone(signals, name):
    estimate, target, mixture = signals
    assert LOSSES[name](target, target, mixture) == 0
    assert LOSSES[name](1.1 * target, target, mixture) > 1e-4
    assert LOSSES[name](estimate, target, mixture) > LOSSES[name](1.01 * target, target, mixture)


def test_the_magnitude_loss_is_deaf_to_phase_and_the_complex_loss_is_not(signals):
    _, target, mixture = signals
    assert LOSSES["magnitude"](-target, target, mixture) == 0
    stft = STFT(64, 32, "hann")
    mag = np.abs(stft.analyze(target.numpy())) * 2 / stft.window_values.sum()
    # only the complex part differs, by twice the compressed magnitude
    expected = 0.3 * np.mean((2 * mag**0.3) ** 2)
    assert LOSSES["complex"](-target, target, mixture).item() == pytest.approx(expected, rel=1e-3)


def reference_spectrum(signal, n_fft=64, hop=32):
    """By torch, in units in which a full-scale sine is 1; (signal, freq, frame)."""
    window = torch.hann_window(n_fft, dtype=torch.double)
    spectrum = torch.stft(
        torch.nn.functional.pad(signal.double().flatten(0, -2), (0, -signal.shape[-1] % hop)),
        n_fft,
        hop,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    return (spectrum * 2 / window.sum()).numpy()


def test_the_spectral_losses_are_their_formulas(signals):
    estimate, target, _ = signals
    ours, true = reference_spectrum(estimate), reference_spectrum(target)
    expected = np.mean(np.abs(np.abs(true) - np.abs(ours)))  # equation 5 of Jansson et al.
    assert LOSSES["magnitude"](*signals).item() == pytest.approx(expected, rel=1e-5)
    parts = [np.abs(part(true - ours)).mean() for part in (np.real, np.imag)]
    assert LOSSES["complex_l1"](*signals).item() == pytest.approx(sum(parts) / 2, rel=1e-5)
    expected = 0.0
    for n_fft in (32, 64, 128):
        ours, true = (np.abs(reference_spectrum(x, n_fft, n_fft // 2)) for x in signals[:2])
        norms = [np.sqrt((x**2).sum((1, 2))) for x in (true - ours, true)]
        ours, true = (np.log(np.maximum(x, 1e-4)) for x in (ours, true))
        expected += np.mean(norms[0] / norms[1]) / 3 + np.mean(np.abs(true - ours)) / 3
    assert LOSSES["multi_resolution"](*signals).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gain", [0.25, 0.9, 3.0])
@pytest.mark.parametrize("level", [1.0, 10.0, 1e4])
def test_the_multi_resolution_loss_hears_a_gain_alike_at_every_level(signals, gain, level):
    _, target, mixture = (level * signal for signal in signals)
    loss = LOSSES["multi_resolution"](gain * target, target, mixture).item()
    assert loss == pytest.approx(abs(gain - 1) + abs(math.log(gain)), rel=1e-3)
    assert LOSSES["multi_resolution"](-gain * target, target, mixture).item() == pytest.approx(loss)


def test_a_silent_target_has_a_bounded_say_in_the_multi_resolution_loss(signals):
    estimate, target, mixture = signals
    most = LOSSES["multi_resolution"](mixture[:, None], 0 * target, mixture).item()
    assert 100 < most < 100 + math.log(1e5)
    assert most > LOSSES["multi_resolution"](0.1 * estimate, 0 * target, mixture).item() > 1
    assert LOSSES["multi_resolution"](0 * target, 0 * target, mixture) == 0


@pytest.mark.parametrize(("n_fft", "hop"), [(2, 1), (1764, 441), (882, 441), (1024, 256)])
def test_any_front_end_has_resolutions_around_it(n_fft, hop):
    loss = mean(losses.losses(STFT(n_fft, hop, "hann"))["multi_resolution"])
    noise = 10 * torch.randn(1, 1, 3000, generator=torch.Generator().manual_seed(0))
    assert loss(0.5 * noise, noise, noise[0]).item() == pytest.approx(0.5 + math.log(2), rel=1e-3)


@pytest.mark.parametrize(
    ("n_fft", "hop", "around"),
    [
        (1024, 256, [(512, 128), (1024, 256), (2048, 512)]),
        (882, 441, [(442, 221), (882, 441), (1764, 882)]),
        (750, 250, [(375, 125), (750, 250), (1500, 500)]),
    ],
)
def test_the_windows_around_it_have_its_overlap(n_fft, hop, around):
    stfts = losses.losses(STFT(n_fft, hop, "hann"))["multi_resolution"].keywords["stfts"]
    assert [(stft.n_fft, stft.hop) for stft in stfts] == around
    assert {stft.window for stft in stfts} == {"hann"}


@pytest.mark.parametrize("name", losses.NAMES)
def test_less_error_is_less_loss(signals, name):
    estimate, target, mixture = signals
    values = [
        LOSSES[name](target + k * (estimate - target), target, mixture) for k in (0.1, 0.5, 1)
    ]
    assert values[0] < values[1] < values[2]


@pytest.mark.parametrize("name", losses.NAMES)
@pytest.mark.parametrize("silent", ["estimate", "target", "mixture", "all"])
@pytest.mark.parametrize("level", [0.0, 1e-30])
def test_silence_gives_no_nan_neither_in_value_nor_in_gradient(signals, name, silent, level):
    names = ("estimate", "target", "mixture")
    estimate, target, mixture = (
        signal * level if silent in (which, "all") else signal
        for which, signal in zip(names, signals, strict=True)
    )
    estimate = estimate.clone().requires_grad_()
    loss = LOSSES[name](estimate, target, mixture)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(estimate.grad).all()


@pytest.fixture
def scene():
    """Estimate, target (batch, source, channel, sample) and mixture of sources of unlike level."""
    generator = torch.Generator().manual_seed(1)
    levels = torch.tensor([1.0, 0.3, 0.1])[:, None, None]
    target, error = (levels * torch.randn(4, 3, 2, 400, generator=generator) for _ in range(2))
    return target + 0.3 * error, target, target.sum(1)


@pytest.mark.parametrize("name", losses.NAMES)
def test_every_source_of_every_example_has_the_loss_it_has_alone(scene, name):
    estimate, target, mixture = scene
    values = PER_SOURCE[name](*scene)
    assert values.shape == (4, 3)
    for b, j in ((0, 0), (1, 2), (3, 1)):
        alone = PER_SOURCE[name](estimate[b, j : j + 1], target[b, j : j + 1], mixture[b])
        torch.testing.assert_close(values[b, j : j + 1], alone, rtol=1e-5, atol=1e-6)
    channels = [PER_SOURCE[name](*(x[..., c : c + 1, :] for x in scene)) for c in range(2)]
    torch.testing.assert_close(values, sum(channels) / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", losses.NAMES)
def test_a_permutation_invariant_loss_is_that_of_the_sources_in_order(scene, name):
    estimate, target, mixture = (signal.double() for signal in scene)
    orders = torch.tensor([[2, 0, 1], [0, 1, 2], [1, 0, 2], [2, 1, 0]])
    shuffled = torch.stack([x[order] for x, order in zip(estimate, orders, strict=True)])
    ordered, shuffled = estimate.clone().requires_grad_(), shuffled.requires_grad_()
    expected = PER_SOURCE[name](ordered, target, mixture)
    found = losses.pit(PER_SOURCE[name])(shuffled, target, mixture)
    torch.testing.assert_close(found, expected)
    slopes = [
        torch.autograd.grad(v.sum(), x)[0] for v, x in ((expected, ordered), (found, shuffled))
    ]
    for slope, moved, order in zip(*slopes, orders, strict=True):
        assert slope.abs().max() > 0
        torch.testing.assert_close(moved, slope[order])


def test_a_permutation_invariant_loss_leaves_out_the_estimates_that_fit_least(scene):
    _, target, mixture = scene
    estimate = torch.cat([torch.randn(4, 1, 2, 400), target], 1)
    assert losses.pit(PER_SOURCE["waveform"])(estimate, target, mixture).max() == 0


@pytest.mark.parametrize("name", losses.NAMES)
def test_mixtures_of_mixtures_are_split_the_way_that_fits_best(scene, name):
    estimate, target, mixture = (signal.double() for signal in scene)
    mixtures = torch.stack([target[:, 0] + target[:, 2], target[:, 1]], 1)
    estimate = estimate.clone().requires_grad_()
    sums = torch.tensor([[1.0, 0, 1], [0, 1, 0]]).double()
    expected = PER_SOURCE[name](losses.combine(sums, estimate), mixtures, mixture)
    found = losses.mixit(PER_SOURCE[name])(estimate, mixtures, mixture)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(value.sum(), estimate)[0] for value in (found, expected))
    )


def test_the_mean_is_over_the_sums_that_are_known():
    sums = torch.tensor([[[1.0, 0, 1], [0, 1, 0], [0, 0, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]])
    values = torch.tensor([[1.0, 3, math.nan], [1, 3, 8]])
    assert losses.mean_of_known(values, sums).tolist() == [2, 4]


def test_weighted_sdr_teaches_silence_where_plain_sdr_is_mute(signals):
    estimate, target, mixture = signals
    estimate = estimate.clone().requires_grad_()
    silence = 0 * target
    assert LOSSES["weighted_sdr"](estimate, silence, mixture) > LOSSES["weighted_sdr"](
        0.1 * estimate, silence, mixture
    )
    assert LOSSES["sdr"](estimate, silence, mixture) == 0


def test_signals_of_different_shape_are_refused(signals):
    estimate, target, mixture = signals
    for name in losses.NAMES:
        with pytest.raises(ShapeError, match="shapes must agree"):
            LOSSES[name](estimate[..., 1:], target, mixture)


def test_a_sum_is_read_from_a_string_or_a_table():
    assert losses.parse("0.1*si_sdr+10*complex") == {"si_sdr": 0.1, "complex": 10}
    assert losses.parse("sdr + 1*magnitude") == {"sdr": 1, "magnitude": 1}
    assert losses.parse({"sdr": 1, "magnitude": 2}) == {"sdr": 1, "magnitude": 2}


@pytest.mark.parametrize("kind", ["si_sdr - complex", "", "2 si_sdr", "*sdr"])
def test_a_sum_that_cannot_be_read_is_refused(kind):
    with pytest.raises(ConfigError, match="loss: "):
        losses.parse(kind)


def test_an_unknown_loss_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"no loss named \['pesq'\]; there are \['complex'"):
        losses.parse("sdr + pesq")
