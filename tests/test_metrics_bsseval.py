"""BSSEval against museval, mir_eval, dense least squares and closed forms."""

import importlib.util
import json
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from unmask.errors import ConfigError, SampleRateError, ShapeError, SignalError
from unmask.metrics import ConditionWarning, bss_eval
from unmask.metrics.toeplitz import BlockToeplitz

REFERENCES = Path(__file__).parent / "references"
SPEC = importlib.util.spec_from_file_location("make_bsseval", REFERENCES / "make_bsseval.py")
MAKE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MAKE)

VERSIONS = {(False, False): "v4", (True, False): "v3", (True, True): "sources"}


def scores(estimates, targets, window, hop, taps, framewise, sources, permutation):
    """Our scores with museval's arguments: (4, source, frame), and the whole result."""
    result = bss_eval(
        estimates,
        targets,
        sample_rate=1,
        window_s=window,
        hop_s=hop,
        filter_length=taps,
        version=VERSIONS[framewise, sources],
        permutation=permutation,
    )
    return np.stack(result[:4]), result


def noise(rng, *shape):
    """Noise with a spectrum that falls gently."""
    x = rng.standard_normal(shape)
    x[..., 1:] += 0.7 * x[..., :-1]
    return x


@pytest.mark.parametrize("case", MAKE.CASES)
def test_numbers_of_museval(case):
    name, *options = MAKE.CASES[case]
    with np.load(REFERENCES / "bsseval.npz") as stored:
        signals = [stored[f"{name}_{kind}"] / 32768 for kind in ("estimates", "targets")]
        expected, order = stored[case], stored[f"{case}_order"]
    found, result = scores(*signals, *options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)  # NaN where NaN is
    np.testing.assert_array_equal(result.permutation, np.broadcast_to(order, found.shape[1:]))


