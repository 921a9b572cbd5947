"""How long a recording is: what the header promises, what is there, and what is said of both."""

import io
import struct
from contextlib import suppress

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask import audio
from unmask.audio.lengths import Part, View, measure
from unmask.errors import AudioFileError, UnmaskError

RATE = 16000
N = 20_000
PCM = {
    "wav": "WAV",
    "wavex": "WAVEX",
    "rf64": "RF64",
    "aiff": "AIFF",
    "caf": "CAF",
    "w64": "W64",
    "au": "AU",
    "sph": "NIST",
    "voc": "VOC",
}
CODED = {"flac": "FLAC", "ogg": "OGG", "mp3": "MP3"}


def encoded(kind, x, rate=RATE, **options):
    """The bytes of a file."""
    file = io.BytesIO()
    soundfile.write(file, x.T, rate, format=kind, **options)
    return file.getvalue()


def read(folder, name, data):
    """What is read from these bytes, whole and in blocks, whose length is the one told."""
    path = folder / name
    path.write_bytes(data)
    waveform, _ = audio.read(path)
    blocks = list(audio.read_blocks(path, block=777))
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), waveform, atol=1e-6)
    assert {block.shape[1] for block in blocks[:-1]} <= {777}
    assert audio.info(path).n_samples == waveform.shape[1]
    return waveform


def refused(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    texts = set()
    for call in (audio.info, audio.read, lambda path: list(audio.read_blocks(path))):
        with pytest.raises(AudioFileError) as caught:
            call(path)
        texts.add(str(caught.value))
    assert len(texts) == 1
    return texts.pop()


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(5).uniform(-0.5, 0.5, (2, N)).astype(np.float32)


def put(data, place, value):
    return data[:place] + value + data[place + len(value) :]


# --- Cut short


@pytest.mark.parametrize("suffix", PCM)
@given(share=st.floats(0.05, 0.9999))
def test_a_file_that_is_cut_in_its_samples_is_refused(tmp_path_factory, x, suffix, share):
    data = encoded(PCM[suffix], x)
    first = len(data) - 4 * N
    cut = data[: first + int(share * 4 * N)]
    text = refused(tmp_path_factory.getbasetemp(), f"x.{suffix}", cut)
    assert "is truncated, it ends" in text


@pytest.mark.parametrize("suffix", CODED)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
def test_a_coded_file_that_is_cut_is_refused(tmp_path, x, suffix, share):
    data = encoded(CODED[suffix], x)
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(AudioFileError, match=r"is (damaged, )?truncated"):
        audio.read(path)


def test_a_wav_of_three_gigabytes_that_is_cut_is_refused(tmp_path, x):
    data = encoded("WAV", x)
    text = refused(tmp_path, "x.wav", put(data, data.index(b"data") + 4, b"\0\0\0\xc0"))
    assert f"is truncated, it ends {0xC0000000 - 4 * N} bytes before its header says" in text


# --- Lengths that are missing


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF, 0xFFFFFFDB])
@pytest.mark.parametrize("riff", [0, 8, 36, 0xFFFFFFFF])
def test_a_wav_without_a_length_is_read_to_its_end(tmp_path, x, length, riff):
    data = encoded("WAV", x)
    at = data.index(b"data") + 4
    unknown = put(put(data, at, struct.pack("<I", length)), 4, struct.pack("<I", riff))
    np.testing.assert_array_equal(read(tmp_path, "x.wav", unknown), read(tmp_path, "y.wav", data))


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_big_endian_wav_without_a_length(tmp_path, x, length):
    data = encoded("WAV", x, endian="BIG")
    unknown = put(data, data.index(b"data") + 4, struct.pack(">I", length))
    assert read(tmp_path, "x.wav", unknown).shape == (2, N)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF])
def test_an_rf64_without_a_length(tmp_path, x, length):
    data = encoded("RF64", x)
    unknown = put(data, data.index(b"ds64") + 16, struct.pack("<Q", length))
    if length == 0xFFFFFFFF:
        assert "is truncated" in refused(tmp_path, "x.wav", unknown)
    else:
        assert read(tmp_path, "x.wav", unknown).shape == (2, N)


