"""The weights of a file become a run to begin with: the same network, its norms those of data."""

import pytest

torch = pytest.importorskip("torch")

from small_nets import run  # noqa: E402
from unmask import export, masks, nets  # noqa: E402


def build(seed):
    torch.manual_seed(seed)
    options = {"channels": (4, 6), "hidden": 5, "n_fine": 32, "coarse_bands": 4}
    front = nets.fronts.SpectrumConfig(n_fft=128, hop=64)
    mask = masks.get("hybrid:complex_tanh:4000:psm_unit", sample_rate=16000)
    return nets.build(front, "crn", mask, n_sources=1, options=options).eval()


def spectrum(seed=0):
    return torch.randn(3, 2, 1, 65, 20, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("weights", "tolerance"), [("float32", 1e-5), ("float16", 5e-3)])
def test_the_network_of_a_file_is_found_again(tool, tmp_path, weights, tolerance):
    net = build(0)
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):  # of a network that was trained
            layer.running_mean.normal_(), layer.running_var.uniform_(0.5, 2)
            layer.weight.data.uniform_(0.5, 2), layer.bias.data.normal_()
    state = [{"name": f"state_{k}"} for k in range(len(net.initial_state(1)))]
    metadata = {"frontend": {"kind": "stft"}, "state": state, "weights": weights}
    export.write(tmp_path / "net.onnx", net, metadata)

    found = build(1)
    with torch.no_grad():
        order = tool.layers_as_run(found, lambda: run(found, spectrum()[:1]))
        shifts = tool.fill(found, order, tool.weights_of_nodes(tmp_path / "net.onnx"))
        tool.norms_as_measured(found, shifts, lambda: run(found, spectrum()))
    assert torch.allclose(run(found, spectrum(1)), run(net, spectrum(1)), atol=tolerance)
    # in training a norm goes by its batch, here the one that its statistics are of
    found.train()
    assert torch.allclose(run(found, spectrum()), run(net, spectrum()), atol=1e-2)
