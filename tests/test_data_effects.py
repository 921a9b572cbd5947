"""Augmentation: what a change does to a sound is known before; nothing depends on the order."""

import shutil
import sys
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from unmask.data import StemMixturesConfig, Tracks
from unmask.data.effects import EFFECTS, Variation, draw, play
from unmask.data.example import rms
from unmask.data.stem_mixtures import make
from unmask.errors import ConfigError, MissingExtraError

pytest.importorskip("pedalboard", reason="needs unmask[augment]")

RATE = 22050
N = 8192


def noise(rng, *, channels=1, n=RATE):
    return (0.1 * rng.standard_normal((channels, n))).astype(np.float32)


def apply(rng, x, sample_rate, shares):
    return play(draw(rng, sample_rate, shares), x, sample_rate)


def peak_hz(x):
    return np.argmax(np.abs(np.fft.rfft(x * np.hanning(len(x))))) * RATE / len(x)


@pytest.mark.parametrize("semitones", [-3.0, 0.0, 2.0])
def test_a_pitch_shift_moves_a_tone_and_keeps_its_length(semitones):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)[None].astype(np.float32)
    varied = Variation(stretch=1.0, semitones=semitones, speed=1.0).apply(tone[None], RATE)[0]
    assert varied.shape[1] == pytest.approx(4 * RATE, rel=1e-3)
    assert peak_hz(varied[0]) == pytest.approx(440 * 2 ** (semitones / 12), rel=1e-2)
    assert rms(varied[0]) == pytest.approx(rms(tone[0]), rel=0.1)


@pytest.mark.parametrize(
    ("stretch", "speed", "length", "pitch"),
    [(1.25, 1.0, 0.8, 1.0), (0.8, 1.0, 1.25, 1.0), (1.0, 1.1, 1 / 1.1, 1.1)],
)
def test_a_stretch_keeps_the_pitch_and_a_speed_does_not(stretch, speed, length, pitch):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)[None].astype(np.float32)
    varied = Variation(stretch=stretch, semitones=0.0, speed=speed).apply(tone[None], RATE)[0]
    assert varied.shape[1] == pytest.approx(4 * RATE * length, rel=1e-3)
    assert peak_hz(varied[0]) == pytest.approx(440 * pitch, rel=1e-2)


