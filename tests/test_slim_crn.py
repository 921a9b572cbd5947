"""A smaller network out of a larger one: the units that stay do what they did."""

import pytest

torch = pytest.importorskip("torch")

from small_nets import run  # noqa: E402
from unmask import masks, nets  # noqa: E402

HEADS = [{}, {"depth": 2, "hidden": 3}]


def build(channels, hidden, head):
    torch.manual_seed(0)
    options = {"channels": channels, "hidden": hidden, "n_fine": 32, "coarse_bands": 4}
    front, mask = nets.fronts.SpectrumConfig(n_fft=128, hop=64), masks.get("complex")
    return nets.build(front, "crn", mask, n_sources=1, options=options, **head).eval()


def spectrum(seed=0):
    return torch.randn(3, 2, 1, 65, 20, generator=torch.Generator().manual_seed(seed))


def slimmed(tool, net, channels, hidden, head):
    rms = tool.rms_of_inputs(net, lambda: run(net, spectrum()))
    small = build(channels, hidden, head)
    counters = {k: v for k, v in small.state_dict().items() if k.endswith("tracked")}
    small.load_state_dict(counters | tool.slim(net, rms, channels, hidden))
    return small


@pytest.mark.parametrize("head", HEADS)
def test_units_that_do_nothing_are_the_ones_that_go(tool, head):
    """A network that is wider by silent units is slimmed to what it was before."""
    net, wide = build((4, 6), 5, head), build((7, 9), 8, head)
    weights = {k: torch.zeros_like(v) for k, v in wide.state_dict().items()}
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            weights[name] = torch.ones_like(weights[name])
        place = weights[name]
        if "recurrent" in name:  # three gates
            place, value = place.unflatten(0, (3, 8)), value.unflatten(0, (3, 5))
        elif name in ("backbone.down.weight", "backbone.up.weight"):  # maps of four bins
            axis = 1 if name == "backbone.down.weight" else 0
            place, value = place.unflatten(axis, (9, -1)), value.unflatten(axis, (6, -1))
        elif name == "backbone.up.bias":
            place, value = place.unflatten(0, (9, -1)), value.unflatten(0, (6, -1))
        place[tuple(slice(n) for n in value.shape)] = value
    wide.load_state_dict(weights)
    expected = run(net, spectrum(1))
    assert torch.allclose(run(wide, spectrum(1)), expected, atol=1e-6)
    small = slimmed(tool, wide, (4, 6), 5, head)
    assert torch.allclose(run(small, spectrum(1)), expected, atol=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_nothing_changes_if_nothing_goes(tool, head):
    net = build((4, 6), 5, head)
    small = slimmed(tool, net, (4, 6), 5, head)
    assert torch.equal(run(small, spectrum(1)), run(net, spectrum(1)))