def test_numbers_of_mir_eval():
    with np.load(REFERENCES / "bsseval.npz") as stored:
        signals = [stored[f"mono_{kind}"] / 32768 for kind in ("estimates", "targets")]
        sdr, sir, sar, order = stored["mir_eval_sources"]
    result = bss_eval(
        *signals, sample_rate=1, window_s=math.inf, version="sources", permutation=True
    )
    for ours, theirs in ((result.sdr, sdr), (result.sir, sir), (result.sar, sar)):
        np.testing.assert_allclose(ours[:, 0], theirs, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(result.permutation[:, 0], order)
    assert np.isnan(result.isr).all()


@pytest.mark.parametrize(
    ("shape", "window", "hop", "taps", "flags"),
    [
        ((1, 2, 2000), 1000, 700, 16, (False, False, False)),
        ((2, 1, 2000), 150, 100, 256, (False, False, False)),
        ((2, 5, 2500), 2500, 9, 9, (False, False, False)),
        ((3, 2, 9000), 8500, 500, 1, (False, False, True)),
        ((2, 2, 700), 1000, 1000, 7, (True, False, True)),
        ((4, 1, 3000), 800, 800, 33, (True, True, False)),
    ],
)
def test_live_museval(rng, shape, window, hop, taps, flags):
    if importlib.util.find_spec("museval") is None:
        pytest.skip("museval is not installed")
    targets = noise(rng, *shape)
    estimates = np.roll(targets, 1, axis=0) * 0.4 + targets + 0.1 * noise(rng, *shape)
    expected, order = MAKE.museval_scores(estimates, targets, window, hop, taps, *flags)
    found, result = scores(estimates, targets, window, hop, taps, *flags)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(result.permutation, np.broadcast_to(order, found.shape[1:]))


def test_live_museval_on_real_stems(shared):
    if importlib.util.find_spec("museval") is None:
        pytest.skip("museval is not installed")
    stems = [
        soundfile.read(shared / "audio/music/mdn" / name, start=20 * 44100, stop=23 * 44100)[0].T
        for name in ("drums.mp3", "leadguitar.mp3")
    ]
    targets = np.round(np.stack(stems) * 16384) / 32768  # as a 16-bit file would hold them
    estimates = targets + 0.2 * targets[::-1] + 0.1 * targets[::-1, ::-1] ** 2
    estimates = np.round(estimates * 32768) / 32768
    expected, _ = MAKE.museval_scores(estimates, targets, 44100, 44100, 512, *3 * [False])
    result = bss_eval(estimates, targets, sample_rate=44100)
    np.testing.assert_allclose(np.stack(result[:4]), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("number", [1, 2, 3, 5, 6, 7, 8])
@pytest.mark.filterwarnings("ignore::unmask.metrics.ConditionWarning")
def test_fixtures_of_mir_eval(shared, number):
    folder = shared / "audio/fixtures/mir_eval_separation"
    estimates, targets = (
        np.stack(
            [
                soundfile.read(path, always_2d=True)[0].mean(axis=1)[None]
                for path in sorted((folder / f"{kind}{number:02}").glob("*.wav"))
            ]
        )
        for kind in ("est", "ref")
    )
    expected = json.loads((folder / f"output{number:02}.json").read_text())
    whole = {"window_s": math.inf, "permutation": True}
    frames = expected["Framewise"]
    for part, options in (
        ("Sources", whole),
        ("Framewise", {"window_s": frames["win"], "hop_s": frames["hop"]}),
    ):
        found = bss_eval(estimates, targets, sample_rate=1, version="sources", **options)
        for name, ours in (
            ("Source to Distortion", found.sdr),
            ("Source to Interference", found.sir),
            ("Source to Artifact", found.sar),
        ):
            theirs = np.array(expected[part][name], float).reshape(ours.shape)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
        if part == "Sources":
            assert found.permutation[:, 0].tolist() == expected[part]["Source permutation"]


def delays(x, taps):
    """Every channel of x delayed by 0 ... taps - 1 samples, as columns."""
    return np.stack(
        [np.pad(c, (k, taps - 1 - k)) for c in x.reshape(-1, x.shape[-1]) for k in range(taps)], 1
    )


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 12), st.integers(0, 10**6))
def test_projections_are_least_squares(n_sources, n_channels, taps, seed):
    rng = np.random.default_rng(seed)
    targets = noise(rng, n_sources, n_channels, 120)
    estimates = targets + 0.5 * noise(rng, n_sources, n_channels, 120)
    result = bss_eval(estimates, targets, sample_rate=1, window_s=math.inf, filter_length=taps)

    def project(columns, signal):
        return columns @ np.linalg.lstsq(columns, signal, rcond=None)[0]

    for j in range(n_sources):
        guess, truth = (np.pad(x[j], ((0, 0), (0, taps - 1))).T for x in (estimates, targets))
        image = project(delays(targets[j], taps), guess)
        joint = project(delays(targets, taps), guess)
        for found, signal, error in (
            (result.isr, truth, image - truth),
            (result.sir, image, joint - image),
            (result.sar, joint, guess - joint),
        ):
            if found is not result.sir or n_sources > 1:
                expected = 10 * np.log10((signal**2).sum() / (error**2).sum())
                assert found[j, 0] == pytest.approx(expected, abs=1e-7)


def test_a_gain_is_all_spatial_distortion(rng):
    targets = noise(rng, 2, 2, 3000)
    result = bss_eval(0.9 * targets, targets, sample_rate=1000, filter_length=32)
    np.testing.assert_allclose(result.sdr, 20, atol=1e-9)
    np.testing.assert_allclose(result.isr, 20, atol=1e-9)
    assert (result.sir > 200).all()
    assert (result.sar > 200).all()


def test_leakage_is_all_interference(rng):
    targets = noise(rng, 2, 1, 8000)
    result = bss_eval(targets + 0.1 * targets[::-1], targets, sample_rate=4000, filter_length=16)
    assert (result.sar > 200).all()
    ratio = 10 * np.log10(
        (targets**2).reshape(2, 2, -1).sum(-1)
        / (0.01 * targets[::-1] ** 2).reshape(2, 2, -1).sum(-1)
    )
    np.testing.assert_allclose(result.sir, ratio, atol=0.5)
    np.testing.assert_allclose(result.sdr, ratio, atol=1e-9)


