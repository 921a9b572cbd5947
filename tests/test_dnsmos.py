import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from unmask.errors import ModelError, SampleRateError, ShapeError
from unmask.metrics.dnsmos import DNSMOS

N = 144160


@pytest.fixture
def path(tmp_path):
    """A predictor whose raw scores are (3, 2, 1) times the mean of the window."""
    scale = numpy_helper.from_array(np.array([[3.0, 2.0, 1.0]], np.float32), "scale")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["input_1"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["mean", "scale"], ["scores"]),
        ],
        "fake",
        [helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["batch", N])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])],
        [scale],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "fake.onnx")
    return tmp_path / "fake.onnx"


def test_scores_are_calibrated(path):
    opinion = DNSMOS(path)(np.ones((1, N)), 16000)
    assert opinion.sig == pytest.approx(-0.08397278 * 9 + 1.22083953 * 3 + 0.0052439)
    assert opinion.bak == pytest.approx(-0.13166888 * 4 + 1.60915514 * 2 - 0.39604546)
    assert opinion.ovrl == pytest.approx(-0.06766283 + 1.11546468 + 0.04602535)


def test_short_speech_is_repeated_and_long_speech_averaged(path):
    score = DNSMOS(path)
    assert score(np.full((1, 100), 0.5), 16000) == score(np.full((1, N), 0.5), 16000)
    ramp = np.repeat(np.linspace(0, 1, 12), 16000)[None]
    windows = [ramp[0, k * 16000 : k * 16000 + N].mean() for k in range(3)]
    expected = np.mean([-0.06766283 * m**2 + 1.11546468 * m + 0.04602535 for m in windows])
    assert score(ramp, 16000).ovrl == pytest.approx(expected, rel=1e-4)


def test_silence_has_no_score(path):
    assert np.isnan(DNSMOS(path)(np.zeros((1, N)), 16000)).all()


def test_bad_input_is_one_line(path, tmp_path):
    score = DNSMOS(path)
    with pytest.raises(SampleRateError, match=r"44100 Hz, DNSMOS takes 16000 Hz"):
        score(np.ones((1, N)), 44100)
    with pytest.raises(ShapeError, match=r"has shape \(2, 9\), expected \(1, sample\)"):
        score(np.ones((2, 9)), 16000)
    with pytest.raises(ModelError, match=r"none.onnx: no such file"):
        DNSMOS(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelError, match=r"text.onnx: is not an ONNX file"):
        DNSMOS(tmp_path / "text.onnx")
