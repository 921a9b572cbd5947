"""The bundled model for songs: what it separates, and what it leaves as it was."""

from pathlib import Path

import numpy as np
import pytest

from unmask import Settings, Streamer, audio, load_model
from unmask.layout import Output
from unmask.metrics import sdr
from unmask.separate import separate_file

STEMS = ("vocals", "drums", "bass", "other")
SONG = Path(__file__).parents[1] / "assets" / "music"
RATE = 44100


@pytest.fixture(scope="module")
def model():
    return load_model("music")


@pytest.fixture(scope="module")
def song():
    """Six seconds of the bundled song: the true stems."""
    return {name: audio.read(SONG / f"{name}.flac")[0][:, : 6 * RATE] for name in STEMS}


@pytest.fixture(scope="module")
def mixture(song):
    return sum(song.values())


@pytest.fixture(scope="module")
def stems(model, mixture):
    return model.separate(mixture, RATE)


def stacked(stems):
    return np.stack([stems[name] for name in STEMS])


def relative_db(difference, signal):
    return 20 * np.log10(np.linalg.norm(difference) / np.linalg.norm(signal))


def test_every_stem_comes_nearer_to_the_truth(song, mixture, stems):
    gains = {name: sdr(stems[name], song[name]) - sdr(mixture, song[name]) for name in STEMS}
    assert gains["vocals"] > 12
    assert min(gains.values()) > 6


def test_the_stems_add_up_to_the_song_and_keep_its_level(mixture, stems):
    np.testing.assert_allclose(stacked(stems).sum(0), mixture, rtol=0, atol=1e-6)


def test_nothing_is_added_to_digital_silence(model, mixture):
    """A second of sound between silences longer than what the network remembers."""
    around = np.zeros((2, 3 * RATE), np.float32)
    padded = np.concatenate([around, mixture[:, :RATE], around], axis=1)
    found = stacked(model.separate(padded, RATE))
    n_fft = model.frontend.n_fft
    assert np.abs(found[..., : 3 * RATE - n_fft]).max() < 1e-9
    assert np.abs(found[..., 4 * RATE + n_fft :]).max() < 1e-9


def test_channels_change_places_with_those_of_the_song(model, mixture, stems):
    """The network is not symmetric, only trained to be: -15 dB of what the stems are."""
    swapped = stacked(model.separate(mixture[::-1].copy(), RATE))[:, ::-1]
    assert relative_db(swapped - stacked(stems), stacked(stems)) < -15


def test_what_is_the_same_on_both_sides_stays_there(model, mixture):
    """Mono as one channel is the same on both, by definition; as two it is nearly so."""
    mono = mixture.mean(0, keepdims=True)
    twins = stacked(model.separate(np.repeat(mono, 2, axis=0), RATE))
    assert relative_db(twins[:, 0] - twins[:, 1], twins) < -15
    alone = stacked(model.separate(mono, RATE))
    assert alone.shape == (4, 1, mixture.shape[1])
    np.testing.assert_allclose(alone[:, 0], twins.mean(1), rtol=0, atol=1e-5)


def test_no_chunk_border_is_heard(model, mixture, stems):
    streamer = Streamer(model, n_channels=2, chunk_frames=72)
    parts = [streamer.process(mixture[:, k : k + 10_007]) for k in range(0, 6 * RATE, 10_007)]
    parts.append(streamer.flush())
    found = np.stack([np.concatenate([part[name] for part in parts], axis=1) for name in STEMS])
    np.testing.assert_allclose(found, stacked(stems), rtol=0, atol=1e-5)


def test_no_edge_clicks(mixture, stems):
    """Neither end steps further than the loudest steps of the song itself."""
    steps = np.abs(np.diff(stacked(stems), axis=-1))
    first, last = steps[..., :100].max(), steps[..., -100:].max()
    assert max(first, last) <= np.abs(np.diff(mixture)).max()
    assert np.abs(stacked(stems)[..., 0]).max() <= np.abs(mixture).max()


@pytest.mark.parametrize("rate", [22050, 48000])
def test_other_sample_rates_are_separated_as_well(model, song, rate):
    """What half the rate loses is above 11 kHz."""
    resampled = {
        name: np.asarray(audio.resample(stem[:, : 4 * RATE], RATE, rate), np.float32)
        for name, stem in song.items()
    }
    mixture = sum(resampled.values())
    found = model.separate(mixture, rate)
    for name in STEMS:
        assert found[name].shape == mixture.shape
        assert sdr(found[name], resampled[name]) > sdr(mixture, resampled[name]) + 5


def test_a_remix_at_neutral_gains_is_the_file(model, mixture, tmp_path):
    audio.write(tmp_path / "song.wav", mixture, RATE, subtype="PCM_16")
    before, _ = audio.read(tmp_path / "song.wav")
    output = Output(out=tmp_path / "remix.wav", remix=True)
    separate_file(tmp_path / "song.wav", model, output, Settings())
    after, _ = audio.read(tmp_path / "remix.wav")
    assert np.abs(after - before).max() <= 2**-15
