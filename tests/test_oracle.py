import functools

import numpy as np
import pytest

import onnx_models
from unmask import audio, load_model, masks, mixtures
from unmask.errors import ConfigError, SampleRateError, ShapeError
from unmask.frontends import STFT
from unmask.metrics import sdr
from unmask.mixtures import Sources, sum_of
from unmask.oracle import Oracle, bounds, masked, song_disjointness
from unmask.stems import read_stems

SMALL = STFT(256, 64)


@pytest.fixture
def stems(rng):
    return {name: rng.normal(size=(2, 3000)) for name in ("a", "b", "c")}


def scored(stems, rate, families, stft=SMALL):
    """The scores of doing nothing and of the ideal masks of families."""
    return bounds(Sources(stems, rate), ["mixture", *families], stft)


@pytest.mark.parametrize("name", [*masks.names(), "hybrid:complex:1000:irm1"])
def test_an_oracle_is_the_family_on_the_whole_spectrum(name, stems):
    mixture = sum_of(stems)
    estimates = Oracle(stems, 8000, name, SMALL).separate(mixture, 8000)
    family = masks.get(name, sample_rate=8000)
    spectrum = SMALL.analyze(mixture)
    ideal = family.ideal(SMALL.analyze(np.stack(list(stems.values()))), spectrum)
    expected = SMALL.synthesize(family.apply(ideal, spectrum), 3000)
    assert list(estimates) == ["a", "b", "c"]
    assert np.allclose(np.stack(list(estimates.values())), expected)


@pytest.mark.parametrize("name", ["irm2", "deep_filter"])
def test_pieces_leave_no_seam(name, rng, monkeypatch):
    stems = {name: rng.normal(size=(1, 5000)) for name in ("a", "b")}
    whole = Oracle(stems, 8000, name, SMALL).separate(sum_of(stems), 8000)
    monkeypatch.setattr(STFT, "pieces", functools.partialmethod(STFT.pieces, n_frames=7))
    parts = Oracle(stems, 8000, name, SMALL).separate(sum_of(stems), 8000)
    assert np.allclose(whole["a"], parts["a"], atol=1e-12)


@pytest.mark.parametrize("n_samples", [1, 63, 64, 65, 1000])
def test_output_is_as_long_as_the_mixture(n_samples, rng):
    stems = {"a": rng.normal(size=(1, n_samples)), "b": rng.normal(size=(1, n_samples))}
    out = Oracle(stems, 8000, "irm1", SMALL).separate(sum_of(stems), 8000)
    assert out["a"].shape == (1, n_samples)
    assert np.allclose(out["a"] + out["b"], sum_of(stems))


def test_what_the_stems_leave_counts_as_a_source(stems):
    mixture = sum_of(stems)
    del stems["c"]
    out = Oracle(stems, 8000, "irm1", SMALL).separate(mixture, 8000)
    assert set(out) == {"a", "b"}
    # "c" takes its share, so the two do not add up to the mixture, and score as with it
    assert float(sdr(out["a"] + out["b"], mixture)) < 10


@pytest.mark.parametrize(("level_db", "n_sources"), [(-85, 3), (-95, 2)])
def test_what_the_stems_leave_counts_from_90_db_below_the_mixture(rng, level_db, n_sources):
    """Ideal masks of the magnitudes share out all of the mixture: what is missing is the rest's."""
    stems = {name: rng.uniform(-0.5, 0.5, size=(1, 3000)) for name in "ab"}
    rest = np.zeros((1, 3000))
    rest[0, 1000:1100] = 10 ** (level_db / 20) * np.abs(sum_of(stems)).max()
    mixture = sum_of(stems) + rest
    out = Oracle(stems, 8000, "irm1", SMALL).separate(mixture, 8000)
    whole = np.abs(sum_of(out) - mixture).max() < 1e-9
    assert whole == (n_sources == 2)


def test_bounds_yield_every_stem_of_every_family(stems):
    rows = scored(stems, 8000, ["irm1", "complex"])
    assert [(row.mask, row.stem) for row in rows] == [
        (mask, stem) for mask in ("mixture", "irm1", "complex") for stem in "abc"
    ]
    found = {(row.mask, row.stem): row.sdr for row in rows}
    for stem in "abc":
        assert found["mixture", stem] < found["irm1", stem] < found["complex", stem]
        assert found["complex", stem] >= 100
    assert found["mixture", "a"] == pytest.approx(float(sdr(sum_of(stems), stems["a"])), abs=1e-9)


def test_a_silent_stem_scores_nan_and_the_others_do_not(stems):
    stems["b"] = np.zeros((2, 3000))
    rows = scored(stems, 8000, ["irm2"])
    assert [np.isnan(row.sdr) for row in rows] == [False, True, False] * 2


