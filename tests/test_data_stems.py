"""Mixtures of stems: what is in them, where they come from, what is refused."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from unmask.data import DATA, StemMixturesConfig, Tracks
from unmask.data.cache import Cache
from unmask.data.example import known_sums, rms
from unmask.data.stem_mixtures import StemMixtures, make
from unmask.data.tracks import Track
from unmask.errors import AudioFileError, ConfigError, SampleRateError, ShapeError

RATE = 8000
N = 3200
SOURCES = ("vocals", "drums", "bass", "other")
#: Every stem is a tone of its own, so that a spectrum tells what is in a mixture. The frequencies
#: are those of whole periods in an excerpt: a bin of its transform each.
BINS = {"vocals": 100, "drums": 230, "bass": 360, "other": 490, "guitar": 620, "synth": 750}
SONG = Tracks(glob="train/*")
VALID = Tracks(glob="valid/*", valid_share=1.0)


def tone(name, *, bin_of=BINS, n=5 * N, gain=0.1):
    return gain * np.sin(2 * np.pi * bin_of[name] * np.arange(n) / N)


def write_song(folder, stems):
    folder.mkdir(parents=True)
    for name, x in stems.items():
        soundfile.write(folder / f"{name}.wav", x, RATE, subtype="FLOAT")


def config(**settings):
    defaults = {"sample_rate": RATE, "samples": N, "tracks": (SONG, VALID), "silent_share": 0.0}
    return StemMixturesConfig(**(defaults | settings))


def sets(root, seed=0, n_examples=100, **settings):
    return make(config(**settings), root, root / "cache", seed=seed, n_examples=n_examples)


def waveforms(track):
    """All parts of a track, as they lie in the cache."""
    return np.load(track.file)


def levels(x, names=BINS):
    """Amplitude of the tone of every stem in a signal (..., sample)."""
    spectrum = np.abs(np.fft.rfft(x)) / (N / 2)
    return {name: spectrum[..., BINS[name]].max() for name in names}


@pytest.fixture
def root(tmp_path):
    """Two songs to train on and one to validate with."""
    for name in ("train/a", "train/b", "valid/c"):
        write_song(tmp_path / name, {stem: tone(stem) for stem in SOURCES})
    return tmp_path


def test_an_example_is_the_target_and_everything_else(root):
    train, _, _ = sets(root, targets=("vocals",), absent_share=0.0)
    for k in range(20):
        example = train[k]
        assert example["mixture"].shape == (1, N)
        assert example["targets"].shape == (1, 1, N)
        assert example["mixture"].dtype == example["targets"].dtype == np.float32
        target = levels(example["targets"][0, 0])
        rest = levels(example["mixture"] - example["targets"][0])
        assert target["vocals"] > 100 * max(v for k, v in target.items() if k != "vocals")
        assert min(rest[s] for s in ("drums", "bass", "other")) > 100 * rest["vocals"]


def test_several_targets_come_in_the_order_asked_and_add_up(root):
    train, _, _ = sets(root, targets=("bass", "drums", "other", "vocals"))
    for k in range(20):
        example = train[k]
        assert example["targets"].sum(axis=0) == pytest.approx(example["mixture"], abs=1e-5)
        for name, target in zip(
            ("bass", "drums", "other", "vocals"), example["targets"], strict=True
        ):
            found = levels(target[0])
            assert max(found, key=found.get) == name or not target.any()


def test_an_example_depends_on_seed_and_index_alone(root):
    train, valid, _ = sets(root, seed=3)
    again, _, _ = sets(root, seed=3)
    other, other_valid, _ = sets(root, seed=4)
    for index in (7, 0, 31):
        for name in ("mixture", "targets"):
            assert np.array_equal(train[index][name], again[index][name])
    assert not np.array_equal(train[0]["mixture"], train[1]["mixture"])
    assert not np.array_equal(train[0]["mixture"], other[0]["mixture"])
    assert np.array_equal(valid[0]["mixture"], other_valid[0]["mixture"])


#: Samples 0, 1500 and 3000 of a mixture and its two targets: across songs, of one, to validate.
FIXED = {
    "across": [
        [0.1436657, -0.007422, 0.0511649],
        [0.1552133, 0.0843442, -0.0238227],
        [-0.148758, -0.0421072, -0.038619],
    ],
    "coherent": [
        [-0.0095618, -0.0065122, -0.0094243],
        [0.0080675, -0.0288785, 0.0026033],
        [-0.005969, 0.005286, -0.0001974],
    ],
    "valid": [
        [-0.0380785, -0.0197325, -0.0187134],
        [-0.0025532, -0.0014791, -0.0119656],
        [-0.0054068, -0.0060733, -0.0033431],
    ],
}


def test_the_examples_of_a_seed_are_those_of_always(tmp_path, rng):
    """What was trained can be trained again: whoever changes this changes every run."""
    for song in ("train/a", "train/b", "valid/c"):
        stems = {stem: 0.1 * rng.standard_normal((2 * N, 2)) for stem in SOURCES}
        write_song(tmp_path / song, stems)
    targets = ("vocals", "bass")
    across, valid, _ = sets(tmp_path, targets=targets, coherent_share=0.0)
    coherent, _, _ = sets(tmp_path, targets=targets, coherent_share=1.0)
    made = {"across": across[5], "coherent": coherent[5], "valid": valid[0]}
    for name, example in made.items():
        signals = np.concatenate([example["mixture"], example["targets"][:, 0]])
        assert signals[:, [0, 1500, 3000]] == pytest.approx(np.array(FIXED[name]), abs=1e-6)


# torch warns of more workers than processors
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(mixed_root, workers):
    loader = pytest.importorskip("torch.utils.data").DataLoader
    train, _, _ = sets(mixed_root, n_examples=12, tracks=(SONG, MIXED, VALID), targets=SOURCES)
    plain, made = (
        [
            {name: array.numpy() for name, array in batch.items()}
            for batch in loader(train, batch_size=4, num_workers=n)
        ]
        for n in (0, workers)
    )
    for one, other in zip(plain, made, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one | other)


def test_validation_is_drawn_from_the_seed_0_whatever_the_seed(root):
    _, valid, _ = sets(root, seed=5)
    same = StemMixtures(valid.config, valid.tracks, seed=0, n_examples=64, plain=True)
    assert len(valid) == 64
    for k in (0, 1, 63):
        assert np.array_equal(valid[k]["mixture"], same[k]["mixture"])


def steps(rng, n, every=800):
    """A signal whose loudness tells the time: block k has amplitude k + 1."""
    return np.repeat(np.arange(1, n // every + 1), every) * rng.choice([-1, 1], n)


def test_coherent_parts_are_of_one_song_at_one_time_as_they_were(tmp_path, rng):
    for k, name in enumerate(("train/a", "train/b", "valid/c")):
        x = 0.01 * steps(rng, 16_000)
        write_song(tmp_path / name, {"vocals": x, "other": (k + 2) * x})
    shared = {"sources": ("vocals", "other"), "coherent_share": 1.0, "gain_db": (0.0, 0.0)}
    train, valid, _ = sets(tmp_path, **shared)
    ratios = set()
    for example in [*map(train.__getitem__, range(30)), *map(valid.__getitem__, range(5))]:
        target = example["targets"][0]
        ratio = rms((example["mixture"] - target)[0]) / rms(target[0])
        assert example["mixture"] == pytest.approx((1 + ratio) * target, abs=1e-3)
        ratios.add(round(ratio, 2))
    assert ratios == {2.0, 3.0, 4.0}


def test_across_songs_every_source_has_its_own_song_and_time(tmp_path, rng):
    for name in ("train/a", "train/b", "valid/c"):
        x = 0.01 * steps(rng, 16_000)
        write_song(tmp_path / name, {"vocals": x, "other": x})
    train, _, _ = sets(
        tmp_path, sources=("vocals", "other"), coherent_share=0.0, absent_share=0.0, n_examples=40
    )
    likeness = []
    for k in range(40):
        target = train[k]["targets"][0, 0]
        rest = train[k]["mixture"][0] - target
        likeness.append(abs(target @ rest) / np.linalg.norm(target) / np.linalg.norm(rest))
    assert np.median(likeness) < 0.1


def test_across_songs_sources_have_either_polarity(tmp_path):
    for name in ("train/a", "valid/c"):
        stems = {stem: 0.1 + tone(stem, gain=0.05) for stem in SOURCES}  # all above zero
        write_song(tmp_path / name, stems)
    train, _, _ = sets(tmp_path, targets=("vocals",), coherent_share=0.0)
    means = np.array([train[k]["targets"].mean() for k in range(60)])
    assert 10 < np.sum(means > 0) < 50
    assert (means != 0).all()


def test_files_beside_songs_are_no_songs(root):
    before = len(sets(root)[0].tracks)
    soundfile.write(root / "train/demo.wav", tone("vocals"), RATE)
    (root / "train/README.txt").write_text("how this was recorded")
    assert len(sets(root)[0].tracks) == before == 2


def test_gains_across_songs_start_from_equal_loudness(root):
    quiet = {stem: tone(stem, gain=0.1 if stem == "vocals" else 0.001) for stem in SOURCES}
    write_song(root / "train/d", quiet)
    (only,) = [Tracks(glob="train/d")]
    train, _, _ = sets(
        root, tracks=(only, VALID), coherent_share=0.0, absent_share=0.0, gain_db=(-3.0, 5.0)
    )
    ratios_db = []
    for k in range(100):
        found = levels(train[k]["mixture"][0], SOURCES)
        ratios_db += [20 * np.log10(found["vocals"] / found["drums"])]
    assert -8.1 < min(ratios_db) < -4
    assert 4 < max(ratios_db) < 8.1


@pytest.mark.parametrize("coherent_share", [0.0, 1.0])
def test_targets_play_unless_silence_is_asked_for(tmp_path, rng, coherent_share):
    vocals = np.zeros(40_000)
    vocals[30_000:34_000] = 0.1 * rng.standard_normal(4000)
    for name in ("train/a", "valid/c"):
        write_song(tmp_path / name, {"vocals": vocals, "drums": 0.1 * rng.standard_normal(40_000)})
    shared = {"sources": ("vocals", "drums"), "coherent_share": coherent_share}
    train, valid, _ = sets(tmp_path, **shared)
    assert all(train[k]["targets"].any() for k in range(100))
    assert all(valid[k]["targets"].any() for k in range(64))
    silent, _, _ = sets(tmp_path, silent_share=0.4, n_examples=300, **shared)
    heard = np.mean([silent[k]["targets"].any() for k in range(300)])
    # four in five of the excerpts that are taken anywhere hold no vocals
    assert 0.5 < heard < 0.8
    assert all(silent[k]["mixture"].any() for k in range(300))


def test_sources_that_are_no_targets_are_absent_at_times(root):
    train, _, _ = sets(root, coherent_share=0.0, absent_share=0.4, n_examples=200)
    found = [levels(train[k]["mixture"][0], SOURCES) for k in range(200)]
    there = {s: np.mean([f[s] > 0.05 * max(f.values()) for f in found]) for s in SOURCES}
    assert there["vocals"] == 1
    assert all(0.48 < there[s] < 0.72 for s in ("drums", "bass", "other"))


def test_levels_fill_their_range(root):
    train, _, _ = sets(root, level_db=(-40.0, -20.0))
    found = [20 * np.log10(rms(train[k]["mixture"][0])) for k in range(100)]
    assert -40.01 < min(found) < -38
    assert -22 < max(found) < -19.99


def test_stems_fold_into_what_they_are_renamed_to_and_the_unknown_into_other(tmp_path):
    names = {"vocals": "vocals", "drums": "drums", "bass": "bassguitar", "guitar": "guitar"}
    for song in ("train/a", "valid/c"):
        stems = {file: tone(name) for name, file in names.items()}
        write_song(tmp_path / song, stems | {"synth": tone("synth"), "mixture": tone("other")})
    specs = [
        Tracks(glob=s.glob, valid_share=s.valid_share, rename={"bassguitar": "bass"})
        for s in (SONG, VALID)
    ]
    _, valid, _ = sets(tmp_path, targets=("bass", "other"), tracks=tuple(specs))
    bass, other = (levels(x[0]) for x in valid[0]["targets"])
    assert max(bass, key=bass.get) == "bass"
    assert other["guitar"] == pytest.approx(other["synth"], rel=1e-3)
    assert other["guitar"] > 100 * other["bass"]
    assert levels(valid[0]["mixture"][0])["other"] < 0.01 * other["guitar"]  # the mixture file
    five = (*SOURCES, "guitar")
    _, valid, _ = sets(tmp_path, targets=("other",), sources=five, tracks=tuple(specs))
    other = levels(valid[0]["targets"][0, 0])
    assert other["synth"] > 100 * other["guitar"]


def write_streams(path, sounds):
    """A file of several streams of sound, as MUSDB18 has them."""
    av = pytest.importorskip("av", reason="needs unmask[media]")
    with av.open(str(path), "w", format="mp4") as container:
        streams = [container.add_stream("aac", rate=44100, layout="mono") for _ in sounds]
        for stream, x in zip(streams, sounds, strict=True):
            frame = av.AudioFrame.from_ndarray(x[None].astype(np.float32), "fltp", "mono")
            frame.sample_rate = 44100
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)


def test_a_file_of_streams_is_a_song(tmp_path):
    names = ("other", "drums", "bass", "guitar", "vocals")  # the mixture is none of the stems
    time = np.arange(44100) / 44100
    for song in ("train/A song.stem.mp4", "valid/b.stem.mp4"):
        (tmp_path / song).parent.mkdir()
        sounds = [0.2 * np.sin(2 * np.pi * BINS[name] * RATE / N * time) for name in names]
        write_streams(tmp_path / song, sounds)
    train, valid, _ = sets(tmp_path, targets=("vocals", "bass", "drums", "other"))
    assert len(train.songs) == len(valid.songs) == 1
    targets = valid[0]["targets"][:, 0]
    for x, name in zip(targets, ("vocals", "bass", "drums", "guitar"), strict=True):
        found = levels(x)
        assert max(found, key=found.get) == name
        assert found[name] > 20 * sorted(found.values())[-2]


def test_a_recipe_says_it_all_in_toml(root, tmp_path):
    recipe = pytest.importorskip("unmask.recipe", reason="needs unmask[train]")
    path = tmp_path / "recipe.toml"
    path.write_text(
        """
        [frontend]
        n_fft = 128
        hop = 64
        [data]
        kind = "stems"
        sample_rate = 8000
        samples = 3200
        targets = ["vocals"]
        variants = 3
        effects = { reverb = 0.1, equalise = 1 }
        [[data.tracks]]
        glob = "train/*"
        rename = { bassguitar = "bass", clav = "other" }
        contains = { other = ["other", "bass"] }
        lacks = ["vocals"]
        [[data.tracks]]
        glob = "valid/*"
        valid_share = 1
        """
    )
    found = recipe.load(path)
    (songs, held_out) = found.data.tracks
    assert songs.holds("clav", SOURCES) == ("other", {"other", "bass"})
    assert songs.holds("bassguitar", SOURCES) == ("bass", {"bass"})
    assert held_out.valid_share == 1
    assert found.data.effects == {"reverb": 0.1, "equalise": 1}
    path.write_text(found.to_toml())
    assert recipe.load(path).data == found.data


@pytest.fixture
def mixed_root(root):
    """Two songs whose bass sits inside other, beside two where it does not."""
    for name in ("mixed/d", "mixed/e"):
        stems = {stem: tone(stem) for stem in ("vocals", "drums")}
        write_song(root / name, stems | {"other": tone("other") + tone("guitar")})
    return root


MIXED = Tracks(glob="mixed/*", contains={"other": ("other", "bass")})


def test_a_file_of_several_sources_is_used_where_none_of_them_is_a_target(mixed_root):
    train, _, _ = sets(mixed_root, tracks=(SONG, MIXED, VALID), absent_share=0.0, n_examples=100)
    marks = 0
    for k in range(100):
        found = levels(train[k]["mixture"][0])
        mixed = found["guitar"] > 0.05 * max(found.values())
        assert (found["bass"] > 0.05 * max(found.values())) == (not mixed)  # no bass beside it
        marks += mixed
    assert 20 < marks < 80


@pytest.mark.parametrize("targets", [("bass",), ("other",), ("vocals", "bass")])
def test_a_file_of_targets_and_other_sources_is_kept_away(mixed_root, targets):
    train, _, _ = sets(mixed_root, tracks=(SONG, MIXED, VALID), targets=targets)
    for k in range(100):
        found = levels(train[k]["mixture"][0])
        assert found["guitar"] < 0.01 * max(found.values())
    mixed = Tracks(glob="mixed/*", contains={"other": ("other", "bass")}, valid_share=1.0)
    with pytest.raises(ConfigError, match=r"no song to validate with in which \["):
        sets(mixed_root, tracks=(SONG, mixed), targets=targets)


def check_known(example, targets):
    """All that an example says of its sources is true of its mixture."""
    sums = example["sums"]
    assert (sums.dtype, sums.shape) == (np.float32, (len(targets), len(targets)))
    assert np.isin(sums, (0, 1)).all()
    assert (sums.sum(axis=0) == 1).all()
    assert example["targets"].sum(axis=0) == pytest.approx(example["mixture"], abs=1e-5)
    for j, row in enumerate(sums):
        assert not row.any() or row.argmax() == j
        found = levels(example["targets"][j, 0])
        names = {name for name, there in zip(targets, row, strict=True) if there}
        names |= {"guitar"} if names == {"other", "bass"} else set()
        assert all(found[name] < 1e-4 for name in found.keys() - names)


@pytest.mark.parametrize("coherent_share", [0.0, 1.0])
@pytest.mark.parametrize("targets", [SOURCES, ("other", "drums", "bass", "vocals")])
def test_a_file_of_several_targets_tells_their_sum(mixed_root, coherent_share, targets):
    train, _, _ = sets(
        mixed_root,
        tracks=(SONG, MIXED, VALID),
        targets=targets,
        coherent_share=coherent_share,
        absent_share=0.0,
    )
    together = 0
    for k in range(100):
        example = train[k]
        check_known(example, targets)
        mixed = levels(example["mixture"][0])["guitar"] > 1e-3
        expected = np.eye(4)
        if mixed:
            first, second = sorted((targets.index("bass"), targets.index("other")))
            expected[first, second], expected[second, second] = 1, 0
        assert np.array_equal(example["sums"], expected)
        assert mixed == (not example["targets"][3 if targets == SOURCES else 2].any())
        together += mixed
    assert 20 < together < 80


def test_songs_that_tell_sums_validate_where_each_sum_plays(mixed_root):
    mixed = replace(MIXED, valid_share=1.0)
    _, valid, facts = sets(mixed_root, tracks=(SONG, mixed), targets=SOURCES)
    assert facts["valid"]["tracks"] == 2
    for k in range(10):
        check_known(valid[k], SOURCES)
        assert valid[k]["targets"].any((1, 2)).tolist() == [True, True, True, False]


@pytest.mark.parametrize("name", ["guitar", "synth"])
def test_what_folds_into_other_does_not_hide_what_other_contains(mixed_root, name):
    soundfile.write(mixed_root / f"mixed/d/{name}.wav", tone(name), RATE)
    train, _, _ = sets(mixed_root, tracks=(replace(MIXED, glob="mixed/d"), SONG, VALID))
    (song,) = (track.song for track in train.tracks if track.song.name == "mixed/d")
    assert song.contents["other"] == {"other", "bass"}


def test_an_instrumental_is_the_sum_of_all_but_vocals(root):
    for song in ("sung/d", "sung/e"):
        rest = sum(tone(stem) for stem in ("drums", "bass", "other"))
        write_song(root / song, {"vocals": tone("vocals"), "Instrumental": rest})
    sung = Tracks(glob="sung/*", contains={"instrumental": ("drums", "bass", "other")})
    train, _, _ = sets(root, tracks=(sung, SONG, VALID), targets=SOURCES, coherent_share=1.0)
    rows = {k: train[k]["sums"].sum(axis=1).tolist() for k in range(40)}
    assert {tuple(row) for row in rows.values()} == {(1, 3, 0, 0), (1, 1, 1, 1)}
    for k in rows:
        check_known(train[k], SOURCES)
    _, valid, _ = sets(root, tracks=(SONG, replace(sung, valid_share=1.0)), targets=("vocals",))
    assert valid[0]["sums"].tolist() == [[1]]
    assert levels(valid[0]["targets"][0, 0])["bass"] < 1e-4


@pytest.mark.parametrize("stem", ["bass", "other"])
def test_a_source_of_its_own_beside_one_inside_another_is_known_with_it_only(root, stem):
    write_song(root / "mixed/d", {stem: tone(stem) for stem in SOURCES})
    mixed = replace(MIXED, contains={stem: ("other", "bass")})
    train, _, _ = sets(
        root, tracks=(mixed, SONG, VALID), targets=SOURCES, coherent_share=1.0, gain_db=(0, 0)
    )
    seen = [train[k] for k in range(30)]
    sums = [example for example in seen if example["sums"][2].sum() == 2]
    assert 0 < len(sums) < 30
    for example in sums:
        found = levels(example["targets"][2, 0])
        assert found["bass"] == pytest.approx(found["other"], rel=1e-2)
        check_known(example, SOURCES)


@given(st.lists(st.sets(st.sampled_from("abcdef"), min_size=1)))
def test_what_shares_a_part_is_known_together_and_nothing_else_is(contents):
    sums = known_sums("abcdef", contents)
    assert (sums.sum(axis=0) == 1).all()
    assert all((row.argmax() == j and row[j] == 1) or not row.any() for j, row in enumerate(sums))
    row_of = dict(zip("abcdef", sums.argmax(axis=0), strict=True))
    linked = {(a, b) for held in contents for a in held for b in held}
    for _ in range(3):  # as long a chain as there is
        linked |= {(a, c) for a, b in linked for d, c in linked if b == d}
    for a in "abcdef":
        for b in "abcdef":
            assert (row_of[a] == row_of[b]) == (a == b or (a, b) in linked)


def test_the_other_stems_of_such_a_song_are_still_of_use(mixed_root):
    train, _, _ = sets(mixed_root, tracks=(MIXED, SONG, VALID), targets=("bass",))
    used = {track.song.path.name for track, _ in train.parts}
    assert used == {"a", "b", "d", "e"}
    assert {track.song.path.name for track, _ in train.songs} == {"a", "b"}


def test_recordings_of_one_stem_are_strung_together_where_they_are_short(root):
    (root / "phrases").mkdir()
    for k in range(3):
        soundfile.write(root / f"phrases/{k}.wav", tone("guitar", n=1500), RATE)
    phrases = Tracks(glob="phrases/*.wav", stem="vocals", weight=1e6)
    train, _, _ = sets(root, tracks=(SONG, phrases, VALID), coherent_share=0.0)
    for k in range(5):
        target = train[k]["targets"][0, 0]
        assert levels(target)["guitar"] > 10 * levels(target)["vocals"]
        assert (np.abs(target.reshape(64, 50)).max(axis=1) > 0).all()


def test_parts_are_drawn_by_length_and_weight(root):
    write_song(root / "train/long", {stem: tone(stem, n=35 * N) for stem in SOURCES})
    heavy = Tracks(glob="train/a", weight=4.0)
    light = Tracks(glob="train/[bl]*")
    train, _, _ = sets(root, tracks=(heavy, light, VALID))
    chances = train.chances.reshape(3, 4)
    assert chances == pytest.approx(chances[:, :1] * np.ones((1, 4)))
    assert chances[:, 0] / chances[1, 0] == pytest.approx([4, 1, 7], rel=0.01)


@pytest.mark.parametrize(
    ("targets", "sources", "residual"),
    [
        (("vocals",), SOURCES, "no_vocals"),
        (("vocals",), ("vocals", "accompaniment"), "accompaniment"),
        (("vocals", "drums", "bass"), SOURCES, "other"),
        (("vocals", "drums"), SOURCES, "rest"),
        (SOURCES, SOURCES, None),
    ],
)
def test_the_residual_has_a_name(targets, sources, residual):
    assert config(targets=targets, sources=sources).residual == residual


def test_the_patch_of_the_paper_has_256_frames():
    made = StemMixturesConfig()
    assert 1 + -(-made.samples // 256) == 256
    assert made.seconds == pytest.approx(2.9605, abs=1e-4)
    assert DATA["stems"][0] is StemMixturesConfig


def test_a_cached_track_keeps_alignment_and_relative_levels(root):
    train, _, _ = sets(root)
    kept = waveforms(train.tracks[0])
    assert kept.dtype == np.int16
    assert kept.shape == (4, 1, 5 * N)
    assert np.abs(kept).max(axis=(1, 2)) / 32767 == pytest.approx(np.ones(4), abs=1e-3)
    write_song(root / "one", {"vocals": tone("vocals", gain=0.3), "drums": tone("drums")})
    spec = Tracks(glob="one")
    train, _, _ = sets(root, tracks=(spec, VALID))
    peaks = np.abs(waveforms(train.tracks[0])).max(axis=(1, 2)) / 32767
    named = dict(zip(train.tracks[0].song.contents, peaks, strict=True))
    assert named == pytest.approx({"vocals": 1, "drums": 1 / 3}, abs=1e-3)


def test_two_who_fill_a_cache_do_not_disturb_each_other(tmp_path):
    cache, other = Cache(tmp_path, RATE), Cache(tmp_path, RATE)
    source = tmp_path / "x.wav"
    source.write_bytes(b"1")

    def slow():
        other.keep(lambda: np.arange(5), [source])
        return np.arange(5)

    assert np.array_equal(np.load(cache.keep(slow, [source])), np.arange(5))
    assert len(list(tmp_path.glob("*.npy"))) == 1

    def broken():
        raise AudioFileError("x.wav: is damaged")

    with pytest.raises(AudioFileError):
        cache.keep(broken, [source], "another")
    assert len(list(tmp_path.glob("*.npy"))) == 1


def test_the_manifest_is_binding_for_the_files_of_a_folder(root):
    def write(split):
        with (root / "manifest.csv").open("w", newline="") as file:
            rows = [
                (f"{song}/{s}.wav", "CC0", "train")
                for s in SOURCES
                for song in ("train/a", "train/b", "valid/c")
            ]
            rows[5] = (*rows[5][:2], split)
            csv.writer(file).writerows([("path", "licence", "split"), *rows])

    write("train")
    facts = sets(root)[2]
    assert facts["train"]["tracks"] == 2
    assert facts["train"]["licences"] == ["CC0"]
    assert facts["valid"]["minutes"] == dict.fromkeys(SOURCES, round(5 * N / RATE / 60, 1))
    write("test")
    with pytest.raises(ConfigError, match=r"valid/c/drums\.wav: the manifest says 'test'"):
        sets(root)


@pytest.mark.parametrize("name", ["7.Francium", "Music Delta - 80s Rock.stem"])
def test_songs_that_others_measure_on_are_refused_by_name(root, name):
    write_song(root / "train" / name, {stem: tone(stem) for stem in SOURCES})
    with pytest.raises(ConfigError, match="is test material of"):
        sets(root)


def test_test_material_inside_the_folder_of_a_song_is_refused(root):
    (root / "train/a/other.wav").rename(root / "train/a/7.Francium other.wav")
    refuse(root, ConfigError, r"train/a/7\.Francium other\.wav: is test material of Everything")


def refuse(root, error, match, **settings):
    with pytest.raises(error, match=match) as caught:
        sets(root, **settings)
    assert "\n" not in str(caught.value)


def test_what_is_refused_leaves_no_cache_behind(root):
    soundfile.write(root / "train/a/drums.wav", tone("drums")[:-1], RATE)
    refuse(root, ShapeError, "stems must be aligned")
    assert not (root / "cache").exists()


def test_stems_of_different_length_or_rate_are_refused_by_both_names(root):
    path = root / "train/a/drums.wav"
    soundfile.write(path, tone("drums")[:-1], RATE)
    refuse(root, ShapeError, rf"{path}: 15999 samples, bass.wav has 16000; stems must be aligned")
    soundfile.write(path, tone("drums"), 2 * RATE)
    refuse(root, SampleRateError, rf"{path}: sample rate is 16000 Hz, bass.wav has 8000 Hz")


def test_a_missing_stem_is_refused_unless_it_is_allowed_for(root):
    (root / "train/a/vocals.wav").unlink()
    refuse(root, AudioFileError, r"train/a: no file for the stem vocals; .* lacks = \[\"vocals\"\]")
    allowed = Tracks(glob="train/*", lacks=("vocals",))
    train, _, _ = sets(root, tracks=(allowed, VALID))
    assert [track.song.path.name for track, _ in train.songs] == ["b"]
    sets(root, targets=("drums",))


def test_a_song_is_not_trained_on_and_validated_with(root):
    everything = Tracks(glob="*/*")
    refuse(root, ConfigError, "valid/c: would be trained on and", tracks=(everything, VALID))
    stem = Tracks(glob="valid/c/vocals.wav", stem="vocals")
    refuse(root, ConfigError, "valid/c: would be trained on and", tracks=(SONG, stem, VALID))


def test_the_sum_of_all_but_vocals_is_no_other(root):
    soundfile.write(root / "train/a/instrumental.wav", tone("guitar"), RATE)
    refuse(root, ConfigError, "'accompaniment' is none of the sources")
    train, _, _ = sets(root, sources=("vocals", "accompaniment", "other"), valid_examples=1)
    assert any(held == {"accompaniment"} for held in train.tracks[0].contents)


def test_a_silent_song_is_refused_and_a_silent_stem_is_not_used(root):
    silent = {stem: np.zeros(5 * N) for stem in SOURCES}
    write_song(root / "train/s", silent)
    refuse(root, AudioFileError, "train/s: is silent")
    soundfile.write(root / "train/s/drums.wav", tone("drums"), RATE)
    train, _, _ = sets(root)
    assert [t.song.path.name for t, _ in train.parts].count("s") == 1


def test_a_song_shorter_than_an_example_is_refused(root):
    write_song(root / "train/s", {stem: tone(stem, n=N - 1) for stem in SOURCES})
    refuse(root, AudioFileError, rf"train/s: has {N - 1} samples at 8000 Hz, an example needs {N}")


def test_what_cannot_give_a_target_is_refused(root):
    five = (*SOURCES, "guitar")
    lacking = tuple(
        Tracks(glob=s.glob, valid_share=s.valid_share, lacks=("guitar",)) for s in (SONG, VALID)
    )
    refuse(
        root, ConfigError, r"no track to train on in which \['guitar'\] plays alone",
        sources=five, targets=("guitar",), tracks=lacking,
    )  # fmt: skip
    refuse(root, ConfigError, "no song to validate with", tracks=(SONG,))
    only = Tracks(glob="train/a/vocals.wav", stem="vocals")
    refuse(root, ConfigError, r"set coherent_share = 0", tracks=(only, VALID))
    refuse(root, ConfigError, r"no file matches 'song/\*'", tracks=(Tracks(glob="song/*"),))
    refuse(
        root, ConfigError, "'other' is none of the sources",
        sources=("vocals", "drums"), tracks=(SONG, VALID),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"targets": ("horns",)}, r"targets \['horns'\] are not among"),
        ({"targets": ()}, r"targets = \[\], expected different"),
        ({"sources": ("vocals", "vocals")}, "expected different"),
        ({"samples": 0}, "samples = 0"),
        ({"gain_db": (3.0, -3.0)}, r"\[low, high\], got \[3.0, -3.0\]"),
        ({"absent_share": 1.5}, "absent_share = 1.5, expected 0 to 1"),
    ],
)
def test_impossible_settings_are_refused(settings, match):
    with pytest.raises(ConfigError, match=match):
        config(**settings)


@pytest.mark.parametrize(
    "settings",
    [{"rename": {"gtr": "Guitar"}}, {"contains": {"other": (1,)}}, {"lacks": ("voice",)}],
)
def test_names_that_are_no_stems_are_refused(settings):
    with pytest.raises(ConfigError, match="expected names as"):
        Tracks(glob="x", **settings)


def test_excerpts_that_may_start_in_a_block_play_wherever_they_start(tmp_path, rng):
    x = np.zeros(60_000)
    x[::7_000] = 1.0
    x[20_000:21_000] = rng.standard_normal(1000)
    for name in ("train/a", "valid/c"):
        write_song(tmp_path / name, {"vocals": x})
    train, _, _ = sets(tmp_path, sources=("vocals",))
    track = train.tracks[0]
    assert isinstance(track, Track)
    assert 0 < track.active.sum() < track.active.size
    for b in np.flatnonzero(track.active[0]):
        for start in (b * track.block, (b + 1) * track.block - 1):
            assert waveforms(track)[0, 0, start : start + N].any()
