"""Sound in pipes: samples as libsndfile stores them, heads as libsndfile and FFmpeg write them."""

import io
import struct

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from unmask.audio.pcm import ENCODINGS, read_wav_head
from unmask.errors import AudioFileError

SUBTYPE = {"u8": "PCM_U8", "s16": "PCM_16", "s24": "PCM_24", "s32": "PCM_32"}
SUBTYPE |= {"f32": "FLOAT", "f64": "DOUBLE"}
EXACT = [name for name in ENCODINGS if name[:3] in {"u8", "s16", "s24"}]


def raw(name):
    """How libsndfile calls it."""
    return {
        "format": "RAW",
        "subtype": SUBTYPE[name[:3].rstrip("lb")],
        "endian": "BIG" if name.endswith("be") else "LITTLE",
    }


@pytest.mark.parametrize("name", ENCODINGS)
def test_samples_are_read_as_libsndfile_reads_them(name, rng):
    encoding = ENCODINGS[name]
    whole = rng.integers(0, 256, (700, 3, encoding.n_bytes), np.uint8)
    if name.startswith("f"):
        whole = rng.standard_normal((700, 3)).astype(encoding.dtype)
    source = io.BytesIO(whole.tobytes())
    expected, _ = soundfile.read(source, samplerate=48000, channels=3, dtype="float64", **raw(name))
    found = encoding.decode(whole.tobytes(), 3)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.T.astype(np.float32))


@pytest.mark.parametrize("name", ENCODINGS)
def test_samples_are_written_so_that_libsndfile_reads_them(name, rng):
    samples = rng.uniform(-1, 0.99, (2, 500)).astype(np.float32)
    data, clipped = ENCODINGS[name].encode(samples)
    assert clipped == 0
    back, _ = soundfile.read(
        io.BytesIO(data), samplerate=48000, channels=2, dtype="float64", **raw(name)
    )
    step = 0 if name.startswith("f") else 2.0 ** (1 - 8 * ENCODINGS[name].n_bytes)
    assert np.abs(back.T - samples).max() <= step / 2


