"""Phase corrections: known answers, and masks that are the ones that are really applied."""

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnx_models
from unmask import audio, load_model, masks
from unmask.errors import ConfigError, ShapeError
from unmask.frontends import STFT
from unmask.mask_analysis import (
    HISTOGRAM_EDGES_DEG,
    AppliedMasks,
    Thinned,
    correction_deg,
    corrections,
    ideal_masks,
    ideal_passage,
    model_masks,
    model_passage,
    onsets,
)
from unmask.mask_analysis.applied import of_pieces
from unmask.mixtures import Sources, sum_of
from unmask.oracle import Oracle

RATE = 16000
FRONT = STFT(256, 64, "hann")


@pytest.fixture
def stems(rng):
    return {name: rng.normal(size=(2, 6000)).astype("float32") for name in ("a", "b", "c")}


def applied(mask, mixture, **targets):
    """Masks of "a" on a mixture of "a" and other targets; arrays are (freq, frame)."""
    mixture = np.asarray(mixture, complex)[None]
    named = {name: np.asarray(x, complex)[None] for name, x in targets.items()}
    named = {"a": mixture - sum(named.values(), 0 * mixture)} | named
    return AppliedMasks("test", {"a": np.asarray(mask)[None]}, mixture, named, FRONT, RATE, 0)


def places(one):
    return {(place.kind, place.name): place for place in one.places}


def whole(one):
    return places(one)["whole", "all"]


# Known answers


@pytest.mark.parametrize(("gain", "turn"), [(0.5, 60), (1.0, 100), (2.0, 150), (3.0, -120)])
def test_two_sinusoids_in_one_bin_are_turned_by_the_angle_of_their_sum(gain, turn):
    time = np.arange(8000) / RATE
    hz = 20 * RATE / FRONT.n_fft
    one = np.cos(2 * np.pi * hz * time)[None]
    two = gain * np.cos(2 * np.pi * hz * time + np.radians(turn))[None]
    found = ideal_masks({"a": one, "b": two}, RATE, "complex", stft=FRONT, start_s=0.1)
    rest = gain * np.exp(1j * np.radians(turn))
    expected = {"a": -np.angle(1 + rest), "b": np.angle(rest / (1 + rest))}
    for name, mask in found.masks.items():
        inner = np.angle(mask[0, 20, :60])
        np.testing.assert_allclose(inner, expected[name], atol=1e-6)
        np.testing.assert_allclose(
            correction_deg(mask)[0, 20, :60], abs(np.degrees(expected[name])), atol=1e-4
        )


@pytest.mark.parametrize("family", masks.names())
def test_a_source_alone_is_not_turned(stems, family):
    alone = {"a": stems["a"], "b": 0 * stems["b"]}
    found = ideal_masks(alone, RATE, family, stft=FRONT)
    one, silent = corrections(found)
    assert whole(one).mean_deg == pytest.approx(0, abs=0.1)
    assert whole(one).rotated_bins == 0
    assert one.above_floor > 0.9
    assert silent.above_floor == 0
    assert math.isnan(whole(silent).mean_deg)


def test_real_masks_turn_by_nothing_or_by_all(stems):
    signed = ideal_masks(stems, RATE, "psm_signed", stft=FRONT)
    for one, mask in zip(corrections(signed), signed.masks.values(), strict=True):
        assert set(np.unique(correction_deg(mask))) == {0.0, 180.0}
        assert set(np.flatnonzero(one.histogram_bins)) == {0, len(HISTOGRAM_EDGES_DEG) - 2}
        assert one.histogram_bins[-1] == whole(one).rotated_bins > 0.05
        assert whole(one).mean_deg == pytest.approx(180 * one.histogram_energy[-1])
    for one in corrections(ideal_masks(stems, RATE, "irm1", stft=FRONT)):
        assert one.histogram_bins[0] == one.histogram_energy[0] == 1
        assert math.isnan(one.along_time)
        assert (whole(one).mean_deg, whole(one).rotated_bins) == (0, 0)


