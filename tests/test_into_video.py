"""A video comes back with its own picture, and a stem in the place of its sound."""

import json
from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
from unmask import Output, audio, into_video, load_model
from unmask.cli import main
from unmask.errors import AudioFileError, UnmaskError
from unmask.layout import plan
from unmask.separate import separate_files

av = pytest.importorskip("av")

RATE, FPS, SECONDS = 48000, 25, 2
CLICK_S = 0.5
#: suffix -> codecs of sound and picture, and how many samples later the sound may be decoded.
KINDS = {
    ".mp4": ("aac", "mpeg4"),
    ".mov": ("pcm_s16le", "mpeg4"),
    ".mkv": ("flac", "mpeg4"),
    ".webm": ("libopus", "libvpx"),
    ".avi": ("libmp3lame", "mpeg4"),
}
CODECS = {codec for pair in KINDS.values() for codec in pair}
pytestmark = pytest.mark.skipif(
    not av.codecs_available >= CODECS, reason="this FFmpeg lacks an encoder"
)


def sounding(stream, waveform, offset_s=0.0):
    """Packets of a waveform (channel, sample)."""
    context = stream.codec_context
    frame = av.AudioFrame.from_ndarray(waveform, format="fltp", layout=context.layout.name)
    frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
    frame.pts = round(offset_s * RATE)
    cut = av.AudioResampler(context.format, context.layout, RATE, context.frame_size or None)
    for part in [*cut.resample(frame), *cut.resample(None), None]:
        yield from stream.encode(part)


def showing(stream):
    for k in range(SECONDS * FPS):
        image = np.full((48, 64, 3), 5 * k % 255, np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = k, Fraction(1, FPS)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def make(path, *, offset_s=0.0, text=None, layout="stereo"):
    """Write a video whose grey rises, with a click half a second after its sound begins."""
    sound, picture = KINDS[path.suffix]
    waveform = np.zeros((2 if layout == "stereo" else 1, SECONDS * RATE), np.float32)
    waveform[:, round(CLICK_S * RATE)] = 0.9
    with av.open(str(path), "w") as file:
        video = file.add_stream(picture, rate=FPS)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        stream = file.add_stream(sound, rate=RATE)
        stream.codec_context.layout = layout
        if formats := stream.codec_context.codec.audio_formats:
            stream.codec_context.format = formats[0]
        file.metadata["title"] = "a talk"
        packets = [*showing(video), *sounding(stream, waveform, offset_s)]
        if text is not None:
            words = av.open(str(text))
            copy = file.add_stream_from_template(words.streams[0])
            found = [packet for packet in words.demux() if packet.dts is not None]
            for packet in found:
                packet.stream = copy
            packets += found
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            file.mux(packet)
    return path


def pictures(path):
    """Packets of the picture, with their times."""
    with av.open(str(path)) as file:
        found = [packet for packet in file.demux(file.streams.video[0]) if packet.dts is not None]
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in found]


def click_s(path):
    """When the click is heard, in the time of the picture."""
    with av.open(str(path)) as file:
        frames = list(file.decode(file.streams.audio[0]))
    start = frames[0].pts * frames[0].time_base
    waveform, rate = audio.read(path)
    with av.open(str(path)) as file:
        first = next(file.decode(video=0))
        return float(start - first.pts * first.time_base) + np.abs(waveform[0]).argmax() / rate


def duration_s(path):
    with av.open(str(path)) as file:
        return file.duration / 1e6


@pytest.fixture
def half(tmp_path):
    """A model that lets through half of everything."""
    return onnx_models.constant(tmp_path / "half.onnx", [[0.5, 0.0]])


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [str(word) for word in arguments])


