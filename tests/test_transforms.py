"""The engine's transforms are those of SciPy, with or without its private door."""

import numpy as np
import pytest
import scipy.fft

from unmask.engine import transforms


@pytest.fixture(params=[True, False])
def direct(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(transforms, "_compiled", None)


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize("n_fft", [2, 62, 400, 401, 1536])
@pytest.mark.parametrize("shape", [(1, 1), (2, 17), (3, 2, 5)])
def test_transforms_are_scipys(n_fft, shape, rng):
    frames = rng.standard_normal((*shape, n_fft)).astype(np.float32)
    spectrum = transforms.rfft(frames)
    assert spectrum.dtype == np.complex64
    np.testing.assert_array_equal(spectrum, scipy.fft.rfft(frames))
    back = transforms.irfft(spectrum, n_fft)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, scipy.fft.irfft(spectrum, n=n_fft))


def test_the_door_is_open_with_the_tested_scipy():
    assert transforms._compiled is not None
