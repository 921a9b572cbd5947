"""SDR, SNR and the scale-invariant ratios against closed forms of orthogonal signals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from unmask.errors import ConfigError, ShapeError
from unmask.metrics import (
    RunningScores,
    best_permutation,
    pairwise,
    permute,
    sdr,
    si_sar,
    si_sdr,
    si_sir,
    snr,
    summary,
)

PLAIN = [sdr, snr]
LEVELS = [1e-6, 1.0, 1e6]


def orthonormal(rng, n, n_samples=200):
    """`n` signals (1, n_samples) of energy 1, orthogonal to one another."""
    return np.linalg.qr(rng.standard_normal((n_samples, n)))[0].T[:, None]


def db(ratio):
    return 10 * math.log10(ratio)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("metric", PLAIN)
def test_sdr_is_the_ratio_of_energies_at_any_level(xp, rng, metric, level):
    target, noise = orthonormal(rng, 2)
    estimate = xp.asarray(level * (target + 0.1 * noise))
    assert float(metric(estimate, xp.asarray(level * target))) == pytest.approx(20, abs=1e-9)


@pytest.mark.parametrize("level", LEVELS)
def test_si_sdr_of_orthogonal_noise_is_the_ratio_of_the_gains(xp, rng, level):
    target, noise = orthonormal(rng, 2)
    estimate = xp.asarray(level * (3 * target + 0.1 * noise))
    assert float(si_sdr(estimate, xp.asarray(target))) == pytest.approx(db(900), abs=1e-9)
    assert float(si_sdr(estimate, xp.asarray(level * target))) == pytest.approx(db(900), abs=1e-9)


def test_sdr_sees_a_gain_that_si_sdr_does_not(rng):
    target = rng.standard_normal((2, 100))
    assert sdr(0.5 * target, target) == pytest.approx(db(4))
    assert si_sdr(0.5 * target, target) == math.inf  # a power of two: no rounding
    assert si_sdr(0.3 * target, target) > 280


@pytest.mark.parametrize("level", LEVELS)
def test_decomposition_of_known_parts(xp, rng, level):
    first, second, other = orthonormal(rng, 3)
    targets = xp.asarray(np.stack([7 * first, 1e-3 * second]))
    estimates = xp.asarray(level * np.stack([first + 0.1 * second + 0.01 * other, 2 * second]))
    np.testing.assert_allclose(si_sir(estimates, targets)[0], 20, atol=1e-8)
    np.testing.assert_allclose(si_sar(estimates, targets)[0], 40, atol=1e-8)
    assert float(si_sir(estimates, targets)[1]) > 250
    assert float(si_sar(estimates, targets)[1]) > 250


@given(st.integers(0, 10**6), st.floats(-0.9, 0.9), st.sampled_from([False, True]))
def test_distortion_is_interference_plus_artefacts(seed, correlation, per_channel):
    rng = np.random.default_rng(seed)
    targets = rng.standard_normal((2, 3, 2, 50))
    targets[:, 1] += 3 * correlation * targets[:, 0]
    estimates = targets + 0.3 * rng.standard_normal(targets.shape)
    scores = [f(estimates, targets, per_channel=per_channel) for f in (si_sir, si_sar)]
    whole = si_sdr(estimates, targets, per_channel=per_channel)
    assert whole.shape == ((2, 3, 2) if per_channel else (2, 3))
    parts = sum(10 ** (-score / 10) for score in scores)
    np.testing.assert_allclose(10 ** (-whole / 10), parts, rtol=1e-9)


def test_projection_agrees_with_least_squares(rng):
    targets = rng.standard_normal((3, 1, 40))
    estimates = rng.standard_normal((3, 1, 40))
    basis = targets[:, 0].T
    projection = basis @ np.linalg.lstsq(basis, estimates[:, 0].T, rcond=None)[0]
    artefact = estimates[:, 0] - projection.T
    image = estimates[:, 0] - [
        e - (e @ t) / (t @ t) * t for e, t in zip(estimates[:, 0], targets[:, 0], strict=True)
    ]
    expected = 10 * np.log10((image**2).sum(-1) / (artefact**2).sum(-1))
    np.testing.assert_allclose(si_sar(estimates, targets), expected, atol=1e-9)


@pytest.mark.parametrize("metric", [sdr, snr, si_sdr])
def test_channels_together_or_each_on_its_own(rng, metric):
    estimate, target = rng.standard_normal((2, 5, 2, 30))
    together = metric(estimate, target)
    joined = metric(estimate.reshape(5, 1, 60), target.reshape(5, 1, 60))
    each = metric(estimate, target, per_channel=True)
    assert together.shape == (5,)
    np.testing.assert_array_equal(together, joined)
    np.testing.assert_array_equal(each[:, 1], metric(estimate[:, 1:], target[:, 1:]))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_and_shape_out_as_in(xp, dtype, per_channel):
    ones = xp.ones((4, 2, 10), dtype=getattr(xp, dtype))
    for metric in (sdr, snr, si_sdr, si_sir, si_sar):
        scores = metric(0.5 * ones, ones, per_channel=per_channel)
        assert scores.dtype == ones.dtype
        assert tuple(scores.shape) == ((4, 2) if per_channel else (4,))


def test_single_precision_input_is_summed_in_double(rng):
    target = np.ones((1, 10**6), np.float32)
    estimate = target + np.float32(2**-12) * np.where(rng.random(10**6) < 0.5, -1, 1).astype("f4")
    assert sdr(estimate, target) == pytest.approx(db(2**24), abs=1e-5)


def test_edges(xp, rng):
    signal = xp.asarray(rng.standard_normal((2, 1, 50)))
    silent = xp.zeros_like(signal)
    for metric in (sdr, snr, si_sdr, si_sir, si_sar):
        assert np.isnan(np.asarray(metric(signal, silent))).all()
        assert np.isnan(np.asarray(metric(silent, silent))).all()
    for metric in (sdr, snr, si_sdr):
        assert (np.asarray(metric(signal, signal)) == math.inf).all()
    for metric in (si_sdr, si_sir, si_sar):
        assert (np.asarray(metric(silent, signal)) == -math.inf).all()
    assert (np.asarray(sdr(silent, signal)) == 0).all()


def test_one_silent_target_leaves_the_others_alone(rng):
    targets, estimates = rng.standard_normal((2, 3, 1, 60))
    silenced = targets * np.array([1.0, 0.0, 1.0])[:, None, None]
    for metric in (si_sir, si_sar):
        scores = metric(estimates, silenced)
        assert np.isnan(scores[1])
        np.testing.assert_allclose(
            scores[[0, 2]], metric(estimates[[0, 2]], targets[[0, 2]]), atol=1e-9
        )


def test_gradients_are_finite_and_point_to_the_target(rng):
    torch = pytest.importorskip("torch")
    target = torch.asarray(rng.standard_normal((3, 2, 40)))
    target[1] = 0.0
    for metric in (sdr, si_sdr, si_sir, si_sar):
        noise = 0.1 * torch.asarray(rng.standard_normal((3, 2, 40)))
        estimate = (target + noise).requires_grad_()
        torch.nansum(metric(estimate, target)).backward()
        assert torch.isfinite(estimate.grad).all()
        assert (estimate.grad[1] == 0).all()
        better = metric(estimate.detach() + 1e-4 * estimate.grad, target)
        assert (better > metric(estimate.detach(), target))[[0, 2]].all()


def test_refusals(rng):
    stereo = rng.standard_normal((2, 50))
    with pytest.raises(ShapeError, match=r"estimate\(2, 49\), target\(2, 50\)"):
        sdr(stereo[:, 1:], stereo)
    with pytest.raises(ShapeError, match="channel, sample"):
        si_sdr(stereo[0], stereo[0])
    with pytest.raises(ShapeError, match="source, channel, sample"):
        si_sir(stereo, stereo)
    with pytest.raises(ConfigError, match="int16"):
        sdr(stereo.astype(np.int16), stereo.astype(np.int16))
    with pytest.raises(ConfigError, match="complex"):
        si_sdr(stereo + 0j, stereo + 0j)


@given(st.permutations(range(4)), st.integers(0, 10**6))
def test_search_undoes_any_shuffle(order, seed):
    rng = np.random.default_rng(seed)
    targets = rng.standard_normal((4, 2, 60))
    estimates = (targets + 0.5 * rng.standard_normal(targets.shape))[list(order)]
    found = best_permutation(pairwise(si_sdr, estimates, targets))
    np.testing.assert_array_equal(np.array(order)[found], np.arange(4))
    assert (si_sdr(permute(estimates, found), targets) > 3).all()


def test_search_on_every_library_and_over_batches(xp, rng):
    targets = rng.standard_normal((3, 2, 1, 60))
    estimates = targets.copy()
    estimates[1] = estimates[1, ::-1]
    estimates, targets = xp.asarray(estimates), xp.asarray(targets)
    scores = pairwise(sdr, estimates, targets)
    assert tuple(scores.shape) == (3, 2, 2)
    found = best_permutation(scores)
    np.testing.assert_array_equal(np.asarray(found), [[0, 1], [1, 0], [0, 1]])
    np.testing.assert_array_equal(np.asarray(permute(estimates, found)), np.asarray(targets))


def test_search_with_undefined_and_infinite_scores():
    nan, inf = math.nan, math.inf
    assert best_permutation(np.array([[nan, 1.0], [nan, 5.0]])).tolist() == [0, 1]
    assert best_permutation(np.array([[9.0, 8.0], [inf, 9.0]])).tolist() == [1, 0]
    assert best_permutation(np.array([[9.0, 1.0], [9.0, -inf]])).tolist() == [1, 0]
    assert best_permutation(np.array([[0.0], [3.0], [2.0]])).tolist() == [1]
    assert best_permutation(np.full((2, 2), nan)).tolist() == [0, 1]
    with pytest.raises(ShapeError, match="1 estimates and 2 targets"):
        best_permutation(np.zeros((1, 2)))


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (5, 3), (6, 6), (40, 40), (64, 50)])
def test_the_best_order_is_scipys(shape, rng):
    scores = rng.normal(0, 10, (20, *shape))
    scores[1] = np.round(scores[1])  # ties: the sum counts, not who
    for found, matrix in zip(best_permutation(scores), scores, strict=True):
        assert len(set(found)) == shape[1]
        best = matrix[optimize.linear_sum_assignment(matrix, maximize=True)].sum()
        assert matrix[found, range(shape[1])].sum() == pytest.approx(best, abs=1e-9)


def test_search_maximises_the_sum(rng):
    from itertools import permutations

    scores = rng.standard_normal((20, 4, 4))
    found = best_permutation(scores)
    for matrix, order in zip(scores, found, strict=True):
        best = max(sum(matrix[i, j] for j, i in enumerate(p)) for p in permutations(range(4)))
        assert matrix[order, np.arange(4)].sum() == pytest.approx(best)


def test_summary_counts_what_it_leaves_out(xp):
    scores = xp.asarray([[1.0, math.nan, 9.0], [2.0, math.nan, math.inf]])
    assert summary(scores, statistic="median") == (5.5, 4, 2, 1, "median")
    assert summary(scores).value == math.inf
    assert str(summary(scores[:, :2])) == "1.50 (mean of 2, 2 undefined left out)"
    nothing = summary(scores[:, 1])
    assert (nothing.n, nothing.n_nan) == (0, 2)
    assert math.isnan(nothing.value)
    assert math.isnan(summary(np.array([math.inf, -math.inf])).value)
    with pytest.raises(ConfigError, match="'mode'"):
        summary(scores, statistic="mode")


@pytest.mark.parametrize("gain", [0.0, 0.5, 1.0, -1.0])
def test_running_scores_of_pieces_are_those_of_the_whole(rng, gain):
    target = rng.normal(size=(2, 1, 1000))
    target[1] *= 0
    estimate = gain * target + 0.1 * rng.normal(size=target.shape)
    running = RunningScores()
    for k in range(0, 1000, 300):
        running.add(estimate[..., k : k + 300], target[..., k : k + 300])
    np.testing.assert_allclose(running.sdr, sdr(estimate, target), rtol=1e-9)
    np.testing.assert_allclose(running.si_sdr, si_sdr(estimate, target), rtol=1e-9)


@pytest.mark.parametrize("score", [sdr, si_sdr, si_sir, snr])
def test_axes_of_other_libraries_are_refused(rng, score):
    swapped = rng.normal(size=(2, 1000, 2))
    with pytest.raises(ShapeError, match=r"1000 channels of 2 samples.*transpose"):
        score(swapped, swapped)
