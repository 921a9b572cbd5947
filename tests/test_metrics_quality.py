"""Spectral and speech metrics against the programs that made them known, and closed forms."""

import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from unmask.errors import ConfigError, MissingExtraError, SampleRateError, ShapeError, SignalError
from unmask.metrics import (
    Resolution,
    bleed,
    composite,
    log_wmse,
    pesq,
    segmental_snr,
    stft_distance,
    stoi,
)

parts = importlib.import_module("unmask.metrics.composite")
mel = importlib.import_module("unmask.metrics.bleed")
wmse = importlib.import_module("unmask.metrics.log_wmse")

RATE = 16000
PLAIN = {
    "segmental_snr": lambda e, t: segmental_snr(e, t, sample_rate=RATE),
    "stft_distance": stft_distance,
    "pesq": lambda e, t: pesq(e, t, sample_rate=RATE),
    "stoi": lambda e, t: stoi(e, t, sample_rate=RATE),
    "estoi": lambda e, t: stoi(e, t, sample_rate=RATE, extended=True),
    "csig": lambda e, t: composite(e, t).csig,
    "bleedless": lambda e, t: bleed(e, t, sample_rate=RATE).bleedless,
    "fullness": lambda e, t: bleed(e, t, sample_rate=RATE).fullness,
}


@pytest.fixture(scope="module")
def stored():
    """Estimate, target and mixture of one channel, and what other programs say of them."""
    with np.load(Path(__file__).parent / "references/quality.npz") as file:
        arrays = dict(file)
    signals = {name: arrays[name][None] / 32768 for name in ("estimate", "target", "mixture")}
    return arrays | signals


@pytest.fixture
def pair(stored):
    return stored["estimate"], stored["target"]


def test_numbers_of_other_programs(stored, pair):
    def close(found, name, tolerance=1e-9):
        assert float(found) == pytest.approx(float(stored[name]), abs=tolerance)

    estimate, target = (x[0] for x in pair)
    close(segmental_snr(*pair, sample_rate=RATE)[0], "segmental_snr")
    close(parts._log_likelihood_ratio(estimate, target), "log_likelihood_ratio", 1e-7)
    close(parts._spectral_slope(estimate, target), "spectral_slope")
    close(stft_distance(*pair)[0], "stft_distance", 1e-6)
    close(log_wmse(*pair, mixture=stored["mixture"], sample_rate=44100), "log_wmse", 1e-2)