def test_the_quieter_of_two_that_cancel_is_turned_round(stems):
    found = ideal_masks({"a": stems["a"], "b": -0.5 * stems["a"]}, RATE, "complex", stft=FRONT)
    one, other = corrections(found)
    assert whole(one).mean_deg == pytest.approx(0, abs=1e-3)
    assert whole(other).mean_deg == pytest.approx(180, abs=1e-3)
    assert (whole(one).rotated_energy, whole(other).rotated_energy) == (0, 1)
    np.testing.assert_allclose(found.masks["b"], -1, atol=1e-4)


def test_energy_and_bins_are_counted_above_the_floor():
    # Masked magnitudes 1, 2, 2, 1 and 0.001 turned by 0, 45, 135, 180 and 180 degrees.
    mask = np.array([[1, 1j**0.5, 2 * 1j**1.5, -0.5, -1]])
    one = corrections(applied(mask, [[1, 2, 1, 2, 0.001]]))[0]
    total = whole(one)
    assert one.above_floor == 0.8
    assert total.rotated_bins == 0.5
    assert total.rotated_energy == pytest.approx(5 / 10)
    assert total.mean_deg == pytest.approx((4 * 45 + 4 * 135 + 180) / 10)
    assert one.histogram_energy[9] == pytest.approx(0.4)
    counted = corrections(applied(mask, [[1, 2, 1, 2, 0.001]]), floor_db=-70)[0]
    assert (counted.above_floor, whole(counted).rotated_bins) == (1, 0.6)


def test_the_noise_that_codecs_leave_of_silence_does_not_count(stems, rng):
    stems["b"] = (10 ** (-95 / 20) * rng.normal(size=(2, 6000))).astype("float32")
    noise = corrections(ideal_masks(stems, RATE, "complex", stft=FRONT))[1]
    assert noise.above_floor < 0.01
    stems["b"] *= 10 ** (35 / 20)
    heard = corrections(ideal_masks(stems, RATE, "complex", stft=FRONT))[1]
    assert heard.above_floor > 0.9
    assert whole(heard).mean_deg == pytest.approx(90, abs=3)  # any angle is as likely


def test_a_quarter_turn_is_not_more_than_a_quarter_turn():
    one = corrections(applied(np.full((1, 4), 2j), np.ones((1, 4))))[0]
    assert (whole(one).mean_deg, whole(one).rotated_bins) == (90, 0)


# Where


def test_frames_around_onsets_are_told_apart():
    n_before = 12
    own = np.r_[np.zeros(20), np.ones(40)] + 0j
    other = np.r_[np.zeros(40), np.full(20, 2.0)] + 0j
    mask = np.ones(60, complex)
    mask[20 - n_before : 20] = 1j
    mask[20], mask[21 : 21 + n_before] = 1j**1.5, -1
    found = applied([mask], [np.ones(60)], b=[other])
    found = replace(found, targets={"a": own[None, None], "b": other[None, None]})
    one = corrections(found, onset_s=n_before * found.frame_s)[0]
    found_at = places(one)
    assert one.n_onsets == 1
    for name, share, degrees in [
        ("before", n_before / 60, 90), ("at", 1 / 60, 135), ("after", n_before / 60, 180),
        ("elsewhere", (59 - 2 * n_before) / 60, 0),
    ]:  # fmt: skip
        assert found_at["own onset", name].bins == pytest.approx(share)
        assert found_at["own onset", name].mean_deg == pytest.approx(degrees, abs=1e-9)
    turned = n_before * 90 + 135 + n_before * 180
    assert found_at["own onset", "before"].correction == pytest.approx(n_before * 90 / turned)
    assert found_at["others' onset", "at"].bins == pytest.approx(1 / 60)
    assert found_at["others' onset", "before"].mean_deg == pytest.approx(
        180 * (21 + n_before - 28) / n_before
    )


