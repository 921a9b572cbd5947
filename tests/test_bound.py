"""A network with buffers of its own: the same numbers as when it is called by names."""

import numpy as np
import pytest

from unmask import load_model
from unmask.engine.asking import Pace
from unmask.errors import ModelError


@pytest.fixture(scope="module")
def model():
    return load_model("denoise-48k-tiny")


def frames_of(model, n_signals, n_frames):
    rng = np.random.default_rng(0)
    shape = (n_signals, 2, 1, model.frontend.n_freq, n_frames)
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("n_signals", [1, 2])
def test_buffers_of_its_own_change_no_bit(model, n_signals):
    x = frames_of(model, n_signals, 12)
    bound, state, own = model.bound(n_signals), model.start(n_signals), model.start(n_signals)
    for k in range(12):
        frame = np.ascontiguousarray(x[..., k : k + 1])
        expected, state = model.step(frame, state)
        if k in (4, 5, 9):  # at times it is called by names
            made, own = model.step(frame, own)
        else:
            bound.given[...] = frame
            made, own = bound(own)
        assert np.array_equal(made, expected)
        assert all(map(np.array_equal, own, state))


def test_streams_of_one_model_have_each_their_own_buffers(model):
    x = frames_of(model, 2, 8)
    both = [Pace(model, 1), Pace(model, 1)]
    heard = [[], []]
    for k in range(8):
        for i, pace in enumerate(both):
            heard[i].append(pace.ask(x[i : i + 1, ..., k : k + 1], last=False).copy())
    assert all(pace._bound for pace in both)
    for i in range(2):
        expected, _ = model.step(x[i : i + 1], model.start(1))
        assert np.concatenate(heard[i], axis=-1) == pytest.approx(expected, abs=1e-5)


def test_a_call_that_fails_is_one_line(model, monkeypatch):
    bound = model.bound(1)

    def fails(_):
        raise RuntimeError("the device\nis gone")

    monkeypatch.setattr(bound, "_run", fails)
    with pytest.raises(ModelError, match="denoise-48k-tiny: its network failed: the device is go"):
        bound(model.start(1))
