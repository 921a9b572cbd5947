import itertools

import numpy as np
import pytest

from unmask import masks
from unmask.errors import ConfigError
from unmask.frontends import STFT
from unmask.gap import CASES, breakdown, gap
from unmask.mixtures import sum_of
from unmask.oracle import Oracle

RATE = 8000


class Fake:
    """A separator that returns what it was told to, for a model that estimates "speech"."""

    stems = ("speech",)
    residual = "noise"
    sample_rate = RATE
    stft = STFT(256, 64, "sqrt_hann")
    family = masks.get("psm_unit")

    def __init__(self, estimate):
        self.estimate = estimate

    def stft_at(self, sample_rate):
        return self.stft

    def family_at(self, sample_rate):
        return self.family.at(sample_rate)

    def separate(self, mixture, sample_rate, *, residual):
        assert residual
        return {"speech": self.estimate, "noise": mixture - self.estimate}


@pytest.fixture
def stems(rng):
    return {name: rng.normal(size=(2, 6000)) for name in ("speech", "noise")}


def table(model, stems, **options):
    scores = list(gap(model, stems, RATE, **options))
    return {(s.stem, s.case): s.sdr for s in scores if s.high_hz - s.low_hz == RATE / 2}, scores


def test_a_quiet_estimate_lacks_magnitude_only(stems):
    cells, scores = table(Fake(stems["speech"] / 2), stems)
    assert cells["speech", "model"] == pytest.approx(20 * np.log10(2))
    assert cells["speech", "model magnitude, true phase"] == pytest.approx(20 * np.log10(2))
    assert cells["speech", "true magnitude, model phase"] > 100
    loss = breakdown(scores)["speech", 0.0, RATE / 2]
    assert loss.to_phase == pytest.approx(0, abs=1e-6)
    assert loss.to_magnitude > 90
    assert loss.gained == pytest.approx(20 * np.log10(2) - cells["speech", "mixture"])


def test_an_inverted_estimate_lacks_phase_only(stems):
    cells, scores = table(Fake(-stems["speech"]), stems)
    assert cells["speech", "model"] == pytest.approx(-20 * np.log10(2))
    assert cells["speech", "model magnitude, true phase"] > 100
    loss = breakdown(scores)["speech", 0.0, RATE / 2]
    assert loss.to_magnitude == pytest.approx(0, abs=1e-6)
    assert loss.to_phase > 90


def test_the_oracle_itself_has_no_gap(stems):
    oracle = Oracle(stems, RATE, Fake.family, Fake.stft)
    estimate = oracle.separate(sum_of(stems), RATE)["speech"]
    cells, scores = table(Fake(estimate), stems)
    loss = breakdown(scores)["speech", 0.0, RATE / 2]
    assert loss.to_family == 0
    assert loss.share == 1
    assert loss.beyond > 100
    assert cells["speech", "mixture"] < cells["speech", "family oracle"]


def test_a_model_that_does_nothing_has_gained_nothing(stems):
    _, scores = table(Fake(sum_of(stems)), stems)
    gained = [loss.gained for (stem, _, _), loss in breakdown(scores).items() if stem == "speech"]
    assert len(gained) == 8
    assert gained == pytest.approx([0] * 8, abs=1e-9)


def test_octaves_cover_the_band_and_find_the_place_of_an_error(stems):
    spectrum = np.fft.rfft(stems["speech"])
    hz = np.fft.rfftfreq(6000, 1 / RATE)
    spectrum[:, (hz > 1100) & (hz < 1900)] *= 0.5
    scores = list(gap(Fake(np.fft.irfft(spectrum)), stems, RATE))
    bands = {
        (s.low_hz, s.high_hz): s.sdr for s in scores if (s.stem, s.case) == ("speech", "model")
    }
    whole = bands.pop((0.0, 4000.0))
    edges = sorted(bands)
    assert edges[0] == (0.0, 62.5)
    assert edges[-1] == (2000.0, 4000.0)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))
    assert min(bands, key=bands.get) == (1000.0, 2000.0)
    assert bands[1000.0, 2000.0] < whole < bands[2000.0, 4000.0]


def test_all_cases_of_all_stems_are_there(stems):
    cells, _ = table(Fake(stems["speech"] / 2), stems, octaves=False)
    assert set(cells) == {(stem, case) for stem in ("speech", "noise") for case in CASES}


def test_several_other_stems_are_the_residual(stems, rng):
    stems["music"] = rng.normal(size=(2, 6000))
    del stems["noise"]
    stems["hum"] = rng.normal(size=(2, 6000))
    cells, _ = table(Fake(stems["speech"] / 2), stems, octaves=False)
    assert {stem for stem, _ in cells} == {"speech", "noise"}


def test_foreign_stems_are_refused(stems):
    with pytest.raises(ConfigError, match="none of speech is among drums"):
        list(gap(Fake(stems["speech"]), {"drums": stems["noise"]}, RATE))


def test_a_silent_stem_scores_nan(stems):
    stems["speech"] = np.zeros((2, 6000))
    cells, _ = table(Fake(stems["noise"] / 2), stems)
    assert np.isnan(cells["speech", "model"])
    assert np.isfinite(cells["noise", "model"])
