"""Sound files: what is written comes back, whole or not at all, and every refusal says why."""

import os
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from unmask import audio
from unmask.audio import formats, writing
from unmask.errors import (
    AudioFileError,
    ConfigError,
    FileError,
    MissingExtraError,
    SampleRateError,
    ShapeError,
)

RATE = 44100
BITS = {"PCM_U8": 7, "PCM_16": 15, "PCM_24": 23, "PCM_32": 31}
INTEGER = [("wav", s) for s in BITS] + [("flac", "PCM_16"), ("flac", "PCM_24"), ("aiff", "PCM_16")]
FLOATING = [("wav", "FLOAT"), ("wav", "DOUBLE"), ("caf", "FLOAT")]
LOSSY = ["ogg", "mp3", "opus"]


def noise(rng, n_channels=2, n_samples=1000, dtype="float32"):
    return rng.uniform(-0.9, 0.9, (n_channels, n_samples)).astype(dtype)


def whole_steps(rng, bits, n_channels, n_samples):
    """Integers of `bits`, both ends of the range among them, as full scale 1."""
    top = 2**bits
    steps = rng.integers(-top, top, (n_channels, n_samples))
    steps[:, :2] = [-top, top - 1][:n_samples]
    return steps / top


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mix.wav"


# --- What is written comes back


@pytest.mark.parametrize(("suffix", "subtype"), INTEGER)
@given(n_channels=st.integers(1, 8), n_samples=st.integers(1, 200), seed=st.integers(0, 2**32 - 1))
def test_integer_files_come_back_bit_by_bit(
    tmp_path_factory, suffix, subtype, n_channels, n_samples, seed
):
    x = whole_steps(np.random.default_rng(seed), BITS[subtype], n_channels, n_samples)
    path = tmp_path_factory.getbasetemp() / f"bits.{suffix}"
    report = audio.write(path, x, 8000, subtype=subtype)
    y, rate = audio.read(path)
    np.testing.assert_array_equal(y, x)
    assert (rate, report.clipped, report.n_samples) == (8000, 0, n_samples)
    assert y.dtype == (np.float64 if subtype == "PCM_32" else np.float32)


@pytest.mark.parametrize(("suffix", "subtype"), FLOATING)
@given(n_channels=st.integers(1, 11), n_samples=st.integers(1, 200))
def test_float_files_come_back_bit_by_bit_also_beyond_full_scale(
    tmp_path_factory, suffix, subtype, n_channels, n_samples
):
    dtype = "float64" if subtype == "DOUBLE" else "float32"
    x = 10 * noise(np.random.default_rng(n_samples), n_channels, n_samples, dtype)
    path = tmp_path_factory.getbasetemp() / f"float.{suffix}"
    report = audio.write(path, x, 7999, subtype=subtype)
    y, rate = audio.read(path)
    np.testing.assert_array_equal(y, x)
    assert y.dtype == dtype
    assert (rate, report.clipped, report.peak) == (7999, 0, np.abs(x).max())


@pytest.mark.parametrize(("suffix", "subtype"), [*INTEGER, *FLOATING])
def test_reading_and_writing_a_file_changes_no_byte(rng, tmp_path, suffix, subtype):
    first, second = tmp_path / f"1.{suffix}", tmp_path / f"2.{suffix}"
    audio.write(first, noise(rng), RATE, subtype=subtype)
    found = audio.info(first)
    audio.write(second, audio.read(first)[0], RATE, subtype=found.subtype, format=found.format)
    assert second.read_bytes() == first.read_bytes()


@pytest.mark.parametrize(("suffix", "subtype"), INTEGER)
def test_integer_files_are_those_of_libsndfile(rng, tmp_path, suffix, subtype):
    first, second = tmp_path / f"1.{suffix}", tmp_path / f"2.{suffix}"
    soundfile.write(first, noise(rng).T, RATE, subtype=subtype)
    audio.write(second, audio.read(first)[0], RATE, subtype=subtype)
    assert second.read_bytes() == first.read_bytes()


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("kind", ["AIFF", "AU", "CAF", "RF64", "W64", "WAV", "WAVEX"])
@pytest.mark.parametrize("n_channels", [1, 6])
def test_float_files_hold_no_clock(rng, tmp_path, kind, subtype, n_channels):
    """All of libsndfile's bytes but those of the time, which are zero."""
    x = noise(rng, n_channels)
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    soundfile.write(theirs, x.T, RATE, format=kind, subtype=subtype)
    audio.write(ours, x, RATE, format=kind, subtype=subtype)
    expected, found = theirs.read_bytes(), ours.read_bytes()
    if kind in {"AIFF", "WAV", "WAVEX"}:
        clock = expected.index(b"PEAK") + 12
        assert any(expected[clock : clock + 4])
        expected = expected[:clock] + bytes(4) + expected[clock + 4 :]
    assert found == expected


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
def test_the_kind_of_wav_is_kept(rng, path, kind):
    audio.write(path, noise(rng, 6), RATE, format=kind, subtype="PCM_24")
    found = audio.info(path)
    assert (found.format, found.subtype, found.n_channels) == (kind, "PCM_24", 6)