def test_bins_are_alone_shared_or_covered_by_how_loud_the_rest_is():
    rest = 10 ** (np.array([[-30, -11, -9, 9, 11, 30]]) / 20) * 1j
    one = corrections(applied(1 / (1 + rest), 1 + rest, b=rest))[0]
    found = places(one)
    assert [found["rest", name].bins for name in ("alone", "shared", "covered")] == [1 / 3] * 3
    assert found["rest", "alone"].rotated_bins == 0
    assert found["rest", "shared"].mean_deg == pytest.approx(45)
    assert ("loudest other", "b") not in found


def test_the_loudest_other_is_named_where_the_source_is_not_alone():
    b, c = np.array([[0, 1, 2, 1]]), np.array([[0.01, 2, 1, 3]])
    one = corrections(applied(np.full((1, 4), -1.0), 1 + b + c, b=b, c=c))[0]
    found = places(one)
    assert found["loudest other", "b"].bins == 1 / 4
    assert found["loudest other", "c"].bins == 1 / 2


def test_bands_are_octaves(rng):
    mask = np.ones((FRONT.n_freq, 3))
    hz = FRONT.frequencies(RATE)
    mask[(hz >= 1000) & (hz < 2000)] = -1
    one = corrections(applied(mask, np.ones(mask.shape)))[0]
    found = {p.name: p for p in one.places if p.kind == "band"}
    assert list(found)[:2] == ["0-62.5 Hz", "62.5-125 Hz"]
    assert list(found)[-1] == "4000-8000 Hz"
    assert found["1000-2000 Hz"].rotated_bins == found["1000-2000 Hz"].correction == 1
    assert sum(p.rotated_energy > 0 for p in found.values()) == 1


@pytest.mark.parametrize(("axis", "name"), [(1, "along_time"), (0, "along_frequency")])
def test_lines_of_corrections_correlate_along_themselves_only(rng, axis, name):
    turned = rng.random((FRONT.n_freq, 300)) < 0.5
    turned[:] = np.take(turned, [0], axis=axis)
    one = corrections(applied(np.where(turned, -1, 1), np.ones(turned.shape)))[0]
    along = {"along_time": one.along_time, "along_frequency": one.along_frequency}
    assert along.pop(name) == pytest.approx(1)
    assert abs(along.popitem()[1]) < 0.2


