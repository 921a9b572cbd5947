"""Stems of two separators made one, and what anybody's separator wrote, read and measured."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
from unmask import STFT, audio, masks
from unmask.cli import main
from unmask.combining import Way, combine, combine_files
from unmask.engine.model import load_model
from unmask.errors import ConfigError, ShapeError
from unmask.evaluate import Pairing, pair
from unmask.gap import gap, gap_of_files
from unmask.stems import find_stems, split_name

RATE = 16000
STFT_ = STFT(256, 64)


def noise(seed, n_channels=2, n_samples=6000):
    rng = np.random.default_rng(seed)
    return 0.1 * rng.standard_normal((n_channels, n_samples)).astype("f4")


def written(folder, **stems):
    folder.mkdir(parents=True, exist_ok=True)
    for name, samples in stems.items():
        audio.write(folder / f"{name}.wav", samples, RATE, subtype="FLOAT")
    return folder


@pytest.fixture
def spectra():
    return STFT_.analyze(noise(1)), STFT_.analyze(noise(2))


def made(spectra, **way):
    return combine(*spectra, Way(**way), stft=STFT_, sample_rate=RATE)


def test_a_phase_fix_keeps_magnitudes_and_turns_a_band_only(spectra):
    first, second = spectra
    found = made(spectra, kind="phase", low_hz=1000, high_hz=3000)
    hz = STFT_.frequencies(RATE)
    band = (hz >= 1000) & (hz < 3000)
    np.testing.assert_allclose(np.abs(found), np.abs(first), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[:, ~band], first[:, ~band])
    turned = found[:, band] * np.conj(second[:, band])
    assert np.abs(np.angle(turned)).max() < 1e-4


def test_a_split_has_lows_of_one_and_highs_of_the_other(spectra):
    found = made(spectra, kind="split", low_hz=2000)
    n_low = int((STFT_.frequencies(RATE) < 2000).sum())
    np.testing.assert_array_equal(found[:, :n_low], spectra[0][:, :n_low])
    np.testing.assert_array_equal(found[:, n_low:], spectra[1][:, n_low:])


def test_silence_has_no_phase_to_take(spectra):
    first, _ = spectra
    np.testing.assert_array_equal(made((first, 0 * first), kind="phase"), first)


@pytest.mark.parametrize("kind", ["phase", "split", "mean"])
def test_a_separator_combined_with_itself_is_itself(tmp_path, kind):
    one = written(tmp_path / "one", vocals=noise(1), other=noise(2))
    paths, gains = combine_files(
        pair(one, one).tracks[0],
        Way(kind=kind, low_hz=500),
        tmp_path / "out",
        truth={"vocals": (audio.Place(one / "vocals.wav"),)},
    )
    assert [path.name for path in paths] == ["other.wav", "vocals.wav"]
    for path in paths:
        np.testing.assert_allclose(
            audio.read(path)[0], audio.read(one / path.name)[0], rtol=0, atol=1e-6
        )
    [row] = gains
    assert row.stem == "vocals"
    assert row.combined > 100


def test_the_mean_of_two_errors_has_the_known_gain(tmp_path):
    truth, error = noise(1), noise(2)
    ours = written(tmp_path / "a", vocals=truth + error, other=truth)
    theirs = written(tmp_path / "b", vocals=truth - 0.5 * error, other=truth)
    reference = written(tmp_path / "t", vocals=truth)
    words = ["combine", ours, theirs, "--mean", "0.5", "--reference", reference]
    words += ["-o", tmp_path / "out", "--json", "-"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    [row] = json.loads(result.stdout)
    # Errors of 1 and 1/2 leave 1/4: 6 dB better than the better.
    assert row["gain"] == pytest.approx(20 * np.log10(2), abs=0.01)


@pytest.mark.parametrize(
    "way",
    [
        {"kind": "phase", "low_hz": 500, "high_hz": 500},
        {"kind": "mean", "weight": 1.5},
        {"kind": "split", "low_hz": -1},
    ],
)
def test_a_way_that_cannot_be_is_refused(way):
    with pytest.raises(ConfigError, match="combine: "):
        Way(**way)


def test_recordings_that_differ_are_not_combined(tmp_path):
    one = written(tmp_path / "one", vocals=noise(1))
    two = written(tmp_path / "two", vocals=noise(2, n_samples=5000))
    with pytest.raises(ShapeError, match="must be aligned"):
        combine_files(pair(one, two).tracks[0], Way(kind="mean"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("octaves", [False, True])
def test_the_gap_of_files_is_that_of_the_model_that_wrote_them(tmp_path, octaves):
    model = load_model(onnx_models.recurrent(tmp_path / "m.onnx", n_parts=2))
    truth = written(tmp_path / "truth", speech=noise(1), noise=noise(2))
    mixture = noise(1) + noise(2)
    estimates = model.separate(mixture, RATE, residual=True)
    ours = written(tmp_path / "ours", **estimates)
    expected = list(gap(model, find_stems(truth), octaves=octaves))
    track = pair(ours, truth, how=Pairing(allow_other_stems=True)).tracks[0]
    family = masks.get("complex_tanh")
    found = list(gap_of_files(track, stft=model.stft_at(RATE), family=family, octaves=octaves))

    def by_place(cells):
        return {(c.stem, c.case, c.low_hz): c.sdr for c in cells}

    ours, theirs = by_place(found), by_place(expected)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, abs=0.01, nan_ok=True), key


#: What programs write for a song of the name "my song", into a folder.
LAYOUTS = {
    "demucs": ["htdemucs/my song/vocals.wav", "htdemucs/my song/other.wav"],
    "demucs, two stems": ["htdemucs/my song/vocals.wav", "htdemucs/my song/no_vocals.wav"],
    "spleeter": ["my song/vocals.wav", "my song/accompaniment.wav"],
    "UVR": ["1_my song_(Vocals).wav", "1_my song_(Instrumental).wav"],
    "UVR, test mode": ["1732802400_1_my song_(Vocals).wav", "1732802400_1_my song_(No Drums).wav"],
    "audio-separator": ["my song_(Vocals)_UVR-MDX.wav", "my song_(Instrumental)_UVR-MDX.wav"],
    "audio-separator, rest": ["my song_(Vocals)_htdemucs.wav", "my song_(No Vocals)_htdemucs.wav"],
    "MSST": ["my song/vocals.wav", "my song/instrumental.wav"],
    "MSST, flat": ["my song_vocals.wav", "my song_instrumental.wav"],
    "MUSDB18-HQ": ["test/my song/vocals.wav", "test/my song/drums.wav", "test/my song/bass.wav"],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_folders_of_other_programs_are_read(tmp_path, name):
    truth = written(tmp_path / "truth" / "my song", vocals=noise(1), drums=noise(2), bass=noise(3))
    written(tmp_path / "truth" / "my other song", vocals=noise(1), drums=noise(2))
    root = tmp_path / "estimates"
    for k, place in enumerate(LAYOUTS[name]):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        audio.write(root / place, noise(k), RATE)
    how = Pairing(allow_missing=True, allow_other_stems=True)
    [track] = pair(root, truth.parent, how=how).tracks
    assert track.name == "my song"
    assert track.estimates["vocals"][0].path.name.lower().count("vocals") == 1
    assert all(stem in track.targets for stem in track.estimates)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("12_99 Luft_(Wind Inst)", ("99 Luft", "wind_inst")),
        # audio-separator writes no number: it belongs to the song.
        ("99_Luft_(No Drums)_htdemucs_ft", ("99_Luft", "no_drums")),
        ("song_(Lead Vocals)_model_(x)", ("song", "lead_vocals")),
        ("song_(No Vocals)", ("song", "accompaniment")),
    ],
)
def test_names_of_uvr_and_audio_separator_say_track_and_stem(name, said):
    assert split_name(name) == said


def test_a_folder_of_one_song_is_one_of_stems(tmp_path):
    for place in LAYOUTS["UVR"]:
        audio.write(tmp_path / place, noise(1), RATE)
    assert set(find_stems(tmp_path)) == {"vocals", "accompaniment"}


@pytest.mark.parametrize("name", ["my song", "p232_001", "vocals", "(Vocals)", "song_(Live)"])
def test_names_without_track_and_stem_are_left_alone(name):
    assert split_name(name) is None


def streams(path, *waveforms):
    """Write a file of MUSDB18: mixture, drums, bass, other, vocals, a stream each, lossless."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        outputs = [container.add_stream("alac", rate=RATE, layout="stereo") for _ in waveforms]
        for output, waveform in zip(outputs, waveforms, strict=True):
            for start in range(0, waveform.shape[1], 1024):
                part = np.ascontiguousarray(waveform[:, start : start + 1024], "float32")
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = RATE, start
                container.mux(output.encode(frame))
            container.mux(output.encode(None))
    return path


