"""Networks that work in chunks: the stream gives what one call over the whole recording gives."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnx_models
from unmask import masks
from unmask._runtime import onnxruntime
from unmask.engine.model import load_model
from unmask.engine.stream import Streamer
from unmask.errors import ConfigError

CONTEXT, UNIT, HOP = 12, 4, 16
DEFAULT = 72  # frames of a chunk
LENGTHS = [4, 20, None]


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Return test models and their files by family, stems and context."""
    folder = tmp_path_factory.mktemp("chunks")

    @cache
    def build(family="complex_tanh", n_stems=1, context=CONTEXT, **options):
        path = onnx_models.hourglass(
            folder / f"{len(list(folder.iterdir()))}.onnx",
            n_parts=masks.get(family, sample_rate=16000, **options).n_parts,
            context=context,
            mask={"family": family, "options": options},
            stems=[f"s{k}" for k in range(n_stems)],
            frontend={"kind": "stft", "n_fft": 64, "hop": HOP, "window": "sqrt_hann"},
        )
        return load_model(path), path

    return build


def noise(n_channels, n_samples, seed=0):
    shape = (n_channels, n_samples)
    return 0.3 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def stream(streamer, mixture, cuts=()):
    """Push `mixture` cut at the samples `cuts`; return (stem, channel, sample)."""
    parts = [streamer.process(block) for block in np.split(mixture, sorted(cuts), axis=1)]
    parts.append(streamer.flush())
    return np.concatenate([np.stack(list(part.values())) for part in parts], axis=-1)


def one_call(model, path, mixture):
    """Return what one call of the network over the recording in silence gives."""
    gain = model.frontend.unit
    spectrum = model.frontend.analyze(mixture) * gain
    n_frames = spectrum.shape[-1]
    around = 5 * CONTEXT, 5 * CONTEXT + -n_frames % UNIT
    silent = np.pad(spectrum, [(0, 0), (0, 0), around])
    features = np.stack([silent.real, silent.imag], axis=1)[:, :, None].astype(np.float32)
    [parts] = onnxruntime.InferenceSession(path).run(["mask"], {"spectrum": features})
    parts = np.moveaxis(parts[:, :, :, 0, :, around[0] : around[0] + n_frames], 0, 2)
    masked = model.family.apply(model.family.of_parts(parts), spectrum)
    return model.frontend.synthesize(masked / gain, mixture.shape[1])


@pytest.mark.parametrize("chunk_frames", LENGTHS)
@pytest.mark.parametrize("n_samples", [1, 63, 72 * HOP, 84 * HOP + 1, 5000])
@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("complex_tanh", {}),
        ("softmax", {}),
        ("deep_filter", {"order": 5, "lookahead": 2}),
    ],
)
def test_the_output_has_no_seams(build, family, options, n_samples, chunk_frames):
    model, path = build(family, n_stems=2, **options)
    mixture = noise(2, n_samples)
    streamer = Streamer(model, n_channels=2, chunk_frames=chunk_frames)
    found, expected = stream(streamer, mixture), one_call(model, path, mixture)
    assert np.abs(expected).max() > 5e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("chunk_frames", LENGTHS)
@pytest.mark.parametrize("context", [0, 4, 8])
def test_too_little_context_leaves_seams(build, context, chunk_frames):
    """The test above finds them."""
    model, path = build(context=context)
    mixture = noise(1, 5000)
    found = stream(Streamer(model, chunk_frames=chunk_frames), mixture)
    assert np.abs(found - one_call(model, path, mixture)).max() > 1e-3


