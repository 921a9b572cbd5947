"""Mixtures of stems in stereo: what each side holds, and that sides stay where they are."""

import numpy as np
import pytest
import soundfile

from unmask.data import DATA, SpeechInNoiseConfig, StemMixturesConfig, Tracks
from unmask.data.cache import Cache
from unmask.data.example import rms
from unmask.data.stem_mixtures import make
from unmask.data.store import Disk
from unmask.errors import ConfigError, ShapeError

RATE = 8000
N = 3200
SOURCES = ("vocals", "drums", "other")
#: Bins of whole periods in an excerpt: left and right of every stem are tones of their own.
BINS = {"vocals": (100, 150), "drums": (230, 280), "other": (360, 410)}
SONGS = ("train/a", "train/b", "valid/c")
TRACKS = (Tracks(glob="train/*"), Tracks(glob="valid/*", valid_share=1.0))


def tone(k, n=5 * N):
    return 0.1 * np.sin(2 * np.pi * k * np.arange(n) / N)


def pair(name, n=5 * N):
    """Left and right of a stem, (sample, channel)."""
    return np.stack([tone(k, n) for k in BINS[name]], axis=1)


def write(root, sound, songs=SONGS, names=SOURCES):
    for song in songs:
        (root / song).mkdir(parents=True, exist_ok=True)
        for name in names:
            soundfile.write(root / song / f"{name}.wav", sound(name), RATE, subtype="FLOAT")


@pytest.fixture
def root(tmp_path):
    """Two songs to train on and one to validate with."""
    write(tmp_path, pair)
    return tmp_path


def config(**settings):
    defaults = {"sample_rate": RATE, "samples": N, "channels": 2, "sources": SOURCES}
    defaults |= {"targets": SOURCES, "tracks": TRACKS, "silent_share": 0.0, "absent_share": 0.0}
    return StemMixturesConfig(**(defaults | settings))


def sets(root, **settings):
    return make(config(**settings), root, root / "cache", seed=0, n_examples=60)


def found(x):
    """Amplitude of every tone in a signal (sample,)."""
    spectrum = np.abs(np.fft.rfft(x)) / (N / 2)
    return np.array([[spectrum[k] for k in ks] for ks in BINS.values()])


def sides(target, name):
    """Amplitude of the tone of either side on either side, [[right place, ...], ...]."""
    row = SOURCES.index(name)
    return np.array([found(channel)[row] for channel in target])


def examples(root, **settings):
    train, valid, _ = sets(root, **settings)
    return [*map(train.__getitem__, range(40)), *map(valid.__getitem__, range(10))]


@pytest.mark.parametrize("coherent_share", [0.0, 1.0])
def test_what_is_in_both_channels_adds_up_and_no_side_is_swapped_unasked(root, coherent_share):
    for example in examples(root, coherent_share=coherent_share):
        mixture, targets = example["mixture"], example["targets"]
        assert (mixture.shape, targets.shape) == ((2, N), (3, 2, N))
        assert mixture.dtype == targets.dtype == np.float32
        assert targets.sum(axis=0) == pytest.approx(mixture, abs=1e-5)
        for name, target in zip(SOURCES, targets, strict=True):
            amplitudes = sides(target, name)
            assert np.diag(amplitudes)[0] == pytest.approx(np.diag(amplitudes)[1], rel=1e-3)
            assert amplitudes[[0, 1], [1, 0]].max() < 1e-4 * amplitudes.max()
            others = [found(x) for x in target]
            assert np.delete(others, SOURCES.index(name), axis=1).max() < 1e-4 * amplitudes.max()


