"""How masks are used: neutral settings change no bit, others act at once and without a click."""

from dataclasses import fields, replace

import numpy as np
import pytest

import onnx_models
from unmask import Settings, Streamer, load_model
from unmask.errors import ConfigError

RATE = 16000
PLAIN = {"mask": {"family": "complex", "options": {}}}
#: A value of every field that is not neutral.
TURNED = {"sensitivity": 2.0, "linked": True, "extend": False, "limit_db": 6.0}
TURNED |= {"gains": {"speech": 0.5}}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return load_model(onnx_models.recurrent(folder / "m.onnx", n_parts=2))


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A model that passes half of everything, at 16 kHz."""
    path = tmp_path_factory.mktemp("models") / "half.onnx"
    return load_model(onnx_models.constant(path, [[0.5, 0.0]], **PLAIN))


def noise(n_channels, n_samples, seed=0):
    shape = (n_channels, n_samples)
    return 0.1 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def sine(n_samples, hz=440, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(n_samples) / rate)[None]


def changed_at(model, mixture, place, settings, *, block=160, rate=RATE):
    """Stream blocks, with other settings from the one at `place` on; return all parts."""
    streamer = Streamer(model, sample_rate=rate, n_channels=len(mixture), residual=True)
    parts = []
    for k in range(0, mixture.shape[1], block):
        if k == place:
            streamer.settings = settings
        parts.append(streamer.process(mixture[:, k : k + block]))
    parts.append(streamer.flush())
    return {stem: np.concatenate([part[stem] for part in parts], axis=1) for stem in parts[0]}


def test_every_setting_is_tried_here():
    assert TURNED.keys() == {f.name for f in fields(Settings)}


@pytest.mark.parametrize("residual", [True, False])
def test_neutral_settings_change_no_bit(model, residual):
    mixture = noise(2, 5000)
    for gains in ({}, {"speech": 1.0, "noise": 1.0}):
        neutral = Settings(sensitivity=1.0, linked=False, extend=True, limit_db=None, gains=gains)
        found = model.separate(mixture, 44100, residual=residual, settings=neutral)
        plain = model.separate(mixture, 44100, residual=residual)
        assert found.keys() == plain.keys()
        for stem, samples in plain.items():
            np.testing.assert_array_equal(found[stem], samples)


@pytest.mark.parametrize("name", TURNED)
def test_every_setting_is_heard_and_any_cut_is_the_file(model, name):
    mixture, settings = noise(2, 6000), Settings(**{name: TURNED[name]})
    found = model.separate(mixture, 44100, residual=True, settings=settings)
    plain = model.separate(mixture, 44100, residual=True)
    assert np.abs(found["speech"] - plain["speech"]).max() > 1e-3
    streamer = Streamer(model, sample_rate=44100, n_channels=2, residual=True, settings=settings)
    parts = [streamer.process(mixture[:, k : k + 77]) for k in range(0, 6000, 77)]
    parts.append(streamer.flush())
    for stem in found:
        cut = np.concatenate([part[stem] for part in parts], axis=1)
        np.testing.assert_allclose(cut, found[stem], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", TURNED.keys() - {"linked"})
def test_a_change_while_it_runs_is_the_one_before_and_the_other_after(model, name):
    mixture, rate = noise(2, 48000), 48000
    settings = Settings(**{name: TURNED[name]})
    before = model.separate(mixture, rate, residual=True)
    after = model.separate(mixture, rate, residual=True, settings=settings)
    found = changed_at(model, mixture, 16000, settings, rate=rate)
    latency, ramp = Streamer(model, sample_rate=rate).latency, rate // 50
    for stem in before:
        np.testing.assert_allclose(
            found[stem][:, : 16000 - latency], before[stem][:, : 16000 - latency], atol=1e-6
        )
        settled = 16000 + latency + ramp
        np.testing.assert_allclose(found[stem][:, settled:], after[stem][:, settled:], atol=1e-6)


@pytest.mark.parametrize(
    "settings", [Settings(gains={"speech": 0.0}), Settings(limit_db=0.0), Settings(sensitivity=4.0)]
)
def test_a_change_does_not_click(half, settings):
    """A click is a step between samples that no sine of this level and frequency has."""
    tone = sine(RATE)
    found = changed_at(half, tone, 8000, settings)["speech"]
    steepest = np.abs(np.diff(tone)).max()
    assert np.abs(np.diff(found)).max() < 1.1 * steepest
    assert np.abs(found[:, -2000:]).max() != pytest.approx(np.abs(found[:, :2000]).max(), rel=0.1)


def test_a_ramp_goes_on_from_where_the_last_one_was(half):
    tone = sine(4000)
    streamer = Streamer(half)
    quiet, loud = Settings(gains={"speech": 0.0}), Settings(gains={"speech": 2.0})
    parts = []
    for k in range(0, 4000, 100):
        if k in (1000, 1100, 1200):
            streamer.settings = loud if k == 1100 else quiet
        parts.append(streamer.process(tone[:, k : k + 100])["speech"])
    found = np.concatenate(parts, axis=1)
    assert np.abs(np.diff(found)).max() < 2 * np.abs(np.diff(tone)).max()


def test_gains_and_limit_are_what_they_say(half):
    mixture = noise(1, 4000)
    settings = Settings(gains={"speech": 2.0, "noise": 0.5})
    parts = half.separate(mixture, RATE, residual=True, settings=settings)
    np.testing.assert_allclose(parts["speech"], mixture, atol=1e-6)
    np.testing.assert_allclose(parts["noise"], 0.25 * mixture, atol=1e-6)
    parts = half.separate(mixture, RATE, residual=True, settings=Settings(limit_db=20.0))
    np.testing.assert_allclose(parts["speech"], 0.55 * mixture, atol=1e-6)
    np.testing.assert_allclose(parts["noise"], 0.45 * mixture, atol=1e-6)
    alone = half.separate(mixture, RATE, settings=Settings(limit_db=20.0))
    np.testing.assert_array_equal(alone["speech"], parts["speech"])


def test_what_is_above_the_models_band_is_left_in_the_residual_without_extension(half):
    low, high = sine(48000, 3000, 48000), sine(48000, 15000, 48000)
    parts = half.separate(low + high, 48000, residual=True, settings=Settings(extend=False))
    middle = slice(4800, -4800)
    np.testing.assert_allclose(parts["speech"][:, middle], 0.5 * low[:, middle], atol=1e-3)
    expected = 0.5 * low + high
    np.testing.assert_allclose(parts["noise"][:, middle], expected[:, middle], atol=1e-3)


def test_linked_cannot_be_changed_while_it_runs(model):
    streamer = Streamer(model, n_channels=2)
    with pytest.raises(ConfigError, match="linked: cannot be changed while a stream runs"):
        streamer.settings = Settings(linked=True)
    with pytest.raises(ConfigError, match="gains: model test has no stem guitar"):
        streamer.settings = replace(streamer.settings, gains={"guitar": 1.0})
    assert streamer.settings == Settings()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gains": {"speech": -1.0}}, "expected finite factors >= 0"),
        ({"gains": {"speech": np.inf}}, "expected finite factors >= 0"),
        ({"limit_db": -1.0}, "limit_db: -1.0, expected >= 0"),
        ({"limit_db": np.nan}, "limit_db: nan, expected >= 0"),
        ({"sensitivity": 5.0}, "sensitivity: 5.0, expected 0.25 to 4"),
    ],
)
def test_values_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        Settings(**settings)
