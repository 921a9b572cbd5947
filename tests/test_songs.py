"""Songs from the command line: which stems are written, what is refused, what is said."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
from unmask import audio
from unmask.cli import main
from unmask.cli.separating import separate
from unmask.engine.licence import forbids_commerce
from unmask.engine.model import bundled, load_model
from unmask.errors import ConfigError
from unmask.layout import Output, plan, written
from unmask.reference import METRICS, score
from unmask.run_record import finished
from unmask.separate import separate_file

ROOT = Path(__file__).parents[1]
RATE = 16000
SHARES = {"vocals": 0.1, "drums": 0.2, "bass": 0.3, "other": 0.4}
FOUR = SimpleNamespace(
    name="four", stems=tuple(SHARES), residual="residual", residual_is_source=False
)


def constant(path, shares=SHARES, **changes):
    """Write a model that gives every stem its share of the mixture."""
    mask = {"family": "complex", "options": {}}
    values = [[share, 0] for share in shares.values()]
    options = {"name": path.stem, "stems": list(shares), "residual": None, "task": "separate"}
    return onnx_models.constant(path, values, mask=mask, **options | changes)


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    return constant(tmp_path_factory.mktemp("models") / "four.onnx")


@pytest.fixture
def song(tmp_path, rng):
    path = tmp_path / "song.wav"
    audio.write(path, 0.1 * rng.standard_normal((2, 8000)), RATE)
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, ["separate", *map(str, words)])


def test_a_song_needs_no_model(run, tmp_path):
    """The bundled model is the default; its licence is said in one line, unless all is quiet."""
    [option] = [option for option in separate.params if option.name == "model"]
    assert option.default in bundled()
    mixture, rate = audio.read(ROOT / "assets/music/mixture.flac")
    audio.write(tmp_path / "song.wav", mixture[:, 2 * rate : 3 * rate], rate)
    loud, quiet = run("song.wav"), run("song.wav", "-q")
    assert (loud.exit_code, quiet.exit_code, quiet.stderr) == (0, 0, "")
    stems = [Path(line).name for line in loud.stdout.split()]
    assert stems == ["vocals.wav", "drums.wav", "bass.wav", "other.wav"]
    licence = load_model(option.default).metadata["licence"]
    said = loud.stderr.splitlines()
    assert len(said) == forbids_commerce(licence)
    assert all("not for commercial use (CC-BY-NC-SA-4.0)" in line for line in said)
    parts = [audio.read(line)[0] for line in loud.stdout.split()]
    np.testing.assert_array_equal(sum(parts), audio.read("song.wav")[0])


@pytest.mark.parametrize(
    ("licence", "forbids"),
    [
        *[("CC BY-NC-SA 4.0", True), ("CC-BY-NC-4.0", True), ("Non-Commercial use only", True)],
        *[("MIT", False), ("CC-BY-SA 3.0", False), ("ncsa", False), (None, False), (3, False)],
    ],
)
def test_licences_that_forbid_commerce_are_known(licence, forbids):
    assert forbids_commerce(licence) == forbids


@pytest.mark.parametrize(
    ("settings", "files"),
    [
        ({}, list(SHARES)),
        ({"stems": ("4",)}, list(SHARES)),
        ({"stems": ("Drum", "vocals", "drums")}, ["drums", "vocals"]),
        ({"stems": ("residual", "bass")}, ["residual", "bass"]),
        ({"two_stems": "vocals"}, ["vocals", "no_vocals"]),
        ({"remix": True}, ["remix"]),
    ],
)
def test_stems_are_chosen_by_name_or_number(settings, files):
    assert list(written(FOUR, Output(**settings))) == files


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stems": ("5",)}, "stems 5: model four has 4, vocals, drums, bass, other; name those"),
        ({"stems": ("2",)}, "has 4, .*or one and the rest"),
        ({"stems": ("vocals", "guitar")}, "'guitar': .* bass, other; guitar is part of other$"),
        ({"two_stems": "piano"}, "'piano': model four has .* other; piano is part of other$"),
        ({"stems": ("flowers",)}, "'flowers': .* vocals, drums, bass, other; choose of these$"),
    ],
)
def test_stems_that_a_model_lacks_are_refused_with_what_there_is(settings, words):
    with pytest.raises(ConfigError, match=words):
        written(FOUR, Output(**settings))


def test_chosen_stems_are_those_of_a_whole_run(run, four, song):
    assert run("-m", four, song, "-o", "all").exit_code == 0
    result = run("-m", four, song, "-o", "some", "--stems", "drums,vocals", "--json", "some.json")
    assert result.stdout.split() == [f"some/four/song/{stem}.wav" for stem in ("drums", "vocals")]
    for stem in ("drums", "vocals"):
        some, all_ = (audio.read(f"{out}/four/song/{stem}.wav")[0] for out in ("some", "all"))
        np.testing.assert_allclose(some, all_, rtol=0, atol=2**-15)
    [record] = json.loads(Path("some.json").read_text())
    assert record["settings"]["stems"] == ["drums", "vocals"]
    assert (
        "were done already"
        in run("-m", four, song, "-o", "some", "--stems", "drums,vocals", "--resume").stderr
    )


def test_a_choice_is_part_of_what_a_run_has_finished(four, song, tmp_path):
    model = load_model(four)
    output = Output(out=tmp_path / "out", stems=("drums",))
    record = separate_file(song, model, output)
    [job] = plan([song], model, output)
    from unmask import Settings

    assert finished(job, model, output, Settings()) == json.loads(json.dumps(record))


def test_several_songs_of_several_folders_at_a_time(run, four, song, tmp_path):
    for name in ("a/one.wav", "a/b/two.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(song.read_bytes())
    result = run("-m", four, song, "a", "-j", 2, "--two-stems", "vocals")
    assert result.exit_code == 0
    assert set(result.stdout.split()) == {
        f"separated/four/{track}/{stem}.wav"
        for track in ("song", "one", "b/two")
        for stem in ("vocals", "no_vocals")
    }


@pytest.mark.parametrize("name", ["song.mp3", "song.m4a", "song.mp4"])
def test_lossy_songs_and_videos_give_stems_of_their_length(run, four, tmp_path, rng, name):
    path, rate = tmp_path / name, 44100
    wave = 0.1 * rng.standard_normal((2, rate))
    if name.endswith("mp3"):
        audio.write(path, wave, rate)
    else:
        encode(path, wave, rate, video=name.endswith("mp4"))
    result = run("-m", four, path)
    assert result.exit_code == 0, result.stderr
    mixture, _ = audio.read(path)
    stems = [audio.read(line)[0] for line in result.stdout.split()]
    assert {stem.shape for stem in stems} == {mixture.shape}
    np.testing.assert_allclose(sum(stems), mixture, rtol=0, atol=2.5 * 2**-15)


def encode(path, wave, rate, *, video):
    """Write AAC, beside a picture or not."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as file:
        if video:
            picture = file.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 64
        sound = file.add_stream("aac", rate=rate)
        sound.layout = "stereo"
        if video:
            for k in range(10):
                image = np.full((64, 64, 3), 20 * k, np.uint8)
                file.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            file.mux(picture.encode())
        frame = av.AudioFrame.from_ndarray(wave.astype(np.float32), "fltp", layout="stereo")
        frame.sample_rate = rate
        file.mux(sound.encode(frame))
        file.mux(sound.encode())


