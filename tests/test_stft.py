import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from unmask.errors import ConfigError, ShapeError
from unmask.frontends import STFT

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
SETTINGS = [
    STFT(2048, 512),
    STFT(512, 256, "sqrt_hann"),
    STFT(512, 64, "sqrt_hann"),
    STFT(1022, 511),
    STFT(96, 32, "hamming"),
    STFT(64, 64, "boxcar"),
    STFT(9, 3, "hann"),
    # hops that do not divide: two of them the usual fractions of a second
    STFT(1022, 256),
    STFT(1022, 256, "sqrt_hann"),
    STFT(2048, 441, "hamming"),
    STFT(400, 160),
    STFT(400, 160, "blackman"),
    STFT(100, 80, "boxcar"),
    STFT(9, 4, "hamming"),
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


@given(n_samples=st.integers(1, 700), n_fft=st.integers(4, 200), hop=st.integers(1, 100))
def test_round_trip_for_any_hop_up_to_half_the_window(n_samples, n_fft, hop):
    stft = STFT(n_fft, min(hop, n_fft // 2), "sqrt_hann")
    x = np.random.default_rng(0).normal(size=(1, n_samples))
    assert np.abs(stft.synthesize(stft.analyze(x), n_samples) - x).max() <= 1e-11


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman"])
@pytest.mark.parametrize(
    ("n_fft", "hop", "n_hops"), [(512, 128, 32), (1022, 256, 9), (2048, 441, 11), (400, 160, 1)]
)
def test_agrees_with_torch(window, n_fft, hop, n_hops):
    torch = pytest.importorskip("torch")
    x = noise(np, n_hops * hop)
    ours = STFT(n_fft, hop, window).analyze(x)
    values = torch.from_numpy(scipy.signal.get_window(window, n_fft))
    theirs = torch.stft(
        torch.from_numpy(x),
        n_fft,
        hop,
        window=values,
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    assert ours.shape == tuple(theirs.shape)
    assert np.abs(ours - theirs.numpy()).max() <= 1e-12


@pytest.mark.parametrize(
    "name", ["hann", "hamming", "blackman", "blackmanharris", "nuttall", "flattop", "boxcar"]
)
@pytest.mark.parametrize("n_fft", [64, 401])
def test_windows_are_scipys(name, n_fft):
    found = STFT(n_fft, n_fft // 8, name).window_values
    np.testing.assert_allclose(found, scipy.signal.get_window(name, n_fft), rtol=0, atol=1e-15)


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
    assert peak * stft.unit == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize(
    ("n_fft", "hop", "overlap"), [(512, 128, 4), (64, 64, 1), (1022, 256, 4), (400, 160, 3)]
)
def test_overlap_is_the_hops_of_a_frame_rounded_up(n_fft, hop, overlap):
    assert STFT(n_fft, hop, "boxcar").overlap == overlap


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


@pytest.mark.parametrize("stft", [*SETTINGS, STFT(706, 353)], ids=str)
def test_scaled_by_one_is_the_same_front_end(stft):
    """706 = 2 x 353 is slow, but it is what was asked for."""
    assert stft.scaled(1) == stft
    assert stft.scaled(16000 / 16000.0) == stft


@pytest.mark.parametrize(("n_fft", "hop"), [(1022, 256), (2048, 441), (400, 160), (96, 32)])
@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_scaled_keeps_the_overlap_of_hops_that_do_not_divide(n_fft, hop, rate):
    stft, ratio = STFT(n_fft, hop).scaled(rate / 16000), rate / 16000
    assert abs(stft.hop - hop * ratio) <= 0.005 * hop * ratio + 0.5
    assert abs(stft.n_fft - stft.hop * n_fft / hop) <= 1  # the nearest even number
    assert stft.n_fft % 2 == 0 or (n_fft, hop) == (96, 32)


def test_scaled_by_known_ratios():
    assert STFT(2048, 441).scaled(2) == STFT(4096, 882)
    assert STFT(400, 160).scaled(3) == STFT(1200, 480)
    assert STFT(9, 3).scaled(5 / 3) == STFT(15, 5)  # no even window keeps this overlap


def test_silence_stays_silence(xp):
    stft = STFT(64, 16)
    silence = xp.zeros((1, 100), dtype=xp.float32)
    assert float(xp.max(xp.abs(stft.synthesize(stft.analyze(silence), 100)))) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((512, 513, "boxcar"), "hop: 513 with n_fft = 512, expected 1 <= hop <= n_fft"),
        ((512, 0, "hann"), "hop: 0 with n_fft = 512"),
        ((512, -128, "hann"), "hop: -128 with n_fft = 512"),
        ((1, 1, "boxcar"), "hop: 1 with n_fft = 1"),
        ((512, 500, "hann"), "cannot be inverted"),
        ((512, 512, "hann"), "cannot be inverted"),
        ((512, 512, "sqrt_hann"), "cannot be inverted"),
        ((512, 128, "hanning-ish"), "window: 'hanning-ish' is unknown"),
        ((512, 128, "kaiser"), "window: 'kaiser' is unknown; there are blackman, "),
    ],
)
def test_settings_that_cannot_be_inverted_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        STFT(*settings)
    assert "\n" not in str(caught.value)


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
@pytest.mark.parametrize("n_fft", [64, 70, 49])
def test_pieces_synthesise_to_the_whole(n_samples, n_frames, n_fft, rng):
    stft = STFT(n_fft, 16)
    x = rng.normal(size=(2, n_samples))
    pieces = list(stft.pieces(n_samples, n_frames=n_frames))
    parts = [
        stft.synthesize(abs(stft.analyze(x[:, outer])), outer.stop - outer.start)[:, inner]
        for outer, inner in pieces
    ]
    expected = stft.synthesize(abs(stft.analyze(x)), n_samples)
    assert np.allclose(np.concatenate(parts, axis=1), expected, atol=1e-12)
    assert len(pieces) == max(1, -(-n_samples // (16 * n_frames)))
