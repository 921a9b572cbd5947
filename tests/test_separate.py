"""Files in, files out: what is written is what the array call returns, whole or not at all."""

import hashlib
import json
import os
import pickle
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import onnx_models
from unmask import Settings, audio
from unmask.engine.model import load_model
from unmask.errors import AudioFileError, ConfigError, FileError, UnmaskError
from unmask.layout import Output, linked_folders, plan
from unmask.reference import score
from unmask.run_record import finished
from unmask.separate import separate_file, separate_files
from unmask.workers import Processes


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A random model of two stems that remembers."""
    path = tmp_path_factory.mktemp("models") / "duo.onnx"
    return load_model(
        onnx_models.recurrent(
            path,
            n_parts=1,
            name="duo",
            stems=["vocals", "drums"],
            mask={"family": "irm1", "options": {}},
        )
    )


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "identity.onnx"
    mask = {"family": "complex", "options": {}}
    return load_model(onnx_models.constant(path, [[1, 0]], name="identity", mask=mask))


@pytest.fixture
def record_file(tmp_path, rng):
    """Write noise to a file: name -> path."""

    def record_file(name="song.wav", *, n_samples=20000, n_channels=2, rate=16000, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        waveform = 0.1 * rng.standard_normal((n_channels, n_samples)).astype(np.float32)
        audio.write(path, waveform, rate, **options)
        return path

    return record_file


def files_below(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_a_file_gives_the_samples_of_the_array_call(record_file, tmp_path, model):
    path = record_file(subtype="FLOAT", n_samples=3 * 65536 + 17, rate=22050)
    record = separate_file(path, model, Output(out=tmp_path / "out", residual=True))
    mixture, rate = audio.read(path)
    expected = model.separate(mixture, rate, residual=True)
    assert [written["stem"] for written in record["outputs"]] == ["vocals", "drums", "noise"]
    for stem, samples in expected.items():
        written, written_rate = audio.read(tmp_path / "out" / "duo" / "song" / f"{stem}.wav")
        assert written_rate == rate
        np.testing.assert_allclose(written, samples, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_samples", [160, 65535, 65536, 65537, 132317])
def test_no_sample_is_added_or_lost(record_file, tmp_path, identity, n_samples):
    """Peers lose or add up to 50 samples a file, or drop all after ten minutes."""
    path = record_file(n_samples=n_samples, n_channels=1)
    separate_file(path, identity, Output(out=tmp_path / "out"))
    written, _ = audio.read(tmp_path / "out/identity/song/speech.wav")
    np.testing.assert_array_equal(written, audio.read(path)[0])


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_16"),
        ("a.wav", "PCM_24"),
        ("a.wav", "FLOAT"),
        ("a.flac", "PCM_24"),
        ("a.aiff", "PCM_16"),
    ],
)
@pytest.mark.parametrize(("n_channels", "rate"), [(1, 8000), (2, 44100), (6, 48000), (8, 192000)])
def test_format_rate_and_channels_are_kept(
    record_file, tmp_path, identity, name, subtype, n_channels, rate
):
    path = record_file(name, subtype=subtype, n_channels=n_channels, rate=rate, n_samples=4321)
    separate_file(path, identity, Output(out=tmp_path / "out"))
    before, after = (
        soundfile.info(file)
        for file in (path, tmp_path / "out/identity/a" / f"speech{path.suffix}")
    )
    for field in ("format", "subtype", "samplerate", "channels", "frames"):
        assert getattr(after, field) == getattr(before, field)


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg"])
def test_a_lossy_input_gives_wav(record_file, tmp_path, identity, name):
    path = record_file(name, rate=44100)
    separate_file(path, identity, Output(out=tmp_path / "out"))
    written = soundfile.info(tmp_path / "out/identity/a/speech.wav")
    assert (written.subtype, written.frames) == ("PCM_16", audio.info(path).n_samples)


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "mp3"])
def test_the_format_can_be_chosen(record_file, tmp_path, identity, format):
    separate_file(record_file(rate=44100), identity, Output(out=tmp_path / "out", format=format))
    written = audio.info(tmp_path / f"out/identity/song/speech.{format}")
    assert written.format == format.upper()
    assert abs(written.n_samples - 20000) <= 1152 * (format == "mp3")


def test_the_subtype_can_be_chosen(record_file, tmp_path, identity):
    separate_file(record_file(), identity, Output(out=tmp_path / "out", subtype="PCM_24"))
    assert soundfile.info(tmp_path / "out/identity/song/speech.wav").subtype == "PCM_24"


def test_integer_stems_add_up_to_the_mixture_to_the_last_bit(record_file, tmp_path, model):
    path = record_file()
    separate_file(path, model, Output(out=tmp_path / "out", residual=True))
    parts = [
        soundfile.read(file, dtype="int16")[0].astype(int)
        for file in (tmp_path / "out").rglob("*.wav")
    ]
    assert len(parts) == 3
    np.testing.assert_array_equal(sum(parts), soundfile.read(path, dtype="int16")[0])


@pytest.mark.parametrize(
    ("task", "residual", "wanted", "written"),
    [
        ("separate", "other", None, True),
        ("separate", "other", False, False),
        ("separate", None, None, False),
        ("separate", None, True, True),
        ("denoise", "noise", None, False),
        ("denoise", "noise", True, True),
    ],
)
def test_a_residual_that_is_a_source_is_written(
    record_file, tmp_path, task, residual, wanted, written
):
    path = onnx_models.recurrent(
        tmp_path / "m.onnx", n_parts=2, task=task, residual=residual, stems=["vocals", "drums"]
    )
    model, song = load_model(path), record_file(subtype="FLOAT")
    separate_file(song, model, Output(out=tmp_path / "out", residual=wanted))
    names = ["vocals", "drums", *([residual or "residual"] if written else [])]
    folder = tmp_path / "out/test/song"
    assert files_below(folder) == sorted(["job.json", *(f"{name}.wav" for name in names)])
    mixture, rate = audio.read(song)
    assert list(model.separate(mixture, rate, residual=wanted)) == names
    total = sum(audio.read(folder / f"{name}.wav")[0] for name in names)
    assert (np.abs(total - mixture).max() < 1e-5) == written


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("vocals", "vocals"), ("Voice", "vocals"), ("drum", "drums"), ("noise", "noise")],
)
def test_two_stems_are_one_and_all_else(record_file, tmp_path, model, asked, kept):
    path = record_file(subtype="FLOAT")
    separate_file(path, model, Output(out=tmp_path / "out", two_stems=asked))
    folder = tmp_path / "out/duo/song"
    assert files_below(folder) == sorted(["job.json", f"{kept}.wav", f"no_{kept}.wav"])
    mixture, rate = audio.read(path)
    one, rest = (audio.read(folder / f"{stem}.wav")[0] for stem in (kept, f"no_{kept}"))
    np.testing.assert_allclose(one, model.separate(mixture, rate, residual=True)[kept], atol=1e-6)
    np.testing.assert_allclose(one + rest, mixture, rtol=0, atol=1e-6)


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16", "PCM_24"])
def test_a_neutral_remix_is_the_input(record_file, tmp_path, model, subtype):
    path = record_file(subtype=subtype)
    output = Output(out=tmp_path / "out", remix=True)
    settings = Settings(gains={"vocals": 1.0})
    [written] = separate_file(path, model, output, settings)["outputs"]
    assert files_below(tmp_path / "out/duo") == ["song/job.json", "song/remix.wav"]
    tolerance = 1e-6 if subtype == "FLOAT" else 0
    remix, song = audio.read(written["path"])[0], audio.read(path)[0]
    np.testing.assert_allclose(remix, song, rtol=0, atol=tolerance)


def test_a_remix_is_the_sum_of_the_stems_with_their_gains(record_file, tmp_path, model):
    path = record_file(subtype="FLOAT")
    settings = Settings(gains={"Voice": 0.0, "drums": 2.0})
    output = Output(out=tmp_path / "out", remix=True)
    record = separate_file(path, model, output, settings)
    [written] = record["outputs"]
    assert written["parts"] == ["vocals", "drums", "noise"]
    assert record["settings"]["gains"] == {"Voice": 0.0, "drums": 2.0}
    stems = model.separate(*audio.read(path), residual=True)
    expected = 2 * stems["drums"] + stems["noise"]
    np.testing.assert_allclose(audio.read(written["path"])[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("limit_db", [0.0, 6.0, 20.0, 200.0])
def test_the_limit_leaves_a_floor_of_what_is_taken_out(record_file, tmp_path, limit_db):
    """A network that takes out everything takes it down by the limit."""
    mask = {"family": "complex", "options": {}}
    shy = load_model(onnx_models.constant(tmp_path / "m.onnx", [[0.25, 0]], mask=mask))
    path, floor = record_file(subtype="FLOAT"), 10 ** (-limit_db / 20)
    song, _ = audio.read(path)
    output, settings = Output(out=tmp_path / "out", residual=True), Settings(limit_db=limit_db)
    record = separate_file(path, shy, output, settings)
    speech, noise = (audio.read(out["path"])[0] for out in record["outputs"])
    np.testing.assert_allclose(speech, (0.25 + 0.75 * floor) * song, rtol=0, atol=1e-6)
    np.testing.assert_allclose(speech + noise, song, rtol=0, atol=1e-6)
    output = Output(out=tmp_path / "out", two_stems="noise")
    separate_file(path, shy, output, settings)
    rest, _ = audio.read(tmp_path / "out/test/song/no_noise.wav")
    np.testing.assert_allclose(rest, speech, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "controls", [{"sensitivity": 2.0}, {"linked": True}, {"extend": False}, {"gains": {"drums": 2}}]
)
def test_controls_are_those_of_the_array_call(record_file, tmp_path, model, controls):
    path = record_file(subtype="FLOAT", rate=44100)
    settings = Settings(**controls)
    record = separate_file(path, model, Output(out=tmp_path / "out"), settings)
    expected = model.separate(*audio.read(path), settings=settings)
    plain = model.separate(*audio.read(path))
    for written in record["outputs"]:
        found, _ = audio.read(written["path"])
        np.testing.assert_allclose(found, expected[written["stem"]], rtol=0, atol=1e-6)
    assert np.abs(found - plain[written["stem"]]).max() > 1e-3
    assert controls.items() <= record["settings"].items()


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize(
    ("start_s", "end_s"), [(0.25, 1.0), (0.0, 0.3), (0.1234567, None), (0.2, 99.0)]
)
def test_a_part_is_separated_as_a_file_of_its_own(
    record_file, tmp_path, model, rate, start_s, end_s
):
    path = record_file(subtype="FLOAT", n_samples=100_000, rate=rate)
    song, _ = audio.read(path)
    part = song[:, round(start_s * rate) : None if end_s is None else round(end_s * rate)]
    seen = []
    separate_file(
        path,
        model,
        Output(out=tmp_path / "out", start_s=start_s, end_s=end_s),
        progress=lambda _, share: seen.append(share),
    )
    written, _ = audio.read(tmp_path / "out/duo/song/vocals.wav")
    assert written.shape == part.shape
    np.testing.assert_allclose(written, model.separate(part, rate)["vocals"], rtol=0, atol=1e-6)
    assert seen[-1] == 1.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"remix": True, "two_stems": "vocals"}, "leave out stems, two_stems and residual"),
        ({"remix": True, "stems": ("vocals",)}, "leave out stems, two_stems and residual"),
        ({"two_stems": "vocals", "stems": ("drums",)}, "stems: says what is written, leave out"),
        ({"remix": True, "residual": False}, "leave out stems, two_stems and residual"),
        ({"start_s": 2.0, "end_s": 2.0}, "2 s to 2.0 s, expected 0 <= start < end"),
        ({"start_s": -1.0}, "expected 0 <= start < end"),
        ({"start_s": np.nan}, "expected 0 <= start < end"),
    ],
)
def test_parts_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        Output(**settings)


def test_parts_that_the_model_or_the_file_lacks_are_refused(record_file, tmp_path, model):
    path = record_file(n_samples=16000)
    for part, controls, error, words in (
        ({}, {"gains": {"guitar": 1.0}}, ConfigError, "no stem guitar; there are vocals, drums"),
        ({}, {"limit_db": 6.0}, ConfigError, "model duo has 2 stems, expected one"),
        ({"start_s": 1.0}, {}, AudioFileError, r"has 0 samples \(0 ms\) in the part of its 1 s"),
        ({"start_s": 0.9999}, {}, AudioFileError, "has 2 samples"),
    ):
        output = Output(out=tmp_path / "out", **part)
        with pytest.raises(error, match=words):
            separate_file(path, model, output, Settings(**controls))
        assert not (tmp_path / "out").exists()


def test_an_unknown_stem_is_refused_with_what_there_is(record_file, tmp_path, model):
    with pytest.raises(ConfigError, match="'guitar': model duo has vocals, drums, noise"):
        separate_file(record_file(), model, Output(out=tmp_path / "out", two_stems="guitar"))


def test_clipped_samples_are_counted(tmp_path, identity):
    path = tmp_path / "loud.wav"
    waveform = np.zeros((1, 8000), np.float32)
    waveform[0, 100:140] = 1.5
    audio.write(path, waveform, 16000, subtype="FLOAT")
    output = Output(out=tmp_path / "out", subtype="PCM_16")
    [written] = separate_file(path, identity, output)["outputs"]
    assert written["clipped"] == 40
    assert written["peak"] == pytest.approx(1.5, abs=1e-5)
    [kept] = separate_file(path, identity, Output(out=tmp_path / "out"))["outputs"]
    assert kept["clipped"] == 0


def test_the_run_record_says_how_it_was_made(record_file, tmp_path, model):
    path = record_file()
    record = separate_file(path, model, Output(out=tmp_path / "out"))
    text = (tmp_path / "out/duo/song/job.json").read_text("utf-8")
    assert json.loads(text) == record
    assert record["input"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["input"]["n_samples"] == 20000
    assert record["model"]["sha256"] == model.sha256
    assert record["settings"]["filename"] == "{model}/{track}/{stem}.{ext}"
    assert [out["parts"] for out in record["outputs"]] == [["vocals"], ["drums"]]
    sizes = [Path(out["path"]).stat().st_size for out in record["outputs"]]
    assert [out["n_bytes"] for out in record["outputs"]] == sizes
    assert record["timings"]["seconds"] > 0
    assert {"unmask", "python", "onnxruntime"} <= record["versions"].keys()


def test_a_job_is_finished_if_input_model_settings_and_outputs_are_the_same(
    record_file, tmp_path, model, identity
):
    path, output = record_file(), Output(out=tmp_path / "out", filename="{track}/{stem}.{ext}")
    [job] = plan([path], model, output)
    neutral = Settings()
    assert finished(job, model, output, neutral) is None
    record = json.loads(json.dumps(separate_file(path, model, output)))
    assert finished(job, model, output, neutral) == record
    for change in ({"start_s": 0.1}, {"subtype": "FLOAT"}):
        assert finished(job, model, replace(output, **change), neutral) is None
    for control in ({"sensitivity": 2.0}, {"linked": True}, {"gains": {"drums": 0.5}}):
        assert finished(job, model, output, Settings(**control)) is None
    assert finished(job, identity, output, neutral) is None
    [wider] = plan([path], model, replace(output, residual=True))
    assert finished(wider, model, output, neutral) is None
    for file in (path, *job.targets.values(), job.record):
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        assert finished(job, model, output, neutral) is None
        file.unlink()
        assert finished(job, model, output, neutral) is None
        file.write_bytes(content)
        assert finished(job, model, output, neutral) == record
    for text in ("", "[]", "{}", '{"input": 3}'):
        job.record.write_text(text)
        assert finished(job, model, output, neutral) is None


def test_no_record_is_left_beside_stems_of_another_run(record_file, tmp_path, model, monkeypatch):
    path, output = record_file(), Output(out=tmp_path / "out")
    [job] = plan([path], model, output)
    separate_file(path, model, output)

    def stop_after_the_first_stem(source, target, move=os.replace):
        if target == job.targets["drums"]:
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr("unmask.separate.placing.os.replace", stop_after_the_first_stem)
    with pytest.raises(KeyboardInterrupt):
        separate_file(path, model, output, Settings(sensitivity=2.0))
    assert finished(job, model, output, Settings()) is None


def test_a_folder_keeps_its_structure_and_its_output_is_no_input(record_file, tmp_path, identity):
    album = tmp_path / "album"
    for name in ("album/one.wav", "album/disc 2/one.flac", "album/.hidden/x.wav"):
        record_file(name)
    output = Output(out=album / "separated")
    for _ in range(2):
        jobs = plan([album], identity, output)
        assert [job.track for job in jobs] == ["disc 2/one", "one"]
        results = [done.outcome for done in separate_files(jobs, identity, output)]
    assert not any(isinstance(result, UnmaskError) for result in results)
    assert files_below(album / "separated/identity") == [
        "disc 2/one/job.json",
        "disc 2/one/speech.flac",
        "one/job.json",
        "one/speech.wav",
    ]


def test_file_names_follow_the_template(record_file, tmp_path, model):
    output = Output(out=tmp_path / "out", filename="{track}_{stem}-{model}.{ext}")
    separate_file(record_file(), model, output)
    names = ["song_drums-duo.wav", "song_job-duo.json", "song_vocals-duo.wav"]
    assert files_below(tmp_path / "out") == names


@pytest.mark.parametrize(
    "name", ["{stems}.wav", "{track.parent}", "{0}", "{", "{stem!r:q}", "{model"]
)
def test_a_template_with_an_unknown_field_is_refused(name):
    with pytest.raises(ConfigError, match=r"file name"):
        Output(filename=name)


@pytest.mark.parametrize("name", ["../{stem}.{ext}", "/tmp/{stem}.{ext}", "{track}/../../{stem}"])
def test_a_template_that_leads_out_of_the_folder_is_refused(record_file, tmp_path, model, name):
    with pytest.raises(ConfigError, match="leads out of the folder"):
        plan([record_file()], model, Output(out=tmp_path / "out", filename=name))


def test_two_inputs_for_one_output_are_refused_before_any_work(record_file, tmp_path, model):
    first, second = record_file("a/song.wav"), record_file("b/song.wav")
    with pytest.raises(ConfigError, match=r"b/song.wav: would be written to .* as would .*a/song"):
        plan([first, second], model, Output(out=tmp_path / "out"))
    with pytest.raises(ConfigError, match=r"all stems have it; add \{stem\}"):
        plan([first], model, Output(out=tmp_path / "out", filename="{track}.{ext}"))
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_named_twice_is_separated_once(record_file, tmp_path, model):
    path = record_file("a/song.wav")
    assert len(plan([path, path, path.parent], model, Output(out=tmp_path / "out"))) == 1


def test_an_input_is_never_overwritten(record_file, tmp_path, identity):
    path = record_file("speech.wav")
    output = Output(out=tmp_path, filename="{stem}.{ext}")
    with pytest.raises(ConfigError, match="is an input"):
        separate_file(path, identity, output)


def test_nothing_is_left_when_a_file_breaks_in_the_middle(record_file, tmp_path, model):
    path = record_file("long.flac", n_samples=400000)
    path.write_bytes(path.read_bytes()[:-200000])
    seen = []
    with pytest.raises(AudioFileError, match=r"long\.flac: is .*truncated"):
        separate_file(
            path, model, Output(out=tmp_path / "a/b"), progress=lambda _, done: seen.append(done)
        )
    assert seen, "it broke before anything was written"
    assert not (tmp_path / "a").exists()


def test_nothing_is_left_and_nothing_is_lost_after_ctrl_c(record_file, tmp_path, model):
    path = record_file(n_samples=300000)
    output = Output(out=tmp_path / "out")
    separate_file(path, model, output)
    before = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.*")}

    def interrupt(_path, share):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        separate_file(path, model, output, progress=interrupt)
    after = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.*")}
    assert after == before


def test_a_bad_file_does_not_stop_the_others(record_file, tmp_path, model):
    for name in ("in/a.wav", "in/c.wav"):
        record_file(name)
    (tmp_path / "in/b.wav").write_text("no sound")
    output = Output(out=tmp_path / "out")
    jobs = plan([tmp_path / "in"], model, output)
    results = {done.job.track: done.outcome for done in separate_files(jobs, model, output)}
    assert [track for track in results if isinstance(results[track], UnmaskError)] == ["b"]
    assert files_below(tmp_path / "out/duo") == [
        f"{track}/{name}" for track in "ac" for name in ("drums.wav", "job.json", "vocals.wav")
    ]


def test_several_processes_write_what_one_does(record_file, tmp_path, model):
    for name in ("in/a.wav", "in/b.wav"):
        record_file(name)
    (tmp_path / "in/c.wav").write_text("no sound")
    for n_jobs in (1, 2):
        output = Output(out=tmp_path / str(n_jobs))
        jobs = plan([tmp_path / "in"], model, output)
        done = separate_files(jobs, model, output, executor=Processes(n_jobs))
        results = [one.outcome for one in done]
        [error] = [result for result in results if isinstance(result, UnmaskError)]
        assert str(error).startswith(f"{tmp_path}/in/c.wav: ")
    names = [name for name in files_below(tmp_path / "1") if not name.endswith("json")]
    assert len(names) == 4
    assert files_below(tmp_path / "2") == files_below(tmp_path / "1")
    for name in names:
        assert (tmp_path / "2" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()


def test_a_run_goes_on_where_it_stopped(record_file, tmp_path, model):
    paths = [record_file(f"in/{name}.wav") for name in "abc"]
    output = Output(out=tmp_path / "out")
    first = separate_file(paths[1], model, output)
    shares = []
    done = list(
        separate_files(
            plan(paths, model, output),
            model,
            output,
            resume=True,
            progress=lambda path, share: shares.append((path.stem, share)),
        )
    )
    assert [(one.job.track, one.reused) for one in done] == [
        ("b", True),
        ("a", False),
        ("c", False),
    ]
    assert done[0].outcome == first
    assert next(stem for stem, share in shares if share == 1) == "b"
    again = separate_files(plan(paths, model, output), model, output)
    assert [one.reused for one in again] == [False, False, False]


def test_errors_of_stems_name_the_file_that_would_be(record_file, tmp_path, model):
    output = Output(out=tmp_path / "out", subtype="VORBIS")
    with pytest.raises(ConfigError, match=r"WAV cannot hold VORBIS") as caught:
        separate_file(record_file(), model, output)
    assert str(caught.value).startswith(f"{tmp_path}/out/duo/")
    assert ".unmask-" not in str(caught.value)


def test_memory_does_not_grow_with_the_file(record_file, tmp_path, model):
    def peak(n_samples):
        path = record_file(f"{n_samples}.wav", n_samples=n_samples)
        tracemalloc.start()
        try:
            separate_file(path, model, Output(out=tmp_path / "out", residual=True))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(1_500_000) < 1.05 * peak(200_000)


def test_memory_of_scores_does_not_grow_with_the_file(record_file, tmp_path, model):
    """Whole arrays of the longer one take five times as much."""

    def peak(n_samples):
        here = tmp_path / str(n_samples)
        for stem in ("vocals", "drums"):
            record_file(f"{n_samples}/{stem}.wav", n_samples=n_samples, n_channels=1)
        path = record_file(f"{n_samples}/song.wav", n_samples=n_samples, n_channels=1)
        output = Output(out=here / "out")
        [job] = plan([path], model, output)
        list(separate_files([job], model, output))
        tracemalloc.start()
        try:
            assert not any(row.missing for row in score(job, model, here))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(750_000) < 1.05 * peak(150_000)


def test_scores_stand_beside_the_mixture_and_the_oracle(tmp_path, rng):
    """A constant mask of one half does not change SI-SDR; of orthogonal stems it is known."""
    time = np.arange(16000) / 16000
    speech, noise = (
        np.sin(2 * np.pi * 440 * time)[None],
        0.1 * np.sin(2 * np.pi * 3000 * time)[None],
    )
    for name, waveform in {"mixture": speech + noise, "clean": speech, "noise": noise}.items():
        audio.write(tmp_path / f"{name}.wav", 0.5 * waveform, 16000, subtype="FLOAT")
    mask = {"family": "complex", "options": {}}
    model = load_model(onnx_models.constant(tmp_path / "half.onnx", [[0.5, 0]], mask=mask))
    output = Output(out=tmp_path / "out", residual=True)
    [job] = plan([tmp_path / "mixture.wav"], model, output)
    list(separate_files([job], model, output))
    speech_row, noise_row = (row for row in score(job, model, tmp_path) if row.metric == "SI-SDR")
    assert (speech_row.stem, noise_row.stem) == ("speech", "noise")
    assert speech_row.mixture == pytest.approx(20, abs=0.01)
    assert noise_row.mixture == pytest.approx(-20, abs=0.01)
    for row in (speech_row, noise_row):
        assert row.improvement == pytest.approx(0, abs=0.01)
        assert row.oracle > 80
    (tmp_path / "noise.wav").unlink()
    assert {row.stem: row.missing for row in score(job, model, tmp_path)} == {
        "speech": False,
        "noise": True,
    }


@pytest.mark.parametrize("name", ["format", "two_stems"])
def test_settings_that_do_not_fit_are_refused(record_file, tmp_path, model, name):
    with pytest.raises(ConfigError, match="nonsense"):
        separate_file(record_file(), model, Output(out=tmp_path, **{name: "nonsense"}))


def test_a_path_may_be_text(record_file, tmp_path, model):
    output = Output(out=tmp_path / "out")
    record = separate_file(str(record_file()), model, output)
    assert Path(record["outputs"][0]["path"]).is_file()


@pytest.mark.parametrize("how", ["overwritten", "replaced", "deleted"])
def test_an_input_that_changes_while_it_is_read_leaves_nothing(
    record_file, tmp_path, model, how, rng
):
    path = record_file(n_samples=200_000)
    changed = path.read_bytes()[:44] + rng.bytes(path.stat().st_size - 44)

    def change(_path, share):
        if share == 1 or not path.exists():
            return
        if how == "deleted":
            path.unlink()
        elif how == "replaced":
            (tmp_path / "new").write_bytes(changed)
            os.replace(tmp_path / "new", path)
        else:
            path.write_bytes(changed)

    with pytest.raises(AudioFileError, match=r"song.wav: was changed or taken away while"):
        separate_file(path, model, Output(out=tmp_path / "out"), progress=change)
    assert not (tmp_path / "out").exists()


def test_a_stem_that_another_run_wrote_is_not_kept(record_file, tmp_path, model):
    output = Output(out=tmp_path / "out")
    [job] = plan([record_file()], model, output)
    separate_file(job.source, model, output)
    stem = job.targets["drums"]
    stem.write_bytes(stem.read_bytes()[:-1] + b"\x01")
    assert finished(job, model, output, Settings()) is None


def test_other_processes_run_the_model_that_was_loaded(tmp_path):
    path = onnx_models.constant(tmp_path / "m.onnx", [[0.5, 0]])
    model = load_model(path)
    path.write_bytes(b"another")
    copy = pickle.loads(pickle.dumps(model))
    assert copy.sha256 == model.sha256
    x = np.ones((1, 4000), np.float32)
    np.testing.assert_array_equal(
        copy.separate(x, 16000)["speech"], model.separate(x, 16000)["speech"]
    )


def test_odd_names_do_not_stop_the_others(record_file, tmp_path, identity):
    for name in ("in/a.wav", f"in/{'l' * 246}.wav", "in/z.wav"):
        record_file(name)
    shutil.copy(tmp_path / "in/a.wav", os.fsencode(tmp_path / "in") + b"/m\xe9.wav")
    output = Output(out=tmp_path / "out", filename="{track}_{stem}.{ext}")
    results = list(separate_files(plan([tmp_path / "in"], identity, output), identity, output))
    done = {one.job.track for one in results if not isinstance(one.outcome, UnmaskError)}
    assert {"a", "z"} <= done
    [long] = [one.outcome for one in results if one.job.track.startswith("lll")]
    assert "File name too long; shorten the name" in str(long)
    assert not list((tmp_path / "out").glob(".unmask-*"))


def test_a_full_disk_is_said_of_the_file_that_did_not_fit(
    record_file, tmp_path, model, monkeypatch
):
    def full(*_args, **_kw):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(FileError, match=r"out/duo/song/job.json: cannot be written: No space left"):
        separate_file(record_file(), model, Output(out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_link_beside_its_file_is_a_file_of_its_own(record_file, tmp_path, model):
    record_file("in/a.wav")
    (tmp_path / "in/b.wav").symlink_to("a.wav")
    (tmp_path / "in/album").symlink_to(tmp_path / "in")
    jobs = plan([tmp_path / "in"], model, Output(out=tmp_path / "out"))
    assert [job.track for job in jobs] == ["a", "b"]
    assert linked_folders(tmp_path / "in") == [tmp_path / "in/album"]


def test_files_that_differ_in_their_suffix_keep_it(record_file, tmp_path, model):
    for name in ("in/host.wav", "in/host.flac", "in/guest.wav"):
        record_file(name)
    jobs = plan([tmp_path / "in"], model, Output(out=tmp_path / "out"))
    assert [job.track for job in jobs] == ["guest", "host.flac", "host.wav"]


def test_all_collisions_are_named_at_once(record_file, tmp_path, model):
    paths = [record_file(f"{folder}/{name}.wav") for folder in "ab" for name in ("one", "two")]
    with pytest.raises(ConfigError, match=r"b/one.wav: .*; .*b/two.wav: would be"):
        plan(paths, model, Output(out=tmp_path / "out"))


def test_one_file_may_be_named(record_file, tmp_path, model, identity):
    path = record_file()
    output = Output(out=tmp_path / "clean.flac")
    separate_file(path, identity, output)
    assert files_below(tmp_path) == ["clean.flac", "clean.job.json", "song.wav"]
    [job] = plan([path], identity, output)
    assert finished(job, identity, output, Settings()) is not None
    with pytest.raises(ConfigError, match=r"clean.flac is one file, there would be 2 \(vocals, dr"):
        plan([path], model, output)
    with pytest.raises(ConfigError, match="is a file; leave out format"):
        Output(out=tmp_path / "clean.flac", format="wav")
    with pytest.raises(ConfigError, match="is an input"):
        plan([path], identity, Output(out=path))


@pytest.mark.parametrize("template", ["{model}/{track}/{stem}.{ext}", "{stem}/{track}.{ext}"])
def test_results_in_the_folder_of_the_inputs_are_no_inputs(
    record_file, tmp_path, identity, template, monkeypatch
):
    record_file("in/a.wav")
    monkeypatch.chdir(tmp_path / "in")
    output = Output(out=Path(), filename=template)
    for _ in range(2):
        jobs = plan([Path()], identity, output)
        assert [job.track for job in jobs] == ["a"]
        list(separate_files(jobs, identity, output))
    (tmp_path / "in/a.wav").unlink()
    with pytest.raises(ConfigError, match="results of earlier runs"):
        plan([Path()], identity, output)


def test_of_a_folder_of_stems_the_mixture_is_taken(record_file, tmp_path, model):
    for track in ("train/One", "test/Two"):
        for name in ("mixture", "vocals", "drums", "bass", "other"):
            record_file(f"musdb/{track}/{name}.wav")
    record_file("musdb/test/plain.wav")
    output = Output(out=tmp_path / "out")

    def tracks(*paths):
        return sorted(job.track for job in plan(paths, model, output))

    root = tmp_path / "musdb"
    assert tracks(root) == ["test/Two", "test/plain", "train/One"]
    assert tracks(root / "test/Two") == ["Two"]
    assert tracks(*root.glob("*/*/mixture.wav")) == ["One", "Two"]
    assert tracks(root / "test/Two/vocals.wav") == ["vocals"]


@pytest.mark.parametrize("path", ["", "-"])
def test_what_is_no_name_is_refused(tmp_path, model, path):
    with pytest.raises(ConfigError, match=f"^'?{path}'?: "):
        plan([path], model, Output(out=tmp_path / "out"))