def test_a_bw64_is_an_rf64(tmp_path, x):
    data = encoded("RF64", x)
    assert read(tmp_path, "x.wav", put(data, 0, b"BW64")).shape == (2, N)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_an_au_without_a_length(tmp_path, x, length):
    data = encoded("AU", x)
    assert read(tmp_path, "x.au", put(data, 8, struct.pack(">I", length))).shape == (2, N)


def test_a_caf_of_unknown_length(tmp_path, x):
    data = encoded("CAF", x)
    unknown = put(data, data.index(b"data") + 4, b"\xff" * 8)
    assert read(tmp_path, "x.caf", unknown).shape == (2, N)


@pytest.mark.parametrize("frames", [0, 10, 99_999])
def test_an_aiff_is_as_long_as_its_samples_whatever_its_description_says(tmp_path, x, frames):
    data = encoded("AIFF", x)
    wrong = put(data, data.index(b"COMM") + 10, struct.pack(">I", frames))
    assert read(tmp_path, "x.aiff", wrong).shape == (2, N)


@pytest.mark.parametrize("length", [0, 24])
def test_a_w64_without_a_length(tmp_path, x, length):
    data = encoded("W64", x)
    unknown = put(data, data.index(b"data") + 16, struct.pack("<Q", length))
    assert read(tmp_path, "x.w64", unknown).shape == (2, N)


def test_a_sphere_file_without_a_count(tmp_path, x):
    data = encoded("NIST", x)
    unknown = data.replace(b"sample_count -i 20000", b"sample_count -i 00000")
    assert read(tmp_path, "x.sph", unknown).shape == (2, N)


def with_samples(data, n_samples):
    """A FLAC whose header says another length."""
    return data[:21] + bytes([data[21] & 0xF0]) + n_samples.to_bytes(4, "big") + data[26:]


@pytest.mark.parametrize("told", [0, 1, N - 1, 4096])
@pytest.mark.parametrize("n_samples", [N, 16384, 1])
def test_a_flac_with_a_wrong_length_is_counted(tmp_path, x, told, n_samples):
    if told >= n_samples:
        pytest.skip("says more than there is")
    data = encoded("FLAC", x[:, :n_samples])
    found = read(tmp_path, "x.flac", with_samples(data, told))
    np.testing.assert_array_equal(found, read(tmp_path, "y.flac", data))
    assert audio.info(tmp_path / "x.flac").remarks


def test_a_flac_that_ends_between_two_frames_is_refused(tmp_path, x):
    data = encoded("FLAC", x[:, :16384])
    text = refused(tmp_path, "x.flac", with_samples(data, N))
    assert "is truncated, it ends after 16384 samples, its header promises 20000" in text


# --- Lengths that the header cannot hold


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au"])
def test_more_samples_than_32_bits_can_count_are_read_whole(tmp_path, suffix):
    """Sparse files of 2**32 + 4000 bytes of samples, whose headers say 4000."""
    path = tmp_path / f"long.{suffix}"
    data = encoded(PCM[suffix], np.zeros((1, 2000), np.float32), subtype="PCM_16")
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(len(data) + 2**32)
    assert audio.info(path).n_samples == 2000 + 2**31
    assert audio.read(path, start_s=(2**31 + 1000) / RATE)[0].shape == (1, 1000)


def test_a_voc_beyond_16_megabytes_is_read_whole(tmp_path):
    data = encoded("VOC", np.zeros((1, 9_000_000), np.float32))
    path = tmp_path / "x.voc"
    path.write_bytes(data)
    assert audio.info(path).n_samples == 9_000_000


# --- Joined recordings