@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_files_keep_rate_channels_length_and_sound(tmp_path, suffix):
    t = np.arange(48000) / 48000
    x = np.stack([0.5 * np.sin(2 * np.pi * 440 * t), 0.5 * np.sin(2 * np.pi * 660 * t)])
    path = tmp_path / f"tone.{suffix}"
    audio.write(path, x, 48000)
    y, rate = audio.read(path)
    assert (rate, y.shape) == (48000, x.shape)
    assert audio.info(path).n_samples == 48000
    inside = (slice(None), slice(4800, -4800))
    assert np.sqrt(np.mean((y[inside] - x[inside]) ** 2)) < 0.02


def test_rounding_is_to_the_nearest_step_in_every_format(tmp_path):
    steps = np.array([[0.4, 0.6, -0.4, -0.6, 1.4, -1.6, 100.49, -100.51]])
    for suffix in ("wav", "flac"):
        audio.write(tmp_path / f"a.{suffix}", steps / 2**15, RATE)
        stored = soundfile.read(tmp_path / f"a.{suffix}", dtype="int16")[0]
        np.testing.assert_array_equal(stored, [0, 1, 0, -1, 1, -2, 100, -101])


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24"])
def test_two_stems_add_up_to_the_mixture_within_one_step(rng, tmp_path, subtype):
    x = [noise(rng, dtype="float64") / 2 for _ in range(2)]
    for k, stem in enumerate([*x, sum(x)]):
        audio.write(tmp_path / f"{k}.wav", stem, RATE, subtype=subtype)
    first, second, mixture = (audio.read(tmp_path / f"{k}.wav")[0] for k in range(3))
    assert np.abs(first + second - mixture).max() <= 1.0001 * 2.0 ** -BITS[subtype]


@given(n_stems=st.integers(1, 8), seed=st.integers(0, 2**32 - 1))
def test_stems_rounded_together_add_up_within_half_a_step(tmp_path_factory, n_stems, seed):
    rng = np.random.default_rng(seed)
    stems = rng.uniform(-0.1, 0.1, (n_stems, 2, 300))
    rounded = audio.round_together(stems, "PCM_16")
    assert np.abs(rounded.sum(0) - stems.sum(0)).max() * 2**15 <= 0.5 + 1e-9
    assert np.abs(rounded - stems).max() * 2**15 <= 1 + 1e-9
    path = tmp_path_factory.getbasetemp() / "together.wav"
    audio.write(path, rounded[-1], RATE)
    np.testing.assert_array_equal(audio.read(path)[0], rounded[-1])


def test_stems_for_a_float_file_are_not_rounded(rng):
    stems = rng.uniform(-1, 1, (4, 2, 10))
    np.testing.assert_array_equal(audio.round_together(stems, "FLOAT"), stems)


# --- No clipping without a word


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
def test_what_is_beyond_full_scale_is_clamped_and_counted(path, subtype):
    x = np.array([[0.5, 1.5, -3.0, 0.0], [1.0, -1.0, 1e9, 0.25]])
    report = audio.write(path, x, RATE, subtype=subtype)
    top = 1 - 2.0 ** -BITS[subtype]
    assert (report.clipped, report.peak) == (3, 1e9)
    np.testing.assert_array_equal(
        audio.read(path)[0].astype("float64"),
        np.array([[0.5, top, -1, 0], [top, -1, top, 0.25]]).astype(
            "float64" if subtype == "PCM_32" else "float32"
        ),
    )


@pytest.mark.parametrize("suffix", LOSSY)
def test_clipping_in_lossy_formats_is_counted_too(tmp_path, suffix):
    report = audio.write(tmp_path / f"a.{suffix}", np.array([[0.5, 1.5, -1.25]]), 48000)
    assert (report.clipped, report.peak) == (2, 1.5)


def test_clipping_is_counted_over_blocks(rng, path):
    x = 2 * rng.uniform(-1, 1, (3, 150_000)).astype("float32")
    with audio.Writer(path, RATE, 3) as writer:
        for part in np.array_split(x, 7, axis=1):
            writer.write(part)
    assert writer.report.clipped == np.count_nonzero(np.abs(x) > 1)
    assert writer.report.peak == np.abs(x).max()
    assert writer.report.n_samples == 150_000


# --- Parts and blocks


@given(block=st.integers(1, 3000), suffix=st.sampled_from(["wav", "flac", "ogg", "mp3", "m4a"]))
def test_blocks_concatenated_are_the_file(some_files, block, suffix):
    blocks = list(audio.read_blocks(some_files[suffix], block=block))
    whole, _ = audio.read(some_files[suffix])
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)
    assert {b.shape[1] for b in blocks[:-1]} <= {block}
    assert 1 <= blocks[-1].shape[1] <= block


