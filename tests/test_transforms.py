"""Transforms are those of NumPy and SciPy, with or without NumPy's private door."""

import numpy as np
import pytest
import scipy.fft

from unmask import transforms

#: Largest difference beside the largest value.
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}


@pytest.fixture(params=[True, False])
def direct(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(transforms, "_FORWARD", None)
        monkeypatch.setattr(transforms, "_BACKWARD", None)


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n_fft", [2, 62, 400, 401, 1536])
@pytest.mark.parametrize("shape", [(), (1, 1), (2, 0), (2, 17), (3, 2, 5)])
def test_transforms_are_scipys(n_fft, shape, dtype, rng):
    frames = rng.standard_normal((*shape, n_fft)).astype(dtype)
    spectrum = transforms.rfft(frames)
    expected = scipy.fft.rfft(frames) if frames.size else np.zeros(spectrum.shape, spectrum.dtype)
    assert (spectrum.dtype, spectrum.shape) == (expected.dtype, expected.shape)
    assert spectrum.dtype == np.result_type(dtype, np.complex64)
    assert np.abs(spectrum - expected).max(initial=0) <= TOLERANCE[dtype] * n_fft
    back = transforms.irfft(spectrum, n_fft)
    assert (back.dtype, back.shape) == (frames.dtype, frames.shape)
    assert np.abs(back - frames).max(initial=0) <= 10 * TOLERANCE[dtype]


def test_the_door_is_open_with_the_tested_numpy():
    assert transforms._FORWARD is not None


def test_a_quick_length_is_the_least_of_small_factors():
    for n in [*range(1, 3000), 48_000, 65_537, 1_000_003]:
        found = transforms.quick_length(n)
        assert found == scipy.fft.next_fast_len(n, real=True)
        assert transforms.is_quick(found)


def test_silence_is_put_behind(rng):
    signal = rng.standard_normal((2, 5)).astype(np.float32)
    longer = transforms.padded(signal, 8)
    np.testing.assert_array_equal(longer, np.pad(signal, [(0, 0), (0, 3)]))
    assert longer.dtype == np.float32