@pytest.mark.parametrize(
    "suffix", [s for s in {**PCM, **CODED} if s not in {"voc", "w64", "caf", "sph"}]
)
@given(cuts=st.lists(st.integers(3000, 9000), min_size=2, max_size=3))
def test_joined_recordings_are_read_one_after_the_other(tmp_path_factory, x, suffix, cuts):
    kind, folder = {**PCM, **CODED}[suffix], tmp_path_factory.getbasetemp()
    parts = [encoded(kind, x[:, :n]) for n in cuts]
    single = [read(folder, f"one.{suffix}", part) for part in parts]
    joined = read(folder, f"all.{suffix}", b"".join(parts))
    np.testing.assert_allclose(joined, np.concatenate(single, axis=1), atol=1e-6)
    assert "were joined" in audio.info(folder / f"all.{suffix}").remarks
    start = cuts[0] - 100
    part, _ = audio.read(
        folder / f"all.{suffix}", start_s=start / RATE, stop_s=(start + 200) / RATE
    )
    np.testing.assert_allclose(part, joined[:, start : start + 200], atol=1e-4)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_joined_recordings_of_two_rates_are_refused(tmp_path, x, suffix):
    kind = {**PCM, **CODED}[suffix]
    text = refused(tmp_path, f"x.{suffix}", encoded(kind, x) + encoded(kind, x, 22050))
    assert "changes from 2 channels at 16000 Hz to 2 at 22050 Hz, two recordings were" in text


def test_the_second_of_joined_recordings_may_be_cut(tmp_path, x):
    for suffix, kind in (("wav", "WAV"), ("mp3", "MP3"), ("ogg", "OGG")):
        data = encoded(kind, x)
        text = refused(tmp_path, f"x.{suffix}", data + data[: len(data) // 2])
        assert "is truncated" in text


# --- What is left over


def test_sound_behind_the_end_of_a_wav_is_not_dropped_without_a_word(tmp_path, x):
    """The header of a recorder that lost power: of the last time it was written."""
    data = encoded("WAV", x)
    stale = put(data, data.index(b"data") + 4, struct.pack("<I", 4000))
    text = refused(tmp_path, "x.wav", stale)
    assert "has 76000 bytes (1.2 s) behind the end that its header tells" in text


def test_a_second_chunk_of_samples_is_not_dropped_without_a_word(tmp_path, x):
    data = encoded("WAV", x) + b"data" + struct.pack("<I", 4 * N) + bytes(range(1, 201)) * (N // 50)
    assert "has 80008 bytes (1.3 s) behind the end" in refused(tmp_path, "x.wav", data)


def test_a_voc_of_several_blocks_is_read_whole(tmp_path, x):
    """libsndfile would read the heads of the blocks as samples."""
    pytest.importorskip("av")
    data = encoded("VOC", x)
    found = read(tmp_path, "x.voc", data[:-1] + data[26:])
    np.testing.assert_allclose(found, np.concatenate(2 * [read(tmp_path, "y.voc", data)], axis=1))


@pytest.mark.parametrize("suffix", ["wav", "au", "sph", "mp3", "ogg"])
@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), bytes(100_000)])
def test_tags_and_zeros_behind_a_recording_are_nothing(tmp_path, x, suffix, tail):
    data = encoded({**PCM, **CODED}[suffix], x)
    found = read(tmp_path, f"x.{suffix}", data + tail)
    np.testing.assert_array_equal(found, read(tmp_path, f"y.{suffix}", data))
    assert audio.info(tmp_path / f"x.{suffix}").remarks == ""


@pytest.mark.parametrize("suffix", ["wav", "au", "sph", "mp3", "ogg"])
def test_other_bytes_behind_a_recording_are_counted(tmp_path, x, suffix):
    data = encoded({**PCM, **CODED}[suffix], x)
    found = read(tmp_path, f"x.{suffix}", data + b"\x01\x02" * 50)
    np.testing.assert_array_equal(found, read(tmp_path, f"y.{suffix}", data))
    assert (
        audio.info(tmp_path / f"x.{suffix}").remarks
        == "100 bytes at its end are no sound and no tag"
    )


def test_chunks_behind_samples_are_no_sound(tmp_path, x):
    data = encoded("WAV", x) + b"note" + struct.pack("<I", 50_001) + bytes(50_001)
    assert read(tmp_path, "x.wav", data).shape == (2, N)
    assert audio.info(tmp_path / "x.wav").remarks == ""


