"""Laws of the streamer: it is its file, however the input is cut."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnx_models
from unmask import Settings, masks
from unmask.engine.model import load_model
from unmask.engine.stream import Streamer
from unmask.errors import ConfigError, SampleRateError, ShapeError, SignalError

IDENTITY = {"mask": {"family": "complex", "options": {}}}
RATES = [8000, 16000, 22050, 48000]


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Return loaded test models by family, stems and look-ahead."""
    folder = tmp_path_factory.mktemp("models")

    @cache
    def build(family="complex_tanh", n_stems=1, ahead=0, n_fft=64, hop=32, **options):
        mask = {"family": family, "options": options}
        return load_model(
            onnx_models.recurrent(
                folder / f"{len(list(folder.iterdir()))}.onnx",
                n_parts=masks.get(family, sample_rate=16000, **options).n_parts,
                mask=mask,
                stems=[f"s{k}" for k in range(n_stems)],
                lookahead_frames=ahead,
                frontend={"kind": "stft", "n_fft": n_fft, "hop": hop, "window": "sqrt_hann"},
            )
        )

    return build


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    path = tmp_path_factory.mktemp("identity") / "identity.onnx"
    return load_model(onnx_models.constant(path, [[1, 0]], **IDENTITY))


def noise(n_channels, n_samples, seed=0):
    shape = (n_channels, n_samples)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def stream(streamer, mixture, cuts):
    """Push `mixture` cut at the samples `cuts`; return (stem, channel, sample)."""
    parts = [streamer.process(block) for block in np.split(mixture, sorted(cuts), axis=1)]
    parts.append(streamer.flush())
    return np.concatenate([np.stack(list(part.values())) for part in parts], axis=-1)


def whole(model, mixture, sample_rate=16000, **options):
    return np.stack(list(model.separate(mixture, sample_rate, **options).values()))


def close(actual, expected, tolerance=1e-5):
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


@given(
    st.integers(0, 700),
    st.lists(st.integers(0, 700), max_size=8),
    st.sampled_from([(1, 0, 32), (2, 0, 16), (1, 3, 32), (3, 2, 16)]),
    st.sampled_from(RATES),
)
def test_any_cut_gives_the_same_samples(build, n_samples, cuts, kind, sample_rate):
    n_stems, lookahead, hop = kind
    model = build(n_stems=n_stems, ahead=lookahead, hop=hop)
    mixture = noise(2, n_samples)
    streamer = Streamer(model, sample_rate=sample_rate, n_channels=2, residual=True)
    cut = stream(streamer, mixture, [min(cut, n_samples) for cut in cuts])
    assert cut.shape == (n_stems + 1, 2, n_samples)
    close(cut, whole(model, mixture, sample_rate, residual=True))


@pytest.mark.parametrize("family", [*masks.names(), "hybrid:complex:3000:irm1"])
def test_every_mask_family_streams(build, family):
    model = build(family, n_stems=2)
    mixture = noise(1, 500)
    cut = stream(Streamer(model, sample_rate=22050), mixture, range(0, 500, 7))
    close(cut, whole(model, mixture, 22050))


@pytest.mark.parametrize("n_samples", [1, 31, 32, 33, 64, 65, 1000])
@pytest.mark.parametrize(
    ("family", "lookahead", "options"),
    [
        ("complex_tanh", 0, {}),
        ("irm1", 2, {}),
        ("decoupled", 0, {}),
        ("deep_filter", 3, {"order": 4, "lookahead": 2}),
    ],
)
@pytest.mark.parametrize("hop", [8, 16, 32])
def test_the_stream_is_stft_network_mask_and_inverse_stft(
    build, hop, family, lookahead, options, n_samples
):
    model = build(family, n_stems=2, ahead=lookahead, hop=hop, **options)
    mixture = noise(2, n_samples)
    stft = model.frontend
    spectrum = stft.analyze(mixture) * stft.unit
    ahead = np.concatenate([spectrum, np.zeros((2, 33, lookahead))], axis=-1)
    features = np.stack([ahead.real, ahead.imag], axis=1)[:, :, None].astype(np.float32)
    parts, _ = model.step(features, model.start(2))
    parts = np.moveaxis(parts[:, :, :, 0, :, lookahead:], 0, 2)
    masked = model.family.apply(model.family.of_parts(parts), spectrum)
    close(whole(model, mixture), stft.synthesize(masked, n_samples) / stft.unit)