@pytest.mark.parametrize(
    ("suffix", "offset_s"),
    [
        *((suffix, 0.0) for suffix in KINDS),
        *((suffix, 0.3) for suffix in KINDS if suffix != ".avi"),
    ],
)
def test_the_picture_is_that_of_the_input_and_the_sound_stands_where_it_stood(
    run, tmp_path, half, suffix, offset_s
):
    video = make(tmp_path / f"talk{suffix}", offset_s=offset_s)
    result = run("denoise", "-m", half, video, "--into-video", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    made = tmp_path / result.stdout.strip()
    assert made.name == ("speech.mkv" if suffix == ".avi" else f"speech{suffix}")
    assert pictures(made) == pictures(video)
    assert click_s(made) == pytest.approx(
        click_s(video), abs=0.0011
    )  # Matroska counts milliseconds
    assert duration_s(made) == pytest.approx(duration_s(video), abs=0.045)  # a frame of sound
    before, after = audio.info(video), audio.info(made)
    assert (after.sample_rate, after.n_channels) == (before.sample_rate, before.n_channels)
    assert after.subtype == before.subtype
    level = [np.sqrt(np.mean(audio.read(path)[0] ** 2)) for path in (video, made)]
    assert level[1] / level[0] == pytest.approx(0.5, rel=0.1)
    with av.open(str(made)) as file:
        assert file.metadata.get("title", file.metadata.get("TITLE")) == "a talk"


def test_every_stem_and_the_remix_can_be_video(run, tmp_path, half):
    video = make(tmp_path / "talk.mp4", layout="mono")
    words = ("separate", "-m", half, video, "--into-video", "-o")
    assert run(*words, "a", "--residual").stdout.splitlines() == [
        "a/test/talk/speech.mp4",
        "a/test/talk/noise.mp4",
    ]
    assert run(*words, "b", "--remix", "--filename", "{track}-new").exit_code == 0
    files = sorted(path.name for path in (tmp_path / "b").iterdir())
    assert files == ["talk-new", "talk-new.mp4"]
    assert run(*words, "clean.mkv").stdout == "clean.mkv\n"
    record = json.loads((tmp_path / "clean.job.json").read_text())
    assert record["outputs"][0]["path"] == "clean.mkv"
    assert pictures(tmp_path / "clean.mkv")


def test_the_share_that_is_done_goes_on_while_sound_is_encoded(run, tmp_path, half):
    model, video = load_model(half), make(tmp_path / "talk.mp4")
    output = Output(out=tmp_path / "made", residual=True, subtype="FLOAT")
    jobs, _ = into_video.as_videos(plan([video], model, output), tmp_path / "made")
    told = []
    [result] = separate_files(jobs, model, output, progress=lambda _, share: told.append(share))
    assert not isinstance(result.outcome, UnmaskError)
    assert told == sorted(told)
    # Encoding the two stems counts as two tenths of separating them, and comes in many steps.
    assert sum(1 / 1.2 < share < 1.1 / 1.2 for share in told) > 20
    assert sum(1.1 / 1.2 < share < 1 for share in told) > 20
    assert told[-1] == pytest.approx(1)


def test_subtitles_stay_where_the_container_has_them_and_are_told_where_not(run, tmp_path, half):
    text = tmp_path / "words.srt"
    text.write_text("1\n00:00:00,500 --> 00:00:01,500\nHello there\n")
    video = make(tmp_path / "talk.mkv", text=text)
    result = run("denoise", "-m", half, video, "--into-video", "-o", "clean.mkv")
    assert result.stderr == ""
    with av.open(str(tmp_path / "clean.mkv")) as file:
        found = b"".join(bytes(packet) for packet in file.demux(file.streams.subtitles[0]))
    assert b"Hello there" in found
    result = run("denoise", "-m", half, video, "--into-video", "-o", "clean.mp4")
    assert "clean.mp4: cannot hold subtitles" in result.stderr
    assert pictures(tmp_path / "clean.mp4")


def test_what_is_no_video_gets_one_line_and_the_others_are_done(run, tmp_path, half, rng):
    audio.write(tmp_path / "sound.wav", 0.1 * rng.standard_normal((1, RATE)), RATE)
    make(tmp_path / "talk.mp4")
    alone = run("denoise", "-m", half, "sound.wav", "--into-video")
    assert alone.exit_code == 1
    assert alone.stderr.startswith("unmask: error: sound.wav: is no video, expected one")
    assert alone.stderr.count("\n") == 1
    assert not (tmp_path / "separated").exists()
    both = run("denoise", "-m", half, "sound.wav", "talk.mp4", "--into-video", "-q")
    assert (both.exit_code, both.stderr) == (1, alone.stderr)
    assert both.stdout == "separated/test/talk/speech.mp4\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--start", "1"], "keeps the whole video"),
        (["--end", "1"], "keeps the whole video"),
        (["-f", "wav"], "encoded as the video's"),
        (["--subtype", "PCM_16"], "encoded as the video's"),
        (["--reference", "."], "leave out --into-video"),
        (["-o", "clean.avi"], "clean.avi: cannot hold when sound begins; write clean.mkv"),
        (["-o", "talk.mp4"], "is an input, it would be overwritten"),
        (["-o", ".", "--filename", "{track}.{ext}"], "is an input, it would be overwritten"),
    ],
)
def test_what_cannot_be_is_refused(run, tmp_path, half, options, message):
    make(tmp_path / "talk.mp4")
    before = (tmp_path / "talk.mp4").read_bytes()
    result = run("denoise", "-m", half, "talk.mp4", "--into-video", *options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "talk.mp4").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half.onnx", "talk.mp4"]


def test_a_container_that_cannot_hold_it_is_one_line_and_leaves_nothing(run, tmp_path, half):
    make(tmp_path / "talk.mp4")
    result = run("denoise", "-m", half, "talk.mp4", "--into-video", "-o", "clean.webm")
    assert result.exit_code == 1
    assert "clean.webm: cannot be written as .webm with the picture of talk.mp4" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half.onnx", "talk.mp4"]


def test_sound_alone_and_text_are_no_video(tmp_path):
    with av.open(str(tmp_path / "song.m4a"), "w", format="mp4") as file:
        stream = file.add_stream("aac", rate=RATE)
        file.mux(list(sounding(stream, np.zeros((2, RATE), np.float32))))
    with pytest.raises(AudioFileError, match=r"song\.m4a: is no video"):
        audio.check_video(tmp_path / "song.m4a")
    (tmp_path / "text.mp4").write_text("Dear all")
    with pytest.raises(AudioFileError, match=r"text\.mp4: cannot be read as video"):
        audio.check_video(tmp_path / "text.mp4")