@pytest.fixture
def musdb(tmp_path):
    """A song of MUSDB18, the folder of it, and the same as a folder of files."""
    stems = [noise(k, n_samples=4096) for k in range(4)]
    names = ("drums", "bass", "other", "vocals")
    song = tmp_path / "test" / "A - b.stem.mp4"
    song.parent.mkdir()
    streams(song, sum(stems), *stems)
    folder = written(tmp_path / "hq" / "A - b", **dict(zip(names, stems, strict=True)))
    ours = dict(zip(names, [x + 0.1 * noise(9, n_samples=4096) for x in stems], strict=True))
    return song, folder, written(tmp_path / "ours" / "A - b", **ours)


def run(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_streams_of_musdb_are_stems_to_the_gap_and_to_evaluate(musdb, tmp_path):
    song, folder, ours = musdb
    words = ("--no-octaves", "--n-fft", 256, "--hop", 64, "--json", "-")
    expected = run("gap", ours, folder, *words)
    for targets, estimates in ((song, ours), (song.parent, ours.parent)):
        [found] = run("gap", estimates, targets, *words)
        assert found["folder"] == "A - b"
        for one, other in zip(found["scores"], expected[0]["scores"], strict=True):
            assert (one["stem"], one["case"]) == (other["stem"], other["case"])
            if other["sdr"] < 80:  # the streams have 24 bits
                assert one["sdr"] == pytest.approx(other["sdr"], abs=0.01)
    words = ("--metric", "sdr", "--json", "-", "-o")
    found = [
        run("evaluate", ours.parent, targets.parent, *words, tmp_path / name)["median"]["scores"]
        for name, targets in (("streams", song), ("files", folder))
    ]
    scores = [[row["value"] for row in rows] for rows in found]
    assert len(scores[0]) == 4
    np.testing.assert_allclose(*scores, atol=0.01)


def test_the_streams_of_musdb_are_combined_as_files_are(musdb, tmp_path):
    song, _, ours = musdb
    found = run("combine", ours, song, "--mean", "0.5", "--reference", song, "-o", tmp_path / "o",
                "--json", "-")  # fmt: skip
    assert {row["stem"] for row in found} == {"drums", "bass", "other", "vocals"}
    for row in found:  # half of the error is left
        assert row["combined"] - row["first"] == pytest.approx(20 * np.log10(2), abs=0.01)


def test_streams_beside_files_are_refused(musdb, tmp_path):
    song, _, ours = musdb
    audio.write(song.parent / "x.wav", noise(1), RATE)
    with pytest.raises(ConfigError, match=r"A - b.stem.mp4 and x.wav; keep one kind"):
        pair(ours.parent, song.parent)


def test_the_gap_of_files_tells_its_progress(tmp_path):
    one = written(tmp_path / "one", vocals=noise(1, n_samples=200_000))
    told = []
    track = pair(one, one).tracks[0]
    list(gap_of_files(track, stft=STFT_, octaves=False, progress=told.append))
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] == 1


def test_the_command_line_compares_two_folders(tmp_path):
    truth = written(tmp_path / "truth", vocals=noise(1), drums=noise(2))
    ours = written(tmp_path / "ours", vocals=noise(1) + 0.1 * noise(2))
    words = ["gap", str(ours), str(truth), "--n-fft", "256", "--hop", "64", "--json", "-"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    [said] = json.loads(result.stdout)
    cells = {cell["case"]: cell["sdr"] for cell in said["scores"] if cell["high_hz"] == RATE / 2}
    assert cells["model"] == pytest.approx(20, abs=0.2)
    alone = CliRunner().invoke(main, ["gap", str(truth)])
    assert alone.exit_code == 1
    assert "expected -m MODEL TARGETS" in alone.stderr
