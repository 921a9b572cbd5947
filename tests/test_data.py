"""Training data: seeded by index, refused by name, cached once."""

import csv
import os
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from unmask.data import Recordings, SpeechInNoiseConfig, augment
from unmask.data.cache import Cache
from unmask.data.example import rms
from unmask.data.recordings import Chosen, Pool, find, read_manifest, refuse_test_material
from unmask.data.speech_in_noise import SpeechInNoise, make
from unmask.data.store import Disk
from unmask.errors import ConfigError

RATE = 8000
SPECS = (
    Recordings(role="speech", glob="speech/*.wav", valid_share=0.4),
    Recordings(role="noise", glob="noise/1-*.wav"),
    Recordings(role="noise", glob="noise/4-*.wav", valid_share=1.0),
)
CONFIG = SpeechInNoiseConfig(sample_rate=RATE, seconds=0.5, recordings=SPECS, valid_examples=4)


@pytest.fixture
def root(tmp_path, rng):
    """Ten recordings of speech, two of noise to train on, one to validate with."""
    files = [f"speech/{k}.wav" for k in range(10)]
    for name in [*files, "noise/1-a.wav", "noise/1-b.wav", "noise/4-a.wav"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(6000), RATE)
    return tmp_path


@pytest.fixture
def sets(root):
    return make(CONFIG, root, root / "cache", seed=3, n_examples=60)[:2]


def write_manifest(root, splits):
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "licence", "split"), *splits])


def snr_db(example):
    target = example["targets"][0]
    noise = example["mixture"] - target
    return 20 * np.log10(rms(target) / rms(noise)) if rms(target) and rms(noise) else np.nan


def test_an_example_depends_on_seed_and_index_alone(root, sets):
    again, _, _ = make(CONFIG, root, root / "other cache", seed=3, n_examples=60)
    for index in (7, 0, 31):
        for name in ("mixture", "targets"):
            assert np.array_equal(sets[0][index][name], again[index][name])
    other, _, _ = make(CONFIG, root, root / "cache", seed=4, n_examples=60)
    assert not np.array_equal(sets[0][0]["mixture"], sets[0][1]["mixture"])
    assert not np.array_equal(sets[0][0]["mixture"], other[0]["mixture"])


def test_the_examples_of_a_seed_are_those_of_always(sets):
    """What was trained can be trained again: whoever changes this changes every run."""
    expected = [
        [[-0.0794827, 0.0058222, -0.052485], [-0.0754474, 0.0199669, -0.0362978]],
        [[0.0474459, -0.0204133, -0.1149838], [0.0113947, -0.0059271, -0.1559416]],
    ]
    for examples, (mixture, target) in zip(sets, expected, strict=True):
        places = [0, 1500, 3000]
        assert examples[2]["mixture"][0, places] == pytest.approx(mixture, abs=1e-6)
        assert examples[2]["targets"][0, 0, places] == pytest.approx(target, abs=1e-6)


def test_examples_have_the_axes_of_the_house(sets):
    example = sets[0][0]
    assert example["mixture"].shape == (1, 4000)
    assert example["targets"].shape == (1, 1, 4000)
    assert example["sums"].tolist() == [[1]]
    assert {array.dtype for array in example.values()} == {np.dtype(np.float32)}
    assert len(sets[0]) == 60


def test_ratios_and_levels_stay_in_their_ranges_and_use_them(sets):
    examples = [sets[0][k] for k in range(60)]
    ratios = np.array([snr_db(example) for example in examples])
    levels = np.array([20 * np.log10(rms(example["mixture"])) for example in examples])
    for values, (low, high) in ((ratios, CONFIG.snr_db), (levels, CONFIG.level_db)):
        values = values[np.isfinite(values)]
        assert ((low - 0.01 <= values) & (values <= high + 0.01)).all()
        assert np.ptp(values) > 0.6 * (high - low)


def test_some_examples_have_no_noise_and_some_no_speech(root):
    config = SpeechInNoiseConfig(
        sample_rate=RATE, seconds=0.5, recordings=SPECS, clean_share=0.3, noise_share=0.3
    )
    examples = make(config, root, root / "cache", seed=0, n_examples=100)[0]
    clean = sum(
        not np.any(e["mixture"] - e["targets"][0]) for e in map(examples.__getitem__, range(100))
    )
    noise = sum(not np.any(e["targets"]) for e in map(examples.__getitem__, range(100)))
    assert 15 <= clean <= 45
    assert 15 <= noise <= 45


