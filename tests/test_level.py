"""What is separated does not depend on the level of a recording, nor on what is below all bins."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import model_files
import onnx_models
from unmask import audio
from unmask.engine.framing import slow
from unmask.engine.level import Level, RunningLevel
from unmask.engine.model import bundled, load_model
from unmask.engine.settings import Settings
from unmask.engine.stream import Streamer
from unmask.errors import ConfigError, ModelError
from unmask.frontends import STFT, Frames
from unmask.metrics import si_sdr
from unmask.recipe import from_dict

DEMO = Path(__file__).parents[1] / "assets" / "demo"
LEVEL = {"level": {"rms": 0.3, "seconds": 0.02}}
KINDS = {
    "streaming": ("complex_tanh", {"slow_terms": 2}),
    "joint": ("complex_tanh", {"slow_terms": 1, "channels": 2, "stems": ["a", "b"]}),
    "deep filter": ("deep_filter", {"options": {"order": 3}}),
    "chunks": ("complex_tanh", {"backbone": "unet", "slow_terms": 2}),
    "learned": ("irm1", {"frontend": model_files.LEARNED, "stems": ["a", "b"]}),
}


@pytest.fixture(scope="module", params=KINDS)
def model(request, tmp_path_factory):
    family, changes = KINDS[request.param]
    path = tmp_path_factory.mktemp("level") / "model.onnx"
    return load_model(model_files.write(path, family, **LEVEL, **changes))


@pytest.fixture(scope="module")
def slowless(tmp_path_factory):
    """Return a random model that hears one level, and nothing of a constant or a slope."""
    path = tmp_path_factory.mktemp("slow") / "model.onnx"
    return load_model(onnx_models.recurrent(path, n_parts=2, slow_terms=2, **LEVEL))


def recording(n_samples=3000, pause=0.0):
    """Two channels that become louder and have a pause."""
    x = np.random.default_rng(0).standard_normal((2, n_samples))
    x *= np.linspace(0.01, 0.3, n_samples)
    x[:, n_samples // 3 : n_samples // 2] *= pause
    return x.astype(np.float32)


def separated(model, mixture):
    return np.stack(list(model.separate(mixture, 16000, residual=True).values()))


@pytest.mark.parametrize("gain", [2.0**-30, 1e-4, 30.0, 32768.0, 1e15])
def test_stems_are_proportional_to_the_mixture(model, gain):
    expected = separated(model, recording())
    found = separated(model, np.float32(gain) * recording()) / np.float32(gain)
    assert np.std(expected[0]) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_a_network_without_a_level_hears_what_there_is(tmp_path):
    model = load_model(onnx_models.loudness(tmp_path / "loud.onnx", delay=0, **REAL))
    ratio = separated(model, recording())[0] / np.maximum(separated(model, 2 * recording())[0], 1)
    assert not np.allclose(ratio, 0.5)


@given(st.lists(st.integers(0, 3000), max_size=6))
def test_any_cut_gives_the_same_samples(slowless, cuts):
    mixture = recording() + np.float32(0.1)
    streamer = Streamer(slowless, n_channels=2, residual=True)
    parts = [streamer.process(block) for block in np.split(mixture, sorted(cuts), axis=1)]
    parts.append(streamer.flush())
    found = np.concatenate([np.stack(list(part.values())) for part in parts], axis=-1)
    np.testing.assert_allclose(found, separated(slowless, mixture), rtol=0, atol=3e-6)


SUMMING = {"slow_terms": 1, "slow_stem": "b", "residual": None, "channels": 2, "stems": ["a", "b"]}


def test_without_a_residual_an_offset_goes_into_the_stem_that_is_named(tmp_path):
    path = model_files.write(tmp_path / "sums.onnx", "consistent:complex", **LEVEL, **SUMMING)
    streamer, mixture = Streamer(load_model(path), n_channels=2), recording(pause=0.1)
    found = [model_of(streamer, mixture + np.float32(offset)) for offset in (0, 0.1)]
    assert min(np.std(part) for part in found[0].values()) > 1e-3
    assert not np.allclose(found[0]["a"], mixture, atol=1e-3)
    for parts, offset in zip(found, (0, 0.1), strict=True):
        np.testing.assert_allclose(parts["a"], found[0]["a"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(
            parts["a"] + parts["b"], mixture + np.float32(offset), rtol=0, atol=1e-6
        )
    streamer.settings = Settings(sensitivity=2.0)  # masks no longer sum to one
    found = model_of(streamer, mixture + np.float32(0.1))
    assert abs(np.mean(found["a"] + found["b"] - mixture)) < 0.05
    assert np.std(found["a"] + found["b"]) > 1e-3


def model_of(streamer, mixture):
    """Return the stems of a whole recording."""
    parts = [streamer.process(mixture), streamer.flush()]
    return {stem: np.concatenate([part[stem] for part in parts], axis=1) for stem in parts[0]}


@pytest.mark.parametrize("gain", [1.0, 1e-3])
@pytest.mark.parametrize("n_samples", [20, 700, 3000])
@pytest.mark.parametrize("offset", [0.1, -0.03])
def test_an_offset_and_a_slope_stay_in_the_residual(slowless, offset, n_samples, gain):
    mixture = np.float32(gain) * recording(n_samples, pause=0.1)
    below = np.float32(offset) + np.linspace(0, 0.02, n_samples, dtype=np.float32)
    stem, _ = separated(slowless, mixture)
    with_offset, rest = separated(slowless, mixture + below)
    np.testing.assert_allclose(with_offset, stem, rtol=0, atol=3e-3 * np.abs(stem).max())
    np.testing.assert_allclose(with_offset + rest, mixture + below, rtol=0, atol=1e-6)


def test_silence_stays_silence(model):
    assert not separated(model, np.zeros((2, 900), np.float32)).any()


@given(st.lists(st.floats(0, 4).map(lambda x: 0 if x < 0.1 else x), min_size=1, max_size=30))
def test_the_level_is_the_mean_of_the_rms_of_frames_until_its_time_has_passed(levels):
    running = RunningLevel(
        Level(rms=0.5, seconds=1e9), Frames(10, 5), hop_s=1, n_signals=1, n_channels=2
    )
    frames = np.ones((2, len(levels), 10), np.float32) * np.float32(levels)[:, None]
    gains = running.gains(frames)[0, :, 0]
    for k, gain in enumerate(gains):
        heard = [x for x in levels[: k + 1] if x]
        assert gain == pytest.approx(0.5 / np.mean(heard) if heard else 0, rel=1e-5)


def test_after_its_time_constant_a_level_has_gone_most_of_the_way():
    running = RunningLevel(
        Level(rms=1, seconds=1), Frames(10, 5), hop_s=1e-3, n_signals=1, n_channels=1
    )
    before, after = np.full((1, 9000, 10), 1.0), np.full((1, 1000, 10), 0.01)
    gains = running.gains(np.concatenate([before, after], axis=1).astype(np.float32))
    assert 1 / gains[0, -1, 0] == pytest.approx(0.01 + 0.99 / math.e, rel=1e-3)


def test_noise_has_its_rms_in_frames_of_a_transform(rng):
    stft = STFT(512, 256)
    running = RunningLevel(Level(rms=1, seconds=100), stft, hop_s=0.016, n_signals=1, n_channels=1)
    x = 0.02 * rng.standard_normal((1, 100_000))
    spectrum = np.ascontiguousarray((stft.analyze(x) * stft.unit).swapaxes(-1, -2))
    gains = running.gains(spectrum.astype(np.complex64).view(np.float32))
    assert gains[0, -1, 0] == pytest.approx(1 / 0.02, rel=0.02)


def test_what_is_slow_is_a_polynomial_under_the_window():
    window = np.sqrt(np.hanning(513)[:-1])
    terms = slow(window, 3)
    np.testing.assert_allclose(terms @ terms.T, np.eye(3), atol=1e-6)
    time = np.arange(512) / 512
    parabola = window * (1 - 3 * time + 5 * time**2)
    np.testing.assert_allclose(parabola @ terms.T @ terms, parabola, atol=1e-5)
    voice = window * np.sin(2 * np.pi * 4 * time)
    assert np.linalg.norm(terms[:2] @ voice) < 0.03 * np.linalg.norm(voice)


def test_a_window_of_few_samples_has_few_terms():
    assert not slow(np.zeros(8), 2).any()
    np.testing.assert_array_equal(slow(np.eye(8)[2], 2), [np.eye(8)[2], np.zeros(8)])


@pytest.mark.parametrize("name", [name for name in bundled() if name.startswith("denoise")])
def test_bundled_denoisers_are_as_good_at_every_level_and_with_an_offset(name):
    model = load_model(name)
    mixture, rate = audio.read(DEMO / "mixture.flac")
    speech, _ = audio.read(DEMO / "speech.flac")
    mixture, speech = mixture[:, : 3 * rate], speech[:, : 3 * rate]
    gains = 10 ** (np.array([-90, -60, 20]) / 20) / np.sqrt(np.mean(mixture**2))
    changed = [np.float32(gain) * mixture for gain in gains]
    changed += [np.rint(mixture * 32768).astype(np.float32), mixture + np.float32(0.1)]
    changed += [np.float32(0.01) * mixture - np.float32(0.1)]
    own = si_sdr(model.separate(mixture, rate)["speech"], speech)
    for other in changed:
        assert si_sdr(model.separate(other, rate)["speech"], speech) == pytest.approx(own, abs=0.1)


REAL = {"mask": {"family": "iam", "options": {}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"level": 0.1}, "metadata field level is 0.1, expected null or"),
        ({"level": {"rms": 0.0, "seconds": 1.0}}, "metadata field level"),
        ({"level": {"rms": 1.0}}, "metadata field level"),
        ({"slow_terms": 9}, "metadata field slow_terms is 9, expected 0 to 8"),
        ({"slow_terms": True}, "metadata field slow_terms is True"),
        ({"slow_stem": "bass"}, "metadata field slow_stem is 'bass', expected a stem of a model"),
    ],
)
def test_metadata_that_say_no_level_are_refused(tmp_path, changes, message):
    with pytest.raises(ModelError, match=message):
        load_model(onnx_models.constant(tmp_path / "bad.onnx", [[1, 0]], **changes))


def test_masks_that_add_have_the_level_that_they_were_trained_at(tmp_path):
    with pytest.raises(ModelError, match=r"level is .*decoupled add is of one level"):
        load_model(model_files.write(tmp_path / "bad.onnx", "decoupled", **LEVEL))


def test_a_learned_front_end_has_no_slow_terms(tmp_path):
    with pytest.raises(ModelError, match="slow_terms is 1, expected 0 with a learned"):
        load_model(
            model_files.write(
                tmp_path / "bad.onnx", "irm1", frontend=model_files.LEARNED, slow_terms=1
            )
        )
    with pytest.raises(ConfigError, match="slow_terms = 1, expected 0"):
        from_dict({"frontend": {"kind": "learned", "slow_terms": 1}, "head": {"mask": "irm1"}})


def test_a_recipe_says_what_level_its_network_will_hear():
    frontend = from_dict({"frontend": {"level": {"rms": 0.1, "seconds": 2.0}}}).frontend
    assert dict(frontend.level) == {"rms": 0.1, "seconds": 2.0}
    with pytest.raises(ConfigError, match="frontend: level"):
        from_dict({"frontend": {"level": {"rms": 0.1}}})