def test_a_filter_within_reach_costs_nothing_but_spatial_distortion(rng):
    targets = noise(rng, 2, 1, 4000)
    targets[..., -40:] = 0  # so that nothing is cut off
    taps = rng.standard_normal(20)
    estimates = np.stack([np.convolve(x[0], taps)[None, :4000] for x in targets])
    within, beyond = (
        bss_eval(estimates, targets, sample_rate=1, window_s=math.inf, filter_length=n)
        for n in (20, 10)
    )
    assert (within.sar > 200).all()
    assert (within.isr < 20).all()
    assert (beyond.sar < 20).all()


def test_common_level_does_not_matter(rng):
    estimates, targets = noise(rng, 2, 2, 2, 3000)
    loud = bss_eval(estimates, targets, sample_rate=1000, filter_length=64)
    for level in (1e-3, 1e6):
        result = bss_eval(level * estimates, level * targets, sample_rate=1000, filter_length=64)
        np.testing.assert_allclose(result[:4], loud[:4], rtol=0, atol=1e-7)


def test_permutation_is_undone(rng):
    targets = noise(rng, 4, 2, 6000)
    order = np.array([2, 0, 3, 1])
    estimates = (targets + 0.3 * noise(rng, *targets.shape))[order]
    options = {"sample_rate": 2000, "filter_length": 16}
    for version in ("v4", "v3"):
        found = bss_eval(estimates, targets, permutation=True, version=version, **options)
        straight = bss_eval(estimates[np.argsort(order)], targets, version=version, **options)
        np.testing.assert_array_equal(order[found.permutation[:, 0]], np.arange(4))
        np.testing.assert_allclose(np.stack(found[:4]), np.stack(straight[:4]), rtol=0, atol=1e-9)


def test_silence(xp, rng):
    targets = noise(rng, 3, 2, 4000)
    estimates = targets + 0.1 * noise(rng, 3, 2, 4000)
    options = {"sample_rate": 1000, "filter_length": 16}
    only = bss_eval(estimates[:2], targets[:2], **options)

    part = targets.copy()
    part[1, :, 1000:2000] = 0
    frames = np.isnan(np.asarray(bss_eval(xp.asarray(estimates), xp.asarray(part), **options)[:4]))
    assert frames[:, :, 1].all()
    assert not frames[:, :, [0, 2, 3]].any()

    whole = targets.copy()
    whole[2] = 0
    result = bss_eval(xp.asarray(estimates), xp.asarray(whole), **options)
    for ours, theirs in zip(result[:4], only[:4], strict=True):
        assert np.isnan(np.asarray(ours)[2]).all()
        np.testing.assert_allclose(np.asarray(ours)[:2], theirs, rtol=0, atol=1e-9)

    mute = estimates.copy()
    mute[2] = 0
    result = bss_eval(xp.asarray(mute), xp.asarray(targets), **options)
    assert (np.asarray(result.sdr)[2] == 0).all()
    assert (np.asarray(result.isr)[2] == 0).all()
    assert np.isnan(np.asarray(result.sir)[2]).all()
    assert np.isnan(np.asarray(result.sar)[2]).all()
    assert np.isfinite(np.asarray(result.sar)[:2]).all()

    for version in ("v4", "v3", "sources"):
        nothing = bss_eval(
            xp.asarray(0 * estimates), xp.asarray(0 * targets), version=version, **options
        )
        assert np.isnan(np.asarray(nothing[:4])).all()


@pytest.mark.parametrize("version", ["v4", "v3"])
def test_edges(rng, version):
    targets = noise(rng, 2, 1, 2000)
    options = {"sample_rate": 1000, "filter_length": 16, "version": version}
    assert (bss_eval(targets, targets, **options).sdr == math.inf).all()
    single = bss_eval(0.5 * targets[:1] + 0.1 * targets[1:], targets[:1], **options)
    assert (single.sir == math.inf).all()
    assert np.isfinite(single.sar).all()
    silent = targets.copy()
    silent[0, :, :1000] = 0
    found = bss_eval(targets[::-1] + 0.1, silent, permutation=True, **options)
    assert found.permutation[:, 1].tolist() == [1, 0]


