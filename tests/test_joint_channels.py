"""Models that see several channels at once: streams, files, mono, and what they refuse."""

import numpy as np
import pytest

import onnx_models
from unmask import Settings, Streamer, audio, load_model
from unmask.errors import ConfigError, ShapeError, one_line
from unmask.separate import separate_file

RATE = 16000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(onnx_models.crossed(tmp_path_factory.mktemp("m") / "crossed.onnx"))


def noise(n_channels, n_samples, seed=0):
    shape = (n_channels, n_samples)
    return 0.1 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def expected(model, mixture):
    """Each channel masked by the magnitudes of the other, of this frame and the one before."""
    stft = model.frontend
    spectrum = stft.analyze(mixture) * stft.unit
    mag = np.abs(spectrum)
    mag[..., 1:] += np.abs(spectrum)[..., :-1]
    return stft.synthesize(mag[::-1] * spectrum, mixture.shape[1]) / stft.unit


@pytest.mark.parametrize("cut", [1, 32, 77, 3000])
def test_every_channel_has_its_mask_of_what_all_hear(model, cut):
    mixture = noise(2, 3000)
    streamer = Streamer(model, n_channels=2, residual=True)
    parts = [streamer.process(mixture[:, k : k + cut]) for k in range(0, 3000, cut)]
    parts.append(streamer.flush())
    speech, rest = (np.concatenate([part[s] for part in parts], axis=1) for s in streamer.stems)
    np.testing.assert_allclose(speech, expected(model, mixture), rtol=0, atol=1e-6)
    np.testing.assert_allclose(speech + rest, mixture, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_mono_is_heard_as_two_channels_that_are_alike(model, rate):
    mono = noise(1, 3000)
    alone = model.separate(mono, rate)["speech"]
    both = model.separate(np.repeat(mono, 2, axis=0), rate)["speech"]
    assert alone.shape == (1, 3000)
    np.testing.assert_allclose(np.repeat(alone, 2, axis=0), both, rtol=0, atol=1e-6)


def test_mono_has_the_mean_of_the_masks(tmp_path):
    """A graph whose channels have masks 0.2 and 0.6."""
    graph = onnx_models.Graph()
    meta = onnx_models.metadata(channels=2, mask={"family": "iam", "options": {}})
    zero = graph("Mul", graph.magnitude("spectrum"), graph.constant(0.0))
    made = graph("Add", zero, graph.constant(np.reshape([0.2, 0.6], (1, 1, 2, 1, 1))))
    graph.name("mask", graph("Unsqueeze", made, graph.ints(1)))
    path = onnx_models.write(
        tmp_path / "m.onnx",
        graph,
        meta,
        {"spectrum": ["batch", 2, 2, 33, "frame"]},
        {"mask": ["batch", 1, 1, 2, 33, "frame"]},
    )
    mono = noise(1, 900)
    found = load_model(path).separate(mono, RATE)["speech"]
    np.testing.assert_allclose(found, 0.4 * mono, rtol=0, atol=1e-6)


def test_other_numbers_of_channels_are_refused_with_what_could_be_separated(model, tmp_path):
    words = r"sees 2 channels at once and takes 2 or 1; separate channels 1\+2, 3\+4, 5 by themsel"
    with pytest.raises(ShapeError, match=words):
        model.separate(noise(5, 500), RATE)
    audio.write(tmp_path / "six.wav", noise(6, 5000), RATE)
    with pytest.raises(ShapeError) as caught:
        separate_file(tmp_path / "six.wav", model)
    assert one_line(caught.value).startswith(f"{tmp_path / 'six.wav'}: n_channels: 6, model test")


def test_linking_is_meaningless_and_says_so(model):
    with pytest.raises(ConfigError, match=r"sees 2 channels at once, .* already; leave it out"):
        Streamer(model, n_channels=2, settings=Settings(linked=True))


def test_stereo_and_mono_files_are_separated(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n_channels in (1, 2):
        audio.write("a.wav", noise(n_channels, 8000), RATE, subtype="FLOAT")
        separate_file("a.wav", model)
        found, _ = audio.read("separated/test/a/speech.wav")
        mixture, _ = audio.read("a.wav")
        np.testing.assert_allclose(found, model.separate(mixture, RATE)["speech"], atol=1e-6)