@pytest.mark.parametrize(("width", "correlated"), [(3, 0.0), (5, 0.2), (8, 0.5)])
def test_bins_within_a_main_lobe_do_not_count_as_correlated(rng, width, correlated):
    """Runs of bins that turn together: of those four bins apart, 1 - 4 / width share a run."""
    runs = rng.random((FRONT.n_freq // width + 1, 2000)) < 0.5
    turned = np.repeat(runs, width, axis=0)[: FRONT.n_freq]
    one = corrections(applied(np.where(turned, -1, 1), np.ones(turned.shape)))[0]
    assert one.along_frequency == pytest.approx(correlated, abs=0.03)


@given(st.floats(0.5, 30), st.integers(0, 5))
def test_where_the_rest_is_quiet_corrections_are_small(margin_db, seed):
    rng = np.random.default_rng(seed)
    parts = {name: rng.normal(size=(1, 3000)) for name in "ab"}
    found = ideal_masks(parts, RATE, "complex_tanh", stft=FRONT)
    bound = math.degrees(math.asin(10 ** (-margin_db / 20)))
    for one in corrections(found, overlap_db=margin_db, floor_db=-200):
        alone = places(one)["rest", "alone"]
        assert alone.rotated_bins == 0
        assert alone.mean_deg <= bound
    for name, mask in found.masks.items():
        own, rest = abs(found.targets[name]), abs(found.mixture - found.targets[name])
        louder = own > rest * (1 + 1e-9)
        limit = np.degrees(np.arcsin(rest[louder] / own[louder]))
        assert (correction_deg(mask)[louder] <= limit + 1e-6).all()


@pytest.mark.parametrize("family", ["complex_tanh", "psm", "decoupled"])
def test_places_of_a_kind_share_out_the_whole(stems, family):
    for one in corrections(ideal_masks(stems, RATE, family, stft=FRONT)):
        total = whole(one)
        assert sum(one.histogram_bins) == pytest.approx(1)
        above = np.sum(one.histogram_energy[18:])
        assert above == pytest.approx(total.rotated_energy, abs=1e-3)
        for kind in ("own onset", "others' onset", "rest", "band"):
            found = [place for place in one.places if place.kind == kind and place.energy]
            assert sum(place.bins for place in found) == pytest.approx(1)
            assert sum(p.energy * p.mean_deg for p in found) == pytest.approx(total.mean_deg)
            assert sum(p.bins * p.rotated_bins for p in found) == pytest.approx(total.rotated_bins)
            assert sum(place.correction for place in found) == pytest.approx(1)


def test_neither_level_nor_order_matters(stems):
    one = corrections(ideal_masks(stems, RATE, "complex", stft=FRONT))
    again = {name: 2.0**-20 * stems[name] for name in ("c", "a", "b")}
    other = {c.source: c for c in corrections(ideal_masks(again, RATE, "complex", stft=FRONT))}
    for c in one:
        assert c.histogram_bins == pytest.approx(other[c.source].histogram_bins, abs=1e-3)
        assert whole(c).mean_deg == pytest.approx(whole(other[c.source]).mean_deg, rel=1e-3)
        assert c.n_onsets == other[c.source].n_onsets


# Onsets


def hits(rng, *starts_s, decay_s=0.05):
    time = np.arange(2 * RATE) / RATE
    total = np.zeros((1, 2 * RATE))
    for start in starts_s:
        after = time - start
        total += np.where(after >= 0, np.exp(-np.maximum(after, 0) / decay_s), 0)
    return total * rng.normal(size=total.shape)


def found_at_s(x, stft=FRONT):
    frame_s = stft.hop / RATE
    return np.flatnonzero(onsets(stft.analyze(x), frame_s=frame_s)) * frame_s


@pytest.mark.parametrize("stft", [FRONT, STFT(1024, 256), STFT(512, 256, "sqrt_hann")], ids=str)
def test_hits_are_found_where_they_are(rng, stft):
    starts = (0.31, 0.6, 1.0, 1.55)
    found = found_at_s(hits(rng, *starts), stft)
    assert len(found) == 4
    assert np.abs(found - starts).max() <= 1.5 * stft.hop / RATE


def test_a_quiet_hit_is_found_beside_a_steady_tone(rng):
    time = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * 440 * time)[None] * np.clip(10 * (2 - time), 0, 1)
    found = found_at_s(tone + 0.3 * hits(rng, 1.0))
    assert found[0] == 0
    assert found[1:] == pytest.approx([1.0], abs=0.006)


def test_level_does_not_matter_and_silence_has_no_onset(rng):
    x = hits(rng, 0.5, 1.2)
    np.testing.assert_array_equal(found_at_s(x), found_at_s(1e-6 * x))
    assert len(found_at_s(0 * x)) == 0


# Masks as they are applied


@pytest.mark.parametrize("family", masks.names())
def test_ideal_masks_are_those_of_the_oracle(stems, family):
    found = ideal_masks(stems, RATE, family, stft=FRONT)
    estimates = Oracle(stems, RATE, family, FRONT).separate(sum_of(stems), RATE)
    back = FRONT.window_values.sum() / 2
    for name, mask in found.masks.items():
        assert mask.shape == (2, FRONT.n_freq, FRONT.n_frames(6000))
        waveform = FRONT.synthesize(mask * found.mixture * back, 6000)
        np.testing.assert_allclose(waveform, estimates[name], atol=2e-3)


@pytest.mark.parametrize("family", ["complex_tanh", "deep_filter", "hybrid:complex:2000:irm1"])
def test_a_stretch_of_ideal_masks_is_cut_out_of_the_whole(stems, family):
    entire = ideal_masks(stems, RATE, family, stft=FRONT)
    part = ideal_masks(stems, RATE, family, stft=FRONT, start_s=0.1, duration_s=0.12)
    assert part.times_s == pytest.approx(np.arange(25, 55) * 64 / RATE)
    for name, mask in part.masks.items():
        np.testing.assert_allclose(mask, entire.masks[name][..., 25:55], atol=1e-3)
        np.testing.assert_allclose(part.targets[name], entire.targets[name][..., 25:55], atol=1e-6)


def load(path, kind):
    two = {"stems": ["a", "b"], "residual": "c", "task": "separate"}
    if kind == "recurrent":
        onnx_models.recurrent(path, n_parts=2, **two)
    elif kind == "chunks":
        onnx_models.hourglass(path, n_parts=2, **two)
    elif kind == "deep filter":
        mask = {"family": "deep_filter", "options": {"order": 3, "lookahead": 1}}
        onnx_models.recurrent(path, n_parts=6, mask=mask, lookahead_frames=1, **two)
    elif kind == "late":
        onnx_models.loudness(
            path, delay=2, mask={"family": "irm1", "options": {}}, stems=["a"], residual="c"
        )
    return load_model(path)


KINDS = ["recurrent", "chunks", "deep filter", "late"]


@pytest.mark.parametrize("kind", KINDS)
def test_masks_of_a_model_make_its_stems(tmp_path, stems, kind):
    model = load(tmp_path / "model.onnx", kind)
    found = model_masks(model, stems, RATE)
    estimates = model.separate(sum_of(stems), RATE, residual=True)
    assert set(found.masks) >= {"a", "c"}
    assert found.mixture.shape[-1] == model.frontend.n_frames(6000)
    for name, mask in found.masks.items():
        back = model.frontend.window_values.sum() / 2
        waveform = model.frontend.synthesize(mask * found.mixture * back, 6000)
        np.testing.assert_allclose(waveform, estimates[name], atol=1e-3)
    assert not np.allclose(found.masks["a"], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stretch_of_a_models_masks_is_cut_out_of_the_whole(tmp_path, rng, kind):
    model = load(tmp_path / "model.onnx", kind)
    stems = {name: rng.normal(size=(1, 5 * RATE)).astype("float32") for name in "abc"}
    entire = model_masks(model, stems, RATE)
    part = model_masks(model, stems, RATE, start_s=3.0, duration_s=0.5)
    assert part.first_frame == 1500
    for name, mask in part.masks.items():
        np.testing.assert_allclose(mask, entire.masks[name][..., 1500:1750], atol=1e-3)


@pytest.mark.parametrize("rate", [32000, 8000, 44100])
def test_at_another_rate_masks_end_with_the_models_band(tmp_path, stems, rate):
    onnx_models.constant(tmp_path / "m.onnx", [[0.3, 0.4]], stems=["a"], residual="rest")
    model = load_model(tmp_path / "m.onnx")
    found = model_masks(model, stems, rate)
    mask = 0.3 + 0.4j
    np.testing.assert_allclose(found.masks["a"], mask, atol=1e-5)
    np.testing.assert_allclose(found.masks["rest"], 1 - mask, atol=1e-5)
    assert found.stft == model.frontend.scaled(rate / RATE)
    assert found.frequencies_hz[-1] == pytest.approx(min(rate, RATE) / 2, rel=0.01)
    truth = found.stft.analyze(stems["b"] + stems["c"]) * 2 / found.stft.window_values.sum()
    np.testing.assert_allclose(
        found.targets["rest"], truth[:, : len(found.frequencies_hz)], atol=1e-5
    )


def test_beside_a_model_stands_the_oracle_of_its_family_on_its_bins(tmp_path, stems):
    onnx_models.constant(tmp_path / "m.onnx", [[0.3, 0.4]], stems=["a"], residual="rest")
    found = model_masks(load_model(tmp_path / "m.onnx"), stems, RATE, start_s=0.1)
    best = found.ideal(masks.get("complex"))
    assert best.name == "oracle of complex"
    assert list(best.masks) == list(found.masks) == ["a", "rest"]
    np.testing.assert_allclose(best.masks["a"] * best.mixture, found.targets["a"], atol=1e-5)
    np.testing.assert_array_equal(best.mixture, found.mixture)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_beside_a_model_a_crossover_lies_where_it_is_in_hz(tmp_path, stems, rate):
    mask = {"family": "hybrid:complex_tanh:2000:irm1", "options": {}}
    onnx_models.constant(tmp_path / "m.onnx", [[1.0, 0.0]], stems=["a"], residual="b", mask=mask)
    model = load_model(tmp_path / "m.onnx")
    best = model_masks(model, stems, rate).ideal(model.family)
    is_complex = np.abs(best.masks["a"].imag).max(axis=(0, 2)) > 0
    np.testing.assert_array_equal(is_complex[1:-1], best.frequencies_hz[1:-1] < 2000)


def test_only_some_sources_may_be_asked_for(stems):
    found = ideal_masks(stems, RATE, "irm1", stft=FRONT)
    assert [c.source for c in corrections(found.of(["c", "a"]))] == ["c", "a"]
    assert list(found.of(["c"]).targets) == ["a", "b", "c"]
    with pytest.raises(ConfigError, match="no mask of drums, x; there are a, b, c"):
        found.of(["drums", "a", "x"])


@pytest.mark.parametrize(
    "span", [{"start_s": -1}, {"start_s": 0.375}, {"duration_s": 0.0}, {"duration_s": math.nan}]
)
def test_a_stretch_outside_is_refused(stems, span):
    with pytest.raises(ConfigError, match=r"expected a stretch of the recording, which is 0\.4 s"):
        ideal_masks(stems, RATE, "irm1", stft=FRONT, **span)


def test_masks_and_targets_fit_the_mixture():
    with pytest.raises(ShapeError, match=r"mask of 'a'\(1, 1, 3\)"):
        applied(np.ones((1, 3)), np.ones((1, 4)))


@pytest.mark.parametrize(
    "settings", [{"floor_db": 0}, {"overlap_db": 0}, {"onset_s": 0}, {"floor_db": math.nan}]
)
def test_senseless_settings_are_refused(stems, settings):
    with pytest.raises(ConfigError, match="floor_db"):
        corrections(ideal_masks(stems, RATE, "irm1", stft=FRONT), **settings)


# In pieces


@pytest.mark.parametrize("family", ["irm1", "complex_tanh", "deep_filter"])
def test_corrections_of_pieces_are_those_of_the_whole(stems, family):
    stems = {name: np.tile(x, 4) for name, x in stems.items()}
    passage = ideal_passage(Sources(stems, RATE), family, stft=FRONT, start_s=0.1)
    assert sum(1 for _ in passage.pieces()) > 5
    assert_same(corrections(passage), corrections(of_pieces(passage.pieces())))


@pytest.mark.parametrize("kind", KINDS)
def test_corrections_of_a_model_in_pieces_are_those_of_the_whole(tmp_path, rng, kind):
    model = load(tmp_path / "model.onnx", kind)
    stems = {name: rng.normal(size=(1, 5 * RATE)).astype("float32") for name in "abc"}
    passage = model_passage(model, Sources(stems, RATE), start_s=1.0)
    assert sum(1 for _ in passage.pieces()) > 1
    assert_same(corrections(passage), corrections(of_pieces(passage.pieces())))


def assert_same(some, others):
    for one, other in zip(some, others, strict=True):
        assert (one.source, one.n_onsets) == (other.source, other.n_onsets)
        for name in ("above_floor", "along_time", "along_frequency", "histogram_energy"):
            expected = pytest.approx(getattr(other, name), rel=1e-9, nan_ok=True)
            assert getattr(one, name) == expected
        for here, there in zip(one.places, other.places, strict=True):
            assert (here.kind, here.name) == (there.kind, there.name)
            numbers = (astuple(place)[2:] for place in (here, there))
            np.testing.assert_allclose(*numbers, rtol=1e-9)


def test_oracles_beside_a_model_are_the_best_masks_of_its_bins(tmp_path, stems):
    mask = {"family": "hybrid:complex_tanh:2000:irm1", "options": {}}
    onnx_models.constant(tmp_path / "m.onnx", [[1.0, 0.0]], stems=["a"], residual="b", mask=mask)
    model = load_model(tmp_path / "m.onnx")
    sources = Sources({name: stems[name] for name in ("a", "b", "c")}, 44100)
    passage = model_passage(model, sources)
    best = of_pieces(passage.ideal(model.family).pieces())
    expected = of_pieces(passage.pieces()).ideal(model.family)
    assert list(best.masks) == list(expected.masks) == ["a", "b"]
    for name, found in best.masks.items():
        np.testing.assert_allclose(found, expected.masks[name], atol=1e-4)


@pytest.mark.parametrize(("most", "step"), [(1000, 1), (376, 1), (100, 4), (94, 4), (93, 5)])
def test_of_long_stretches_every_kth_frame_is_drawn(stems, most, step):
    passage = ideal_passage(
        Sources({n: np.tile(x, 4) for n, x in stems.items()}, RATE), "irm1", stft=FRONT
    )  # 376 frames
    thinned = Thinned(passage, channel=1, most=most)
    assert_same(corrections(thinned), corrections(passage))
    entire = of_pieces(passage.pieces())
    drawn = thinned.drawn()
    np.testing.assert_array_equal(thinned.times_s, entire.times_s[::step])
    np.testing.assert_array_equal(drawn.mixture[0], entire.mixture[1, :, ::step])
    for name, mask in drawn.masks.items():
        np.testing.assert_array_equal(mask[0], entire.masks[name][1, :, ::step])
        np.testing.assert_array_equal(drawn.targets[name][0], entire.targets[name][1, :, ::step])


def test_files_are_read_where_the_stretch_lies(tmp_path, stems):
    files = {name: tmp_path / f"{name}.wav" for name in stems}
    for name, path in files.items():
        audio.write(path, np.tile(stems[name], 4) / 8, RATE, subtype="FLOAT")
    waves = {name: audio.read(path)[0] for name, path in files.items()}
    span = {"start_s": 0.7, "duration_s": 0.4}
    here = ideal_masks(files, None, "complex", stft=FRONT, **span)
    there = ideal_masks(waves, RATE, "complex", stft=FRONT, **span)
    for name, mask in here.masks.items():
        np.testing.assert_array_equal(mask, there.masks[name])


def test_folded_sources_have_the_masks_of_their_sum(stems):
    folded = {"a": stems["a"] + stems["c"], "b": stems["b"]}
    here = ideal_masks(stems, RATE, "complex_tanh", stft=FRONT, fold={"c": "a"})
    there = ideal_masks(folded, RATE, "complex_tanh", stft=FRONT)
    assert list(here.masks) == list(here.targets) == list(folded)
    np.testing.assert_allclose(here.mixture, there.mixture, atol=1e-5)
    for name in folded:
        np.testing.assert_allclose(here.targets[name], there.targets[name], atol=1e-6)
        np.testing.assert_allclose(here.masks[name], there.masks[name], atol=1e-2)


def test_what_cannot_be_folded_has_no_masks(stems):
    with pytest.raises(ConfigError, match="fold d=a: there is no d"):
        ideal_masks(stems, RATE, "irm1", stft=FRONT, fold={"d": "a"})