@given(st.sampled_from(EXACT), st.binary(max_size=600))
def test_integers_up_to_24_bits_come_back_bit_by_bit(name, data):
    encoding = ENCODINGS[name]
    data = data[: len(data) // (2 * encoding.n_bytes) * 2 * encoding.n_bytes]
    assert encoding.encode(encoding.decode(data, 2)) == (data, 0)


@pytest.mark.parametrize(("name", "top"), [("u8", 255), ("s16le", 32767), ("s24be", 2**23 - 1)])
def test_what_is_beyond_full_scale_is_clamped_and_counted(name, top):
    samples = np.array([[1.0, 1.001, 4.0, -1.0, -1.001]], np.float32)
    data, clipped = ENCODINGS[name].encode(samples)
    assert clipped == 3
    low = 0 if name == "u8" else -top - 1
    if name == "s24be":
        whole = [int.from_bytes(data[k : k + 3], "big", signed=True) for k in range(0, 15, 3)]
    else:
        whole = np.frombuffer(data, ENCODINGS[name].dtype).tolist()
    assert whole == [top, top, top, low, low]


def test_floating_point_is_not_clamped():
    samples = np.array([[3.5, -2.0]], np.float32)
    assert ENCODINGS["f32le"].encode(samples) == (struct.pack("<2f", 3.5, -2.0), 0)


def test_what_is_beyond_single_precision_is_infinite():
    assert np.isinf(ENCODINGS["f64le"].decode(struct.pack("<d", 1e300), 1)).all()


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", SUBTYPE.values())
@pytest.mark.parametrize("n_channels", [1, 3])
def test_heads_of_libsndfile(kind, subtype, n_channels, rng):
    file = io.BytesIO()
    samples = rng.uniform(-1, 1, (101, n_channels))
    soundfile.write(file, samples, 44100, subtype=subtype, format=kind)
    expected, _ = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32", always_2d=True)
    file.seek(0)
    form = read_wav_head(file)
    assert (form.sample_rate, form.n_channels) == (44100, n_channels)
    data = file.read(form.n_bytes)
    np.testing.assert_array_equal(form.encoding.decode(data, n_channels), expected.T)
    # The head that goes out says the same, and all of it.
    again = io.BytesIO(form.head + data + bytes(len(data) % 2))
    with soundfile.SoundFile(again) as file:
        assert (file.format, file.subtype, file.frames) == (kind, subtype, 101)
        np.testing.assert_array_equal(file.read(dtype="float32", always_2d=True), expected)
    riff, size = struct.unpack("<4sI", again.getvalue()[:8])
    assert (riff, size + 8) == (b"RIFF", len(again.getvalue()))


class Pipe:
    """A file that can only be written to, as a pipe."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data
        return len(data)


def test_a_head_that_ffmpeg_writes_to_a_pipe(rng):
    """FFmpeg's own muxer: a chunk LIST before the samples, lengths unknown."""
    samples = rng.integers(-9999, 9999, (1, 2 * 4800), np.int16)
    pipe = Pipe()
    with av.open(pipe, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=48000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert b"LIST" in pipe.data[:100]
    source = io.BytesIO(pipe.data)
    form = read_wav_head(source)
    assert (form.sample_rate, form.n_channels, form.n_bytes) == (48000, 2, None)
    assert form.encoding.name == "s16le"
    assert source.read() == samples.tobytes()
    # FFmpeg and libsndfile read what goes out under the same head.
    out = form.head + samples.tobytes()
    with av.open(io.BytesIO(out), format="wav") as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    np.testing.assert_array_equal(np.concatenate(frames, axis=1), samples)
    found, _ = soundfile.read(io.BytesIO(out), dtype="int16")
    np.testing.assert_array_equal(found.ravel(), samples[0])


def head(length, *chunks, tag=1, bits=16, magic=b"RIFF"):
    description = struct.pack("<HHIIHH", tag, 1, 16000, 2000 * bits, bits // 8, bits)
    both = [(b"fmt ", description), *chunks]
    parts = [name + struct.pack("<I", len(x)) + x + bytes(len(x) % 2) for name, x in both]
    return magic + bytes(4) + b"WAVE" + b"".join(parts) + b"data" + struct.pack("<I", length)


@pytest.mark.parametrize(
    ("length", "n_bytes"),
    [(0, None), (8, 8), (7, 7), (0x7FFFEFFE, 0x7FFFEFFE), (0x7FFFF000, None), (2**32 - 1, None)],
)
def test_lengths_that_are_none(length, n_bytes):
    assert read_wav_head(io.BytesIO(head(length))).n_bytes == n_bytes


def test_chunks_before_the_samples_are_skipped_whatever_their_length():
    source = io.BytesIO(head(4, (b"LIST", b"odd"), (b"junk", bytes(300_001))) + b"abcd")
    assert read_wav_head(source).encoding.name == "s16le"
    assert source.read() == b"abcd"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty, expected WAV"),
        (b"fLaC" + bytes(100), "starts with b'fLaC', expected WAV"),
        (head(8, magic=b"RF64"), "starts with b'RF64', expected WAV"),
        (head(8)[:30], "ends in the head"),
        (head(8)[:-8], "ends in the head"),
        (head(8, (b"junk", bytes(100)))[:60], "ends in the head"),
        (head(8, tag=7, bits=8), "holds ULAW, expected one of PCM_U8 PCM_16"),
        (head(8, tag=0x55, bits=0), "libsndfile refuses|holds"),
        (b"RIFF" + bytes(4) + b"WAVEdata" + bytes(4), "libsndfile refuses"),
    ],
)
def test_what_is_no_wav_is_refused_in_one_line(data, words):
    with pytest.raises(AudioFileError, match=f"^here: .*({words})") as caught:
        read_wav_head(io.BytesIO(data), subject="here")
    assert "\n" not in str(caught.value)