@pytest.mark.parametrize("coherent_share", [0.0, 1.0])
def test_a_share_of_the_sources_is_swapped_each_by_itself_and_never_to_validate(
    root, coherent_share
):
    shared = {"coherent_share": coherent_share}
    train, valid, _ = sets(root, swap_share=0.5, **shared)
    _, plain_valid, _ = sets(root, **shared)
    swapped = []
    for k in range(60):
        example = train[k]
        assert example["targets"].sum(axis=0) == pytest.approx(example["mixture"], abs=1e-5)
        pairs = zip(example["targets"], SOURCES, strict=True)
        swapped.append([sides(target, name)[0].argmax() == 1 for target, name in pairs])
    assert (np.abs(np.mean(swapped, axis=0) - 0.5) < 0.2).all()
    assert {sum(row) for row in swapped} == {0, 1, 2, 3}
    for k in range(10):
        assert np.array_equal(valid[k]["mixture"], plain_valid[k]["mixture"])


@pytest.mark.parametrize("coherent_share", [0.0, 1.0])
def test_swapping_changes_the_sides_and_nothing_else(root, coherent_share):
    swapped, _, _ = sets(root, swap_share=1.0, coherent_share=coherent_share, level_db=(-20, -20))
    plain, _, _ = sets(root, coherent_share=coherent_share, level_db=(-20, -20))
    first = [examples[0]["targets"] for examples in (swapped, plain)]
    assert first[0] == pytest.approx(first[1][:, ::-1], abs=1e-6)


@pytest.mark.parametrize("coherent_share", [0.0, 1.0])
def test_mono_is_the_same_on_both_sides_and_drawn_like_mono(tmp_path, rng, coherent_share):
    write(tmp_path, lambda _: 0.1 * rng.standard_normal(5 * N))
    shared = {"coherent_share": coherent_share, "silent_share": 0.2}
    stereo, mono = (examples(tmp_path, channels=n, **shared) for n in (2, 1))
    for two, one in zip(stereo, mono, strict=True):
        for name in ("mixture", "targets"):
            assert two[name].shape[-2] == 2
            assert two[name] == pytest.approx(np.repeat(one[name], 2, axis=-2), abs=1e-6)


def test_mono_files_add_up_with_stereo_ones(root):
    write(root, lambda _: tone(BINS["vocals"][0]), names=["vocals"])
    write(root, lambda _: tone(500), names=["synth"])  # goes to other
    _, valid, _ = sets(root)
    vocals, drums, other = valid[0]["targets"]
    assert np.array_equal(vocals[0], vocals[1])
    assert sides(drums, "drums")[0].argmax() == 0
    spectrum = np.abs(np.fft.rfft(other))
    left, right = BINS["other"]
    expected = [spectrum[0, left], spectrum[1, right]]
    assert spectrum[:, 500] == pytest.approx(np.array(expected), rel=1e-3)


def test_a_source_on_one_side_plays(tmp_path, rng):
    """Energies are those of both channels: the left alone would call it silent."""
    right = np.array([0, 1])
    write(tmp_path, lambda _: 0.1 * rng.standard_normal((5 * N, 1)) * right)
    for example in examples(tmp_path):
        assert not example["targets"][:, 0].any()
        assert example["targets"][:, 1].any(axis=1).all()


def test_equal_loudness_across_songs_is_that_of_both_channels(tmp_path, rng):
    panned = {"vocals": [1, 0], "drums": [1, 1], "other": [0.01, 0.02]}
    write(tmp_path, lambda name: 0.1 * rng.standard_normal((5 * N, 1)) * np.array(panned[name]))
    train, _, _ = sets(tmp_path, coherent_share=0.0, gain_db=(0.0, 0.0), level_db=(-20, -20))
    for k in range(20):
        loudness = np.array([rms(target) for target in train[k]["targets"]])
        assert loudness == pytest.approx(np.full(3, loudness.mean()), rel=0.05)
        assert rms(train[k]["mixture"]) == pytest.approx(0.1, rel=1e-4)


def test_short_recordings_are_strung_together_on_both_sides(root):
    (root / "phrases").mkdir()
    soundfile.write(root / "phrases/1.wav", pair("vocals", 1500), RATE, subtype="FLOAT")
    phrases = Tracks(glob="phrases/*.wav", stem="vocals", weight=1e9)
    train, _, _ = sets(root, tracks=(*TRACKS, phrases), coherent_share=0.0)
    for k in range(5):
        target = train[k]["targets"][0]
        assert (np.abs(target.reshape(2, 64, 50)).max(axis=2) > 0).all()
        assert sides(target, "vocals")[0, 0] > 5 * sides(target, "vocals")[0, 1]


