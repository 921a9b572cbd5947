import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.bands import Bands
from unmask.errors import ConfigError, ShapeError

SCALES = ["mel", "erb", "even"]


@given(
    scale=st.sampled_from(SCALES),
    overlap=st.booleans(),
    n_bands=st.integers(2, 60),
    n_freq=st.integers(60, 300),
)
def test_every_bin_is_shared_out_and_every_band_has_one(scale, overlap, n_bands, n_freq):
    weights = Bands(n_bands, n_freq, 16000, scale, overlap).weights
    assert weights.shape == (n_bands, n_freq)
    assert np.allclose(weights.sum(axis=0), 1)
    assert weights.min() >= 0
    assert weights.sum(axis=1).min() > 0
    assert weights.max(axis=1).min() > 0.49


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("n_bands", [1, 8, 64, 257])
def test_bands_come_back(scale, n_bands, rng, xp):
    bands = Bands(n_bands, 257, 16000, scale)
    x = xp.asarray(rng.normal(size=(2, n_bands, 5)) + 1j * rng.normal(size=(2, n_bands, 5)))
    back = bands.reduce(bands.expand(x))
    assert back.dtype == x.dtype
    assert np.allclose(np.asarray(back), np.asarray(x))


@pytest.mark.parametrize("scale", SCALES)
def test_triangles_interpolate_between_their_centres(scale):
    bands = Bands(20, 257, 16000, scale, overlap=True)
    centres = bands.weights.argmax(axis=1)
    gains = np.linspace(0, 1, 20)[:, None] ** 2
    spread = bands.expand(gains)
    assert np.allclose(spread[centres], gains)
    assert np.all(np.diff(spread[:, 0]) >= 0)


def test_even_bands_are_means_of_equal_groups():
    x = np.arange(8.0)[:, None]
    assert Bands(4, 8, 8000, "even").reduce(x).ravel().tolist() == [0.5, 2.5, 4.5, 6.5]


def test_centres_are_the_middle_of_the_bands():
    assert Bands(4, 8, 1400, "even").centres().tolist() == [50, 250, 450, 650]


def test_mel_and_erb_bands_are_narrow_below():
    for scale in ("mel", "erb"):
        width = Bands(32, 1025, 44100, scale).weights.sum(axis=1)
        assert width[0] < width[16] < width[-1]
        centres = Bands(32, 1025, 44100, scale).centres()
        assert np.all(np.diff(centres) > 0)
        assert centres[-1] < 22050


def test_masks_that_sum_to_one_still_do(rng):
    shares = rng.dirichlet(np.ones(3), size=(10, 4)).transpose(2, 0, 1)
    assert np.allclose(Bands(10, 65, 8000).expand(shares).sum(axis=0), 1)


def test_impossible_bands_are_refused():
    with pytest.raises(ConfigError, match="n_bands: 66, expected 1 to n_freq = 65"):
        Bands(66, 65, 8000)
    with pytest.raises(ConfigError, match="scale: 'bark'"):
        Bands(6, 65, 8000, "bark")
    with pytest.raises(ShapeError, match="has 64 in axis freq, expected 65"):
        Bands(6, 65, 8000).reduce(np.ones((1, 64, 2)))