# --- MP3


def xing(data):
    """Where the count of frames is."""
    return max(data.find(b"Xing"), data.find(b"Info")) + 8


@pytest.mark.parametrize("told", [1, 5, 1000])
def test_an_mp3_with_a_wrong_count_is_counted_if_its_bytes_are_all_there(tmp_path, x, told):
    data = encoded("MP3", x)
    wrong = put(data, xing(data), struct.pack(">I", told))
    right = read(tmp_path, "y.mp3", data)
    assert read(tmp_path, "x.mp3", wrong).shape == right.shape
    assert f"says {told} frames in its header" in audio.info(tmp_path / "x.mp3").remarks


@pytest.mark.parametrize(
    "junk", [bytes(500), b"junk" * 999, 2 * (b"ID3\3\0\0\0\0\1\0" + bytes(128))]
)
def test_an_mp3_behind_junk_is_read_whole(tmp_path, x, junk):
    data = encoded("MP3", x)
    right = read(tmp_path, "y.mp3", data)
    assert read(tmp_path, "x.mp3", junk + data).shape == right.shape
    frames = data[xing(data) + 100 :]
    headless = frames[frames.index(data[:2]) :]
    assert abs(read(tmp_path, "z.mp3", junk + headless).shape[1] - N) < 4 * 1152


def test_bytes_that_look_like_frames_end_the_search(tmp_path):
    text = refused(tmp_path, "x.mp3", b"\xff\xfb\x90\x00" * 100_000)
    assert "is damaged, truncated or no" in text


# --- OGG


def pages(data):
    places, place = [], 0
    while data[place : place + 4] == b"OggS":
        places.append(place)
        segments = data[place + 27 : place + 27 + data[place + 26]]
        place += 27 + len(segments) + sum(segments)
    return places


@pytest.fixture(scope="module")
def many_pages():
    t = np.arange(10 * RATE) / RATE
    rng = np.random.default_rng(3)
    return encoded("OGG", np.stack([np.sin(3000 * t), rng.uniform(-0.5, 0.5, len(t))]))


def test_an_ogg_that_lost_a_page_is_refused(tmp_path, many_pages):
    *_, before, lost, after, _ = pages(many_pages)
    assert before < lost
    text = refused(tmp_path, "x.ogg", many_pages[:lost] + many_pages[after:])
    assert "1 pages are missing before byte" in text


def test_an_ogg_without_a_last_page_is_read_and_said_to_be_so(tmp_path, many_pages):
    *_, last = pages(many_pages)
    found = read(tmp_path, "x.ogg", many_pages[:last])
    assert 0 < found.shape[1] < 10 * RATE
    assert "ends without a last page" in audio.info(tmp_path / "x.ogg").remarks


# --- Headers that never end


@pytest.mark.parametrize(
    "head",
    [
        b"RIFF\xff\xff\xff\x7fWAVE",
        b"FORM\x7f\xff\xff\xffAIFF",
        b"caff\0\1\0\0",
        b"fLaC",
        b"riff.\x91\xcf\x11\xa5\xd6(\xdb\x04\xc1\0\0" + bytes(8) + bytes(16),
        b"RIFF\xff\xff\xff\x7fWAVE" + b"junk\0\0\0\0" * 20_000,
    ],
)
def test_zeros_behind_a_magic_number_are_refused_at_once(tmp_path, head):
    """Sparse; a walk of eight bytes at a time would take a minute."""
    path = tmp_path / "x.wav"
    path.write_bytes(head)
    with path.open("r+b") as file:
        file.truncate(200_000_000)
    with pytest.raises(AudioFileError, match="is damaged"):
        audio.info(path)


# --- Views