def test_multichannel_wiener_oracle_adds_up(stems):
    mixture = sum_of(stems)
    out = Oracle(stems, 8000, "multichannel_wiener", SMALL).separate(mixture, 8000)
    assert np.allclose(sum_of(out), mixture)
    assert float(sdr(out["a"], stems["a"])) > float(sdr(mixture, stems["a"])) + 3


def test_order_of_families_on_a_real_song(shared):
    """With the real multitrack at hand: the order that the literature leads to expect."""
    stems, rate = read_stems(shared / "audio/music/ev3/2.Lithium")
    stems = {name: x[:, 114 * rate : 120 * rate] for name, x in stems.items()}
    chain = ["irm1", "ibm_argmax", "irm2", "psm_unit", "complex_tanh", "complex"]
    hybrid = "hybrid:complex_tanh:6000:irm1"
    rows = scored(stems, rate, [*chain, hybrid], STFT())
    mean = {m: np.mean([r.sdr for r in rows if r.mask == m]) for m in [*chain, hybrid]}
    assert sorted(chain, key=mean.__getitem__) == chain
    assert mean["complex"] >= 100
    assert mean["complex_tanh"] - mean[hybrid] < 0.5


def test_a_mixture_that_does_not_fit_is_refused(stems):
    mixture = sum_of(stems)
    with pytest.raises(SampleRateError, match="16000 Hz, the stems have 8000 Hz"):
        Oracle(stems, 8000).separate(mixture, 16000)
    with pytest.raises(
        ShapeError, match=r"stem 'a' has shape \(2, 3000\), the mixture \(2, 2999\)"
    ):
        Oracle(stems, 8000).separate(mixture[:, 1:], 8000)
    with pytest.raises(ConfigError, match="no mask family named 'best'"):
        Oracle(stems, 8000, "best").separate(mixture, 8000)


def test_disjointness_of_a_song_is_that_of_its_spectrum(rng, monkeypatch):
    stems = {"tone": np.sin(0.3 * np.arange(5000))[None], "noise": 0.1 * rng.normal(size=(1, 5000))}
    whole = masks.disjointness(SMALL.analyze(np.stack(list(stems.values())))).wdo
    monkeypatch.setattr(STFT, "pieces", functools.partialmethod(STFT.pieces, n_frames=7))
    pieces = song_disjointness(Sources(stems, 8000), SMALL)
    assert list(pieces) == ["tone", "noise"]
    # the last frame, half of which lies beyond the end, counts only in the first
    assert np.allclose(list(pieces.values()), whole, atol=2e-3)
    assert pieces["tone"] > 0.95


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 48000])
def test_the_bound_of_a_models_hybrid_does_not_depend_on_the_rate_of_the_file(tmp_path, rate):
    """Noise below 3.5 kHz at 96 kHz, resampled; the model's crossover is at 1 kHz."""
    mask = {"family": "hybrid:complex_tanh:1000:psm_unit", "options": {}}
    onnx_models.constant(tmp_path / "m.onnx", [[1.0, 0.0]], mask=mask)
    model, rng = load_model(tmp_path / "m.onnx"), np.random.default_rng(0)

    def bound(at):
        found = {name: audio.resample(x, 96000, at) for name, x in stems.items()}
        oracle = Oracle(found, at, model.family_at(at), model.stft_at(at))
        return float(sdr(oracle.separate(sum_of(found), at)["a"], found["a"]))

    low = np.arange(96001) < 2 * 3500
    stems = {name: np.fft.irfft(low * np.fft.rfft(rng.normal(size=(1, 192000)))) for name in "ab"}
    assert bound(rate) == pytest.approx(bound(96000), abs=0.1)


@pytest.mark.parametrize("name", ["irm2", "deep_filter", "complex_tanh", "multichannel_wiener"])
def test_bounds_in_pieces_are_those_of_the_whole(tmp_path, rng, monkeypatch, name):
    stems = {stem: rng.uniform(-0.3, 0.3, size=(2, 5000)).astype("float32") for stem in "ab"}
    for stem, waveform in stems.items():
        audio.write(tmp_path / f"{stem}.wav", waveform, 8000, subtype="FLOAT")
    whole = Oracle(stems, 8000, name, SMALL).separate(sum_of(stems), 8000)
    monkeypatch.setattr(mixtures, "_BLOCK", 999)
    monkeypatch.setattr(STFT, "pieces", functools.partialmethod(STFT.pieces, n_frames=7))
    sources = Sources({stem: tmp_path / f"{stem}.wav" for stem in stems})
    found = list(masked(sources, [name], SMALL))
    assert len(found) > 5
    estimates = np.concatenate([piece.estimates for piece in found], axis=-1)
    assert np.allclose(estimates, np.stack(list(whole.values())), atol=1e-3)
    for row in bounds(sources, [name], SMALL):
        expected = float(sdr(whole[row.stem], stems[row.stem]))
        # Above 120 dB is the rounding of float32.
        assert min(row.sdr, 120) == pytest.approx(min(expected, 120), abs=0.01)
