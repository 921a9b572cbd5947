"""A smaller network out of a larger one: the units that stay do what they did."""

import pytest

torch = pytest.importorskip("torch")

from unmask import nets  # noqa: E402

SHAPE = {"n_freq": 65, "n_sources": 1, "n_maps": 2, "n_fine": 32, "coarse_bands": 4}


def build(channels, hidden):
    torch.manual_seed(0)
    return nets.build("crn", **SHAPE, channels=channels, hidden=hidden).eval()


def spectrum(seed=0):
    return torch.randn(3, 2, 65, 20, generator=torch.Generator().manual_seed(seed))


def run(net, x):
    with torch.no_grad():
        return net(x, net.initial_state(len(x)))[0]


def slimmed(tool, net, channels, hidden):
    rms = tool.rms_of_inputs(net, lambda: run(net, spectrum()))
    small = build(channels, hidden)
    counters = {k: v for k, v in small.state_dict().items() if k.endswith("tracked")}
    small.load_state_dict(counters | tool.slim(net, rms, channels, hidden))
    return small


def test_units_that_do_nothing_are_the_ones_that_go(tool):
    """A network that is wider by silent units is slimmed to what it was before."""
    net, wide = build((4, 6), 5), build((7, 9), 8)
    weights = {k: torch.zeros_like(v) for k, v in wide.state_dict().items()}
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            weights[name] = torch.ones_like(weights[name])
        place = weights[name]
        if "recurrent" in name:  # three gates
            place, value = place.unflatten(0, (3, 8)), value.unflatten(0, (3, 5))
        elif name in ("down.weight", "up.weight"):  # maps of eight, or four, bins
            axis = 1 if name == "down.weight" else 0
            place, value = place.unflatten(axis, (9, -1)), value.unflatten(axis, (6, -1))
        elif name == "up.bias":
            place, value = place.unflatten(0, (9, -1)), value.unflatten(0, (6, -1))
        place[tuple(slice(n) for n in value.shape)] = value
    wide.load_state_dict(weights)
    expected = run(net, spectrum(1))
    assert torch.allclose(run(wide, spectrum(1)), expected, atol=1e-6)
    assert torch.allclose(run(slimmed(tool, wide, (4, 6), 5), spectrum(1)), expected, atol=1e-6)


def test_nothing_changes_if_nothing_goes(tool):
    net = build((4, 6), 5)
    assert torch.equal(run(slimmed(tool, net, (4, 6), 5), spectrum(1)), run(net, spectrum(1)))
