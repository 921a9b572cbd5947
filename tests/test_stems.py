from pathlib import Path

import numpy as np
import pytest

from unmask import audio
from unmask.errors import AudioFileError, ConfigError, SampleRateError, ShapeError
from unmask.stems import canonical, check_aligned, find_stems, locate_stems, read_stems


@pytest.fixture
def folder(tmp_path, rng):
    for name in ("Vocals.wav", "drums.flac", "mixture.wav"):
        audio.write(tmp_path / name, rng.uniform(-0.5, 0.5, size=(2, 500)), 8000)
    return tmp_path


def test_stems_are_found_by_name_without_the_mixture(folder):
    assert {name: path.name for name, path in find_stems(folder).items()} == {
        "drums": "drums.flac",
        "vocals": "Vocals.wav",
    }


def test_stems_come_by_name_in_the_order_asked(folder):
    stems, rate = read_stems(folder, ["Vocals", "percussion"])
    assert list(stems) == ["vocals", "drums"]
    assert rate == 8000
    assert np.array_equal(stems["drums"], audio.read(folder / "drums.flac")[0])


def test_synonyms_have_one_name():
    assert canonical(" No_Vocals ") == canonical("instrumental") == "accompaniment"


def test_every_refusal_names_the_file(folder, rng):
    with pytest.raises(AudioFileError, match="no file for the stem bass; there are drums, vocals"):
        read_stems(folder, ["vocals", "bass"])
    with pytest.raises(AudioFileError, match="nowhere: not a folder"):
        read_stems(folder / "nowhere")
    audio.write(folder / "bass.wav", rng.uniform(size=(2, 499)), 8000)
    with pytest.raises(ShapeError, match=r"drums.flac: 2 channels of 500 samples, bass.wav has 2"):
        read_stems(folder)
    audio.write(folder / "bass.wav", rng.uniform(size=(2, 500)), 16000)
    with pytest.raises(SampleRateError, match=r"drums.flac: sample rate is 8000 Hz, bass.wav has"):
        read_stems(folder)
    audio.write(folder / "drum.wav", rng.uniform(size=(2, 500)), 8000)
    with pytest.raises(ConfigError, match="are both the stem 'drums'; keep one"):
        find_stems(folder)


def test_a_folder_without_stems_is_refused(tmp_path, rng):
    audio.write(tmp_path / "mixture.wav", rng.uniform(size=(1, 50)), 8000)
    with pytest.raises(AudioFileError, match="no stems in it"):
        find_stems(tmp_path)


def test_stems_are_located_in_folders_and_in_streams(folder):
    assert locate_stems(folder) == {
        "drums": (folder / "drums.flac", 0),
        "vocals": (folder / "Vocals.wav", 0),
    }
    song = Path("A song.stem.mp4")
    assert locate_stems(song) == {
        "drums": (song, 1), "bass": (song, 2), "other": (song, 3), "vocals": (song, 4)
    }  # fmt: skip


def test_stems_of_one_length_are_aligned_whatever_their_channels(folder, rng):
    audio.write(folder / "bass.wav", rng.uniform(size=(1, 500)), 8000)
    check_aligned(locate_stems(folder).values())
    audio.write(folder / "bass.wav", rng.uniform(size=(2, 501)), 8000)
    with pytest.raises(ShapeError, match=r"drums.flac: 500 samples, bass.wav has 501; stems must"):
        check_aligned(locate_stems(folder).values())
    audio.write(folder / "bass.wav", rng.uniform(size=(2, 500)), 8001)
    with pytest.raises(SampleRateError, match=r"drums.flac: sample rate is 8000 Hz, bass.wav has"):
        check_aligned(locate_stems(folder).values())