def test_validation_is_drawn_from_the_seed_that_follows(sets):
    valid = sets[1]
    same = SpeechInNoise(CONFIG, valid.speech, valid.noise, seed=4, n_examples=4, plain=True)
    assert len(valid) == 4
    assert all(np.array_equal(valid[k]["mixture"], same[k]["mixture"]) for k in range(4))


def test_validation_is_plain_speech_in_plain_noise(sets):
    ratios = [snr_db(sets[1][k]) for k in range(4)]
    assert all(-0.01 <= ratio <= 5.01 for ratio in ratios)


def test_speech_that_validates_is_never_trained_on(root):
    found = find(root, SPECS)
    speech = [{path.name for path, *_ in found[f"{split} speech"]} for split in ("train", "valid")]
    assert speech[0] | speech[1] == {f"{k}.wav" for k in range(10)}
    assert not speech[0] & speech[1]
    assert all(speech)
    assert [path.name for path, *_ in found["valid noise"]] == ["4-a.wav"]


def test_a_file_that_is_added_moves_no_other(root):
    before = find(root, SPECS[:1])
    soundfile.write(root / "speech" / "00.wav", np.ones(10), RATE)
    after = find(root, SPECS[:1])
    assert all(set(before[split]) <= set(after[split]) for split in before)


@pytest.mark.parametrize(
    "name",
    [
        "musdb/Falcon 69 - Sober/mixture.wav",
        "FALCON_69.wav",
        "Music Delta - 80s Rock/vocals.wav",
        "music_delta_80s_rock.wav",
        "noisy/p232_001.wav",
        "p257/p257_434.wav",
        "ev3/7.Francium/drums.ogg",
    ],
)
def test_material_that_others_measure_on_is_refused_by_name(root, name):
    path = root / "noise" / "1-x" / name
    path.parent.mkdir(parents=True)
    soundfile.write(root / "noise" / "ok.wav", np.ones(10), RATE)
    path.write_bytes((root / "noise" / "ok.wav").read_bytes())
    glob = f"noise/1-x/{name.rsplit('/', 1)[0] if '/' in name else ''}/*".replace("//", "/")
    with pytest.raises(ConfigError, match="is test material of"):
        find(root, [Recordings(role="noise", glob=glob)])


@pytest.mark.parametrize("name", ["p2321.wav", "p225_001.wav", "falcon 70.wav", "17.francesca.ogg"])
def test_other_names_are_not_refused(tmp_path, name):
    refuse_test_material(tmp_path / name)


@pytest.mark.parametrize(
    ("split", "valid_share", "allowed"),
    [
        ("train", 0.0, True),
        ("train", 1.0, True),
        ("valid", 1.0, True),
        ("valid", 0.0, False),
        ("test", 0.0, False),
        ("test", 1.0, False),
        ("reference", 0.0, False),
    ],
)
def test_the_split_of_a_manifest_is_binding(root, split, valid_share, allowed):
    write_manifest(root, [("noise/4-a.wav", "CC0", split)])
    spec = Recordings(role="noise", glob="noise/4-*.wav", valid_share=valid_share)
    if allowed:
        assert find(root, [spec])
    else:
        with pytest.raises(ConfigError, match=rf"noise/4-a\.wav: the manifest says '{split}'"):
            find(root, [spec])


def test_what_a_manifest_does_not_list_is_refused(root):
    write_manifest(root, [("noise/1-a.wav", "CC0", "train")])
    with pytest.raises(ConfigError, match=r"1-b\.wav: the manifest says 'unlisted'"):
        find(root, [Recordings(role="noise", glob="noise/1-*.wav")])


def test_the_facts_count_files_minutes_and_licences(root):
    write_manifest(
        root,
        [(f"speech/{k}.wav", "Apache-2.0", "train") for k in range(10)]
        + [("noise/1-a.wav", "CC0", "train"), ("noise/1-b.wav", "CC-BY", "train")]
        + [("noise/4-a.wav", "CC0", "valid")],
    )
    facts = make(CONFIG, root, root / "cache", seed=0, n_examples=1)[2]
    assert facts["train noise"]["licences"] == ["CC-BY", "CC0"]
    assert facts["train speech"]["files"] + facts["valid speech"]["files"] == 10


