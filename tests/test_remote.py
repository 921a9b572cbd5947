"""Files that are elsewhere: copied here, worked on, sent back; told by their URLs."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
from unmask import audio, remote
from unmask.cli import main
from unmask.engine.model import load_model
from unmask.errors import AudioFileError, ConfigError, FileError, MissingExtraError, UnmaskError
from unmask.layout import Output
from unmask.separate import plan_with_urls, separate_files

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of two stems: the mixture times 0.75, and 0.25."""
    path = tmp_path_factory.mktemp("models") / "duo.onnx"
    mask = {"family": "complex", "options": {}}
    stems = ["vocals", "drums"]
    return load_model(
        onnx_models.constant(path, [[0.75, 0], [0.25, 0]], name="duo", mask=mask, stems=stems)
    )


@pytest.fixture
def store(tmp_path, rng):
    """A store in memory with two songs and a text; returned is what is in it, by its path."""
    memory = fsspec.filesystem("memory")
    for name in ("a.wav", "live/b.wav"):
        x = 0.1 * rng.standard_normal((2, 4000)).astype(np.float32)
        audio.write(tmp_path / "x.wav", x, 16000)
        memory.pipe(f"/in/{name}", (tmp_path / "x.wav").read_bytes())
    memory.pipe("/in/notes.txt", b"no sound")
    yield memory
    memory.rm("/", recursive=True)


def separated(paths, model, out, **options):
    with remote.stand_ins() as stand_ins:
        output = Output(out=stand_ins.out(out))
        jobs = plan_with_urls(paths, model, output, stand_ins)
        return {one.job.track: one for one in separate_files(jobs, model, output, **options)}


def outcomes(*arguments, **options):
    return {name: one.outcome for name, one in separated(*arguments, **options).items()}


def test_stems_of_remote_files_are_those_of_local_ones_and_lie_where_told(store, tmp_path, model):
    found = outcomes(["memory://in"], model, "memory://stems/duo")
    assert sorted(found) == ["a", "live/b"]
    names = [f"/stems/duo/duo/{t}/{n}" for t in found for n in ("vocals.wav", "drums.wav")]
    assert sorted(store.find("/stems")) == sorted(
        names + [f"/stems/duo/duo/{track}/job.json" for track in found]
    )
    (tmp_path / "a.wav").write_bytes(store.cat_file("/in/a.wav"))
    outcomes([tmp_path / "a.wav"], model, tmp_path / "out")
    for stem in ("vocals", "drums"):
        here = (tmp_path / "out/duo/a" / f"{stem}.wav").read_bytes()
        assert store.cat_file(f"/stems/duo/duo/a/{stem}.wav") == here


def test_the_record_speaks_of_urls_and_of_no_path_of_this_machine(store, model):
    record = outcomes(["memory://in/a.wav"], model, "memory://out")["a"]
    assert record["input"]["path"] == "memory://in/a.wav"
    assert record["settings"]["out"] == "memory://out"
    paths = [entry["path"] for entry in record["outputs"]]
    assert paths == [f"memory://out/duo/a/{stem}.wav" for stem in ("vocals", "drums")]
    assert json.loads(store.cat_file("/out/duo/a/job.json")) == json.loads(json.dumps(record))
    assert ".unmask-" not in json.dumps(record)


def test_one_side_may_be_here(store, tmp_path, model):
    outcomes(["memory://in/live"], model, tmp_path / "out")
    song = tmp_path / "out/duo/b/vocals.wav"
    assert song.is_file()
    outcomes([song], model, "memory://up")
    assert store.exists("/up/duo/vocals/drums.wav")


def test_a_run_goes_on_where_it_stopped(store, tmp_path, model):
    arguments = (["memory://in"], model, "memory://out")
    assert [one.reused for one in separated(*arguments, resume=True).values()] == [False, False]
    assert [one.reused for one in separated(*arguments, resume=True).values()] == [True, True]
    assert [one.reused for one in separated(*arguments).values()] == [False, False]
    store.pipe("/in/a.wav", store.cat_file("/in/live/b.wav"))  # another song
    store.rm_file("/out/duo/live/b/drums.wav")
    assert [one.reused for one in separated(*arguments, resume=True).values()] == [False, False]
    # What is here is told by its hash.
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.wav").write_bytes(store.cat_file("/in/a.wav"))
    for arguments in (
        ([tmp_path / "in"], model, "memory://o2"),
        (["memory://in"], model, tmp_path),
    ):
        separated(*arguments, resume=True)
        assert all(one.reused for one in separated(*arguments, resume=True).values())


def test_a_bad_file_is_said_by_its_url_and_ends_no_other(store, model):
    store.pipe("/in/c.wav", b"no sound")
    found = outcomes(["memory://in"], model, "memory://out")
    [error] = [one for one in found.values() if isinstance(one, UnmaskError)]
    assert str(error).startswith("memory://in/c.wav: ")
    assert not store.exists("/out/duo/c")


def test_a_folder_of_stems_gives_its_mixture_under_its_name(store, model):
    for stem in ("mixture", "vocals", "drums"):
        store.pipe(f"/album/Song/{stem}.wav", store.cat_file("/in/a.wav"))
    assert list(outcomes(["memory://album"], model, "memory://o1")) == ["Song"]
    assert list(outcomes(["memory://album/Song/mixture.wav"], model, "memory://o2")) == ["Song"]


def test_stems_of_an_earlier_run_below_the_input_are_no_input(store, model):
    arguments = (["memory://in"], model, "memory://in/stems")
    assert outcomes(*arguments).keys() == outcomes(*arguments).keys() == {"a", "live/b"}


