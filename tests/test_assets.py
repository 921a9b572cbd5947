"""The sounds in the repository are what ASSETS.md says: small, credited, whole, exact sums."""

from pathlib import Path

import numpy as np
import pytest

from unmask import audio

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "assets"
SOUNDS = audio.find(ASSETS)


def steps(path):
    """Samples of a 16-bit file as whole numbers."""
    return np.rint(audio.read(path)[0] * 2**15).astype(int)


def test_all_together_are_small():
    assert sum(path.stat().st_size for path in SOUNDS) < 8e6


@pytest.mark.parametrize("path", SOUNDS, ids=lambda path: path.stem)
def test_every_sound_is_credited_and_neither_silent_nor_clipped(path):
    assert f"`{path.name}`" in (ROOT / "ASSETS.md").read_text("utf-8")
    x, _ = audio.read(path)
    assert np.sqrt(np.mean(x**2)) > 0.01
    assert np.abs(x).max() < 0.99


def test_the_demo_is_the_exact_sum_of_speech_and_noise_at_5_db():
    mixture, speech, noise = (
        steps(ASSETS / "demo" / f"{name}.flac") for name in ("mixture", "speech", "noise")
    )
    np.testing.assert_array_equal(mixture, speech + noise)
    assert 10 * np.log10(np.sum(speech**2.0) / np.sum(noise**2.0)) == pytest.approx(5, abs=0.01)


def test_the_music_is_the_exact_sum_of_its_stems():
    infos = [audio.info(path) for path in audio.find(ASSETS / "music")]
    assert {i.path.stem for i in infos} == {"bass", "drums", "mixture", "other", "vocals"}
    assert len({(i.sample_rate, i.n_channels, i.n_samples, i.subtype) for i in infos}) == 1
    found = {i.path.stem: steps(i.path) for i in infos}
    np.testing.assert_array_equal(found.pop("mixture"), sum(found.values()))
