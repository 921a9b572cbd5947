"""Two talkers: as far apart as is said, never the same person, the same list for the same seed."""

import csv
import importlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from unmask import audio
from unmask.data import DATA, TalkerMixturesConfig, TalkersConfig
from unmask.data.recordings import Selection
from unmask.data.talkers import turns
from unmask.data.voices import Voices, without_pauses
from unmask.errors import ConfigError

RATE, BENCH = 8000, Path(__file__).parents[1] / "bench"
SPEAKERS = {"train": ("ann", "bob", "cyd"), "valid": ("dan", "eve")}
#: Who is who in a spectrum: a tone each.
HZ = {"ann": 500, "bob": 900, "cyd": 1300, "dan": 1700, "eve": 2100}


def put(path, wave):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, np.atleast_2d(wave), RATE, subtype="FLOAT")


def tone(name, seconds):
    return 0.3 * np.sin(2 * np.pi * HZ[name] / RATE * np.arange(round(seconds * RATE)))


@pytest.fixture
def root(tmp_path):
    """Five people, who say something in two recordings each, with pauses."""
    pause = np.zeros(RATE)
    for split, names in SPEAKERS.items():
        for name in names:
            for k in range(2):
                said = [pause, tone(name, 3.0), pause, tone(name, 2.6), pause]
                put(tmp_path / split / f"{name}_{k}.wav", np.concatenate(said))
    put(tmp_path / "noise.wav", np.random.default_rng(0).normal(scale=0.1, size=4 * RATE))
    room = np.zeros((2, 800))
    room[0, 10] = room[1, 300] = 1
    put(tmp_path / "room.wav", room)
    return tmp_path


VOICES = (
    Voices(glob="train/*.wav", speaker=r"(\w+)_\d\.wav"),
    Voices(glob="valid/*.wav", speaker=r"(\w+)_\d\.wav", valid_share=1.0),
)


def made(root, *, seed=0, n_examples=20, **options):
    plain = {"speed": (1.0, 1.0), "equalise_db": 0.0, "seconds": 2.0, "valid_examples": 4}
    config = TalkersConfig(**{"voices": VOICES, **plain, **options})
    return DATA["talkers"].make(config, root, root / "cache", seed=seed, n_examples=n_examples)


def who(wave):
    """Return whose tone a wave mostly is."""
    spectrum = np.abs(np.fft.rfft(wave))
    hz = spectrum.argmax() * RATE / len(wave)
    return min(HZ, key=lambda name: abs(HZ[name] - hz))


def active(wave):
    """Return in which frames of 10 ms somebody talks."""
    return np.square(wave.reshape(-1, 80)).mean(axis=1) > 1e-4 * np.square(wave).mean()


def test_examples_depend_on_seed_and_index_alone(root):
    one, other = (made(root, seed=3)[0] for _ in range(2))
    other[7]
    for key, value in one[5].items():
        np.testing.assert_array_equal(value, other[5][key])
    assert not np.array_equal(one[5]["mixture"], made(root, seed=4)[0][5]["mixture"])


def test_a_mixture_is_the_sum_of_two_different_speakers_of_its_split(root):
    train, valid, facts = made(root)
    for split, examples in (("train", train), ("valid", valid)):
        for k in range(len(examples)):
            example, said = examples.example(k)
            np.testing.assert_allclose(example["mixture"], example["targets"].sum(0), atol=1e-6)
            names = [who(target[0]) for target in example["targets"]]
            assert names == said["speakers"]
            assert len(set(names)) == 2
            assert set(names) <= set(SPEAKERS[split])
    assert (facts["train"]["speakers"], facts["valid"]["speakers"]) == (3, 2)
    assert facts["train"]["minutes"] == pytest.approx(6 * 5.76 / 60, abs=0.06)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 1.0])
def test_both_talk_for_as_long_as_is_asked_and_somebody_always_does(overlap, root):
    train, _, _ = made(root, overlap=(overlap, overlap))
    for k in range(len(train)):
        one, two = (active(target[0]) for target in train[k]["targets"])
        assert (one & two).mean() == pytest.approx(overlap, abs=0.08)
        assert (one | two).mean() > 0.92
        assert min(one.mean(), two.mean()) > 0.2


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.7, 1.0])
def test_turns_begin_at_the_beginning_and_end_at_the_end(overlap, rng):
    firsts = set()
    for _ in range(50):
        spans = turns(rng, overlap, 1000)
        firsts.add(spans[0][0] == 0)
        (start, stop), (later, end) = sorted(spans)
        assert (start, end) == (0, 1000)
        assert stop - later == pytest.approx(1000 * overlap, abs=1)
        assert min(stop - start, end - later) >= 249
    assert firsts == ({True} if overlap == 1 else {True, False})


def test_pauses_are_cut_out_and_short_ones_stay():
    said = [np.zeros(4000), tone("ann", 1.0), np.zeros(800), tone("ann", 0.5), np.zeros(8000)]
    said += [tone("ann", 0.05), np.zeros(8000), tone("ann", 0.4)]  # a click is no speech
    found = without_pauses(np.concatenate(said), RATE)
    margins = 5 * 0.04 * RATE / 2  # two stretches, of which the last ends with the file
    assert len(found) == pytest.approx(1.6 * RATE + 0.4 * RATE + margins, abs=400)
    assert len(without_pauses(np.zeros(RATE), RATE)) == 0