def test_stems_of_masks_that_sum_to_one_add_up_to_the_last_bit(tmp_path, song):
    model_files = pytest.importorskip("model_files")
    path = model_files.write(
        tmp_path / "net.onnx",
        "consistent:complex_tanh",
        channels=2,
        stems=tuple(SHARES),
        residual=None,
        task="separate",
    )
    record = separate_file(song, load_model(path), Output(out=tmp_path / "out"))
    stems = [audio.read(entry["path"])[0] for entry in record["outputs"]]
    assert len(stems) == 4
    np.testing.assert_array_equal(sum(stems), audio.read(song)[0])


# True stems, and stems written, by name: whole steps of 16 bits, whose sums are exact.
def noise(rng, names):
    return {name: rng.integers(-900, 900, (2, 4000)) / 2**15 for name in names}


def merged(stems, *parts):
    """The same with `parts` in "other"."""
    kept = {name: x for name, x in stems.items() if name not in parts}
    return kept | {"other": sum(stems[name] for name in ("other", *parts))}


def scored(tmp_path, case, shares, estimates, truth, *, asked=None, **output):
    """Score `estimates` as the files that a model of these stems wrote."""
    here = tmp_path / case
    model = load_model(constant(write(here, {}) / "net.onnx", shares))
    write(here / "true", truth)
    mixture = here / "song.wav"
    audio.write(mixture, sum(truth.values()), RATE)
    [job] = plan([mixture], model, Output(out=here / "out", **output))
    for stem, path in job.targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, estimates[stem], RATE)
    return {
        (row.stem, row.metric): (row.mixture, row.estimate, row.oracle, row.missing)
        for row in score(job, model, here / "true", fold=asked)
    }


