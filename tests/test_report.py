"""Reports: what is compared, drawn, encoded and written; the page itself is in test_report_page."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
import unmask
from unmask import audio, report
from unmask.cli import main
from unmask.engine.model import load_model
from unmask.errors import ConfigError, ShapeError
from unmask.gap import gap
from unmask.masks import get
from unmask.metrics import sdr
from unmask.report import images, sounds

RATE = 16000


@pytest.fixture
def song(tmp_path, rng):
    """A folder of true stems and their mixture, 3 s; the second second is the loudest."""
    loud = np.repeat([0.1, 0.4, 0.2], RATE)
    stems = {name: loud * rng.uniform(-1, 1, (2, 3 * RATE)) for name in ("speech", "noise")}
    folder = tmp_path / "song"
    folder.mkdir()
    for name, x in {**stems, "mixture": sum(stems.values())}.items():
        audio.write(folder / f"{name}.wav", x, RATE, subtype="FLOAT")
    return folder


@pytest.fixture
def model_file(tmp_path):
    """A model with memory, and frames ahead, so that stretches need what is around them."""
    return onnx_models.recurrent(tmp_path / "m.onnx", n_parts=2, lookahead_frames=0)


def excerpt_of(song, model_file, *span_s, **options):
    model = load_model(model_file)
    return report.by_model(song / "mixture.wav", model, span_s, track="song", **options)


def test_the_loudest_stretch_is_found(song):
    assert report.loudest(song / "mixture.wav", 1.0) == pytest.approx((1.0, 1.0))
    assert report.loudest(song / "mixture.wav", 1.5) == pytest.approx((1.0, 1.5))


def test_a_recording_that_is_shorter_is_taken_whole(song):
    assert report.loudest(song / "mixture.wav", 30) == (0.0, 3.0)


def test_a_stretch_of_nothing_is_refused(song):
    with pytest.raises(ConfigError, match="seconds: 0, expected above 0, as 30"):
        report.loudest(song / "mixture.wav", 0)


def test_a_stretch_is_separated_as_in_the_whole_recording(song, model_file):
    found = excerpt_of(song, model_file, 0.7, 1.3)
    x, rate = audio.read(song / "mixture.wav")
    whole = load_model(model_file).separate(x, rate, residual=True)
    span = slice(round(0.7 * RATE), round(2.0 * RATE))
    np.testing.assert_array_equal(found.mixture, x[:, span])
    assert list(found.estimates) == list(whole) == ["speech", "noise"]
    for name, estimate in found.estimates.items():
        np.testing.assert_allclose(estimate, whole[name][:, span], rtol=0, atol=1e-6)


def test_errors_scores_and_the_gap_are_those_of_the_stretch(song, model_file):
    excerpt = excerpt_of(song, model_file, 1.0, 1.5, folder=song)
    found = report.contents(excerpt)
    for stem in found.stems:
        by_kind = {version.kind: version.waveform for version in stem.versions}
        assert list(by_kind) == ["mixture", "estimate", "target", "oracle", "difference"]
        error = by_kind["estimate"] - by_kind["target"]
        np.testing.assert_array_equal(by_kind["difference"], error)
        np.testing.assert_array_equal(by_kind["target"], excerpt.truth[stem.name])
        for kind, score in stem.scores.items():
            expected = sdr(by_kind[kind].astype(float), by_kind["target"].astype(float))
            assert score["SDR"] == pytest.approx(float(expected))
    cells = {(c.stem, c.case): c.sdr for c in found.gap if c.high_hz - c.low_hz == RATE / 2}
    for stem in found.stems:
        assert cells[stem.name, "model"] == pytest.approx(stem.scores["estimate"]["SDR"], abs=0.01)
        best = stem.scores["oracle"]["SDR"]
        assert cells[stem.name, "family oracle"] == pytest.approx(best, abs=0.01)


def test_the_gap_of_written_stems_is_that_of_the_model_that_wrote_them(song, model_file, tmp_path):
    model = load_model(model_file)
    x, rate = audio.read(song / "mixture.wav")
    (tmp_path / "made").mkdir()
    for name, y in model.separate(x, rate, residual=True).items():
        audio.write(tmp_path / "made" / f"{name}.wav", y, rate, subtype="FLOAT")
    excerpt = report.by_files(
        song / "mixture.wav", tmp_path / "made", (0.0, 3.0), track="song", folder=song
    )
    truth = {name: audio.read(song / f"{name}.wav")[0] for name in ("noise", "speech")}
    expected, found = gap(model, truth, rate), report.contents(excerpt).gap
    sizes = [
        {(c.stem, c.case): c.sdr for c in cells if c.high_hz - c.low_hz == RATE / 2}
        for cells in (expected, found)
    ]
    same = [(stem, case) for stem in truth for case in ("mixture", "model")]
    assert excerpt.separator == "made"
    assert [sizes[1][key] for key in same] == pytest.approx(
        [sizes[0][key] for key in same], abs=0.01
    )


def test_the_oracle_is_of_the_family_that_is_asked_for(song, model_file):
    binary = report.contents(excerpt_of(song, model_file, 1.0, 1.0, folder=song, mask="ibm_argmax"))
    own = report.contents(excerpt_of(song, model_file, 1.0, 1.0, folder=song))
    assert binary.stems[0].scores["oracle"]["SDR"] < own.stems[0].scores["oracle"]["SDR"] - 3


def test_without_truth_there_is_what_was_taken_out(song, model_file):
    found = report.contents(excerpt_of(song, model_file, 1.0, 1.0))
    assert [version.kind for version in found.stems[0].versions] == [
        "mixture",
        "estimate",
        "difference",
    ]
    mixture, estimate, rest = (version.waveform for version in found.stems[0].versions)
    np.testing.assert_array_equal(rest, mixture - estimate)
    assert found.gap == ()
    assert found.stems[0].scores == {}


def test_truth_that_is_not_all_is_completed_by_what_it_leaves(song, model_file):
    (song / "noise.wav").unlink()
    excerpt = excerpt_of(song, model_file, 1.0, 1.0, folder=song)
    truth = excerpt.complete_truth
    assert len(truth) == 2
    np.testing.assert_allclose(sum(truth.values()), excerpt.mixture, rtol=0, atol=1e-6)
    assert [stem.name for stem in report.contents(excerpt).stems] == ["speech"]


def test_a_true_stem_that_is_silent_has_no_score(song, model_file):
    audio.write(song / "speech.wav", np.zeros((2, 3 * RATE)), RATE, subtype="FLOAT")
    audio.write(song / "noise.wav", audio.read(song / "mixture.wav")[0], RATE, subtype="FLOAT")
    stem = report.contents(excerpt_of(song, model_file, 1.0, 1.0, folder=song)).stems[0]
    assert np.isnan(stem.scores["estimate"]["SDR"])


# Pictures


def test_a_sine_lights_the_row_of_its_frequency():
    grid = images.Grid(RATE, RATE)
    power = grid.power(np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)[None])
    rows = len(power)
    expected = rows * np.log(1000 / 40) / np.log(8000 / 40)
    assert abs(power.mean(axis=1).argmax() + 0.5 - expected) < 3


def test_white_noise_is_equally_bright_in_all_rows(rng):
    grid = images.Grid(RATE, 20 * RATE)
    rows = grid.power(rng.standard_normal((2, 20 * RATE))).mean(axis=1)
    level_db = 10 * np.log10(rows / rows.mean())
    assert np.abs(level_db[20:]).max() < 0.7


def test_pictures_of_long_recordings_are_no_wider_than_screens(rng):
    power = images.Grid(8000, 8000 * 120).power(rng.standard_normal((1, 8000 * 120)))
    assert power.shape == (200, 1500)
    assert power.min() > 0


def test_a_picture_is_a_png_that_others_read(rng):
    image = pytest.importorskip("PIL.Image")
    numbers = rng.integers(0, 3, (5, 7)).astype(np.uint8)
    palette = [(0, 0, 0), (10, 20, 30), (255, 0, 128)]
    with image.open(io.BytesIO(images.png(numbers, palette))) as opened:
        opened.load()
        shown = np.asarray(opened.convert("RGB"))
    np.testing.assert_array_equal(shown, np.asarray(palette)[numbers[::-1]])


def test_a_mask_is_drawn_from_nothing_to_its_limit_and_grey_where_nothing_is_masked():
    image = pytest.importorskip("PIL.Image")
    mixture = np.array([[1.0, 1.0, 1.0, 1e-9]])
    passed = np.array([[0.0, 1.0, 9.0, 1e-9]])
    with image.open(io.BytesIO(images.mask(passed, mixture, 1.0))) as opened:
        colours = np.asarray(opened.convert("RGB"))[0]
    assert colours[0].tolist() == [0x44, 0x01, 0x54]
    assert colours[1].tolist() == colours[2].tolist() == [0xFD, 0xE7, 0x24]
    assert colours[3].tolist() == [140, 140, 140]


# Sounds


def test_sounds_are_equally_loud_and_none_exceeds_full_scale(rng):
    pytest.importorskip("pyloudnorm")
    from unmask.loudness import integrated_loudness

    noise = rng.standard_normal((2, 2 * RATE))
    waves = [0.2 * noise / np.abs(noise).max(), 0.05 * rng.uniform(-1, 1, noise.shape)]
    found = sounds.levels(waves, RATE)
    heard = [gain * x for gain, x in zip(found.gains, waves, strict=True)]
    loud = [integrated_loudness(x, RATE) for x in heard]
    assert found.measure == "BS.1770"
    assert loud[0] == pytest.approx(loud[1], abs=1e-6)
    assert max(np.abs(x).max() for x in heard) <= 1 + 1e-12


def test_what_is_nearly_silent_is_lifted_by_30_db_and_no_more(rng):
    waves = [0.1 * rng.uniform(-1, 1, (1, 2 * RATE))]
    waves += [1e-4 * waves[0], 0 * waves[0]]
    first, second, silent = sounds.levels(waves, RATE).gains
    assert (first, second) == pytest.approx((1.0, 10 ** (30 / 20)), rel=1e-6)
    assert np.isfinite(silent)


def test_loudness_is_the_root_mean_square_where_it_cannot_be_measured(rng):
    short = rng.uniform(-0.1, 0.1, (1, 1000))
    found = sounds.levels([short, 0.5 * short], RATE)
    assert found.measure == "RMS"
    assert found.gains == pytest.approx((1.0, 2.0))


def test_silence_plays_as_it_is():
    assert sounds.levels([np.zeros((1, RATE))] * 2, RATE).gains == (1.0, 1.0)


def test_other_formats_are_refused():
    with pytest.raises(ConfigError, match="format: 'mp3', expected one of flac, ogg"):
        sounds.encoded(np.zeros((1, 100)), RATE, "mp3")


# Pages


def packed_noise(rng, label="noise", *, kind="flac", name="r0"):
    x = 0.1 * rng.standard_normal((1, RATE))
    versions = (
        report.Version("mixture", label, x),
        report.Version("estimate", "half", 0.5 * x, is_masked=True),
        report.Version("difference", "rest", 0.5 * x, difference_of=("mixture", "estimate")),
    )
    recording = report.Recording(label, "", RATE, 0.0, (report.Stem("a", versions),))
    return report.pack(recording, name, kind=kind)


def data_of(html):
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])


def test_a_page_may_ask_nothing_of_anybody(rng):
    html = report.page([packed_noise(rng)], title="t")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy
    assert "unsafe" not in policy
    addresses = set(re.findall(r"https?://[^\"' ]+", html))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, which nobody opens


def test_only_the_script_and_the_style_of_the_page_are_let_in(rng):
    html = report.page([packed_noise(rng)], title="t")
    for tag in ('script type="module"', "style"):
        text = re.search(rf"<{tag}>(.*?)</{tag.split()[0]}>", html, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag.split()[0]}-src 'sha256-{digest}'" in html


def test_names_of_recordings_are_text_and_nothing_else(rng):
    evil = "</script><script>alert(1)</script>{{script}}\\1"
    html = report.page([packed_noise(rng, evil)], title=evil)
    assert "<script>alert" not in html
    assert data_of(html)["recordings"][0]["name"] == evil


def test_differences_travel_only_where_sounds_are_not_exact(rng):
    exact, lossy = (packed_noise(rng, kind=kind).said["sounds"] for kind in ("flac", "ogg"))
    assert exact[2]["minus"] == [0, 1]
    assert "audio" not in exact[2]
    assert "audio" in lossy[2]


def test_sounds_beyond_full_scale_travel_below_it_and_are_played_no_louder(rng):
    x = 3 * rng.uniform(-1, 1, (1, RATE))
    recording = report.Recording(
        "loud", "", RATE, 0.0, (report.Stem("", (report.Version("mixture", "loud", x),)),)
    )
    packed = report.pack(recording, "r0")
    [sound] = packed.said["sounds"]
    import soundfile

    heard, _ = soundfile.read(io.BytesIO(packed.content[sound["audio"]]), always_2d=True)
    np.testing.assert_allclose(heard.T, x / np.abs(x).max(), rtol=0, atol=2**-15)
    assert np.abs(sound["gain"] * heard).max() <= 1


def test_arrays_are_played_in_notebooks(rng):
    x = 0.1 * rng.standard_normal((2, 4000))
    shown = unmask.play({"a": x, "<b>": 0.5 * x}, 8000, title="two")._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert shown.count("<") == 2  # of the frame itself: what is in it is its attribute
    assert 'sandbox="allow-scripts"' in shown


@pytest.mark.parametrize(
    ("sounds", "error", "message"),
    [
        ({}, ConfigError, "sounds: 0, expected 1 to 9, one for each key"),
        ({"a": np.zeros(100)}, ShapeError, r"a: has shape \(100,\), expected \(channel, sample\)"),
        ({"a": np.zeros((1, 100)), "b": np.zeros((1, 99))}, ShapeError, r"b: has shape \(1, 99\)"),
        ({"a": np.zeros((1, 0))}, ShapeError, r"a: has shape \(1, 0\)"),
    ],
)
def test_what_cannot_be_played_is_refused(sounds, error, message):
    with pytest.raises(error, match=message):
        unmask.play(sounds, 8000)


# The command


def run(*words):
    return CliRunner().invoke(main, ["report", *map(str, words)])


def test_the_command_writes_one_page_of_all_recordings(song, model_file, tmp_path):
    page, said = tmp_path / "page.html", tmp_path / "said.json"
    audio.write(tmp_path / "other.wav", audio.read(song / "mixture.wav")[0], RATE)
    words = [song / "mixture.wav", tmp_path / "other.wav", "-m", model_file, "--seconds", 1]
    result = run(*words, "-o", page, "--reference", song, "--json", said)
    assert result.exit_code == 0, result.output
    recordings = data_of(page.read_text("utf-8"))["recordings"]
    assert [one["name"] for one in recordings] == ["song", "other"]
    assert [one["duration"] for one in recordings] == [1.0, 1.0]
    scores = json.loads(said.read_text("utf-8"))[0]["scores"]["speech"]["estimate"]
    assert recordings[0]["stems"][0]["scores"]["estimate"] == scores


def test_a_bad_recording_gets_a_line_and_the_others_their_page(song, model_file, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound")
    page = tmp_path / "page.html"
    result = run(song / "mixture.wav", bad, "-m", model_file, "--seconds", 1, "-o", page)
    assert result.exit_code == 1
    [line] = [line for line in result.output.splitlines() if "error" in line]
    assert "bad.wav" in line
    assert [one["name"] for one in data_of(page.read_text("utf-8"))["recordings"]] == ["song"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--estimates", "."], "two separators"),
        (["--fold", "a=b"], "says what --reference adds up"),
        (["--seconds", "0"], "seconds: 0, expected above 0"),
        (["--start", "7"], "expected a stretch of the recording, which is 3.0 s long"),
        (["--mask", "nonsense"], "nonsense"),
        (["-o", "nowhere/page.html"], "folder nowhere does not exist"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(
    words, message, song, model_file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    result = run(song / "mixture.wav", "-m", model_file, *words)
    assert result.exit_code == 1
    [line] = result.output.splitlines()
    assert line.startswith("unmask: error: ")
    assert message in line
    assert set(tmp_path.iterdir()) == before


def test_an_input_is_never_overwritten(song, model_file):
    before = (song / "mixture.wav").read_bytes()
    result = run(song / "mixture.wav", "-m", model_file, "-o", song / "mixture.wav")
    assert result.exit_code == 1
    assert "is an input" in result.output
    assert (song / "mixture.wav").read_bytes() == before


def test_the_page_is_called_after_its_recording(song, model_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(song / "mixture.wav", "-m", model_file, "--seconds", 1)
    assert result.output.splitlines()[-1] == "song.report.html"
    assert (tmp_path / "song.report.html").is_file()


def test_the_default_oracle_of_unknown_masks_is_named(song, tmp_path):
    excerpt = report.by_files(song / "mixture.wav", song, (0.0, 1.0), track="song", folder=song)
    assert excerpt.family == get("psm_unit", sample_rate=RATE)