def test_the_second_talker_is_as_much_louder_as_is_said(root):
    train, _, _ = made(root, level_difference_db=(6.0, 6.0), overlap=(0.4, 0.4))
    for k in range(5):
        one, two = (target[0] for target in train[k]["targets"])
        levels = [np.sqrt(np.square(x[np.repeat(active(x), 80)]).mean()) for x in (one, two)]
        assert 20 * np.log10(levels[1] / levels[0]) == pytest.approx(6, abs=0.5)


def test_validation_spreads_overlaps_evenly_and_is_the_same_for_every_seed(root):
    one, other = (made(root, seed=seed)[1] for seed in (0, 1))
    assert [one.example(k)[1]["overlap"] for k in range(4)] == [0.125, 0.375, 0.625, 0.875]
    np.testing.assert_array_equal(one[2]["mixture"], other[2]["mixture"])


def test_noise_is_what_the_talkers_leave_and_below_them(root):
    noises = (Selection(glob="noise.wav"),)
    with pytest.raises(ConfigError, match=r"no noises for \['valid'\]; add them to data.noises"):
        made(root, noises=noises, noise_share=1.0)
    put(root / "valid_noise.wav", np.random.default_rng(1).normal(size=4 * RATE))
    noises += (Selection(glob="valid_noise.wav", valid_share=1.0),)
    options = {"noises": noises, "noise_share": 1.0, "snr_db": (10.0, 10.0)}
    train, _, _ = made(root, **options)
    assert (train.config.residual, TalkersConfig().residual) == ("noise", None)
    talkers = train[0]["targets"].sum(0)
    noise = train[0]["mixture"] - talkers
    assert 20 * np.log10(talkers.std() / noise.std()) == pytest.approx(10, abs=0.1)


def test_talkers_in_a_room_are_at_places_of_their_own_and_it_stays_in_the_targets(root):
    options = {"rooms": (Selection(glob="room.wav"),), "overlap": (1.0, 1.0)}
    dry, wet = (made(root, room_share=share, **options)[0] for share in (0.0, 1.0))
    delays = {}
    for k in range(6):
        example = wet[k]
        np.testing.assert_allclose(example["mixture"], example["targets"].sum(0), atol=1e-6)
        starts = [np.flatnonzero(np.abs(x[0]) > 1e-3)[0] for x in example["targets"]]
        assert min(starts) >= 9
        assert max(starts) >= 299
        delays[starts[0] < starts[1]] = True
    assert len(delays) == 2  # either talker may have either place
    assert dry[0]["targets"].shape == wet[0]["targets"].shape


def test_who_is_not_known_is_one_speaker_and_never_alone(root):
    everybody = Voices(glob="train/*.wav", speaker="train")
    with pytest.raises(ConfigError, match="1 speakers for train, expected two or more"):
        made(root, voices=(everybody, VOICES[1]))
    files = Voices(glob="train/*.wav")
    assert made(root, voices=(files, VOICES[1]))[2]["train"]["speakers"] == 6


def test_a_share_for_validation_is_of_speakers_not_of_files(root):
    voices = (Voices(glob="*/*.wav", speaker=r"(\w+)_\d\.wav", valid_share=0.5),)
    train, valid, facts = made(root, voices=voices)
    assert not set(train.voices.names) & set(valid.voices.names)
    assert facts["train"]["speakers"] + facts["valid"]["speakers"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"voices": (VOICES[0], Voices(glob="train/ann_0.wav", speaker="ann", valid_share=1.0))},
         "ann would be trained on and validated with"),
        ({"voices": (Voices(glob="train/*.wav", speaker="zoe"),)}, "finds nothing in it"),
        ({"overlap": (0.0, 1.5)}, "overlap = .0.0, 1.5. .*expected shares from 0 to 1"),
        ({"level_db": (0.0, -5.0)}, "a range must be"),
        ({"room_share": 0.5}, "room_share = 0.5, but no data.rooms"),
        ({"noise_share": -1.0}, "noise_share = -1.0, expected 0 to 1"),
        ({"seconds": 0.0}, "seconds = 0.0"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(options, message, root):
    with pytest.raises(ConfigError, match=message) as refusal:
        made(root, **options)
    assert "\n" not in str(refusal.value)


def test_an_expression_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"speaker '\(': "):
        Voices(glob="*.wav", speaker="(")


def test_silence_and_what_others_measure_on_are_refused(root):
    put(root / "train" / "fay_0.wav", np.zeros(RATE))
    with pytest.raises(ConfigError, match=r"fay_0.wav: is silent"):
        made(root)
    put(root / "LibriSpeech" / "test-other" / "1.wav", tone("ann", 1))
    with pytest.raises(ConfigError, match="test material of LibriSpeech"):
        made(root, voices=(Voices(glob="LibriSpeech/*/*.wav"),))