def test_one_channel_of_zeros_and_two_equal_channels(rng):
    mono = noise(rng, 2, 1, 3000)
    estimates = mono + 0.3 * noise(rng, 2, 1, 3000)
    options = {"sample_rate": 1000, "filter_length": 16}
    expected = bss_eval(estimates, mono, **options)
    half = np.concatenate([mono, 0 * mono], axis=1)
    guess = np.concatenate([estimates, 0 * mono], axis=1)
    result = bss_eval(guess, half, **options)
    np.testing.assert_allclose(result[:4], expected[:4], rtol=0, atol=1e-9)
    with pytest.warns(ConditionWarning, match="not trustworthy"):
        result = bss_eval(np.tile(estimates, (1, 2, 1)), np.tile(mono, (1, 2, 1)), **options)
    np.testing.assert_allclose(result[:4], expected[:4], rtol=0, atol=1e-6)


def test_opposite_channels_are_sound(rng):
    mono = noise(rng, 2, 1, 2000)
    targets = mono + noise(rng, 2, 2, 2000)
    targets[0, 1] = -targets[0, 0]
    estimates = targets + 0.1 * noise(rng, 2, 2, 2000)
    with pytest.warns(ConditionWarning):
        result = bss_eval(estimates, targets, sample_rate=1000, filter_length=8)
    assert np.isfinite(result[:4]).all()


def test_frames_like_museval(rng):
    targets = noise(rng, 1, 1, 1000)
    for window, hop, n_frames in ((100, 100, 10), (300, 100, 8), (1000, 1, 1), (2000, 1, 1)):
        options = {"window_s": window, "hop_s": hop, "filter_length": 4}
        assert bss_eval(2 * targets, targets, sample_rate=1, **options).sdr.shape == (1, n_frames)
    once = bss_eval(2 * targets, targets, sample_rate=1000, window_s=0.1, hop_s=math.inf)
    assert once.sdr.shape == (1, 1)


def test_empty_bands_are_warned_of_and_regularisation_helps(rng):
    spectrum = np.fft.rfft(noise(rng, 2, 1, 12000))
    spectrum[..., 4000:] *= 1e-9  # what a codec leaves
    targets = np.fft.irfft(spectrum, 12000)
    estimates = targets + 0.1 * targets[::-1] + 1e-4 * noise(rng, 2, 1, 12000)
    dithered = targets + 1e-5 * noise(rng, 2, 1, 12000)
    options = {"sample_rate": 2000, "filter_length": 128}
    with pytest.warns(ConditionWarning, match=r"ISR, SIR and SAR.*regularisation=1e-7"):
        exact = bss_eval(estimates, targets, **options)
    assert exact.condition.min() > 1e12
    clean, noisy = (
        bss_eval(estimates, x, regularisation=1e-7, **options) for x in (targets, dithered)
    )
    assert clean.condition.max() < 1e11
    np.testing.assert_allclose(clean.sar, noisy.sar, atol=1)
    np.testing.assert_allclose(clean.sdr, exact.sdr, atol=1e-9)


def test_regularisation_does_not_move_healthy_signals(rng):
    estimates, targets = noise(rng, 2, 2, 2, 3000)
    exact, ridge = (
        bss_eval(estimates, targets, sample_rate=1000, filter_length=32, regularisation=share)
        for share in (0, 1e-7)
    )
    np.testing.assert_allclose(exact[:4], ridge[:4], rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_library_and_type(xp, rng, dtype):
    estimates, targets = noise(rng, 2, 2, 2, 2000).astype(dtype)
    expected = bss_eval(
        estimates.astype("f8"), targets.astype("f8"), sample_rate=1000, filter_length=16
    )
    result = bss_eval(
        xp.asarray(estimates), xp.asarray(targets), sample_rate=1000, filter_length=16
    )
    for ours, theirs in zip(result[:4], expected[:4], strict=True):
        assert type(ours) is type(xp.asarray(targets))
        assert ours.dtype == xp.float64
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=1e-9)