@pytest.mark.parametrize(
    ("path", "out", "message"),
    [
        ("memory://none", "memory://out", "memory://none: no such file or folder; check the URL"),
        ("memory://in", "memory://in", "memory://in: is an input, and would be the output too"),
        ("memory://", "memory://out", "memory://: names no file or folder"),
        ("memory://text", "memory://out", "memory://text: no sound file in this folder"),
        ("ftp://me:secret@host/a.wav", "out", "ftp://: holds a user or password"),
        ("nowhere://a", "out", "nowhere://a: cannot be reached: Protocol not known"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_that_names_it(store, model, path, out, message):
    store.pipe("/text/notes.txt", b"no sound")
    with pytest.raises(UnmaskError) as caught:
        outcomes([path], model, out)
    assert str(caught.value).startswith(message)
    assert "secret" not in str(caught.value)


def test_no_input_is_written_over(store, model):
    store.pipe("/in/a-vocals.wav", store.cat_file("/in/a.wav"))
    paths = ["memory://in/a.wav", "memory://in/a-vocals.wav"]
    with remote.stand_ins() as stand_ins:
        output = Output(out=stand_ins.out("memory://in"), filename="{track}-{stem}.{ext}")
        with pytest.raises(ConfigError, match=r"^memory://in/a-vocals\.wav: is an input"):
            plan_with_urls(paths, model, output, stand_ins)
        assert len(plan_with_urls(paths[:1], model, output, stand_ins)) == 1


@pytest.mark.parametrize("name", ["../../b.wav", "x/../../b.wav", "x//b.wav"])
def test_names_in_a_store_lead_nowhere(tmp_path, monkeypatch, name):
    (tmp_path / "deep" / "folder").mkdir(parents=True)
    listed = {f"/in/{name}": {"size": 1}, "/in/a.wav": {"size": 1}}
    stand_ins = remote.StandIns(tmp_path / "deep" / "folder")
    with pytest.raises(AudioFileError, match="is no name of a file"):
        stand_ins._folder("memory://in", listed, "/in")
    assert not list(tmp_path.rglob("b.wav"))


def test_a_store_whose_package_is_missing_says_which(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"^s3://b/a\.wav: needs s3fs, .*install s3fs"):
        remote.n_bytes("s3://b/a.wav")


class BreaksError(Exception):
    pass


def test_what_is_sent_is_whole_or_not_there_whatever_breaks(tmp_path, monkeypatch):
    """Where a store shows what is half there, it is sent under another name first."""
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    local = type(fsspec.filesystem("file"))

    def half(self, source, target, **_):
        Path(target).write_text("ne")
        raise BreaksError("cable cut")

    url = f"file://{tmp_path}/old"
    with monkeypatch.context() as patch:
        patch.setattr(local, "put_file", half)
        with pytest.raises(FileError, match="old: cannot be reached: cable cut"):
            remote.upload(tmp_path / "new", url)
    assert (tmp_path / "old").read_text() == "old"
    remote.upload(tmp_path / "new", url)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]
    assert (tmp_path / "old").read_text() == "new"


def test_a_file_that_changes_while_it_is_read_is_refused(store, tmp_path, monkeypatch):
    versions = iter(["1", "2"])
    monkeypatch.setattr(remote, "version", lambda _: next(versions))
    with pytest.raises(AudioFileError, match=r"memory://in/a\.wav: was changed while it was read"):
        remote.download("memory://in/a.wav", tmp_path / "a.wav")


def test_commands_take_urls_and_evaluate_what_they_made(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = str(onnx_models.constant(tmp_path / "same.onnx", [[1, 0]], name="same",
        mask={"family": "complex", "options": {}}, stems=["vocals"]))  # fmt: skip
    words = ["separate", "-m", model, "memory://in", "-o", "memory://stems"]
    made = CliRunner().invoke(main, words)
    assert made.exit_code == 0, made.output
    assert made.stdout.split() == [f"memory://stems/same/{t}/vocals.wav" for t in ("a", "live/b")]
    for track in ("a", "live/b"):
        store.pipe(f"/true/{track}/vocals.wav", store.cat_file(f"/in/{track}.wav"))
    words = ["evaluate", "memory://stems/same", "memory://true", "--metric", "sdr", "-j", "1"]
    words += ["--json", "-"]
    scored = [CliRunner().invoke(main, words) for _ in range(2)]
    assert [one.exit_code for one in scored] == [0, 0], scored[0].output
    [score] = json.loads(scored[0].stdout)["median"]["scores"]
    assert score["n_tracks"] == 2
    assert score["value"] == "Infinity" or score["value"] > 80
    assert sorted(path.name for path in Path("scores/same").iterdir())[:2] == ["a.json", "b.json"]
    assert "2 of 2 tracks were finished before" in scored[1].stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("separate", "s3://b/x", "--reference", "."), "--reference: looks into files"),
        (("separate", "s3://b/x", "--into-video"), "--into-video: looks into files"),
        (("evaluate", "memory://in", "memory://in", "-o", "s3://b"), "-o: s3://b is elsewhere"),
        (("separate", "a.wav", "-j", "2", "--cluster", "local"), "-j, --cluster: a cluster does"),
        (("evaluate", "a", "b", "--cluster", ""), "--cluster: '' is no address"),
    ],
)
def test_options_that_do_not_go_together_are_refused(store, words, message):
    run = CliRunner().invoke(main, words)
    assert run.exit_code == 1
    assert run.stderr.startswith(f"unmask: error: {message}")
