"""What stands beside the sound: kept where the format holds it, said to be lost where not."""

import io
import struct

import numpy as np
import pytest
import soundfile

from unmask import audio
from unmask.audio.notes import Notes, read_notes

RATE = 48000
TAGS = {"title": "Lied", "artist": "Ä", "date": "1999", "genre": "Folk", "tracknumber": "3"}
EXTENSIBLE = b"\1\0" + bytes.fromhex("000000001000800000aa00389b71")


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def wav(x, *, mask=None, before=b"", after=b""):
    """A WAV of 16 bits with more chunks and, if given, places of its channels."""
    n = len(x)
    description = struct.pack("<HHIIHH", 1, n, RATE, 2 * n * RATE, 2 * n, 16)
    if mask is not None:
        description = b"\xfe\xff" + description[2:] + struct.pack("<HHI", 22, 16, mask) + EXTENSIBLE
    samples = np.rint(x.T * 2**15).astype("<i2").tobytes()
    body = b"WAVE" + before + chunk(b"fmt ", description) + chunk(b"data", samples) + after
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bext(time, version=2):
    text = b"Take 7".ljust(338, b"\0")
    return text + struct.pack("<QH", time, version) + b"U" * 64 + b"L" * 10 + bytes(180) + b"A=PCM"


def copied(source, target, **options):
    """Write the sound of a file again, and return what was said to be lost."""
    found = audio.info(source)
    writer = audio.Writer(target, found.sample_rate, found.n_channels, like=found, **options)
    with writer:
        writer.write(audio.read(source)[0])
    return writer.report.lost


@pytest.fixture
def sound(rng):
    return rng.uniform(-0.9, 0.9, (2, 4801))


@pytest.mark.parametrize("source", ["flac", "wav", "ogg", "rf64"])
@pytest.mark.parametrize("target", ["flac", "wav", "ogg", "rf64", "caf"])
def test_tags_go_from_format_to_format(tmp_path, sound, source, target):
    first, second = tmp_path / f"1.{source}", tmp_path / f"2.{target}"
    with soundfile.SoundFile(first, "w", RATE, 2, format=audio.WRITABLE[f".{source}"][0]) as file:
        for name, value in TAGS.items():
            setattr(file, name, value)
        file.write(sound.T)
    assert copied(first, second) == ()
    assert read_notes(second).tags == TAGS
    assert audio.info(second).n_samples == sound.shape[1]


@pytest.mark.parametrize(
    ("target", "lost"), [("w64", set(TAGS)), ("aiff", {"date", "genre", "tracknumber"})]
)
def test_tags_that_a_format_has_not_are_said_to_be_lost(tmp_path, sound, target, lost):
    with soundfile.SoundFile(tmp_path / "x.flac", "w", RATE, 2) as file:
        for name, value in TAGS.items():
            setattr(file, name, value)
        file.write(sound.T)
    assert lost <= set(copied(tmp_path / "x.flac", tmp_path / f"x.{target}"))


def test_tags_of_an_m4a_are_kept(tmp_path, sound):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "x.m4a"), "w") as container:
        container.metadata.update({"title": "Lied", "track": "3"})
        stream = container.add_stream("aac", rate=RATE, layout="stereo")
        x = np.ascontiguousarray(sound[:, :1024], np.float32)
        frame = av.AudioFrame.from_ndarray(x, format="fltp", layout="stereo")
        frame.sample_rate = RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert copied(tmp_path / "x.m4a", tmp_path / "x.flac") == ()
    assert read_notes(tmp_path / "x.flac").tags == {"title": "Lied", "tracknumber": "3"}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("start", [0, 4000])