def test_a_glob_without_files_and_a_missing_part_are_refused(root):
    with pytest.raises(ConfigError, match=r"no file matches 'song/\*' below"):
        find(root, [Recordings(role="speech", glob="song/*")])
    config = SpeechInNoiseConfig(sample_rate=RATE, recordings=SPECS[:2])
    with pytest.raises(ConfigError, match=r"no recordings for \['valid noise'\]"):
        make(config, root, root / "cache", seed=0, n_examples=1)


def test_a_recording_is_decoded_once_and_keeps_its_shape(root, rng, monkeypatch):
    wave = np.stack([rng.standard_normal(4000), np.zeros(4000)], axis=1)
    path = root / "stereo.wav"
    soundfile.write(path, 0.1 * wave / np.abs(wave).max(), RATE, subtype="FLOAT")
    cache = Cache(root / "cache", RATE)
    first = cache.open(path)
    monkeypatch.setattr(cache, "read", None)
    assert np.array_equal(first, cache.open(path))
    expected = wave[:, 0] / np.abs(wave[:, 0]).max()
    assert np.abs(first / 32767 - expected).max() <= 1 / 32767
    assert [path.suffix for path in (root / "cache").iterdir()] == [".npy"]


def test_a_recording_of_another_rate_is_resampled(root):
    time = np.arange(16000) / 16000
    soundfile.write(root / "tone.wav", 0.5 * np.sin(2 * np.pi * 1000 * time), 16000)
    samples = Cache(root / "cache", RATE).open(root / "tone.wav")
    assert len(samples) == 8000
    expected = np.sin(2 * np.pi * 1000 * np.arange(8000) / RATE)
    assert np.abs(samples[200:-200] / 32767 - expected[200:-200]).max() < 0.01


def read(pool, rng, n_samples):
    pieces, band = pool.draw(rng, n_samples)
    return Disk().rows([pieces], n_samples)[0], band


def test_excerpts_avoid_silence_and_fill_up_from_several_recordings(root, rng):
    wave = np.zeros(40_000)
    wave[30_000:] = rng.standard_normal(10_000)
    soundfile.write(root / "late.wav", 0.1 * wave, RATE)
    soundfile.write(root / "short.wav", 0.1 * rng.standard_normal(500), RATE)
    cache = Cache(root / "cache", RATE)
    late = Pool([Chosen(root / "late.wav")], cache)
    heard = [rms(read(late, np.random.default_rng(k), 4000)[0]) > 0.1 for k in range(20)]
    assert sum(heard) >= 17  # without a second look it is every third
    filled, band = read(Pool([Chosen(root / "short.wav")], cache), rng, 1700)
    assert band == 1
    assert len(filled) == 1700
    assert (np.abs(filled.reshape(17, 100)).max(axis=1) > 0).all()


def levels(signal):
    """RMS of the spectrum of a (1, sample) signal in 48 bands of equal width."""
    spectrum = np.abs(np.fft.rfft(signal[0] * np.hanning(signal.shape[1])))
    return np.array([rms(part) for part in np.array_split(spectrum, 48)])


@pytest.fixture
def wide_noise(root, rng):
    for path in (root / "noise").iterdir():
        soundfile.write(path, 0.1 * rng.standard_normal(18000), 3 * RATE)


@pytest.mark.usefixtures("wide_noise")
@pytest.mark.parametrize("plain", [True, False])
def test_noise_ends_where_the_recording_of_the_speech_does(root, plain):
    """Or a network learns that what is high is never speech."""
    shares = {"clean_share": 0, "noise_share": 0, "full_band_share": 0, "reverb_share": 0}
    config = replace(CONFIG, sample_rate=3 * RATE, speed=(1, 1), **shares)
    examples = make(config, root, root / "cache", seed=3, n_examples=4)[plain]
    for example in map(examples.__getitem__, range(4)):
        found = levels(example["mixture"] - example["targets"][0])
        assert found[17:].max() < 1e-3 * found.max()
        assert found[8:14].max() > 1e-2 * found.max() or not plain


