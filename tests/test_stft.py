import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from unmask.errors import ConfigError, ShapeError
from unmask.stft import STFT

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
SETTINGS = [
    STFT(2048, 512),
    STFT(512, 256, "sqrt_hann"),
    STFT(512, 64, "sqrt_hann"),
    STFT(1022, 511),
    STFT(96, 32, "hamming"),
    STFT(64, 64, "boxcar"),
    STFT(9, 3, "hann"),
]


def noise(xp, n_samples, dtype="float64", n_channels=2):
    values = np.random.default_rng(n_samples).normal(size=(n_channels, n_samples))
    return xp.asarray(values, dtype=getattr(xp, dtype))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("stft", SETTINGS, ids=str)
@pytest.mark.parametrize("n_samples", [1, 2, 7, 511, 512, 513, 5000])
def test_every_length_comes_back(stft, n_samples, dtype, xp):
    x = noise(xp, n_samples, dtype)
    y = stft.synthesize(stft.analyze(x), n_samples)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    error = float(xp.max(xp.abs(y - x))) / float(xp.max(xp.abs(x)))
    assert error <= TOLERANCE[dtype]


@given(n_samples=st.integers(1, 700), overlap=st.sampled_from([2, 4, 8]), hop=st.integers(1, 40))
def test_round_trip_for_any_hop_that_divides(n_samples, overlap, hop):
    stft = STFT(hop * overlap, hop, "sqrt_hann")
    x = np.random.default_rng(0).normal(size=(1, n_samples))
    assert np.abs(stft.synthesize(stft.analyze(x), n_samples) - x).max() <= 1e-11


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman"])
def test_agrees_with_torch(window):
    torch = pytest.importorskip("torch")
    x = noise(np, 4096)
    ours = STFT(512, 128, window).analyze(x)
    values = torch.from_numpy(scipy.signal.get_window(window, 512))
    theirs = torch.stft(
        torch.from_numpy(x),
        512,
        128,
        window=values,
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    assert ours.shape == tuple(theirs.shape)
    assert np.abs(ours - theirs.numpy()).max() <= 1e-12


def test_agrees_with_scipy():
    x = noise(np, 3000)
    stft = STFT(512, 128, "hann")
    reference = scipy.signal.ShortTimeFFT(
        scipy.signal.get_window("hann", 512), 128, fs=1.0, phase_shift=None
    )
    theirs = reference.stft(x, p0=0, p1=stft.n_frames(3000))
    # scipy centres its frames at k * hop as well
    assert np.abs(stft.analyze(x) - theirs).max() <= 1e-12


def test_a_sine_has_half_the_sum_of_the_window():
    stft = STFT(1024, 256, "hann")
    x = np.sin(2 * np.pi * 64 / 1024 * np.arange(8192))[None]
    peak = np.abs(stft.analyze(x))[0, 64, 16]
    assert peak == pytest.approx(stft.window_values.sum() / 2, rel=1e-9)


def test_channels_are_independent(rng):
    stft = STFT(64, 16)
    x = rng.normal(size=(3, 2, 200))
    whole = stft.analyze(x)
    assert whole.shape == (3, 2, 33, 14)
    assert np.array_equal(whole[1, 0], stft.analyze(x[1, :1])[0])


def test_gradients_go_through_analysis_and_synthesis():
    torch = pytest.importorskip("torch")
    stft = STFT(32, 8, "sqrt_hann")
    x = torch.randn(1, 50, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda y: stft.synthesize(stft.analyze(y).abs() * stft.analyze(y), 50), (x,)
    )


def test_scaled_keeps_the_width_of_bins_and_frames():
    stft = STFT(512, 256, "sqrt_hann").scaled(44100 / 16000)
    assert (stft.n_fft, stft.hop) == (1408, 704)  # 705.6 exactly; 706 = 2 x 353 is slow
    assert stft.frequencies(44100)[10] == pytest.approx(312.5, rel=5e-3)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 22050, 24000, 32000, 48000, 96000, 192000])
@pytest.mark.parametrize("n_fft", [64, 512, 1024])
def test_scaled_hops_are_near(rate, n_fft):
    stft = STFT(n_fft, n_fft // 4, "sqrt_hann").scaled(rate / 16000)
    assert stft.n_fft == 4 * stft.hop
    exact = n_fft / 4 * rate / 16000
    assert abs(stft.hop - exact) <= max(0.5, 0.005 * exact + 0.5)
    assert stft.hop == exact or exact != round(exact) or exact % 2


def test_silence_stays_silence(xp):
    stft = STFT(64, 16)
    silence = xp.zeros((1, 100), dtype=xp.float32)
    assert float(xp.max(xp.abs(stft.synthesize(stft.analyze(silence), 100)))) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((512, 200, "hann"), "hop: 200 does not divide n_fft = 512"),
        ((512, 0, "hann"), "hop: 0 does not divide"),
        ((1, 1, "boxcar"), "hop: 1 does not divide n_fft = 1"),
        ((512, 512, "hann"), "cannot be inverted"),
        ((512, 512, "sqrt_hann"), "cannot be inverted"),
        ((512, 128, "hanning-ish"), "window: 'hanning-ish' is unknown"),
        ((512, 128, "kaiser"), "window: 'kaiser' is unknown or needs a parameter"),
    ],
)
def test_settings_that_cannot_be_inverted_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        STFT(*settings)


def test_wrong_shapes_are_refused():
    stft = STFT(64, 16)
    with pytest.raises(ShapeError, match=r"expected \(\.\.\., channel, sample\)"):
        stft.analyze(np.zeros(100))
    with pytest.raises(ShapeError, match=r"expected \(33, 8\) for 100 samples"):
        stft.synthesize(np.zeros((1, 33, 9), dtype=complex), 100)
    with pytest.raises(ShapeError, match="complex"):
        stft.analyze(np.zeros((1, 100), dtype=complex))


@pytest.mark.parametrize("n_samples", [1, 100, 1000, 1001])
@pytest.mark.parametrize("n_frames", [1, 7, 1000])
def test_pieces_synthesise_to_the_whole(n_samples, n_frames, rng):
    stft = STFT(64, 16)
    x = rng.normal(size=(2, n_samples))
    pieces = list(stft.pieces(n_samples, n_frames=n_frames))
    parts = [
        stft.synthesize(abs(stft.analyze(x[:, outer])), outer.stop - outer.start)[:, inner]
        for outer, inner in pieces
    ]
    expected = stft.synthesize(abs(stft.analyze(x)), n_samples)
    assert np.allclose(np.concatenate(parts, axis=1), expected, atol=1e-12)
    assert len(pieces) == max(1, -(-n_samples // (16 * n_frames)))