def test_composite_is_the_fit_of_hu_and_loizou(pair):
    estimate, target = (x[0] for x in pair)
    quality = pesq(*pair, sample_rate=RATE)[0]
    likelihood = parts._log_likelihood_ratio(estimate, target)
    slope = parts._spectral_slope(estimate, target)
    snr = segmental_snr(*pair, sample_rate=RATE)[0]
    found = composite(*pair)
    expected = (
        3.093 - 1.029 * likelihood + 0.603 * quality - 0.009 * slope,
        1.634 + 0.478 * quality - 0.007 * slope + 0.063 * snr,
        1.594 + 0.805 * quality - 0.512 * likelihood - 0.007 * slope,
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == (1,)
        assert ours[0] == pytest.approx(np.clip(theirs, 1, 5))


def test_a_perfect_estimate(pair):
    target = pair[1]
    assert segmental_snr(target + 0.001, target + 0.001, sample_rate=RATE)[0] == pytest.approx(35)
    assert stft_distance(target, target)[0] == 0
    assert bleed(target, target, sample_rate=RATE) == (100, 100)
    assert log_wmse(target, target, mixture=target, sample_rate=RATE) == pytest.approx(73.683, 1e-4)
    assert pesq(target, target, sample_rate=RATE)[0] == pytest.approx(4.64, abs=0.01)
    assert stoi(target, target, sample_rate=RATE)[0] == pytest.approx(1)
    assert composite(target, target).covl[0] == 5


@pytest.mark.parametrize("name", sorted(PLAIN.keys() - {"fullness"}))
def test_more_noise_is_worse(rng, pair, name):
    target = np.stack(3 * [pair[1]])
    noise = np.std(target) * rng.standard_normal(target.shape[-1])
    estimate = target + np.array([0.03, 0.3, 3])[:, None, None] * noise
    scores = np.ravel(PLAIN[name](estimate, target))
    ordered = np.sort(scores) if name == "stft_distance" else np.sort(scores)[::-1]
    np.testing.assert_array_equal(scores, ordered)
    assert scores[0] != scores[-1]


@pytest.mark.parametrize("name", PLAIN)
def test_every_library_and_type_and_a_silent_target(xp, pair, name):
    estimate, target = (np.stack([x, x]).astype("f4") for x in pair)
    target[1] = 0
    scores = PLAIN[name](xp.asarray(estimate), xp.asarray(target))
    assert type(scores) is type(xp.asarray(target))
    assert scores.dtype == xp.float32
    found = np.asarray(scores).reshape(2)
    assert np.isfinite(found[0])
    assert np.isnan(found[1])
    assert np.isnan(np.asarray(PLAIN[name](xp.asarray(estimate * 0), xp.asarray(target)))[1]).all()


def test_segmental_snr_of_a_steady_ratio(rng):
    target = rng.standard_normal((2, 8000))
    for ratio_db, expected in ((15, 15), (50, 35), (-30, -10)):
        error = 10 ** (-ratio_db / 20) * target
        found = segmental_snr(target + error, target, sample_rate=8000)
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_segmental_snr_counts_pauses_with_the_lowest_value(rng):
    target = rng.standard_normal((1, 16000))
    target[:, 8000:] = 0
    found = segmental_snr(target, target, sample_rate=8000)
    assert found[0] == pytest.approx((35 - 10) / 2, abs=1)


def test_stft_distance_of_half_the_level(rng):
    target = 100 * rng.standard_normal((1, 8000))
    found = stft_distance(0.5 * target, target, resolutions=[Resolution(256, 64, 200)])
    assert found[0] == pytest.approx(0.5 + math.log(2), abs=1e-6)


def test_bleed_of_a_gain_is_its_decibels(rng):
    target = rng.standard_normal((2, 44100))
    louder = bleed(10 ** (3 / 20) * target, target, sample_rate=44100)
    assert louder.bleedless == pytest.approx(100 / 4)
    assert louder.fullness == 100
    quieter = bleed(10 ** (-9 / 20) * target, target, sample_rate=44100)
    assert quieter.fullness == pytest.approx(100 / 10)
    assert quieter.bleedless == 100


def test_mel_filters_are_triangles_of_equal_area():
    filters = mel._mel_filters(44100)
    assert filters.shape == (2049, 512)
    areas = filters[:, 400:].sum(axis=0) * 44100 / 4096
    np.testing.assert_allclose(areas, 1, atol=0.02)
    assert (np.diff(filters[:, 200:].argmax(axis=0)) >= 0).all()
    assert mel._mel(1000) == 15
    np.testing.assert_allclose(mel._hz(np.array([7.5, 15, 42])), [500, 1000, 6400])


@pytest.mark.parametrize("sample_rate", [8000, 20_000, 44_100, 96_000])
def test_the_weights_of_log_wmse_are_those_of_its_filters(sample_rate):
    hz = np.fft.rfftfreq(1000, 1 / sample_rate)
    filters = [
        wmse._shelf(1500, 5.0, 0.5**0.5, sample_rate),
        wmse._peak(500, 2.5, 1.5 * 0.5**0.5, sample_rate),
        signal.butter(2, 120, "highpass", fs=sample_rate),
    ]
    if sample_rate > 20_000:
        filters += 2 * [signal.butter(1, 10_000, fs=sample_rate)]
    expected = np.prod([np.abs(signal.freqz(*own, hz, fs=sample_rate)[1]) for own in filters], 0)
    found = wmse._gains(hz, sample_rate)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_log_wmse_of_a_tone_follows_its_level_and_frequency():
    time = np.arange(44100) / 44100
    mixture = np.sin(2 * np.pi * 1000 * time)[None]

    def score(hz, level):
        error = level * np.sin(2 * np.pi * hz * time)[None]
        return float(log_wmse(mixture + error, mixture, mixture=mixture, sample_rate=44100))

    assert score(1000, 0.1) == pytest.approx(4 * math.log(100), abs=0.01)
    assert score(1000, 0.01) - score(1000, 0.1) == pytest.approx(4 * math.log(100), abs=0.01)
    assert score(1000, 1e-4) == pytest.approx(-4 * math.log(1e-8))  # below -68 dB: not heard
    assert score(60, 0.1) > score(1000, 0.1) > score(3000, 0.1)
    silence = 0 * mixture
    leak = log_wmse(0.1 * mixture, silence, mixture=mixture, sample_rate=44100)
    assert leak == pytest.approx(4 * math.log(100), abs=0.01)
    assert log_wmse(silence, silence, mixture=silence, sample_rate=8000) == pytest.approx(
        73.683, 1e-4
    )


def test_speech_metrics_without_speech_are_nan(rng, pair):
    estimate, target = pair
    assert np.isnan(pesq(0 * estimate, target, sample_rate=RATE)).all()
    click = np.zeros((1, 8000))
    click[0, 4000] = 1.0
    assert np.isnan(stoi(click, click, sample_rate=RATE)).all()


def test_missing_libraries_are_named(monkeypatch, pair):
    for name, call in (("pesq", pesq), ("pystoi", stoi)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtraError, match=rf'^{name}.*pip install "unmask\[speech\]"'):
            call(*pair, sample_rate=RATE)
    with pytest.raises(MissingExtraError):
        composite(*pair)


def test_refusals(pair):
    estimate, target = pair
    for sample_rate, mode in ((44100, "wb"), (8000, "wb"), (11025, "nb")):
        with pytest.raises(SampleRateError, match="resample both"):
            pesq(estimate, target, sample_rate=sample_rate, mode=mode)
    with pytest.raises(ConfigError, match="'swb'"):
        pesq(estimate, target, sample_rate=RATE, mode="swb")
    with pytest.raises(ShapeError, match=r"0\.25 s"):
        pesq(estimate[:, :2000], target[:, :2000], sample_rate=RATE)
    with pytest.raises(SampleRateError, match="16000"):
        composite(estimate, target, sample_rate=44100)
    with pytest.raises(ShapeError, match="too short"):
        segmental_snr(estimate[:, :400], target[:, :400], sample_rate=RATE)
    with pytest.raises(ShapeError, match="shapes must agree"):
        log_wmse(estimate, target, mixture=target[:, 1:], sample_rate=RATE)
    with pytest.raises(SampleRateError, match="0 Hz"):
        bleed(estimate, target, sample_rate=0)
    with pytest.raises(SignalError, match="estimate contains NaN"):
        stft_distance(estimate * math.nan, target)


def test_pesq_of_more_utterances_than_its_library_holds_does_not_end_the_process(rng):
    pytest.importorskip("pesq")
    syllable = np.hanning(9600) * (
        0.3 * np.sin(0.06 * np.arange(9600)) + 0.05 * rng.normal(size=9600)
    )
    target = np.tile(np.concatenate([syllable, np.zeros(8000)]), 70)[None]
    estimate = target + 0.003 * rng.normal(size=target.shape)
    with pytest.raises(SignalError, match="8 to 30 s"):
        pesq(estimate, target, sample_rate=16000)
    short = slice(0, 5 * 17600)
    assert 1 < pesq(estimate[:, short], target[:, short], sample_rate=16000)[0] < 4.6