@pytest.mark.usefixtures("wide_noise")
@pytest.mark.parametrize(
    ("share", "noise_share", "expected"), [(0, 0, 0), (0.3, 0, 12), (1, 0, 40), (0, 0.3, 12)]
)
def test_a_share_of_the_noise_and_noise_alone_keep_their_band(root, share, noise_share, expected):
    """Or a network never hears what hiss is."""
    shares = {"noise_share": noise_share, "full_band_share": share, "synthetic_share": 0}
    config = replace(CONFIG, sample_rate=3 * RATE, clean_share=0, **shares)
    examples = make(config, root, root / "cache", seed=3, n_examples=40)[0]
    wide = 0
    for example in map(examples.__getitem__, range(40)):
        found = levels(example["mixture"] - example["targets"][0])
        wide += found[40:].max() > 1e-2 * found.max()
    assert wide == pytest.approx(expected, abs=0.15 * 40 * (0 < expected < 40))


@pytest.mark.usefixtures("wide_noise")
def test_faster_speech_reaches_higher_and_so_does_its_noise(root):
    shares = {"clean_share": 0, "noise_share": 0, "full_band_share": 0, "reverb_share": 0}
    shares["synthetic_share"] = 0
    config = replace(CONFIG, sample_rate=3 * RATE, speed=(1.5, 1.5), **shares)
    example = make(config, root, root / "cache", seed=3, n_examples=1)[0][0]
    found = levels(example["mixture"] - example["targets"][0])
    assert found[17:21].min() > 0.02 * found.max()
    assert found[25:].max() < 1e-3 * found.max()


def test_a_low_pass_at_half_the_rate_changes_nothing(rng):
    noise = rng.standard_normal(1001).astype(np.float32)
    pair = np.stack([noise, noise])[:, None]
    (whole,), (low,) = augment.low_pass(pair, [1.0, 0.25], Disk())
    assert np.array_equal(whole, noise)
    assert rms(low) == pytest.approx(0.5 * rms(noise), rel=0.1)


def test_silent_recordings_give_silence_and_no_nan(root):
    soundfile.write(root / "silent.wav", np.zeros(9000), RATE)
    silent = Pool([Chosen(root / "silent.wav")], Cache(root / "cache", RATE))
    example = SpeechInNoise(CONFIG, silent, silent, seed=0, n_examples=1, plain=True)[0]
    assert not np.any(example["mixture"])


def test_the_weight_of_a_recording_decides_how_often_it_is_taken(root):
    files = [Chosen(root / "noise" / f"1-{name}.wav", w) for name, w in (("a", 1.0), ("b", 3.0))]
    assert Pool(files, Cache(root / "cache", RATE)).chance == pytest.approx([0.25, 0.75])


def test_a_change_of_speed_moves_a_tone_and_keeps_its_level():
    x = np.sin(2 * np.pi * 50 * np.arange(1000) / 1000).astype(np.float32)
    faster = augment.smooth_filter(x[None, None], [np.ones(9)], Disk(), n_samples=800)[0, 0]
    assert faster == pytest.approx(np.sin(2 * np.pi * 50 * np.arange(800) / 800), abs=1e-5)


@pytest.mark.parametrize("range_db", [0.0, 6.0])
def test_a_random_filter_stays_in_its_range(rng, range_db):
    x = np.zeros((1, 1, 1024), np.float32)
    x[..., 0] = 1
    gains = augment.draw_filter(rng, range_db)
    filtered = augment.smooth_filter(x, [gains], Disk(), n_samples=1024)
    gain_db = 20 * np.log10(np.abs(np.fft.rfft(filtered)))
    assert gain_db[0, 0, [0, 8, -1]] == pytest.approx(20 * np.log10(gains[[0, 1, -1]]), abs=1e-3)
    assert np.abs(gain_db).max() <= range_db + 1e-4
    assert np.ptp(gain_db) >= range_db


def test_a_room_keeps_the_direct_sound_and_adds_a_tail(rng):
    x = np.zeros((2, 1, 8000), np.float32)
    x[..., 100] = 1
    room = augment.draw_room(rng, 1, RATE)
    (dry,), (wet,) = augment.in_rooms(x, [None, room], Disk())
    assert np.array_equal(dry, x[0, 0])
    assert not np.abs(wet[:100]).max() > 1e-6
    assert wet[100] == pytest.approx(1, abs=1e-5)
    assert 0.05 < np.linalg.norm(wet[101:]) < 0.8


