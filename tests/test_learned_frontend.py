"""Models whose encoder and decoder are learned: the host only frames and adds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnx_models
from unmask import Settings, Streamer, load_model
from unmask.errors import ConfigError, SampleRateError, ShapeError
from unmask.frontends import Frames

RATE = 16000
SHAPES = [(16, 8), (16, 16), (16, 5), (21, 10)]


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")

    def build(length=16, hop=8, **changes):
        path = folder / f"{len(list(folder.iterdir()))}.onnx"
        return load_model(onnx_models.decoded(path, length=length, hop=hop, **changes))

    return build


def noise(n_channels, n_samples, seed=0):
    shape = (n_channels, n_samples)
    return 0.1 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def by_hand(model, mixture):
    """Frames of each channel through the network, and their sum."""
    frames = model.frontend.analyze(mixture).reshape(-1, model.channels, model.frontend.length, 1)
    frames = model.frontend.analyze(mixture).astype(np.float32)
    made, _ = model.step(frames.reshape(-1, model.channels, *frames.shape[1:]), model.start(1))
    made = np.moveaxis(made, 1, 0).reshape(made.shape[1], -1, *made.shape[3:])
    return model.frontend.synthesize(made, mixture.shape[1])


@pytest.mark.parametrize("xp_name", ["numpy", "torch"])
@pytest.mark.parametrize(("length", "hop"), SHAPES)
@pytest.mark.parametrize("n_samples", [1, 5, 8, 100, 101])
def test_every_sample_is_in_as_many_frames_as_any_other(xp_name, length, hop, n_samples):
    xp = pytest.importorskip(xp_name)
    front = Frames(length=length, hop=hop)
    waveform = xp.ones((2, n_samples), dtype=xp.float64)
    frames = front.analyze(waveform)
    assert frames.shape == (2, length, front.n_frames(n_samples))
    back = np.asarray(front.synthesize(frames, n_samples))
    if length % hop == 0:
        np.testing.assert_array_equal(back, length // hop)
    assert back.min() >= length // hop
    assert back.max() <= -(-length // hop)


def test_frames_end_with_their_last_sample():
    frames = Frames(length=4, hop=2).analyze(np.arange(1.0, 6.0)[None])
    assert frames[0].T.tolist() == [[0, 0, 1, 2], [1, 2, 3, 4], [3, 4, 5, 0], [5, 0, 0, 0]]


@pytest.mark.parametrize(("length", "hop"), [(4, 5), (4, 0), (0, 0)])
def test_frames_that_leave_samples_out_are_refused(length, hop):
    with pytest.raises(ConfigError, match="expected 1 <= hop <= length"):
        Frames(length=length, hop=hop)


def test_frames_of_another_signal_are_refused():
    with pytest.raises(ShapeError, match=r"expected \(4, 6\) for 9 samples"):
        Frames(length=4, hop=2).synthesize(np.zeros((1, 4, 5)), 9)


@pytest.mark.parametrize(("length", "hop"), SHAPES)
@pytest.mark.parametrize("n_samples", [1, 7, 8, 160, 163])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_is_frames_network_and_sum(build, length, hop, n_samples, channels):
    model, mixture = build(length, hop, channels=channels), noise(2, n_samples)
    found = np.stack([*model.separate(mixture, RATE).values()])
    np.testing.assert_allclose(found, by_hand(model, mixture), rtol=0, atol=1e-6)
    assert np.abs(found).max() > 1e-3


@given(st.integers(0, 400), st.lists(st.integers(0, 400), max_size=6), st.sampled_from(SHAPES))
def test_any_cut_gives_the_same_samples(build, n_samples, cuts, shape):
    model, mixture = build(*shape), noise(2, n_samples)
    streamer = Streamer(model, n_channels=2, residual=True)
    cuts = sorted(min(cut, n_samples) for cut in cuts)
    parts = [streamer.process(block) for block in np.split(mixture, cuts, axis=1)]
    parts.append(streamer.flush())
    found = np.stack([np.concatenate([p[s] for p in parts], axis=1) for s in streamer.stems])
    assert found.shape == (3, 2, n_samples)
    whole = np.stack([*model.separate(mixture, RATE, residual=True).values()])
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), mixture, rtol=0, atol=1e-6)


def test_the_latency_is_that_of_a_frame(build):
    streamer = Streamer(build())
    n_out = np.cumsum([streamer.process(noise(1, 1))["s0"].shape[1] for _ in range(100)])
    assert (np.arange(1, 101) - n_out).max() == streamer.latency == 15


def test_mono_is_fed_to_both_channels_and_averaged(build):
    model, mono = build(channels=2), noise(1, 300)
    both = model.separate(np.repeat(mono, 2, axis=0), RATE)["s1"]
    np.testing.assert_allclose(model.separate(mono, RATE)["s1"][0], both.mean(axis=0), atol=1e-6)


def test_gains_act_and_what_needs_masks_is_refused(build):
    model, mixture = build(), noise(1, 300)
    louder = model.separate(mixture, RATE, settings=Settings(gains={"s0": 2.0}))["s0"]
    np.testing.assert_allclose(louder, 2 * model.separate(mixture, RATE)["s0"], atol=1e-6)
    for settings in (Settings(sensitivity=2.0), Settings(linked=True)):
        with pytest.raises(ConfigError, match="inside its network and cannot be changed"):
            Streamer(model, settings=settings)
    with pytest.raises(ConfigError, match="on_masks: the masks of model test stay in its network"):
        Streamer(model, on_masks=print)
    with pytest.raises(ConfigError, match="no spectrum to look at masks on"):
        model.stft_at(RATE)


def test_another_sample_rate_is_refused(build):
    with pytest.raises(SampleRateError, match="filters learned for 16000 Hz; resample first"):
        build().separate(noise(1, 300), 44100)
