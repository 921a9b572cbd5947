"""Talkers are in no order: they are compared the way that fits best, once for a recording."""

import numpy as np
import pytest

from unmask import audio, masks
from unmask import evaluate as ev
from unmask.evaluate import pair
from unmask.frontends import STFT
from unmask.gap import gap, gap_of_files
from unmask.order import best_order, best_order_of_files
from unmask.stems import by_stem

RATE = 8000
NAMES = ["speaker1", "noise", "speaker2"]


def put(path, wave):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, wave, RATE, subtype="FLOAT")
    return path


@pytest.fixture
def talkers(rng):
    return {name: rng.normal(scale=0.1, size=(1, 6000)) for name in NAMES}


def test_talkers_are_put_where_they_fit_best_and_others_stay(talkers):
    truth = np.stack(list(talkers.values()))
    guess = truth[[2, 0, 1]]
    blocks = [(guess[..., k : k + 1000], truth[..., k : k + 1000]) for k in range(0, 6000, 1000)]
    assert best_order(NAMES, blocks) == [2, 1, 0]  # what is called noise is not looked at
    assert best_order(["speaker1", "speaker2", "speaker3"], blocks) == [1, 2, 0]
    assert best_order(["vocals", "drums", "bass"], blocks) == [0, 1, 2]


def test_the_order_is_one_for_the_whole_recording(talkers):
    """Estimates that change places after two thirds: the order of the longer part counts."""
    truth = np.stack([talkers["speaker1"], talkers["speaker2"]])
    guess = np.concatenate([truth[::-1, :, :4000], truth[..., 4000:]], axis=-1)
    halves = [(guess[..., :3000], truth[..., :3000]), (guess[..., 3000:], truth[..., 3000:])]
    assert best_order(["speaker1", "speaker2"], halves) == [1, 0]


def test_files_are_matched_by_what_is_in_them(talkers, tmp_path):
    one, two = (put(tmp_path / f"{name}.wav", talkers[name]) for name in ("speaker1", "speaker2"))
    targets = {"speaker1": [one], "speaker2": [two]}
    assert best_order_of_files({"speaker1": [two], "speaker2": [one]}, targets) == {
        "speaker1": "speaker2",
        "speaker2": "speaker1",
    }
    songs = {"drums": [one], "vocals": [two]}
    assert best_order_of_files(songs, songs) == {"drums": "drums", "vocals": "vocals"}


def test_layouts_of_librimix_are_read_and_scored_in_the_best_order(talkers, tmp_path):
    mixture = sum(talkers.values())
    folders = {"mix_both": mixture, "mix_clean": mixture - talkers["noise"]}
    folders |= {"s1": talkers["speaker1"], "s2": talkers["speaker2"], "noise": talkers["noise"]}
    for k, factor in enumerate((1.0, 0.5)):
        for folder, wave in folders.items():
            put(tmp_path / "test" / folder / f"1089-{k}_61.wav", factor * wave)
        swapped = (("speaker1", "speaker2"), ("speaker2", "speaker1"))[k]
        for name, its in zip(("speaker1", "speaker2"), swapped, strict=True):
            error = 0.1 * talkers["noise"]
            put(tmp_path / "mine" / f"1089-{k}_61" / f"{name}.wav", factor * (talkers[its] + error))
    how = ev.Pairing(allow_other_stems=True)
    tracks = pair(tmp_path / "mine", tmp_path / "test", how=how).tracks
    assert [track.name for track in tracks] == ["1089-0_61", "1089-1_61"]
    assert list(tracks[0].targets) == ["noise", "speaker1", "speaker2"]
    settings = ev.Settings(metrics=("si_sdr",))
    for result in ev.evaluate(tracks, out=tmp_path / "scores", settings=settings):
        np.testing.assert_allclose([x.score for x in result.table.values()], 20, atol=0.5)
    for track in tracks:
        cells = gap_of_files(track, stft=STFT(256, 64, "hann"), octaves=False)
        assert {cell.stem: cell.sdr > 19 for cell in cells if cell.case == "model"} == {
            "speaker1": True,
            "speaker2": True,
        }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["s1/a.wav", "s2/a.wav", "mix/a.wav"], {"a": ["speaker1", "speaker2"]}),
        (
            ["vocals/a.wav", "other/a.wav", "other/b.wav"],
            {"a": ["vocals", "other"], "b": ["other"]},
        ),
        (["s1/a.wav", "mix/a.wav"], {}),
        (["song/vocals.wav", "song/bass.wav"], {}),
        (["bass/vocals.wav", "vocals/vocals.wav"], {}),
        (["test/s1/a.wav", "test/s2/a.wav"], {}),
        (["a.wav"], {}),
    ],
)
def test_folders_are_stems_if_all_are_called_so_and_files_are_not(files, expected, tmp_path):
    found = by_stem(tmp_path, [tmp_path / file for file in files])
    assert {name: list(stems) for name, stems in found.items()} == expected


class Exchanged:
    """A separator that is right but for the order."""

    stems = ("speaker1", "speaker2")
    residual = "residual"
    sample_rate = RATE
    family = masks.get("psm_unit")

    def __init__(self, talkers):
        self.talkers = talkers

    def stft_at(self, sample_rate):
        return STFT(256, 64, "sqrt_hann")

    def family_at(self, sample_rate):
        return self.family

    def separate(self, mixture, sample_rate, *, residual):
        one, two = (self.talkers[name] for name in self.stems)
        return {"speaker1": two, "speaker2": one, "residual": 0 * mixture}


def test_the_gap_of_a_model_does_not_count_its_order(talkers):
    talkers.pop("noise")
    cells = list(gap(Exchanged(talkers), talkers, RATE, octaves=False))
    scores = {cell.stem: cell.sdr for cell in cells if cell.case == "model"}
    assert min(scores["speaker1"], scores["speaker2"]) > 100