def test_the_time_of_a_broadcast_wav_is_kept_and_moves_with_the_start(
    tmp_path, sound, version, start
):
    first, second = tmp_path / "1.wav", tmp_path / "2.wav"
    first.write_bytes(
        wav(sound, before=chunk(b"bext", bext(123456789, version)), after=chunk(b"iXML", b"<x/>"))
    )
    assert copied(first, second, start=start) == ()
    kept = read_notes(second).chunks
    assert kept.get(b"iXML") == (None if start else b"<x/>")
    found = kept[b"bext"]
    assert found[:338] == bext(0)[:338]
    assert struct.unpack("<QH", found[338:348]) == (123456789 + start, version)
    assert found[348:412] == bytes(64)
    assert found[412:422] == (b"\xff\x7f" * 5 if version == 2 else b"L" * 10)
    assert audio.info(second).remarks == ""
    assert second.stat().st_size == struct.unpack("<I", second.read_bytes()[4:8])[0] + 8


def test_what_belongs_to_wav_is_said_to_be_lost_in_flac(tmp_path, sound):
    first = tmp_path / "1.wav"
    first.write_bytes(
        wav(sound, mask=0x30, before=chunk(b"bext", bext(1)), after=chunk(b"cue ", bytes(4)))
    )
    assert copied(first, tmp_path / "2.flac") == ("bext", "cue", "channel mask")


@pytest.mark.parametrize("mask", [0x3F, 0x60F, 0])
@pytest.mark.parametrize("subtype", [None, "PCM_24", "FLOAT"])
@pytest.mark.parametrize("suffix", ["wav", "rf64"])
def test_the_places_of_channels_are_kept(rng, tmp_path, mask, subtype, suffix):
    first, second = tmp_path / "1.wav", tmp_path / f"2.{suffix}"
    first.write_bytes(wav(rng.uniform(-0.9, 0.9, (6, 500)), mask=mask))
    assert copied(first, second, subtype=subtype) == ()
    assert read_notes(second).mask == mask
    np.testing.assert_array_equal(audio.read(second)[0], audio.read(first)[0])


@pytest.mark.parametrize("mask", [None, 3])
def test_usual_places_make_a_usual_wav(tmp_path, sound, mask):
    first, second = tmp_path / "1.wav", tmp_path / "2.wav"
    first.write_bytes(wav(sound, mask=mask))
    assert copied(first, second) == ()
    assert second.read_bytes() == wav(sound)


def test_a_file_without_notes_has_none(tmp_path, sound):
    (tmp_path / "x.wav").write_bytes(wav(sound))
    assert read_notes(tmp_path / "x.wav") == Notes()


@pytest.mark.parametrize(
    ("codec", "form", "depth", "subtype"),
    [
        ("alac", "s32p", "PCM_24", "PCM_24"),
        ("alac", "s16p", "PCM_16", "PCM_16"),
        ("aac", "fltp", "", "PCM_16"),
    ],
)
def test_lossless_media_keep_their_bits(rng, tmp_path, codec, form, depth, subtype):
    av = pytest.importorskip("av")
    whole = rng.integers(-(2**23), 2**23, (2, 2048), np.int32) << 8
    samples = {"s32p": whole, "s16p": (whole >> 16).astype(np.int16)}.get(
        form, (whole / 2**31).astype(np.float32)
    )
    with av.open(str(tmp_path / "x.m4a"), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="stereo")
        stream.format = form
        frame = av.AudioFrame.from_ndarray(samples, format=form, layout="stereo")
        frame.sample_rate = RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert audio.info(tmp_path / "x.m4a").depth == depth
    copied(tmp_path / "x.m4a", tmp_path / "x.wav")
    assert audio.info(tmp_path / "x.wav").subtype == subtype
    if depth:
        np.testing.assert_array_equal(
            audio.read(tmp_path / "x.wav")[0], audio.read(tmp_path / "x.m4a")[0]
        )


def test_a_title_that_looks_like_a_chunk_does_no_harm(tmp_path, sound):
    with soundfile.SoundFile(tmp_path / "x.flac", "w", RATE, 2) as file:
        file.title = "PEAKfmt data"
        file.write(sound.T)
    assert copied(tmp_path / "x.flac", tmp_path / "x.wav", subtype="FLOAT") == ()
    assert soundfile.info(io.BytesIO((tmp_path / "x.wav").read_bytes())).frames == sound.shape[1]