@given(
    head=st.binary(max_size=9),
    bounds=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    place=st.integers(0, 60),
    patch=st.binary(min_size=1, max_size=9),
    size=st.integers(1, 9),
)
def test_a_view_is_its_head_and_its_stretch_of_the_file(
    tmp_path_factory, head, bounds, place, patch, size
):
    data = bytes(range(50))
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(data)
    start, stop = sorted(bounds)
    whole = bytearray(data)
    for k, byte in enumerate(patch):
        if place + k < len(whole):
            whole[place + k] = byte
    with View(path, Part(start, stop, ((place, patch),), head)) as view:
        pieces = list(iter(lambda: view.read(size), b""))
        assert b"".join(pieces) == head + whole[start:stop]
        assert view.seek(-1, 2) == max(0, len(head) + stop - start - 1)


# --- Whatever is in a file


@pytest.mark.parametrize("suffix", {**PCM, **CODED})
@given(
    changes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4),
    share=st.floats(0.01, 1),
)
@settings(max_examples=40)
def test_a_damaged_file_is_refused_or_read_as_long_as_it_is_told_to_be(
    tmp_path_factory, x, suffix, changes, share
):
    data = bytearray(encoded({**PCM, **CODED}[suffix], x[:, :3000]))
    for place, byte in changes:
        data[place % len(data)] = byte
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
    path.write_bytes(data[: int(share * len(data)) + 1])
    with suppress(UnmaskError):
        found = audio.info(path)
        waveform, _ = audio.read(path)
        assert waveform.shape == (found.n_channels, found.n_samples)


# Positions of pages of Opus that are wrong


@pytest.fixture(scope="module")
def opus_file(tmp_path_factory):
    """Six seconds of Opus in pages of a second."""
    path = tmp_path_factory.mktemp("opus") / "x.ogg"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 6 * 48000 + 100)
    soundfile.write(path, noise, 48000, format="OGG", subtype="OPUS")
    return path.read_bytes()


def ogg_pages(data):
    """Place and size of every page."""
    place = 0
    while place < len(data):
        n = data[place + 26]
        size = 27 + n + sum(data[place + 27 : place + 27 + n])
        yield place, size
        place += size


def moved(data, by):
    """Add `by(k)` samples to the position of page k, with its checksum as the standard has it."""
    data = bytearray(data)
    for k, (place, size) in enumerate(ogg_pages(data)):
        page = data[place : place + size]
        page[6:14] = (int.from_bytes(page[6:14], "little") + by(k)).to_bytes(8, "little")
        page[22:26] = bytes(4)
        remainder = 0
        for byte in page:
            remainder ^= byte << 24
            for _ in range(8):
                remainder = (remainder << 1) ^ (0x104C11DB7 if remainder >> 31 else 0)
        page[22:26] = remainder.to_bytes(4, "little")
        data[place : place + size] = page
    return bytes(data)


def test_opus_with_pages_that_say_a_wrong_place_is_read_by_its_packets(tmp_path, opus_file):
    n_pages = sum(1 for _ in ogg_pages(opus_file))
    assert n_pages > 6
    (tmp_path / "right.ogg").write_bytes(moved(opus_file, lambda _: 0))
    (tmp_path / "wrong.ogg").write_bytes(
        moved(opus_file, lambda k: (k % 3) * 160 if 2 < k < n_pages - 1 else 0)
    )
    right, wrong = tmp_path / "right.ogg", tmp_path / "wrong.ogg"
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.read(wrong)
    assert audio.info(wrong).n_samples == audio.info(right).n_samples
    np.testing.assert_array_equal(audio.read(wrong)[0], audio.read(right)[0])
    part = audio.read(wrong, start_s=3.1, stop_s=4.2)[0]
    np.testing.assert_array_equal(part, audio.read(wrong)[0][:, 148800:201600])


def test_opus_whose_last_page_does_not_confirm_the_packets_is_left_as_it_is(tmp_path, opus_file):
    n_pages = sum(1 for _ in ogg_pages(opus_file))
    late = moved(opus_file, lambda k: 9600 if k > 3 else 0)  # 0.2 s were not recorded
    (tmp_path / "late.ogg").write_bytes(late)
    extent = measure(tmp_path / "late.ogg", known=True)
    assert n_pages > 6
    assert [part.patches for part in extent.parts] == [()]