def test_a_stream_of_single_samples_is_its_file(build):
    model = build(ahead=2)
    mixture = noise(1, 300)
    close(stream(Streamer(model), mixture, range(300)), whole(model, mixture))


@given(st.lists(st.integers(0, 200), max_size=20), st.integers(0, 3), st.sampled_from(RATES))
def test_no_sample_is_held_back_longer_than_the_latency(build, sizes, lookahead, sample_rate):
    streamer = Streamer(build(ahead=lookahead), sample_rate=sample_rate)
    n_in = n_out = 0
    for size in sizes:
        n_in += size
        n_out += streamer.process(noise(1, size))["s0"].shape[1]
        assert 0 <= n_in - n_out <= streamer.latency


@pytest.mark.parametrize("lookahead", [0, 2])
def test_the_latency_is_reached(build, lookahead):
    streamer = Streamer(build(ahead=lookahead))
    n_out = np.cumsum([streamer.process(noise(1, 1))["s0"].shape[1] for _ in range(500)])
    assert (np.arange(1, 501) - n_out).max() == streamer.latency == 64 - 1 + 32 * lookahead


def test_the_future_beyond_the_latency_does_not_change_the_past(build):
    model = build(ahead=1)
    mixture, other = noise(1, 1000), noise(1, 1000, seed=1)
    other[:, :600] = mixture[:, :600]
    same = whole(model, mixture) == whole(model, other)
    assert same[..., : 600 - Streamer(model).latency].all()
    assert not same[..., 600:].all()


def test_a_network_that_looks_ahead_masks_the_frame_it_means(tmp_path):
    family = {"mask": {"family": "iam", "options": {}}, "stems": ["speech"]}
    now, late = (
        load_model(onnx_models.loudness(tmp_path / f"{delay}.onnx", delay=delay, **family))
        for delay in (0, 3)
    )
    mixture = noise(2, 777)
    close(whole(late, mixture), whole(now, mixture))


@pytest.mark.parametrize("peak", [1e-2, 0.1, 0.5, 1.0, 1.5, 4.0])
@pytest.mark.parametrize("sample_rate", [8000, 11025, 16000, 44100, 192000])
def test_the_identity_mask_returns_the_input_at_every_level_and_rate(identity, peak, sample_rate):
    """The residual of an identity network must not depend on the level (peers: -6 dB at 0.5)."""
    mixture = noise(2, 5000)
    mixture *= peak / np.abs(mixture).max()
    parts = identity.separate(mixture, sample_rate, residual=True)
    assert np.abs(parts["speech"] - mixture).max() <= 2e-6 * peak
    assert np.abs(parts["noise"]).max() <= 2e-6 * peak


@pytest.mark.parametrize("n_samples", [1, 44100 * 3 + 17, 132317, 66161])
def test_as_many_samples_come_out_as_went_in(identity, n_samples):
    mixture = noise(1, n_samples)
    close(whole(identity, mixture, 44100)[0], mixture)


def test_outputs_add_up_to_the_mixture(build):
    model = build("irm1", n_stems=3, hop=16)
    mixture = noise(2, 3000)
    error = whole(model, mixture, 44100, residual=True).sum(axis=0) - mixture
    assert 10 * np.log10(np.sum(mixture**2) / np.sum(error**2)) > 130


