import numpy as np
import pytest

from unmask.errors import ConfigError, ShapeError
from unmask.frontends import STFT
from unmask.phase import griffin_lim, misi

STFT_ = STFT(256, 64, "sqrt_hann")


def tones(xp, n_samples=2000, frequencies=(0.02, 0.05)):
    time = np.arange(n_samples)
    waves = [np.sin(2 * np.pi * f * time)[None] * np.hanning(n_samples) for f in frequencies]
    return xp.asarray(np.stack(waves))


def inconsistency(waveform, mags):
    return np.linalg.norm(np.abs(STFT_.analyze(waveform)) - mags) / np.linalg.norm(mags)


def test_griffin_lim_without_momentum_never_gets_worse(rng):
    mags = np.abs(STFT_.analyze(rng.normal(size=(1, 1500))))
    errors = [
        inconsistency(griffin_lim(mags, STFT_, 1500, n_iterations=n, momentum=0.0), mags)
        for n in (0, 1, 2, 5, 20)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


def test_momentum_is_faster(rng):
    mags = np.abs(STFT_.analyze(rng.normal(size=(1, 1500))))
    slow, fast = (
        inconsistency(griffin_lim(mags, STFT_, 1500, n_iterations=60, momentum=m), mags)
        for m in (0.0, 0.99)
    )
    assert fast < 0.8 * slow


def test_griffin_lim_with_the_true_phase_stays_there(xp):
    waveform = tones(xp)[0, ...]
    spectrum = STFT_.analyze(waveform)
    rebuilt = griffin_lim(xp.abs(spectrum), STFT_, 2000, n_iterations=5, start=spectrum)
    assert rebuilt.shape == waveform.shape
    assert float(xp.max(xp.abs(rebuilt - waveform))) < 1e-9


@pytest.mark.parametrize("n_iterations", [0, 1, 10])
def test_misi_sources_add_up_to_the_mixture(n_iterations, xp):
    sources = tones(xp)
    mixture = xp.sum(sources, axis=0)
    estimates = misi(xp.abs(STFT_.analyze(sources)), mixture, STFT_, n_iterations=n_iterations)
    assert estimates.shape == sources.shape
    assert float(xp.max(xp.abs(xp.sum(estimates, axis=0) - mixture))) < 1e-12


def test_misi_comes_nearer_to_the_sources_than_the_mixture_phase(rng):
    sources = rng.normal(size=(2, 1, 3000))
    mags = np.abs(STFT_.analyze(sources))
    errors = [
        np.linalg.norm(misi(mags, sources.sum(axis=0), STFT_, n_iterations=n) - sources)
        for n in (0, 5, 50)
    ]
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.7 * errors[0]


def test_silence_has_no_phase_and_no_nan():
    mags = np.zeros((2, 1, 129, 9))
    assert np.all(misi(mags, np.zeros((1, 500)), STFT_, n_iterations=2) == 0)
    assert np.all(griffin_lim(mags[0], STFT_, 500, n_iterations=2) == 0)


def test_wrong_settings_are_refused():
    mags = np.ones((1, 129, 9))
    with pytest.raises(ConfigError, match="n_iterations: -1"):
        griffin_lim(mags, STFT_, 500, n_iterations=-1)
    with pytest.raises(ConfigError, match=r"momentum: 1\.0"):
        griffin_lim(mags, STFT_, 500, momentum=1.0)
    with pytest.raises(ShapeError, match="must agree in"):
        misi(np.ones((2, 1, 129, 8)), np.zeros((1, 500)), STFT_)