@given(
    start=st.integers(0, 2999),
    length=st.integers(1, 5000),
    suffix=st.sampled_from(["wav", "flac", "ogg", "mp3", "m4a"]),
)
def test_a_part_is_that_part_of_the_file(some_files, start, length, suffix):
    whole, rate = audio.read(some_files[suffix])
    part, _ = audio.read(some_files[suffix], start_s=start / rate, stop_s=(start + length) / rate)
    np.testing.assert_array_equal(part, whole[:, start : start + length])


@pytest.fixture(scope="module")
def some_files(tmp_path_factory):
    """One file of 3000 samples per suffix."""
    folder = tmp_path_factory.mktemp("files")
    x = noise(np.random.default_rng(1), 2, 3000)
    files = {suffix: folder / f"x.{suffix}" for suffix in ("wav", "flac", "ogg", "mp3", "m4a")}
    for suffix, path in files.items():
        encode(path, [x]) if suffix == "m4a" else audio.write(path, x, 48000)
    return files


def test_length_told_is_length_read(some_files):
    for path in some_files.values():
        found = audio.info(path)
        x, rate = audio.read(path)
        assert (found.n_channels, found.n_samples) == x.shape
        assert found.duration_s == x.shape[1] / rate


def test_wav_that_was_piped_and_promises_nothing_is_read(rng, path):
    audio.write(path, noise(rng), RATE)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff" * 4
    path.write_bytes(data)
    assert audio.read(path)[0].shape == (2, 1000)


@pytest.mark.parametrize(("start", "stop"), [(-1, None), (2, 1), (1, 1), (0, float("nan"))])
def test_impossible_parts_are_refused(some_files, start, stop):
    with pytest.raises(ConfigError, match=r"start_s, stop_s: .*, should be 0 <= start_s < stop_s"):
        audio.read(some_files["wav"], start_s=start, stop_s=stop)


def test_a_part_beyond_the_end_is_refused(some_files):
    with pytest.raises(AudioFileError, match=r"x.wav: has no samples between 5 s and 6 s"):
        audio.read(some_files["wav"], start_s=5, stop_s=6)


def test_impossible_blocks_are_refused(some_files):
    with pytest.raises(ConfigError, match="block: 0 samples, should be 1 or more"):
        next(audio.read_blocks(some_files["wav"], block=0))


def test_memory_for_blocks_does_not_grow_with_the_file(path):
    with audio.Writer(path, RATE, 2) as writer:
        for _ in range(200):
            writer.write(np.full((2, 1 << 16), 0.5, "float32"))
    script = f"""
import re
from unmask import audio
def peak_kib():  # of this process: ru_maxrss would know that of the tests
    return int(re.search(r"VmHWM:\\s*([0-9]+)", open("/proc/self/status").read())[1])
blocks = audio.read_blocks({str(path)!r})
next(blocks)
before = peak_kib()
print(sum(b.shape[-1] for b in blocks), peak_kib() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    n_samples, grown_kib = map(int, done.stdout.split())
    assert n_samples == 199 << 16
    assert grown_kib < 20_000  # The file is 105 MB as float32.


# --- Other containers, through PyAV


def encode(path, streams, codec="aac", movflags=""):
    """Write each array (channel, sample) as one audio stream."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        outputs = [container.add_stream(codec, rate=48000, layout="stereo") for _ in streams]
        for output, x in zip(outputs, streams, strict=True):
            for start in range(0, x.shape[1], 1024):
                part = np.ascontiguousarray(x[:, start : start + 1024], "float32")
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = 48000, start
                container.mux(output.encode(frame))
            container.mux(output.encode(None))


def test_m4a_is_read_through_pyav(tmp_path):
    t = np.arange(48000) / 48000
    x = 0.5 * np.stack([np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 660 * t)])
    encode(tmp_path / "tone.m4a", [x])
    y, rate = audio.read(tmp_path / "tone.m4a")
    assert rate == 48000
    assert np.sqrt(np.mean((y[:, 4800:43200] - x[:, 4800:43200]) ** 2)) < 0.05
    assert audio.info(tmp_path / "tone.m4a").subtype == "aac"


def test_lossless_m4a_keeps_every_bit(rng, tmp_path):
    x = whole_steps(rng, 15, 2, 5000)
    path = tmp_path / "concat:x.m4a"  # No protocol of FFmpeg, only an odd name.
    encode(f"file:{path}", [x], codec="alac")
    np.testing.assert_array_equal(audio.read(path)[0], x)


def test_each_stream_of_a_stem_file_can_be_read(tmp_path):
    path = tmp_path / "song.stem.mp4"
    encode(path, [np.full((2, 4096), level) for level in (0.1, 0.2, 0.3)], codec="alac")
    assert audio.info(path).n_streams == 3
    for stream, level in enumerate((0.1, 0.2, 0.3)):
        assert audio.read(path, stream=stream)[0] == pytest.approx(level, abs=1e-4)
    with pytest.raises(AudioFileError, match=r"song.stem.mp4: has 3 audio streams, number 3 was"):
        audio.read(path, stream=3)


