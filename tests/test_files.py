"""Files appear whole or not at all, and every refusal names the file."""

import hashlib
import os
from types import SimpleNamespace

import numpy as np
import pytest

from unmask import audio, files
from unmask.errors import ConfigError, FileError
from unmask.files import (
    contents,
    hidden_folder,
    make_folder,
    on_device_of,
    replacing,
    sha256,
    staged,
    sweep,
    write_text,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep.name.txt"


def test_a_file_has_its_name_only_when_the_block_ends(path):
    with replacing(path) as partial:
        partial.write_text("new")
        assert not path.exists()
        assert [file.name for file in path.parent.iterdir()] == [partial.name]
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == [path.name]


def test_the_hidden_name_has_the_suffix_and_is_unlike_any_other(path):
    with replacing(path) as one, replacing(path) as other:
        assert one.suffix == other.suffix == ".txt"
        assert one.name.startswith(".")
        assert one.parent == path.parent
        assert one != other


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, ConfigError])
@pytest.mark.parametrize("how", [replacing, staged])
def test_whatever_ends_the_block_leaves_what_was_there(path, error, how):
    def stop():
        with how(path) as partial:
            partial.write_text("half")
            raise error("now")

    path.write_text("old")
    with pytest.raises(error, match=r"^now$"):
        stop()
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_mode_is_that_of_a_new_file(path, umask):
    before = os.umask(umask)
    try:
        path.with_name("new").write_text("x")
        write_text(path, "x")
    finally:
        os.umask(before)
    assert path.stat().st_mode == path.with_name("new").stat().st_mode


def test_a_link_stays_and_what_it_leads_to_is_replaced(path):
    folder = make_folder(path.parent / "elsewhere" / "deep")
    path.symlink_to(folder / "real.txt")
    for text in ("first", "second"):
        write_text(path, text)
        assert path.is_symlink()
        assert (folder / "real.txt").read_text() == text
    assert os.listdir(folder) == ["real.txt"]


def test_what_is_no_file_is_written_as_it_is(path):
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        write_text(path, "through")
        assert os.read(pipe, 100) == b"through"
    finally:
        os.close(pipe)
    assert path.is_fifo()


def test_a_folder_in_the_way_is_refused(path):
    path.mkdir()
    with pytest.raises(FileError, match=r"txt: is a folder, should be a file to write; add a"):
        write_text(path, "x")


def test_a_folder_that_is_not_there_is_refused(path):
    with pytest.raises(FileError, match=r"txt: cannot be written: folder .*none does not exist"):
        write_text(path.parent / "none" / path.name, "x")


def test_errors_of_the_block_are_said_of_the_file(path):
    full = OSError(28, "No space left")
    refusal = r"name.txt: cannot be written: No space left; choose another place"
    with pytest.raises(FileError, match=refusal), replacing(path):
        raise full
    with pytest.raises(OSError, match=r"No space left") as caught, staged(path):
        raise full
    assert caught.value is full


def test_a_folder_below_a_file_cannot_be_made(path):
    path.write_text("x")
    with pytest.raises(FileError, match=r"below: cannot be made a folder: .*; choose another"):
        make_folder(path / "below")


def test_the_hash_is_that_of_all_bytes(path):
    path.write_bytes(b"x" * 1_000_000)
    assert sha256(path) == hashlib.sha256(b"x" * 1_000_000).hexdigest()


def test_what_a_killed_process_left_goes_and_what_lives_stays(path):
    folder = path.parent
    dead = folder / f"{files._OURS}dead"
    (dead / "0").mkdir(parents=True)
    (folder / f"{files._OURS}half.wav").write_bytes(b"x")
    (folder / ".unmask-000000-elsewhere").mkdir()  # of another machine, and young
    with hidden_folder(folder) as mine:
        assert not dead.exists()
        with hidden_folder(folder) as other, replacing(path) as partial:
            sweep(folder)
            assert mine.is_dir() and other.is_dir() and partial.is_file()  # noqa: PT018
        assert not other.exists()
    assert sorted(os.listdir(folder)) == [".unmask-000000-elsewhere", path.name]
    os.utime(folder / ".unmask-000000-elsewhere", (0, 0))
    sweep(folder)
    assert os.listdir(folder) == [path.name]


def test_contents_change_with_the_file_its_bytes_or_its_time(path):
    path.write_bytes(b"one")
    first = contents(path)
    assert contents(path) == first
    os.utime(path, (0, 0))
    assert contents(path) != first
    path.with_name("new").write_bytes(b"one")
    os.replace(path.with_name("new"), path)
    assert contents(path).inode != first.inode
    assert contents(path).sha256 == first.sha256 == hashlib.sha256(b"one").hexdigest()


def test_a_file_for_another_file_system_is_copied_beside_its_place(path, monkeypatch):
    staged_file = make_folder(path.parent / "a") / "staged"
    staged_file.write_text("x")
    target = make_folder(path.parent / "b") / "target"
    with on_device_of(staged_file, target) as ready:
        assert ready == staged_file
    monkeypatch.setattr(files, "_sweep_once", lambda _: None)
    devices = {staged_file: 1, target.parent: 2}
    stat = type(path).stat
    monkeypatch.setattr(
        type(path),
        "stat",
        lambda self, **how: (
            SimpleNamespace(st_dev=devices[self]) if self in devices else stat(self, **how)
        ),
    )
    with on_device_of(staged_file, target) as ready:
        assert ready.parent == target.parent
        assert ready.read_text() == "x"
    assert os.listdir(target.parent) == []


def _save_tensors(path):
    torch = pytest.importorskip("torch")
    from unmask import checkpoint

    checkpoint.save(path, {"x": torch.zeros(3)}, {})


def _draw(path):
    pytest.importorskip("matplotlib")
    from unmask.plots import box_plots, write_figure

    write_figure(path, box_plots({"SDR": {"a": {"b": [1.0]}}}))


WRITERS = {
    "model.safetensors": _save_tensors,
    "figure.png": _draw,
    "sound.wav": lambda path: audio.write(path, np.zeros((1, 9)), 8000),
    "text.json": lambda path: write_text(path, "{}"),
}


@pytest.mark.skipif(os.name != "posix", reason="modes are others there")
@pytest.mark.parametrize("name", WRITERS)
def test_the_mode_of_a_file_is_that_of_any_new_file(tmp_path, name):
    """Libraries that write a file of their own make it readable for the user alone."""
    before = os.umask(0o027)
    try:
        WRITERS[name](tmp_path / name)
    finally:
        os.umask(before)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o640