def write(folder, stems):
    folder.mkdir(parents=True)
    for name, x in stems.items():
        audio.write(folder / f"{name}.wav", x, RATE)
    return folder


def test_scores_of_five_stems_on_four_are_those_of_the_folded_ones(tmp_path, rng):
    five = SHARES | {"guitar": 0.1}
    truth, estimates = noise(rng, five), noise(rng, five)
    few = merged(truth, "guitar")
    folded = scored(tmp_path, "folded", SHARES, merged(estimates, "guitar"), few)
    assert folded.keys() == {(stem, metric) for stem in SHARES for metric in METRICS}
    assert not any(missing for *_, missing in folded.values())
    for case, found in {
        "five on four": scored(tmp_path, "a", five, estimates, few),
        "four on five": scored(tmp_path, "b", SHARES, merged(estimates, "guitar"), truth),
        "asked": scored(tmp_path, "c", five, estimates, truth, asked={"guitar": "other"}),
    }.items():
        assert found.keys() == folded.keys(), case
        for key, numbers in folded.items():
            assert found[key] == pytest.approx(numbers, abs=1e-9), (case, key)
    alone = scored(tmp_path, "d", five, estimates, truth)
    assert alone["other", "SDR"] != pytest.approx(folded["other", "SDR"], abs=0.1)


def test_two_stems_are_compared_with_all_but_one(tmp_path, rng):
    truth = noise(rng, SHARES)
    rest = sum(x for name, x in truth.items() if name != "vocals")
    estimates = {"vocals": truth["vocals"], "no_vocals": 0.9 * rest}
    found = scored(tmp_path, "two", SHARES, estimates, truth, two_stems="vocals")
    assert found["vocals", "SDR"][1] == np.inf
    assert found["no_vocals", "SDR"][1] == pytest.approx(20, abs=0.05)


def test_a_sum_of_which_a_part_was_not_written_is_not_scored(tmp_path, rng):
    """Else "other" without its guitar would be compared with one that has it."""
    five = SHARES | {"guitar": 0.1}
    few, estimates = merged(noise(rng, five), "guitar"), noise(rng, five)
    found = scored(tmp_path, "some", five, estimates, few, stems=("other", "vocals"))
    assert {stem: missing for (stem, _), (*_, missing) in found.items()} == {
        "vocals": False,
        "other": True,
    }


def test_what_is_folded_is_said(run, tmp_path, four, rng):
    truth = noise(rng, (*SHARES, "guitar"))
    write(tmp_path / "true", truth)
    audio.write(tmp_path / "song.wav", sum(truth.values()), RATE)
    result = run("-m", four, "song.wav", "--reference", "true")
    assert "guitar: a stem of one side only, compared as part of other" in result.stderr
    assert "song: SDR in dB" in result.stdout
    asked = run("-m", four, "song.wav", "--reference", "true", "--fold", "guitar=other")
    assert (asked.exit_code, "guitar" in asked.stderr) == (0, False)
    assert result.stdout == asked.stdout
    wrong = run("-m", four, "song.wav", "--reference", "true", "--fold", "harp=other")
    assert (wrong.exit_code, "there is no harp" in wrong.stderr) == (1, True)
    alone = run("-m", four, "song.wav", "--fold", "guitar=other")
    assert (alone.exit_code, "--fold: says what --reference adds up" in alone.stderr) == (1, True)
