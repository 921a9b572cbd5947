"""What phase is worth, and where, on signals for which the answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask import audio, masks
from unmask.errors import ConfigError
from unmask.frontends import STFT
from unmask.gap import gap
from unmask.metrics import sdr
from unmask.mixtures import Sources, sum_of
from unmask.octaves import BandSums, octave_bands
from unmask.oracle import Oracle
from unmask.phase_benefit import Curve, mean, phase_benefit

RATE = 8000
FINE = STFT(512, 128, "hann")
#: Frames without overlap: every spectrum is one of a signal, so errors of bins simply add up.
ORTHOGONAL = STFT(256, 256, "boxcar")


def band_noise(rng, low, high, n=8192):
    spectrum = np.fft.rfft(rng.normal(size=(1, n)))
    hz = np.fft.rfftfreq(n, 1 / RATE)
    return np.hanning(n) * np.fft.irfft(np.where((hz >= low) & (hz < high), spectrum, 0), n=n)


@pytest.fixture
def stems(rng):
    return {name: rng.normal(size=(2, 8192)) for name in ("speech", "noise", "hum")}


def test_octaves_begin_where_the_front_end_sees_them():
    assert list(octave_bands(8000, lowest_hz=31)) == list(octave_bands(8000))
    assert next(octave_bands(48000, lowest_hz=100)) == (0, 125)
    bands = list(octave_bands(44100))
    assert bands[0] == (0, 62.5)
    assert bands[-1] == (16000, 22050)
    (curve,) = phase_benefit({"a": np.ones((1, 900)), "b": np.eye(1, 900)}, 8000, only=["b"])
    assert curve.bands_hz[0] == (0, 62.5)


def test_the_sdr_of_a_band_is_that_of_its_part_of_the_signal(rng):
    parts = [band_noise(rng, low, high) for low, high in ((0, 1000), (1000, 4000))]
    sums = BandSums(FINE, RATE, [(0, 900), (1100, 4000)])
    sums.add(FINE.analyze(0.9 * parts[0] + 0.5 * parts[1])[None], FINE.analyze(sum(parts))[None])
    assert sums.sdr[0] == pytest.approx([20, 20 * math.log10(2)], abs=0.1)


def test_every_bin_lies_in_a_band(rng):
    """The bin at half the sample rate too, which no octave above holds."""
    x = rng.normal(size=(1, 4096)) + np.cos(np.pi * np.arange(4096))
    bands = list(octave_bands(RATE))
    parts, whole = BandSums(FINE, RATE, bands), BandSums(FINE, RATE, [(0, 2 * RATE)])
    for sums in (parts, whole):
        sums.add(FINE.analyze(x)[None], FINE.analyze(x)[None])
    assert sum(parts.energy[0]) == pytest.approx(whole.energy[0][0], rel=1e-12)


@pytest.mark.parametrize("mask", ["psm_unit", "complex_tanh", "irm1"])
def test_a_family_gains_nothing_over_itself(stems, mask):
    for curve in phase_benefit(stems, RATE, complex_mask=mask, real_mask=mask, stft=FINE):
        np.testing.assert_allclose(curve.band_loss_db, 0, atol=1e-9)
        np.testing.assert_allclose(curve.loss_db, 0, atol=1e-9)
        assert curve.sdr_db[0] > 1
        assert curve.crossover_hz(0.0001) == 0


def test_the_ends_are_the_families_and_between_are_the_hybrids(stems):
    found = phase_benefit(stems, RATE, complex_mask="complex", real_mask="irm2", stft=FINE)
    assert [curve.name for curve in found] == list(stems)
    mixture = sum_of(stems)
    for mask, hz in (("irm2", 0), ("hybrid:complex:1000:irm2", 1000), ("complex", 4000)):
        best = Oracle(stems, RATE, mask, FINE).separate(mixture, RATE)
        for curve in found:
            k = curve.crossovers_hz.index(hz)
            expected = float(sdr(best[curve.name], stems[curve.name]))
            assert curve.sdr_db[k] == pytest.approx(expected, abs=1e-9)


def test_the_curve_is_what_the_gap_report_says_of_the_octave(stems):
    """The gap report of a separator that is the real oracle finds the same complex gain."""

    class Real:
        stems, residual, sample_rate = ("speech", "noise"), "hum", RATE

        def __init__(self, family):
            self.family = family

        def stft_at(self, sample_rate):
            return FINE

        def family_at(self, sample_rate):
            return self.family

        def separate(self, mixture, sample_rate, *, residual):
            return Oracle(stems, RATE, "psm_unit", FINE).separate(mixture, RATE)

    scores = list(gap(Real(masks.get("complex_tanh")), stems, RATE))
    cells = {(s.stem, s.case, s.low_hz, s.high_hz): s.sdr for s in scores}
    for curve in phase_benefit(stems, RATE, stft=FINE):
        for (low, high), gain in zip(curve.bands_hz, curve.gain_db, strict=True):
            of_gap = (
                cells[curve.name, "family oracle", low, high]
                - cells[curve.name, "model", low, high]
            )
            assert gain == pytest.approx(of_gap, abs=1e-6)


@settings(max_examples=6)
@given(seed=st.integers(0, 2**32 - 1), n_sources=st.integers(2, 4))
def test_without_overlap_more_complex_bins_never_hurt_and_octaves_stand_alone(seed, n_sources):
    rng = np.random.default_rng(seed)
    inner = np.pad(np.ones(2048 - 256), 128)  # half a frame at the ends is cut off
    stems = {f"s{k}": inner * rng.normal(size=(1, 2048)) for k in range(n_sources)}
    for curve in phase_benefit(stems, RATE, stft=ORTHOGONAL):
        assert np.diff(curve.sdr_db).min() >= -1e-9
        scores = np.minimum(curve.band_sdr_db, 100)  # beyond it is rounding
        assert (scores[-1] - scores[0]).min() >= -1e-9
        for k, row in enumerate(scores):
            np.testing.assert_allclose(row[:k], scores[-1, :k], atol=1e-9)
            np.testing.assert_allclose(row[k:], scores[0, k:], atol=1e-9)


def test_phase_is_worth_something_only_where_sources_meet(rng):
    stems = {"low": band_noise(rng, 100, 950), "all": band_noise(rng, 100, 4000)}
    low, wide = phase_benefit(stems, RATE, stft=FINE)
    gain = dict(zip(wide.bands_hz, wide.gain_db, strict=True))
    assert min(gain[250.0, 500.0], gain[500.0, 1000.0]) > 3
    assert wide.crossover_hz(0.1) == 1000
    assert wide.loss_db[wide.crossovers_hz.index(500)] > 2
    assert math.isnan(low.gain_db[-1])
    assert not math.isnan(low.gain_db[-3])


def curve_of(losses, parts=None, name="x"):
    """A curve on two octaves whose best SDR is 10 dB."""
    parts = parts or [(x, x) for x in losses]
    return Curve(
        name, ((0.0, 500.0), (500.0, 1000.0)), tuple(10 - x for x in losses),
        tuple(tuple(10 - x for x in row) for row in parts),
    )  # fmt: skip


def test_the_crossover_is_the_lowest_from_which_on_little_is_lost():
    curve = curve_of((3, 0.4, 0), [(3, 2), (0, 2), (0, 0)])
    assert curve.loss_db == pytest.approx((3, 0.4, 0))
    assert curve.gain_db == (3, 2)
    assert curve.worst_octave_db == (3, 2, 0)
    assert [curve.crossover_hz(limit) for limit in (0, 0.3, 0.5, 3)] == [1000, 1000, 500, 0]
    assert [curve.crossover_hz(x, every_octave=True) for x in (0.5, 2, 3)] == [1000, 500, 0]
    assert curve_of((0.1, 3, 0)).crossover_hz(0.5) == 1000
    assert math.isnan(curve_of((math.nan,) * 3).crossover_hz(1))
    with pytest.raises(ConfigError, match="loss: -1 dB, expected >= 0 dB"):
        curve.crossover_hz(-1)


def test_means_are_over_what_is_defined():
    nothing = math.nan
    a = curve_of((3, 1, 0), [(3, nothing), (0, nothing), (0, nothing)])
    b = curve_of((1, 0, 0), [(1, nothing), (0, nothing), (0, nothing)])
    c = curve_of((2, 2, 0), [(2, 4), (0, 4), (0, 0)])
    both = mean([a, b, c], "all")
    assert both.name == "all"
    assert both.loss_db == pytest.approx((2, 1, 0))
    assert both.gain_db == pytest.approx((2, 4))
    np.testing.assert_equal(mean([a, b]).gain_db, (2, nothing))
    other = Curve("y", ((0.0, 1000.0),), (1.0, 1.0), ((1.0,), (1.0,)))
    for curves in ([], [a, other]):
        with pytest.raises(ConfigError, match="expected one or more with the same octaves"):
            mean(curves)


def test_silent_stems_have_no_curve(stems):
    stems["hum"] = np.zeros((2, 8192))
    assert [curve.name for curve in phase_benefit(stems, RATE, stft=FINE)] == ["speech", "noise"]
    with pytest.raises(ConfigError, match="stems: hum silent"):
        phase_benefit(stems, RATE, only=["hum"])


def test_only_what_is_asked_for_is_scored(stems):
    (curve,) = phase_benefit(stems, RATE, stft=FINE, only=["noise"])
    assert curve == phase_benefit(stems, RATE, stft=FINE)[1]
    with pytest.raises(ConfigError, match="no bass; there are speech, noise, hum"):
        phase_benefit(stems, RATE, only=["bass"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"real_mask": "irm9"}, "no mask family named 'irm9'"),
        ({"complex_mask": "consistent:deep_filter"}, "have several components a bin and no sum"),
    ],
)
def test_families_that_cannot_be_halves_are_refused(stems, names, message):
    with pytest.raises(ConfigError, match=message):
        phase_benefit(stems, RATE, stft=FINE, **names)


def test_a_separator_of_low_sdr_loses_little_to_a_crossover():
    """Errors add: real masks of 10 dB and complex ones of 20 dB, in a separator of 10 dB."""
    curve = Curve("x", ((0.0, 1000.0),), (10.0, 20.0), ((10.0,), (20.0,)))
    assert curve.loss_at(10) == pytest.approx((10 * math.log10(1.9), 0))
    assert curve.loss_at(20) == pytest.approx((10, 0))
    assert curve.loss_at(0)[0] < 0.4
    assert [curve.crossover_hz(0.5, sdr_db=sdr) for sdr in (0, 10)] == [0, 1000]


def test_a_stretch_of_files_in_blocks_is_that_of_arrays(tmp_path, rng):
    n_samples = 3 * 65536 + 100
    stems = {name: rng.integers(-999, 999, (1, n_samples)) / 2**15 for name in ("a", "b")}
    files = {name: tmp_path / f"{name}.wav" for name in stems}
    for name, path in files.items():
        audio.write(path, stems[name], RATE)
    sources = Sources(files, start_s=1.0, duration_s=20.0)
    assert sources.n_samples == 20 * RATE
    span = slice(RATE, 21 * RATE)
    expected = phase_benefit({name: x[:, span] for name, x in stems.items()}, RATE, stft=FINE)
    found = phase_benefit(sources, stft=FINE)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.sdr_db, other.sdr_db, rtol=0, atol=1e-4)
        np.testing.assert_allclose(one.band_sdr_db, other.band_sdr_db, rtol=0, atol=1e-4)
    with pytest.raises(ConfigError, match=r"start 30 s, .* expected a stretch"):
        Sources(files, start_s=30.0)