def test_memory_does_not_grow_with_length(rng):
    def peak(n_samples):
        targets = rng.standard_normal((2, 1, n_samples))
        estimates = 0.5 * targets
        tracemalloc.start()
        bss_eval(estimates, targets, sample_rate=8000, filter_length=32)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    short, long = peak(40_000), peak(400_000)
    assert long < 1.1 * short


def test_refusals(rng):
    targets = rng.standard_normal((2, 1, 100))
    with pytest.raises(ShapeError, match="shapes must agree"):
        bss_eval(targets[:1], targets, sample_rate=1)
    with pytest.raises(ShapeError, match="source, channel, sample"):
        bss_eval(targets[0], targets[0], sample_rate=1)
    with pytest.raises(ShapeError, match="none of them 0"):
        bss_eval(targets[..., :0], targets[..., :0], sample_rate=1)
    with pytest.raises(ConfigError, match="'v5'"):
        bss_eval(targets, targets, sample_rate=1, version="v5")
    with pytest.raises(ConfigError, match="filter_length is 0"):
        bss_eval(targets, targets, sample_rate=1, filter_length=0)
    with pytest.raises(ConfigError, match="regularisation is -1"):
        bss_eval(targets, targets, sample_rate=1, regularisation=-1)
    with pytest.raises(ConfigError, match="hop_s is 0"):
        bss_eval(targets, targets, sample_rate=1, hop_s=0)
    with pytest.raises(SampleRateError, match="-1 Hz"):
        bss_eval(targets, targets, sample_rate=-1)
    for value in (math.nan, math.inf):
        spoiled = targets.copy()
        spoiled[1, 0, 50] = value
        with pytest.raises(SignalError, match="estimates"):
            bss_eval(spoiled, targets, sample_rate=1, filter_length=4)


@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 10**6))
def test_block_toeplitz_is_solved_like_the_dense_matrix(p, n_lags, seed):
    rng = np.random.default_rng(seed)
    x = delays(noise(rng, 3, p, 60)[0], n_lags).reshape(-1, p, n_lags)
    rows = np.moveaxis(x, -1, 1).reshape(len(x), -1)  # the delay first
    dense = rows.T @ rows
    blocks = dense.reshape(n_lags, p, n_lags, p)[:, :, 0]
    right = rng.standard_normal((n_lags, p, 2))
    equations = BlockToeplitz(np.stack([blocks, 4 * blocks]))
    found = equations.solve(np.stack([right, right]))
    expected = np.linalg.solve(dense, right.reshape(-1, 2)).reshape(right.shape)
    np.testing.assert_allclose(found, np.stack([expected, expected / 4]), rtol=1e-9, atol=1e-12)
    scale = np.tile(1 / np.sqrt(np.diag(blocks[0])), n_lags)
    true = np.linalg.cond(dense * scale * scale[:, None])
    assert (equations.condition() <= 1.001 * true).all()
    assert (equations.condition() >= true / 10).all()


def test_fast_bss_eval_gives_the_same_sources_scores(rng):
    """One channel, one window, any filter: there the two define the same numbers."""
    torch = pytest.importorskip("torch")
    fast = pytest.importorskip("fast_bss_eval")
    targets = rng.standard_normal((3, 8000))
    estimates = targets + 0.3 * rng.standard_normal((3, 8000)) + 0.2 * np.roll(targets, 1, axis=0)
    ours = bss_eval(
        estimates[:, None],
        targets[:, None],
        sample_rate=8000,
        window_s=math.inf,
        filter_length=64,
        version="sources",
    )
    theirs = fast.bss_eval_sources(
        torch.from_numpy(targets),
        torch.from_numpy(estimates),
        filter_length=64,
        compute_permutation=False,
    )
    for mine, other in zip((ours.sdr, ours.sir, ours.sar), theirs, strict=True):
        assert np.abs(mine[:, 0] - other.numpy()).max() <= 1e-9