def test_synthetic_noise_is_finite_loud_and_never_the_same(rng):
    drawn = [augment.draw_noise(rng, 4000, RATE) for _ in range(20)]
    assert {noise.slope == 0 for noise in drawn} == {True, False}  # hums, and coloured noise
    noises = augment.sounds(drawn, 4000, Disk())
    assert all(np.isfinite(noise).all() and rms(noise) > 0 for noise in noises)
    assert len({noise.tobytes() for noise in noises}) == 20


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfpath,split\r\na.wav,train\r\n",
        b"path;split\na.wav;train\n",
        b"path\tsplit\na.wav\ttrain\n",
        "path,split\na.wav,train\n".encode("utf-16"),
    ],
    ids=["byte order mark", "semicolons", "tabs", "UTF-16"],
)
def test_a_manifest_may_be_as_spreadsheets_write_it(tmp_path, content):
    (tmp_path / "manifest.csv").write_bytes(content)
    assert read_manifest(tmp_path) == {"a.wav": {"path": "a.wav", "split": "train"}}


@pytest.mark.parametrize("content", [b"path,split\n\xff\n", b"name,split\na.wav,train\n"])
def test_a_manifest_that_says_nothing_is_refused(tmp_path, content):
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=r"manifest.csv: (cannot be read|has the columns)"):
        read_manifest(tmp_path)


def test_a_manifest_names_files_however_accents_are_written(root):
    decomposed = "speech/cafe\u0301.wav"
    (root / "speech/0.wav").rename(root / decomposed)
    names = [f"speech/{k}.wav" for k in range(1, 10)] + ["speech/caf\u00e9.wav"]
    write_manifest(root, [(name, "CC0", "train") for name in names])
    found = find(root, [Recordings(role="speech", glob="speech/*.wav")])
    assert len(found["train speech"]) == 10


@pytest.mark.parametrize("n_bytes", [0, 50, 5000])
def test_what_is_cut_in_the_cache_is_made_again(root, n_bytes):
    cache, path = Cache(root / "cache", RATE), root / "speech/0.wav"
    whole = np.array(cache.open(path))
    [kept] = (root / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:n_bytes])
    np.testing.assert_array_equal(cache.open(path), whole)


def test_no_file_is_kept_open_for_a_recording(root):
    cache = Cache(root / "cache", RATE)
    before = len(os.listdir("/proc/self/fd"))
    pool = Pool([Chosen(root / f"speech/{k}.wav") for k in range(10)], cache)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not any(isinstance(entry, np.memmap) for one in pool.recordings for entry in one)


def test_a_hum_is_a_sum_of_sines(rng):
    time, turns = np.arange(3000), np.array([0.01, 0.02, 2.9])
    gains, phases = np.array([1.0, 0.5, 0.2]), np.array([0.3, 1.0, 2.0])
    expected = (gains * np.sin(time[:, None] * turns + phases)).sum(1)
    assert augment._sines(turns, gains, phases, 3000) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n_samples", [0, 1, 1023, 1024, 2048, 5000])
def test_the_loudness_of_a_piece_is_found_without_reading_it(root, rng, n_samples):
    soundfile.write(root / "x.wav", 0.1 * rng.standard_normal(6000), RATE)
    cache = Cache(root / "cache", RATE)
    pool = Pool([Chosen(root / "x.wav")], cache)
    for start in (0, 1, 700, 1000):
        piece = np.array(cache.open(root / "x.wav")[start : start + n_samples], float)
        found = pool._energies[0].rms(start, n_samples)
        assert found == pytest.approx(np.sqrt((piece**2).mean()) if n_samples else 0, rel=1e-12)


@pytest.mark.parametrize("glob", ["", "**x", "/\0"])
def test_globs_that_find_nothing_are_refused_in_one_line(root, glob):
    with pytest.raises(ConfigError, match="glob"):
        find(root, [Recordings(role="speech", glob=glob)])


def test_the_test_half_of_a_collection_is_refused(root):
    for half in ("train", "test"):
        (root / half).mkdir()
        (root / half / "a.wav").write_bytes((root / "speech/0.wav").read_bytes())
    assert find(root, [Recordings(role="speech", glob="train/*.wav")])
    with pytest.raises(ConfigError, match=r"a.wav: lies in .*test, beside train: it is for tests"):
        find(root, [Recordings(role="speech", glob="t*/*.wav", valid_share=1.0)])