def test_an_excerpt_is_what_the_file_holds_at_that_time(root, rng):
    write(root, lambda _: 0.1 * rng.standard_normal((5 * N, 2)), songs=["train/a"])
    train, _, _ = sets(root)
    track = train.tracks[0]
    kept = np.load(track.file)
    assert (kept.dtype, kept.shape) == (np.int16, (3, 2, 5 * N))
    for part, start in ((0, 0), (1, 1234), (2, 5 * N - 7)):
        expected = np.zeros((2, N), np.float32)
        part_of_it = kept[part, :, start : start + N]
        expected[:, : part_of_it.shape[1]] = part_of_it / np.float32(32767)
        rows = [[piece] for piece in track.pieces(part, start, N)]
        assert np.array_equal(Disk().rows(rows, N), expected)
    names = [*track.song.contents]
    read = [soundfile.read(root / f"train/a/{name}.wav")[0].T for name in names]
    assert kept / 32767 == pytest.approx(read / np.abs(read).max(), abs=1e-4)


def test_mono_and_stereo_of_a_song_do_not_share_what_is_cached(root):
    stereo, mono, again = (sets(root, channels=n)[0].tracks for n in (2, 1, 2))
    assert not {track.file for track in stereo} & {track.file for track in mono}
    assert [track.file for track in stereo] == [track.file for track in again]
    for two, one in zip(stereo, mono, strict=True):
        mean = np.load(two.file).mean(axis=1)
        kept = np.load(one.file)[:, 0].astype(float)
        assert kept / np.abs(kept).max() == pytest.approx(mean / np.abs(mean).max(), abs=1e-4)


def test_a_file_of_another_rate_keeps_its_sides(root):
    x = np.stack([np.sin(2 * np.pi * f * np.arange(16000) / 16000) for f in (500, 900)], axis=1)
    soundfile.write(root / "x.wav", 0.5 * x, 16000)
    both = Cache(root / "cache", RATE).read(root / "x.wav", channels=2)
    assert both.shape == (2, 8000)
    assert [np.abs(np.fft.rfft(channel)).argmax() for channel in both] == [500, 900]
    (mean,) = Cache(root / "cache", RATE).read(root / "x.wav")
    assert mean == pytest.approx(both.mean(axis=0), abs=1e-6)


def test_more_than_two_channels_are_refused_in_stereo_and_averaged_in_mono(root):
    surround = np.stack([tone(k) for k in (100, 200, 300, 400, 500, 600)], axis=1)
    write(root, lambda _: surround, songs=["train/b"], names=["drums"])
    with pytest.raises(
        ShapeError, match=r"train/b/drums.wav: has 6 channels, expected 1 or 2 with data.channels"
    ) as caught:
        sets(root)
    assert "\n" not in str(caught.value)
    assert not (root / "cache").exists()
    assert sets(root, channels=1)[0][0]["mixture"].shape == (1, N)


def test_nothing_on_two_channels_is_silent():
    assert rms(np.zeros((2, 0), np.float32)) == 0


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"channels": 3}, "channels = 3, expected 1 or 2"),
        ({"channels": 0}, "channels = 0, expected 1 or 2"),
        ({"channels": 1, "swap_share": 0.5}, "swap_share = 0.5, expected 0 in mono; set channels"),
        ({"swap_share": 1.5}, "swap_share = 1.5, expected 0 to 1"),
    ],
)
def test_impossible_sides_are_refused(settings, match):
    with pytest.raises(ConfigError, match=match):
        config(**settings)


def test_every_kind_of_data_says_how_many_channels_its_examples_have():
    assert {kind.settings().channels for kind in DATA.values()} == {1}  # unless told otherwise
    assert (SpeechInNoiseConfig().channels, config().channels) == (1, 2)