def lag(a, b):
    """Samples by which `b` is later than `a`."""
    n = len(a) + len(b)
    likeness = np.fft.irfft(np.fft.rfft(b, n) * np.conj(np.fft.rfft(a, n)), n)
    return (np.argmax(likeness) + n // 2) % n - n // 2


def test_the_parts_of_a_song_stay_aligned(rng):
    clicks = np.zeros((3, 10 * RATE), np.float32)
    for start in rng.integers(0, 10 * RATE - 100, 30):
        clicks[:, start : start + 100] = 0.5 * rng.standard_normal((3, 100))
        clicks[:, start] = 1
    clicks[1] += noise(rng, n=10 * RATE)[0] / 10
    clicks[2] *= 0.1
    parts = Variation(stretch=1.13, semitones=-1.7, speed=0.96).apply(clicks[:, None], RATE)
    envelopes = np.abs(parts[:, 0])
    for a, b in pairwise(range(3)):
        # the whole, and the end: a drift would show there
        for part in (slice(None), slice(-3 * RATE, None)):
            assert abs(lag(envelopes[a, part], envelopes[b, part])) <= 1


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_changes_a_stem_by_the_generator_alone_at_any_level(rng, name):
    x = noise(rng)
    wet = apply(np.random.default_rng(1), x, RATE, {name: 1.0})
    assert wet.dtype == np.float32
    assert wet.shape == x.shape
    assert np.array_equal(wet, apply(np.random.default_rng(1), x, RATE, {name: 1.0}))
    assert rms(wet - apply(np.random.default_rng(2), x, RATE, {name: 1.0})) > 1e-3 * rms(x)
    for k in range(10):
        wet = apply(np.random.default_rng(k), x, RATE, {name: 1.0})
        loud = apply(np.random.default_rng(k), 50 * x, RATE, {name: 1.0})
        assert np.abs(50 * wet - loud).max() < 1e-3 * np.abs(loud).max()
        assert rms(wet - x) > 0.005 * rms(x)
        assert 0.1 < rms(wet) / rms(x) < 4


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_does_to_each_channel_what_it_does_to_it_alone(rng, name):
    x = noise(rng, channels=2)
    x *= np.float32(0.1) / np.array([[rms(channel)] for channel in x])  # levels as of both
    wet = apply(np.random.default_rng(1), x, RATE, {name: 1.0})
    for k in range(2):
        alone = apply(np.random.default_rng(1), x[[k]], RATE, {name: 1.0})
        assert wet[[k]] == pytest.approx(alone, abs=1e-5)
    assert rms(wet[0] - wet[1]) > 0.1 * rms(x)


def test_a_variation_keeps_parts_and_channels_apart_and_alike(rng):
    x = np.zeros((2, 2, 4 * RATE), np.float32)
    for row, f in zip(x.reshape(4, -1), (300, 500, 700, 1100), strict=True):
        row[:] = 0.1 * np.sin(2 * np.pi * f * np.arange(4 * RATE) / RATE)
    varied = Variation(stretch=1.0, semitones=12.0, speed=1.0).apply(x, RATE)
    peaks = [[peak_hz(channel) for channel in part] for part in varied]
    assert peaks == pytest.approx(np.array([[600, 1000], [1400, 2200]]), rel=1e-2)
    x[:] = x[:1, :1]
    alike = Variation(stretch=1.1, semitones=-1.0, speed=0.97).apply(x, RATE)
    assert np.array_equal(alike, np.broadcast_to(alike[:1, :1], alike.shape))


def test_an_effect_comes_as_often_as_it_should(rng):
    x = noise(rng, n=2048)
    changed = [
        apply(np.random.default_rng(k), x, RATE, {"filter": 0.3}) is not x for k in range(500)
    ]
    assert 0.24 < np.mean(changed) < 0.36
    assert apply(rng, x, RATE, {}) is x
    silence = np.zeros((1, 2048), np.float32)
    assert not apply(rng, silence, RATE, dict.fromkeys(EFFECTS, 1.0)).any()


def response_db(name, seed, n=1 << 15):
    """Gain of an effect over frequency, from an impulse."""
    impulse = np.zeros((1, n), np.float32)
    impulse[0, 0] = 1
    wet = apply(np.random.default_rng(seed), impulse, RATE, {name: 1.0})
    return 20 * np.log10(np.abs(np.fft.rfft(wet[0])) + 1e-9)


def test_an_equaliser_has_peaks_and_dips_of_at_most_27_db():
    gains = [response_db("equalise", seed)[:-100] for seed in range(20)]
    assert all(np.abs(gain).max() <= 27.1 and np.ptp(gain) > 1 for gain in gains)


def test_a_filter_takes_one_end_away_and_leaves_the_other():
    ends = [(gain[10], gain[-100]) for gain in (response_db("filter", s) for s in range(20))]
    lows, highs = (np.array(end) for end in zip(*ends, strict=True))
    assert ((lows < -1) ^ (highs < -1)).all()
    assert (np.maximum(lows, highs) > -1).all()
    assert 3 < (lows < -1).sum() < 17


def test_a_compressor_makes_loud_and_soft_more_alike(rng):
    x = noise(rng, n=2 * RATE)
    x[:, RATE:] *= 0.05
    for seed in range(5):
        wet = apply(np.random.default_rng(seed), x, RATE, {"compress": 1.0})
        assert rms(wet[:, : RATE // 2]) / rms(wet[:, -RATE // 2 :]) < 19


def test_reverberation_adds_a_tail_to_what_was_there():
    x = np.zeros((1, RATE), np.float32)
    x[0, 100] = 1
    for seed in range(5):
        wet = apply(np.random.default_rng(seed), x, RATE, {"reverb": 1.0})[0]
        assert not wet[:100].any()
        assert wet[100] == pytest.approx(1, abs=0.05)
        assert 0.01 < np.linalg.norm(wet[101:]) < 1


@pytest.fixture
def root(tmp_path):
    """Songs of two stems: a tone each, so that a spectrum tells what was done."""
    time = np.arange(3 * RATE) / RATE
    for song in ("train/a", "train/b", "valid/c"):
        (tmp_path / song).mkdir(parents=True)
        for stem, f in (("vocals", 440), ("drums", 1700)):
            x = 0.2 * np.sin(2 * np.pi * f * time)
            soundfile.write(tmp_path / song / f"{stem}.wav", x, RATE)
    return tmp_path


def sets(root, **settings):
    defaults = {
        "sample_rate": RATE,
        "samples": N,
        "sources": ("vocals", "drums"),
        "tracks": (Tracks(glob="train/*"), Tracks(glob="valid/*", valid_share=1.0)),
        "silent_share": 0.0,
    }
    config = StemMixturesConfig(**(defaults | settings))
    return make(config, root, root / "cache", seed=1, n_examples=40)


def test_variants_of_a_song_differ_and_its_parts_vary_alike(root):
    train, valid, facts = sets(root, variants=3, stretch=(0.7, 1.4), speed=(1.0, 1.0))
    assert [track.song.name for track in train.tracks] == ["train/a"] * 3 + ["train/b"] * 3
    assert len(valid.tracks) == 1
    assert facts["train"]["tracks"] == 2
    shifts = []
    for track in train.tracks:
        kept = dict(zip(track.song.contents, np.load(track.file)[:, 0], strict=True))
        assert track.length == kept["vocals"].shape[0]
        shifts.append([peak_hz(kept["vocals"]) / 440, peak_hz(kept["drums"]) / 1700])
    vocals, drums = np.array(shifts).T
    assert vocals == pytest.approx(drums, rel=1e-2)
    assert vocals[[0, 3]] == pytest.approx([1, 1], rel=1e-3)
    assert len(set(vocals.round(3))) == 5  # the originals are alike
    assert len({track.length for track in train.tracks}) == 5
    assert (np.abs(12 * np.log2(vocals)) <= 2.15).all()
    assert {"train/a", "train/b"} == {track.song.name for track, _ in train.songs}


def test_a_variant_is_made_once_for_all_runs(root, monkeypatch):
    first, _, _ = sets(root, variants=3)
    monkeypatch.setattr(Variation, "apply", None)
    again, _, _ = sets(root, variants=3, targets=("drums",))
    assert [track.file for track in first.tracks] == [track.file for track in again.tracks]


def test_processes_fill_the_cache_with_the_same(root):
    def kept(**settings):
        tracks = sets(root, variants=2, **settings)[0].tracks
        return {track.file.name: np.load(track.file).tobytes() for track in tracks}

    alone = kept()
    shutil.rmtree(root / "cache")
    assert kept(jobs=2) == alone
    assert len(alone) == 4


def test_effects_are_in_the_mixture_and_the_target_and_not_in_validation(root):
    effects = dict.fromkeys(EFFECTS, 0.5)
    shared = {"targets": ("vocals", "drums"), "absent_share": 0.0}
    plain, plain_valid, _ = sets(root, **shared)
    train, valid, _ = sets(root, effects=effects, **shared)
    for k in range(20):
        example = train[k]
        assert np.abs(example["targets"].sum(axis=0) - example["mixture"]).max() < 1e-5
        assert example["mixture"].dtype == example["targets"].dtype == np.float32
        # a tone after effects is no longer one of constant level, or another one
        assert not np.allclose(example["mixture"], plain[k]["mixture"], atol=1e-4)
        assert np.array_equal(valid[k]["mixture"], plain_valid[k]["mixture"])


def test_augmented_stereo_adds_up_and_what_was_mono_stays_in_the_middle(root):
    effects = dict.fromkeys(EFFECTS, 0.5)
    shared = {"targets": ("vocals", "drums"), "channels": 2, "swap_share": 0.5}
    train, _, _ = sets(root, effects=effects, variants=2, **shared)
    assert {np.load(track.file).shape[:2] for track in train.tracks} == {(2, 2)}
    for k in range(20):
        mixture, targets = train[k]["mixture"], train[k]["targets"]
        assert targets.sum(axis=0) == pytest.approx(mixture, abs=1e-5)
        assert np.array_equal(targets[:, 0], targets[:, 1])


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_no_augmented_example(root, workers):
    loader = pytest.importorskip("torch.utils.data").DataLoader
    train, _, _ = sets(root, variants=2, effects=dict.fromkeys(EFFECTS, 0.4))
    plain = [train[k]["mixture"] for k in range(12)]
    batches = loader(train, batch_size=4, sampler=range(12), num_workers=workers)
    assert np.array_equal(plain, np.concatenate([batch["mixture"].numpy() for batch in batches]))


def test_without_the_library_there_is_one_line(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    sets(root)
    for settings in ({"variants": 2}, {"effects": {"reverb": 0.1}}):
        with pytest.raises(MissingExtraError, match=r"unmask\[augment\]") as caught:
            sets(root, **settings)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"effects": {"fuzz": 0.1}}, r"no effects \['fuzz'\]; there are \['equalise'"),
        ({"effects": {"reverb": 1.1}}, r"effects\.reverb = 1\.1, expected 0 to 1"),
        ({"variants": 0}, "variants = 0"),
        ({"speed": (0.0, 1.0)}, r"speed = \[0\.0, 1\.0\] and .*, expected > 0"),
        ({"excerpt_speed": (0.0, 1.0)}, r"excerpt_speed = \[0\.0, 1\.0\], expected > 0"),
        ({"equalise_db": -1.0}, r"equalise_db = -1\.0, expected 0 or more"),
        ({"semitones": (1.0, -1.0)}, r"\[low, high\], got \[1\.0, -1\.0\]"),
    ],
)
def test_impossible_augmentation_is_refused(settings, match):
    with pytest.raises(ConfigError, match=match):
        StemMixturesConfig(**settings)