LAYOUTS = {
    "LibriMix": {"train": ("train-100",), "valid": ("dev",), "mixture": "mix_both"},
    "WSJ0-2mix": {"train": ("tr",), "valid": ("cv",), "mixture": "mix"},
}


@pytest.fixture(params=LAYOUTS)
def mixed(request, tmp_path, rng):
    """A collection in one of the layouts, noise in LibriMix; and its settings."""
    layout, test = LAYOUTS[request.param], {"LibriMix": "test", "WSJ0-2mix": "tt"}[request.param]
    for folder in (*layout["train"], *layout["valid"], test):
        for k in range(3):
            waves = {"s1": tone("ann", 1 + k), "s2": 0.5 * tone("bob", 1 + k)}
            if layout["mixture"] == "mix_both":
                waves["noise"] = 0.02 * rng.standard_normal(len(waves["s1"]))
            waves[layout["mixture"]] = sum(waves.values())
            for stem, wave in waves.items():
                put(tmp_path / folder / stem / f"{k}_x.wav", wave)
    return tmp_path, layout, test


def mixtures(root, **options):
    config = TalkerMixturesConfig(seconds=2.0, valid_examples=3, **options)
    return DATA["talker_mixtures"].make(config, root, root / "cache", seed=0, n_examples=9)


def test_mixtures_of_others_are_read_with_their_levels(mixed):
    root, layout, _ = mixed
    train, valid, facts = mixtures(root, **layout)
    for example in (*(train[k] for k in range(9)), valid[1]):
        one, two = (target[0] for target in example["targets"])
        rest = example["mixture"][0] - one - two
        assert (who(one), who(two)) == ("ann", "bob")
        assert one.std() / two.std() == pytest.approx(2, rel=0.01)
        noisy = layout["mixture"] == "mix_both"
        assert rest.std() / one.std() == pytest.approx(0.02 / 0.212 if noisy else 0, abs=0.01)
    assert train.config.residual == ("noise" if layout["mixture"] == "mix_both" else None)
    assert (facts["train"]["mixtures"], facts["train"]["minutes"]) == (3, 0.1)


def test_their_test_part_and_what_is_not_whole_are_refused(mixed):
    root, layout, test = mixed
    with pytest.raises(ConfigError, match=f"{test}, beside {layout['train'][0]}: it is for tests"):
        mixtures(root, **{**layout, "train": (test,)})
    with pytest.raises(ConfigError, match="would be trained on and validated with"):
        mixtures(root, **{**layout, "valid": layout["train"]})
    with pytest.raises(ConfigError, match=r"no such mixture; set data\.mixture"):
        mixtures(root, **{**layout, "mixture": "mix_single"})
    with pytest.raises(ConfigError, match="no folders s1 and s2 in"):
        mixtures(root, **{**layout, "train": (f"{layout['train'][0]}/s1",)})
    (root / layout["train"][0] / "s2" / "1_x.wav").unlink()
    with pytest.raises(ConfigError, match=r"1_x lacks \['speaker2'\]"):
        mixtures(root, **layout)


RECIPE = """
[data]
kind = "talkers"
seconds = 1.0
valid_examples = 4
voices = [
    { glob = "train/*.wav", speaker = '(\\w+)_\\d' },
    { glob = "valid/*.wav", speaker = '(\\w+)_\\d', valid_share = 1.0 },
]
[head]
mask = "softmax"
[loss]
assignment = "permutation"
"""


def test_a_list_is_written_as_files_the_same_each_time_and_scored(root, monkeypatch, tmp_path):
    pytest.importorskip("lightning_fabric")
    model_files = pytest.importorskip("model_files")
    monkeypatch.syspath_prepend(BENCH)
    talkers = importlib.import_module("talkers")
    (root / "r.toml").write_text(RECIPE)
    for out in ("one", "two"):
        words = ["write", root / "r.toml", tmp_path / out, "--data", root]
        assert CliRunner().invoke(talkers.main, [*map(str, words)]).exit_code == 0
    names = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    names = [name for name in names if name.parts[0] != "cache"]
    assert len(names) == 1 + 3 * 4
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    rows = list(csv.DictReader((tmp_path / "one/list.csv").read_text().splitlines()))
    assert [row["overlap"] for row in rows] == ["0.125", "0.375", "0.625", "0.875"]
    assert {row["speaker1"] for row in rows} | {row["speaker2"] for row in rows} == {"dan", "eve"}
    one = audio.read(tmp_path / "one/s1/0002.wav")[0][0]
    assert who(one) == rows[2]["speaker1"]
    stems = {"stems": ("speaker1", "speaker2"), "residual": None, "permutation": "free"}
    model = model_files.write(tmp_path / "m.onnx", "softmax", sample_rate=RATE, **stems)
    result = CliRunner().invoke(talkers.main, ["score", str(model), str(tmp_path / "one")])
    assert result.exit_code == 0, result.output
    table = [line.split(" | ")[:2] for line in result.stdout.splitlines() if line[2] in "≤a"]
    assert table == [["| ≤ 25%", "1"], ["| ≤ 50%", "1"], ["| ≤ 75%", "1"], ["| ≤ 100%", "1"],
                     ["| all", "4"]]  # fmt: skip