@given(
    st.integers(0, 4000),
    st.lists(st.integers(0, 4000), max_size=8),
    st.sampled_from([8000, 16000, 44100]),
    st.sampled_from(LENGTHS),
)
def test_any_cut_gives_the_same_samples_to_the_bit(build, n_samples, cuts, rate, chunk_frames):
    model, _ = build(n_stems=2)
    mixture = noise(2, n_samples)
    streamer = Streamer(
        model, sample_rate=rate, n_channels=2, residual=True, chunk_frames=chunk_frames
    )
    whole = stream(streamer, mixture)
    assert whole.shape == (3, 2, n_samples)
    cut = stream(streamer, mixture, [min(cut, n_samples) for cut in cuts])
    np.testing.assert_array_equal(cut, whole)
    np.testing.assert_allclose(whole.sum(axis=0), mixture, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("family", [*masks.names(), "hybrid:complex:3000:irm1"])
def test_the_length_of_chunks_does_not_show(build, family, rate):
    model, _ = build(family, n_stems=2)
    mixture = noise(1, 7000)
    outputs = [
        stream(Streamer(model, sample_rate=rate, chunk_frames=length), mixture)
        for length in LENGTHS
    ]
    for output in outputs[1:]:
        np.testing.assert_allclose(output, outputs[0], rtol=0, atol=1e-5)


def test_blocks_may_be_reused_by_the_caller(build):
    model, _ = build()
    mixture, streamer = noise(1, 3000), Streamer(build()[0])
    block, parts = np.empty((1, 500), np.float32), []
    for k in range(0, 3000, 500):
        block[:] = mixture[:, k : k + 500]
        parts.append(streamer.process(block)["s0"])
    parts.append(streamer.flush()["s0"])
    np.testing.assert_array_equal(np.hstack(parts), model.separate(mixture, 16000)["s0"])


@pytest.mark.parametrize(("chunk_frames", "n_frames"), [(4, 15), (20, 31), (None, DEFAULT + 11)])
def test_the_latency_is_reached_and_never_passed(build, chunk_frames, n_frames):
    streamer = Streamer(build()[0], chunk_frames=chunk_frames)
    n_out = np.cumsum([streamer.process(noise(1, 1))["s0"].shape[1] for _ in range(4000)])
    waiting = np.arange(1, 4001) - n_out
    assert waiting.min() >= 0
    assert waiting.max() == streamer.latency == 64 - 1 + n_frames * HOP


def test_the_latency_of_a_model_is_that_of_its_default_chunks(build):
    assert build()[0].latency_s == (63 + (DEFAULT - 1 + CONTEXT) * HOP) / 16000


def test_at_most_a_third_on_top_is_computed_for_the_context(build, monkeypatch):
    model, _ = build()
    n_given, step = [], type(model)._run

    def count(self, features, state):
        n_given.append(features.shape[-1])
        return step(self, features, state)

    monkeypatch.setattr(type(model), "_run", count)
    model.separate(noise(1, 100_000), 16000)
    assert sum(n_given) <= 4 / 3 * 1.02 * model.frontend.n_frames(100_000)


def test_flush_and_reset_leave_it_as_new(build):
    streamer = Streamer(build()[0])
    first, second = noise(1, 4001), noise(1, 3000, seed=1)
    expected = stream(Streamer(build()[0]), second)
    stream(streamer, first, [100])
    np.testing.assert_array_equal(stream(streamer, second, [50]), expected)
    streamer.process(first)
    streamer.reset()
    np.testing.assert_array_equal(stream(streamer, second, [50]), expected)
    assert streamer.flush()["s0"].shape == (1, 0)


def test_channels_are_separated_one_by_one(build):
    model, _ = build(n_stems=2)
    mixture = noise(3, 3000)
    alone = [stream(Streamer(model), mixture[k : k + 1]) for k in range(3)]
    together = stream(Streamer(model, n_channels=3), mixture)
    np.testing.assert_allclose(together, np.concatenate(alone, axis=1), rtol=0, atol=1e-5)


def test_a_long_stream_does_not_grow(build, growth):
    grown = growth(Streamer(build("deep_filter")[0]), noise(1, 1000))
    assert grown < 100_000  # the input alone would be 1.2 MB


@pytest.mark.parametrize("chunk_frames", [0, -4, 3, 70, 4 * 10**9])
def test_chunks_that_do_not_fit_the_network_are_refused(build, chunk_frames):
    with pytest.raises(ConfigError, match=rf"{chunk_frames}, expected a multiple of 4"):
        Streamer(build()[0], chunk_frames=chunk_frames)


@pytest.mark.parametrize("chunk_frames", [1, 2, 5])
def test_a_network_that_remembers_may_be_given_several_frames_a_call(tmp_path, chunk_frames):
    model = load_model(onnx_models.recurrent(tmp_path / "r.onnx", n_parts=2))
    streamer = Streamer(model, chunk_frames=chunk_frames, residual=True)
    assert streamer.latency == Streamer(model).latency + (chunk_frames - 1) * model.frontend.hop
    mixture = noise(1, 999)
    expected = stream(Streamer(model, residual=True), mixture)
    found = stream(streamer, mixture, range(0, 999, model.frontend.hop))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert min(np.std(found[0]), np.std(found[1])) > 0.1  # neither silence nor the mixture


def test_no_frames_a_call_are_refused(tmp_path):
    model = load_model(onnx_models.recurrent(tmp_path / "r.onnx", n_parts=2))
    with pytest.raises(ConfigError, match="chunk_frames: 0, expected a multiple of 1"):
        Streamer(model, chunk_frames=0)
