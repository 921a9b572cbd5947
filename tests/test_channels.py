"""Recordings whose axes lie as in other libraries: refused before they fill the memory."""

import numpy as np
import pytest

import onnx_models
from unmask import Oracle, Streamer
from unmask._arrays import check_channels
from unmask.engine.model import load_model
from unmask.errors import ShapeError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(onnx_models.constant(tmp_path_factory.mktemp("m") / "m.onnx", [[0.5, 0]]))


@pytest.mark.parametrize("shape", [(16000, 2), (65, 1000), (9, 2), (100_000, 1), (65, 0)])
def test_samples_in_the_place_of_channels_are_refused(model, shape):
    with pytest.raises(ShapeError, match=r"channels of \d+ samples.*transpose it"):
        model.separate(np.zeros(shape, np.float32), 16000)


@pytest.mark.parametrize("shape", [(2, 1), (8, 3), (64, 64), (16, 0), (1, 1)])
def test_short_recordings_of_several_channels_are_none_of_these(model, shape):
    assert model.separate(np.zeros(shape, np.float32), 16000)["speech"].shape == shape


def test_blocks_of_a_stream_may_be_shorter_than_its_channels_are_many(model):
    streamer = Streamer(model, n_channels=16)
    for _ in range(3):
        streamer.process(np.zeros((16, 1), np.float32))
    assert streamer.flush()["speech"].shape[0] == 16


def test_a_stream_of_more_channels_than_there_are_is_refused(model):
    with pytest.raises(ShapeError, match="n_channels: 100000, expected 1 to 64"):
        Streamer(model, n_channels=100_000)


def test_every_array_library_can_be_asked(xp):
    check_channels(speech=xp.zeros((3, 2, 1000)))
    with pytest.raises(ShapeError, match=r"speech has shape .3, 1000, 2., which is 1000 channels"):
        check_channels(speech=xp.zeros((3, 1000, 2)))


def test_an_oracle_refuses_them_as_well():
    turned = np.zeros((5000, 2))
    with pytest.raises(ShapeError, match="transpose it"):
        Oracle({"a": turned, "b": turned}, 16000, "irm1").separate(turned, 16000)
