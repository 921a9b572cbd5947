"""Announcements of Asterisk: decoded, named, listed in the manifest."""

import csv

import numpy as np
import pytest
import soundfile

av = pytest.importorskip("av")

RATE = 16000


def write_g722(path, samples):
    """Write mono samples at 16 kHz as bare G.722, as the packages have it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w", format="g722") as file:
        stream = file.add_stream("g722", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)


@pytest.fixture
def sounds(tool, tmp_path):
    """Return a folder of all speakers, of whom the first has three files."""
    for speaker in tool.LICENCES:
        (tmp_path / "sounds" / speaker).mkdir(parents=True)
    first = tmp_path / "sounds" / next(iter(tool.LICENCES))
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.int16)
    write_g722(first / "digits" / "1.g722", tone)
    write_g722(first / "silence" / "1.g722", 0 * tone)
    (first / "empty.g722").touch()
    return tmp_path / "sounds"


def test_what_has_sound_is_decoded_and_listed_once(tool, sounds, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "manifest.csv").write_text("path,group,licence,split\nmine.wav,me,MIT,train\n")
    for _ in range(2):
        tool.main([str(sounds), str(root)])
    name = "speech/asterisk/en_US_f_Allison/digits-1.flac"
    assert [path.relative_to(root).as_posix() for path in root.rglob("*.flac")] == [name]
    samples, rate = soundfile.read(root / name)
    assert (len(samples), rate) == (RATE, RATE)
    assert np.argmax(np.abs(np.fft.rfft(samples))) == 440
    assert np.abs(samples).max() == pytest.approx(8000 / 2**15, rel=0.1)
    with (root / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["path"] == name]
    assert [(row["licence"], row["split"]) for row in rows] == [("CC-BY-SA 3.0", "train")]


def test_a_folder_without_the_speakers_is_refused(tool, tmp_path, capsys):
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path), str(tmp_path / "root")])
    assert "no folders en_US_f_Allison, " in capsys.readouterr().err
    assert not (tmp_path / "root").exists()