def test_without_pyav_the_error_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "x.m4a").write_bytes(b"something")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r'x.m4a: .* PyAV.*; pip install "unmask\[media\]"'):
        audio.read(tmp_path / "x.m4a")


def test_the_time_at_which_the_sound_of_a_video_starts_is_told(rng, tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        first, late = (container.add_stream("flac", rate=48000, layout="mono") for _ in range(2))
        for stream, start in ((first, 0), (late, 12000)):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), "int16"), "s16", "mono")
            frame.sample_rate, frame.pts = 48000, start
            container.mux([*stream.encode(frame), *stream.encode(None)])
    assert audio.info(path).starts_s == 0
    assert audio.info(path, stream=1).starts_s == pytest.approx(0.25, abs=0.002)
    assert audio.read(path, stream=1)[0].shape == (1, 4800)


def test_no_sound_in_a_media_file_is_said(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "x.mp4").write_bytes(b"not a film" * 100)
    with pytest.raises(AudioFileError, match=r"x.mp4: is damaged, truncated or no sound, FFmpeg"):
        audio.read(tmp_path / "x.mp4")


def test_a_truncated_m4a_without_its_index_is_refused(rng, tmp_path):
    path = tmp_path / "x.m4a"
    encode(path, [noise(rng, 2, 200_000)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioFileError, match=r"x.m4a: is truncated, it ends \d+ bytes before its"):
        audio.read(path)


def test_an_m4a_that_ends_between_two_packets_is_refused(rng, tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "x.m4a"
    encode(path, [noise(rng, 2, 200_000)], movflags="faststart")
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(audio=0) if packet.size]
    path.write_bytes(path.read_bytes()[: places[len(places) // 2]])
    with pytest.raises(AudioFileError, match=r"x.m4a: is truncated, it ends \d+ bytes before its"):
        audio.read(path)


def test_a_truncated_matroska_file_is_refused(rng, tmp_path):
    path = tmp_path / "x.mka"
    encode(path, [noise(rng, 2, 200_000)])
    path.write_bytes(path.read_bytes()[:-10_000])
    with pytest.raises(AudioFileError, match=r"x.mka: is truncated, it ends after 3.\d s of 4.2 s"):
        audio.read(path)


# --- Bad input: one line that names the file, what is wrong and what to do


def refusal(path):
    """The message with which info, read and read_blocks refuse a file, all three the same."""
    texts = set()
    for call in (audio.info, audio.read, lambda path: list(audio.read_blocks(path))):
        with pytest.raises(AudioFileError) as caught:
            call(path)
        texts.add(str(caught.value))
    (text,) = texts
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text


def test_a_missing_file(path):
    assert refusal(path).endswith("no such file; check the name")


def test_a_file_below_a_file(path):
    path.write_bytes(b"x")
    assert "cannot be read: Not a directory" in refusal(path / "x.wav")


def test_a_folder(tmp_path):
    assert "is a folder, should be a sound file; name the files in it" in refusal(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe(path):
    os.mkfifo(path)
    assert "is a pipe or device, should be a file" in refusal(path)


def test_an_unreadable_file(path, rng, monkeypatch):
    audio.write(path, noise(rng), RATE)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be read: no permission" in refusal(path)


def test_an_empty_file(path):
    path.touch()
    assert "is empty (0 bytes); download or record it again" in refusal(path)


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
def test_no_samples(tmp_path, suffix):
    path = tmp_path / f"none.{suffix}"
    soundfile.write(path, np.zeros((0, 2)), RATE)
    assert "has 0 samples; record or export it again" in refusal(path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_text_with_the_name_of_a_sound_file(tmp_path, suffix):
    path = tmp_path / f"notes.{suffix}"
    path.write_text("These are notes, not sounds.\n" * 100)
    assert f"is damaged, truncated or no .{suffix} file, libsndfile says" in refusal(path)


@pytest.mark.parametrize("suffix", ["wav", "rf64", "aiff"])
@pytest.mark.parametrize("lost", [1, 1000])
def test_a_truncated_wav(rng, tmp_path, suffix, lost):
    path = tmp_path / f"x.{suffix}"
    audio.write(path, noise(rng), RATE)
    path.write_bytes(path.read_bytes()[:-lost])
    text = refusal(path)
    assert f"is truncated, it ends {lost} bytes before its header says; copy or download" in text


def test_a_big_endian_wav_is_understood(rng, path):
    soundfile.write(path, noise(rng).T, RATE, subtype="PCM_16", endian="BIG")
    assert path.read_bytes()[:4] == b"RIFX"
    assert audio.read(path)[0].shape == (2, 1000)
    path.write_bytes(path.read_bytes()[:-10])
    assert "is truncated, it ends 10 bytes before" in refusal(path)


def test_other_chunks_and_odd_lengths_do_no_harm(rng, path):
    soundfile.write(path, noise(rng, 1, 999).T, RATE, subtype="PCM_U8")
    data = path.read_bytes()
    before, after = (b"note" + struct.pack("<I", 3) + b"odd\0" for _ in range(2))
    path.write_bytes(data[:12] + before + data[12:] + after)
    assert audio.read(path)[0].shape == (1, 999)
    path.write_bytes(data[:12] + before + data[12:1000])
    assert "is truncated, it ends" in refusal(path)


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_ogg(rng, tmp_path, suffix, share):
    path = tmp_path / f"x.{suffix}"
    audio.write(path, noise(rng, 2, 96000), 48000)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "is truncated, it ends" in refusal(path)


def test_an_ogg_with_something_behind_it_is_whole(rng, tmp_path):
    path = tmp_path / "x.ogg"
    audio.write(path, noise(rng, 2, 9600), 48000)
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    assert audio.read(path)[0].shape == (2, 9600)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_flac(rng, tmp_path, share):
    path = tmp_path / "x.flac"
    audio.write(path, noise(rng, 2, 96000), 48000)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(AudioFileError, match=r"x.flac: is (damaged, )?truncated"):
        audio.read(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_mp3(rng, tmp_path, share):
    path = tmp_path / "x.mp3"
    audio.write(path, noise(rng, 2, 96000), 48000)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(AudioFileError, match=r"x.mp3: is truncated, it ends after \d+ frames"):
        audio.read(path)


@pytest.fixture
def headerless(rng, tmp_path):
    """Write MP3 files without the header that holds their length, one per bit rate."""
    av = pytest.importorskip("av")

    def write(name, bit_rate, n_samples):
        path = tmp_path / name
        with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as file:
            stream = file.add_stream("mp3", rate=44100, layout="mono")
            stream.bit_rate = bit_rate
            samples = (3000 * rng.standard_normal((1, n_samples))).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16p", layout="mono")
            frame.sample_rate = 44100
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                file.mux(packet)
        return path

    return write


@pytest.mark.parametrize("with_pyav", [True, False])
def test_an_mp3_without_a_length_is_read_to_its_end(headerless, monkeypatch, with_pyav):
    """libsndfile guesses the length of such files, iTunes writes them."""
    path = headerless("x.mp3", 64000, 100_000)
    tag = b"ID3\x03\x00\x00\x00\x00\x20\x00" + bytes(4096)
    path.write_bytes(tag + path.read_bytes())
    monkeypatch.setattr("unmask.audio.media.is_installed", lambda: with_pyav)
    waveform, rate = audio.read(path)
    assert rate == 44100
    assert 100_000 <= waveform.shape[1] < 100_000 + 4 * 1152
    assert audio.info(path).n_samples == waveform.shape[1] != soundfile.info(path).frames
    part, _ = audio.read(path, start_s=1, stop_s=1.5)
    np.testing.assert_allclose(part, waveform[:, 44100:66150], atol=1e-6)


def test_an_mp3_whose_bit_rate_falls_is_not_cut(headerless, tmp_path):
    """libsndfile stops at its guess, a quarter of what is there."""
    loud, soft = headerless("a.mp3", 320000, 50_000), headerless("b.mp3", 32000, 200_000)
    path = tmp_path / "both.mp3"
    path.write_bytes(loud.read_bytes() + soft.read_bytes())
    assert soundfile.info(path).frames < 100_000
    assert audio.read(path)[0].shape[1] >= 250_000


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_nan_and_infinity_are_found_with_their_time(rng, path, bad, subtype):
    x = noise(rng, 3, 200_000)
    x[1, 150_000] = x[0, 180_000] = bad
    soundfile.write(path, x.T, 100_000, subtype=subtype)
    text = rf"mix.wav: sample 150000 \(1.500 s\) of channel 1 is {bad}, should be a finite number"
    with pytest.raises(AudioFileError, match=text):
        audio.read(path)
    with pytest.raises(AudioFileError, match=text):
        audio.read(path, start_s=1.2)
    blocks = audio.read_blocks(path, block=100_000)
    np.testing.assert_array_equal(next(blocks), x[:, :100_000])
    with pytest.raises(AudioFileError, match=text):
        next(blocks)
    assert audio.read(path, stop_s=1.5)[0].shape == (3, 150_000)


@pytest.mark.parametrize(("n_channels", "rate", "n_samples"), [(11, RATE, 9), (1, 7999, 1)])
def test_unusual_files_are_read_as_they_are(rng, path, n_channels, rate, n_samples):
    x = noise(rng, n_channels, n_samples)
    audio.write(path, x, rate, subtype="FLOAT")
    y, found = audio.read(path)
    np.testing.assert_array_equal(y, x)
    assert found == rate


# --- Writing: whole or not at all


def write_half(path, x, error):
    with audio.Writer(path, RATE, len(x)) as writer:
        writer.write(x)
        raise error


def test_an_exception_leaves_nothing(rng, path):
    with pytest.raises(KeyboardInterrupt):
        write_half(path, noise(rng), KeyboardInterrupt)
    assert list(path.parent.iterdir()) == []


def test_an_exception_leaves_the_file_that_was_there(rng, path):
    audio.write(path, noise(rng), RATE)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        write_half(path, noise(rng), ZeroDivisionError)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_file_appears_at_the_end(rng, path):
    with audio.Writer(path, RATE, 2) as writer:
        writer.write(noise(rng))
        assert not path.exists()
    assert audio.read(path)[0].shape == (2, 1000)
    assert list(path.parent.iterdir()) == [path]


def test_a_program_that_is_interrupted_leaves_nothing(path):
    # A shell ignores SIGINT for what it runs in the background, and children inherit that.
    script = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
from unmask import audio
with audio.Writer({str(path)!r}, 44100, 2) as writer:
    writer.write(np.zeros((2, 1000)))
    print("half", flush=True)
    while True:
        writer.write(np.zeros((2, 1000)))
        if writer.report.n_samples > 10**8: break
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as program:
        assert program.stdout.readline() == b"half\n"
        assert len(list(path.parent.iterdir())) == 1
        program.send_signal(signal.SIGINT)
    assert program.returncode != 0
    assert list(path.parent.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    script = f"""
import resource, numpy as np
from unmask import audio, errors
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
x = np.random.default_rng(0).uniform(-1, 1, (2, 10**6))
for name in ("a.wav", "a.flac", "a.ogg"):
    try:
        audio.write({str(tmp_path)!r} + "/" + name, x, 44100)
    except errors.AudioFileError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all("cannot be written" in line and "is the disk full?" in line for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_permissions_are_those_of_any_new_file(rng, path):
    other = path.with_name("other")
    other.touch()
    audio.write(path, noise(rng), RATE)
    assert path.stat().st_mode == other.stat().st_mode


def test_nothing_is_left_when_a_sample_is_nan(rng, path):
    x = noise(rng, 2, 100_000)
    x[1, 99_999] = np.nan
    with pytest.raises(AudioFileError, match=r"mix.wav: sample 99999 \(2.268 s\) of channel 1 is"):
        audio.write(path, x, RATE)
    assert list(path.parent.iterdir()) == []


def test_nothing_is_left_when_there_is_nothing_to_write(path):
    with pytest.raises(AudioFileError, match=r"mix.wav: 0 samples to write, should be 1 or more"):
        audio.write(path, np.zeros((2, 0)), RATE)
    assert list(path.parent.iterdir()) == []


def test_a_folder_is_no_file_to_write(rng, tmp_path):
    folder = tmp_path / "stems.wav"
    folder.mkdir()
    with pytest.raises(FileError, match=r"stems.wav: is a folder, should be a file to write"):
        audio.write(folder, noise(rng), RATE)
    assert list(folder.iterdir()) == []


def test_a_missing_folder_to_write_in(rng, tmp_path):
    with pytest.raises(FileError, match=r"a.wav: .*: folder .*none does not exist; make it"):
        audio.write(tmp_path / "none" / "a.wav", noise(rng), RATE)


def test_a_folder_that_cannot_be_written(rng, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FileError, match=r"a.wav: cannot be written: Permission denied; choose"):
        audio.write(tmp_path / "a.wav", noise(rng), RATE)


@pytest.mark.parametrize("name", ["a.m4a", "a.xyz", "a"])
def test_an_unknown_suffix_to_write(rng, tmp_path, name):
    with pytest.raises(AudioFileError, match=rf"{name}: no format .* suffix .*; use one of .aif"):
        audio.write(tmp_path / name, noise(rng), RATE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "n_channels", "rate"), [("a.flac", 9, RATE), ("a.mp3", 3, RATE), ("a.opus", 2, RATE)]
)
def test_what_a_format_cannot_hold_is_said_before_anything_is_written(
    rng, tmp_path, name, n_channels, rate
):
    with pytest.raises(AudioFileError, match=rf"{name}: .* cannot hold {n_channels} channels of"):
        audio.write(tmp_path / name, noise(rng, n_channels), rate)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "subtype"), [("a.flac", "FLOAT"), ("a.wav", "IMA_ADPCM")])
def test_a_subtype_that_does_not_fit_is_refused_with_those_that_do(rng, tmp_path, name, subtype):
    with pytest.raises(ConfigError, match=rf"{name}: .* cannot hold {subtype}; it can .*PCM_16"):
        audio.write(tmp_path / name, noise(rng), RATE, subtype=subtype)


@pytest.mark.parametrize("x", [np.zeros(5), np.zeros((3, 5)), np.zeros((2, 5), "int16")])
def test_blocks_of_another_shape_or_type_are_refused(path, x):
    with pytest.raises(ShapeError, match=r"should be float32 or float64 \(2, n\)"):  # noqa: SIM117
        with audio.Writer(path, RATE, 2) as writer:
            writer.write(x)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("rate", [0, -1, 44100.5])
def test_an_impossible_rate_to_write_is_refused(rng, path, rate):
    with pytest.raises(SampleRateError, match="should be a whole number above 0"):
        audio.write(path, noise(rng), rate)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("told", [None, 300_000])
def test_a_wav_beyond_four_gigabytes_is_an_rf64(rng, path, monkeypatch, subtype, told):
    x = noise(rng, 2, 300_000)
    audio.write(path, x, RATE, subtype=subtype)
    small, _ = audio.read(path)
    monkeypatch.setattr(writing, "_LIMIT", 100_000)
    with audio.Writer(path, RATE, 2, subtype=subtype, n_samples=told) as writer:
        writer.write(x)
    assert audio.info(path).format == "RF64"
    np.testing.assert_array_equal(audio.read(path)[0], small)
    assert list(path.parent.iterdir()) == [path]


def test_what_aiff_cannot_hold_is_refused_at_once(tmp_path):
    with pytest.raises(AudioFileError, match=r"x.aiff: AIFF ends at 4 GiB; write .wav, .w64 or"):
        audio.Writer(tmp_path / "x.aiff", RATE, 8, subtype="DOUBLE", n_samples=1 << 27)


def test_what_aiff_cannot_hold_is_refused_when_it_comes(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_LIMIT", 100_000)
    with pytest.raises(AudioFileError, match=r"x.aiff: AIFF ends at 4 GiB; write .wav, .w64 or"):
        audio.write(tmp_path / "x.aiff", noise(rng, 2, 300_000), RATE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "subtype", "fitting"),
    [
        ("a.wav", "PCM_24", "PCM_24"),
        ("a.wav", "DOUBLE", "DOUBLE"),
        ("a.wav", "MPEG_LAYER_III", "PCM_16"),
        ("a.wav", "ULAW", "ULAW"),
        ("a.wav", "IMA_ADPCM", "PCM_16"),
        ("a.wav", "aac", "PCM_16"),
        ("a.flac", "DOUBLE", "PCM_24"),
        ("a.flac", "PCM_32", "PCM_24"),
        ("a.flac", "PCM_U8", "PCM_16"),
        ("a.ogg", "PCM_24", "VORBIS"),
        ("a.mp3", "FLOAT", "MPEG_LAYER_III"),
        ("a.opus", "VORBIS", "OPUS"),
    ],
)
def test_fitting_subtype_loses_as_little_as_the_format_allows(name, subtype, fitting):
    assert audio.fitting_subtype(name, subtype) == fitting


# --- Sample rates


@given(
    rates=st.tuples(*[st.sampled_from([7999, 16000, 44100, 48000])] * 2),
    n_samples=st.integers(0, 5000),
)
def test_resampling_gives_the_length_in_proportion(rates, n_samples):
    y = audio.resample(np.ones((3, 2, n_samples)), *rates)
    assert y.shape[:2] == (3, 2)
    assert abs(y.shape[2] - n_samples * rates[1] / rates[0]) <= 0.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rates", [(44100, 48000), (48000, 16000), (16000, 44100), (44100, 44100)])
def test_a_tone_stays_a_tone(rates, dtype):
    def tone(rate):
        return np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(dtype)

    y = audio.resample(tone(rates[0])[None], *rates)
    assert y.dtype == dtype
    inside = slice(rates[1] // 10, -rates[1] // 10)
    np.testing.assert_allclose(y[0, inside], tone(rates[1])[inside], atol=1e-5)


@pytest.mark.parametrize("rate", [0, -44100, float("nan"), float("inf")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(SampleRateError, match=r"sample rate: .* Hz, should be a positive number"):
        audio.resample(np.zeros((1, 10)), 44100, rate)
    with pytest.raises(SampleRateError, match=r"sample rate: .* Hz, should be a positive number"):
        audio.resample(np.zeros((1, 10)), rate, 44100)


@pytest.mark.parametrize("x", [np.zeros((2, 9), "int16"), np.float64(1)])
def test_only_floating_point_waveforms_are_resampled(x):
    with pytest.raises(ShapeError, match=r"waveform: .* should be float32 or float64"):
        audio.resample(x, 44100, 48000)


# --- Finding files


def test_find_lists_folders_sorted_and_without_hidden_files(tmp_path):
    for name in ("b.WAV", "a/z.flac", "a/b/y.mp4", "notes.txt", ".x.wav", ".h/x.wav", "a/._z.flac"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = [str(path.relative_to(tmp_path)) for path in audio.find(tmp_path)]
    assert names == ["a/b/y.mp4", "a/z.flac", "b.WAV"]


def test_find_takes_files_as_named_and_once(tmp_path):
    (tmp_path / "a.wav").touch()
    odd, missing = tmp_path / "odd.xyz", tmp_path / "missing.wav"
    assert audio.find([odd, tmp_path, missing, tmp_path / "a.wav"]) == [
        odd, tmp_path / "a.wav", missing,
    ]  # fmt: skip


def test_find_searches_a_hidden_folder_that_is_named(tmp_path):
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.wav").touch()
    assert len(audio.find(tmp_path / ".cache")) == 1


def test_find_refuses_a_folder_without_sound(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(AudioFileError, match=r"no sound file in this folder; known are .aac"):
        audio.find([tmp_path])


def test_suffixes_to_find_are_all_readable():
    assert formats.SUFFIXES.isdisjoint(formats.MEDIA_SUFFIXES)
    assert set(audio.WRITABLE) <= formats.SUFFIXES


# --- What is in a file decides who reads it


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "m4a"])
@pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.m4a", "x.mp4", "x", "x.xyz"])
def test_content_counts_and_not_the_suffix(some_files, tmp_path, suffix, name):
    (tmp_path / name).write_bytes(some_files[suffix].read_bytes())
    np.testing.assert_array_equal(audio.read(tmp_path / name)[0], audio.read(some_files[suffix])[0])
    assert audio.info(tmp_path / name).format == audio.info(some_files[suffix]).format


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        *(("WAV", "GSM610"), ("AIFF", "GSM610"), ("W64", "GSM610")),
        *(("AU", "G721_32"), ("AU", "G723_24"), ("WAV", "G721_32")),
        *(("WAV", "NMS_ADPCM_16"), ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM")),
    ],
)
def test_codecs_that_only_go_forward_are_read_whole_and_in_part(rng, tmp_path, kind, subtype):
    path = tmp_path / "x.wav"
    soundfile.write(path, 0.1 * rng.standard_normal(16000), 8000, format=kind, subtype=subtype)
    with soundfile.SoundFile(path) as file:
        expected = file.read(file.frames, dtype="float32")
    found, _ = audio.read(path)
    np.testing.assert_array_equal(found[0], expected)
    part, _ = audio.read(path, start_s=1.0, stop_s=1.5)
    np.testing.assert_array_equal(part, found[:, 8000:12000])


def test_an_estimated_duration_is_no_promise(rng, tmp_path):
    """FFmpeg takes the length of raw AAC from the bit rate at its beginning, which is quiet."""
    x = np.zeros((2, 10 * 48000))
    x[:, 3 * 48000 :] = 0.3 * rng.standard_normal((2, 7 * 48000))
    path = tmp_path / "x.aac"
    encode(path, [x])
    assert 10 <= audio.info(path).duration_s < 10.1
    assert audio.read(path)[0].shape[1] == audio.info(path).n_samples


def test_joined_m4a_are_refused_as_only_one_would_be_read(rng, tmp_path):
    path = tmp_path / "x.m4a"
    encode(path, [noise(rng, 2, 20_000)])
    path.write_bytes(2 * path.read_bytes())
    assert "it holds 2 recordings, of which one would be read" in refusal(path)


@pytest.fixture(scope="module")
def long_files(tmp_path_factory):
    """Files of several blocks, by suffix."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (190_000, 2)).astype("float32")
    files = {suffix: tmp_path_factory.mktemp("long") / f"a.{suffix}" for suffix in LONG}
    for path in files.values():
        soundfile.write(path, noise, RATE)
    return files


LONG = ("wav", "flac", "mp3")
CUTS = st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 90_000)), max_size=8)


@pytest.mark.parametrize("suffix", LONG)
@given(cuts=CUTS)
def test_a_file_on_disk_is_indexed_like_the_array_that_it_holds(long_files, suffix, cuts):
    whole, _ = audio.read(long_files[suffix])
    on_disk = audio.OnDisk(long_files[suffix])
    assert on_disk.shape == whole.shape
    assert len(on_disk) == len(whole)
    for start, length in cuts:
        span = slice(start, start + length)
        np.testing.assert_array_equal(on_disk[:, span], whole[:, span])
    np.testing.assert_array_equal(np.concatenate([*on_disk.blocks()], axis=-1), whole)


@given(names=st.lists(st.sampled_from(LONG), min_size=1), cuts=CUTS)
def test_a_sum_of_files_is_indexed_like_the_sum_of_their_arrays(long_files, names, cuts):
    paths = [long_files[name] for name in names]
    expected = sum(audio.read(path)[0] for path in paths)
    found = audio.SumOnDisk(paths)
    assert (found.shape, len(found)) == (expected.shape, len(expected))
    for start, length in cuts:
        span = slice(start, start + length)
        np.testing.assert_array_equal(found[:, span], expected[:, span])
    np.testing.assert_array_equal(found.whole(), expected)