@pytest.mark.parametrize("sensitivity", [0.25, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_sensitivity_is_a_power_of_the_mask(tmp_path, sensitivity, sample_rate):
    """Of a turning mask of one half: the power of its magnitude, its turn, also above its band."""
    path = onnx_models.constant(tmp_path / "half.onnx", [[-0.3, 0.4]], **IDENTITY)
    time = np.arange(sample_rate // 10) / sample_rate
    wave = [f(2 * np.pi * 3000 * time)[None] for f in (np.sin, np.cos)]
    parts = load_model(path).separate(
        wave[0], sample_rate, residual=True, settings=Settings(sensitivity=sensitivity)
    )
    expected = 0.5**sensitivity * (-0.6 * wave[0] + 0.8 * wave[1])
    middle = slice(sample_rate // 100, -sample_rate // 100)
    close(parts["speech"][:, middle], expected[:, middle], 1e-3)
    close(parts["speech"] + parts["noise"], wave[0], 1e-6)


def test_sensitivity_holds_above_the_models_band(tmp_path):
    model = load_model(onnx_models.constant(tmp_path / "half.onnx", [[0.5, 0]], **IDENTITY))
    high = np.sin(2 * np.pi * 15000 * np.arange(4800) / 48000)[None]
    found = model.separate(high, 48000, settings=Settings(sensitivity=2.0))["speech"]
    close(found[:, 480:-480], 0.25 * high[:, 480:-480], 1e-3)


def test_neutral_settings_change_no_bit(build):
    mixture = noise(2, 900)
    for family in ("complex_tanh", "psm_signed", "deep_filter"):
        model = build(family, n_stems=2)
        neutral = whole(model, mixture, residual=True, settings=Settings())
        np.testing.assert_array_equal(neutral, whole(model, mixture, residual=True))
        close(neutral.sum(axis=0), mixture)


@given(st.lists(st.integers(0, 700), max_size=8), st.sampled_from([0.3, 2.5]))
def test_any_cut_gives_the_same_samples_at_any_sensitivity(build, cuts, sensitivity):
    model, mixture = build(n_stems=2, ahead=2), noise(2, 700)
    streamer = Streamer(
        model, n_channels=2, residual=True, settings=Settings(sensitivity=sensitivity)
    )
    expected = whole(model, mixture, residual=True, settings=Settings(sensitivity=sensitivity))
    close(stream(streamer, mixture, cuts), expected)
    assert np.abs(expected - whole(model, mixture, residual=True)).max() > 0.01


def test_silent_masks_stay_silent_at_low_sensitivity(tmp_path):
    model = load_model(onnx_models.constant(tmp_path / "none.onnx", [[0, 0]], **IDENTITY))
    assert not model.separate(noise(1, 500), 48000, settings=Settings(sensitivity=0.25))[
        "speech"
    ].any()


def test_a_sensitivity_that_cannot_be_is_refused(build, identity):
    for sensitivity in (0.0, -1.0, 0.2, 4.1, np.nan, np.inf):
        with pytest.raises(ConfigError, match=r"sensitivity: .*, expected 0\.25 to 4; 1 is"):
            Settings(sensitivity=sensitivity)
    with pytest.raises(ConfigError, match="deep_filter have several components a bin"):
        Streamer(build("deep_filter"), settings=Settings(sensitivity=2.0))


def test_flush_and_reset_leave_it_as_new(build):
    model = build(ahead=1)
    first, second = noise(1, 401), noise(1, 300, seed=1)
    streamer = Streamer(model)
    stream(streamer, first, [100])
    np.testing.assert_array_equal(stream(streamer, second, [50]), whole(model, second))
    streamer.process(first)
    streamer.reset()
    np.testing.assert_array_equal(stream(streamer, second, [50]), whole(model, second))
    assert streamer.flush()["s0"].shape == (1, 0)


def test_streams_that_share_a_model_do_not_mix(build):
    model = build(ahead=1)
    signals = [noise(1, 640, seed) for seed in range(3)]
    streamers = [Streamer(model) for _ in signals]
    parts = [
        [
            streamer.process(x[:, k : k + 40])["s0"]
            for streamer, x in zip(streamers, signals, strict=True)
        ]
        for k in range(0, 640, 40)
    ]
    parts.append([streamer.flush()["s0"] for streamer in streamers])
    for x, own in zip(signals, zip(*parts, strict=True), strict=True):
        close(np.concatenate(own, axis=-1)[None], whole(model, x))


def test_threads_share_a_model(build):
    model = build(ahead=1)
    signals = [noise(2, 20000, seed) for seed in range(4)]
    alone = [whole(model, x) for x in signals]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(partial(whole, model), signals))
    close(np.stack(together), np.stack(alone))


def test_channels_are_separated_one_by_one(build):
    model = build(n_stems=2)
    mixture = noise(5, 900)
    alone = [whole(model, mixture[k : k + 1]) for k in range(5)]
    close(whole(model, mixture), np.concatenate(alone, axis=1))


@pytest.mark.parametrize("family", ["complex_tanh", "deep_filter", "decoupled"])
@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_linked_channels_that_are_alike_are_each_as_one(build, family, sample_rate):
    model, one = build(family, n_stems=2, ahead=1), noise(1, 900)
    linked = whole(model, np.repeat(one, 3, axis=0), sample_rate, settings=Settings(linked=True))
    alone = whole(model, one, sample_rate)
    close(linked, np.repeat(alone, 3, axis=1))


def test_the_mask_of_linked_channels_is_that_of_their_mean(build):
    """A real mask of (a + b) / 2, of which b = -a leaves nothing: masks are those of silence."""
    model, mixture = build("irm1"), noise(2, 900)
    mean, side = mixture.mean(axis=0, keepdims=True), 0.5 * (mixture[:1] - mixture[1:])
    linked = whole(model, mixture, settings=Settings(linked=True))
    close(linked.mean(axis=1, keepdims=True), whole(model, mean))
    assert np.abs(linked - whole(model, mixture)).max() > 0.01
    quiet = whole(model, np.concatenate([side, -side]), settings=Settings(linked=True))
    close(quiet[:, 0], -quiet[:, 1])


def test_linked_channels_cost_one_run_of_the_network(build, monkeypatch):
    model, widths = build(), []
    step = model.step

    def watched(features, state):
        widths.append(len(features))
        return step(features, state)

    monkeypatch.setattr(model, "step", watched)
    whole(model, noise(4, 500), settings=Settings(linked=True))
    assert set(widths) == {1}


@given(st.lists(st.integers(0, 700), max_size=8), st.sampled_from(RATES))
def test_any_cut_of_linked_channels_gives_the_same_samples(build, cuts, sample_rate):
    model, mixture = build(n_stems=2, ahead=2), noise(3, 700)
    options = {"residual": True, "settings": Settings(linked=True, sensitivity=2.0)}
    streamer = Streamer(model, sample_rate=sample_rate, n_channels=3, **options)
    for _ in range(2):  # as new after flush
        cut = stream(streamer, mixture, cuts)
        close(cut, whole(model, mixture, sample_rate, **options))
        close(cut.sum(axis=0), mixture)


def test_a_long_stream_does_not_grow(build, growth):
    grown = growth(Streamer(build("deep_filter", ahead=2)), noise(1, 1000))
    assert grown < 100_000  # the input alone would be 1.2 MB


def test_silence_stays_silence(build):
    silence = np.zeros((1, 700), np.float32)
    assert not whole(build(n_stems=2), silence, residual=True).any()


@pytest.mark.parametrize("sample_rate", [8000, 16000, 24000, 48000])
def test_the_mask_of_a_frequency_does_not_depend_on_the_sample_rate(tmp_path, sample_rate):
    """Below 2 kHz all passes, above nothing, the top third of an octave by half."""
    raw = np.zeros(257)
    raw[:64] = 1
    raw[int(257 / 2 ** (1 / 3)) :] = 0.5
    path = onnx_models.constant(
        tmp_path / "step.onnx",
        [[raw, 0 * raw]],
        mask=IDENTITY["mask"],
        frontend={"kind": "stft", "n_fft": 512, "hop": 128, "window": "hann"},
    )
    time = np.arange(sample_rate) / sample_rate
    tones_hz = np.array([500, 1500, 3000, 5000, 7000, 9000, 15000, 22000])
    gains = np.array([1, 1, 0, 0, 0.5, 0.5, 0.5, 0.5])
    heard = tones_hz < sample_rate / 2
    for tone_hz, gain in zip(tones_hz[heard], gains[heard], strict=True):
        tone = np.sin(2 * np.pi * tone_hz * time)[None]
        out = load_model(path).separate(tone, sample_rate)["speech"]
        middle = slice(1000, -1000)  # the tone's own beginning and end are wide-band
        close(out[:, middle], gain * tone[:, middle], 1e-3)


def test_a_turned_phase_is_not_carried_above_the_models_band(tmp_path):
    path = onnx_models.constant(tmp_path / "turn.onnx", [[0, 0.5]], **IDENTITY)
    model = load_model(path)
    time = np.arange(4800) / 48000
    middle = slice(480, -480)
    low, high = np.sin(2 * np.pi * 3000 * time)[None], np.sin(2 * np.pi * 15000 * time)[None]
    turned = 0.5 * np.cos(2 * np.pi * 3000 * time)[None]
    close(model.separate(low, 48000)["speech"][:, middle], turned[:, middle], 1e-3)
    close(model.separate(high, 48000)["speech"][:, middle], 0.5 * high[:, middle], 1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_refused_and_the_stream_goes_on(build, bad):
    model = build()
    mixture = noise(1, 500)
    streamer = Streamer(model)
    first = streamer.process(mixture[:, :200])["s0"]
    broken = mixture[:, 200:300].copy()
    broken[0, 7] = bad
    with pytest.raises(SignalError, match=r"sample 7 of channel 0 is -?(nan|inf)"):
        streamer.process(broken)
    rest = [streamer.process(mixture[:, 200:])["s0"], streamer.flush()["s0"]]
    close(np.concatenate([first, *rest], axis=-1)[None], whole(model, mixture))


def test_blocks_of_another_shape_or_type_are_refused(identity):
    streamer = Streamer(identity, n_channels=2)
    with pytest.raises(ShapeError, match=r"shape \(1, 8\), expected \(2, sample\)"):
        streamer.process(noise(1, 8))
    with pytest.raises(ShapeError, match=r"shape \(8,\), expected \(2, sample\)"):
        streamer.process(noise(1, 8)[0])
    with pytest.raises(ShapeError, match=r"n_channels: 0"):
        Streamer(identity, n_channels=0)
    with pytest.raises(ShapeError, match="int16"):
        streamer.process(np.zeros((2, 8), np.int16))


@pytest.mark.parametrize("sample_rate", [0, 7999, 192001])
def test_a_sample_rate_outside_the_range_is_refused(identity, sample_rate):
    with pytest.raises(SampleRateError, match="8000 to 192000 Hz"):
        Streamer(identity, sample_rate=sample_rate)


@pytest.mark.parametrize(("n_fft", "hop"), [(62, 16), (400, 160), (64, 60), (50, 17)])
@pytest.mark.parametrize("sample_rate", [16000, 22050])
def test_a_hop_need_not_divide_the_window(tmp_path, n_fft, hop, sample_rate):
    front = {"kind": "stft", "n_fft": n_fft, "hop": hop, "window": "hamming"}
    path = onnx_models.recurrent(tmp_path / "m.onnx", n_parts=2, frontend=front)
    model, mixture = load_model(path), noise(2, 1500)
    streamer = Streamer(model, sample_rate=sample_rate, n_channels=2)
    found = stream(streamer, mixture, range(0, 1500, 13))
    close(found, whole(model, mixture, sample_rate))
    path = onnx_models.constant(tmp_path / "i.onnx", [[1, 0]], **IDENTITY, frontend=front)
    close(whole(load_model(path), mixture, sample_rate)[0], mixture)


@pytest.mark.parametrize("family", ["complex_tanh", "irm1", "deep_filter"])
@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100])
def test_the_masks_that_were_used_are_handed_out(build, family, sample_rate):
    """In their order, each frame once, with what they were applied to and what came of it."""
    model, mixture, used = build(family, n_stems=2, ahead=2), noise(2, 3000), []
    streamer = Streamer(model, sample_rate=sample_rate, n_channels=2, on_masks=used.append)
    found = stream(streamer, mixture, range(0, 3000, 100))
    close(found, whole(model, mixture, sample_rate))
    stft = streamer.frontend
    n_known = min(stft.n_freq, model.frontend.n_freq)
    spectrum = (stft.analyze(mixture) * stft.unit)[:, :n_known]
    close(np.concatenate([one.mixture for one in used], axis=-1), spectrum)
    masked = np.concatenate([one.masked for one in used], axis=-1)
    per_bin = np.concatenate([one.per_bin for one in used], axis=-1)
    close(per_bin * spectrum, masked, 1e-3)  # a quotient, of masks with several components
    if sample_rate <= 16000:
        close(stft.synthesize(masked / stft.unit, 3000), found)
