"""Every arm of an experiment: mask family, loss, network, input and sources, freely combined."""

import pytest

torch = pytest.importorskip("torch")

from small_nets import build  # noqa: E402
from unmask import losses, masks  # noqa: E402
from unmask.frontends import STFT  # noqa: E402
from unmask.nets.blocks import INPUTS  # noqa: E402
from unmask.nets.fronts import SpectrumConfig  # noqa: E402
from unmask.nets.system import MaskingSystem  # noqa: E402

RATE = 8000
SMALL = {"crn": {"layers": 1}, "unet": {"width": 1 / 16}}
FAMILIES = [
    *masks.names(),
    "hybrid:complex_tanh:2000:irm1",
    "hybrid:deep_filter:2000:psm_unit",
    "consistent:hybrid:complex_tanh:2000:irm1",
    "consistent:irm1",
    "consistent:complex_tanh",
]
STEP = [name for name in FAMILIES if name.startswith("ibm")]  # no slope anywhere


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n_sources", [1, 4])
@pytest.mark.parametrize("sees", INPUTS)
@pytest.mark.parametrize("kind", sorted(SMALL))
@pytest.mark.parametrize("name", FAMILIES)
def test_every_arm_separates(name, kind, sees, n_sources):
    front = SpectrumConfig(n_fft=128, hop=64, input=sees)
    net = build(kind, front=front, mask=name, n_sources=n_sources, **SMALL[kind]).train()
    mixture = noise(2, 1, 1500)
    estimate = MaskingSystem(net, front.host())(mixture)
    assert estimate.shape == (2, n_sources, 1, 1500)
    assert torch.isfinite(estimate).all()
    assert net.family.sums_to_one == torch.allclose(estimate.sum(1), mixture, atol=1e-4)


@pytest.fixture(scope="module")
def songs():
    """Three sources, one of them silent, and their mixture."""
    target = noise(3, 1, 500, seed=1)
    target[2] = 0
    return target, target.sum(0)


def slope(name, loss, scale, songs):
    """Return the gradient of a loss with respect to raw maps of that scale."""
    family, stft, (target, mixture) = masks.get(name, sample_rate=RATE), STFT(64, 32), songs
    spectrum = stft.analyze(mixture)
    raw = (scale * noise(3, family.n_maps, *spectrum.shape)).requires_grad_()
    estimate = stft.synthesize(family.apply(family.activate(raw), spectrum), mixture.shape[-1])
    value = losses.losses(stft)[loss](estimate, target, mixture).mean()
    assert torch.isfinite(value)
    return torch.autograd.grad(value, raw)[0]


@pytest.mark.parametrize("loss", losses.NAMES)
@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in STEP])
def test_every_loss_teaches_every_family(name, loss, songs):
    for scale in (1e-3, 1.0, 30.0):
        gradient = slope(name, loss, scale, songs)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0
    assert torch.isfinite(slope(name, loss, 0.0, songs)).all()


@pytest.mark.parametrize("name", STEP)
def test_binary_masks_have_no_slope_to_learn_from(name, songs):
    with pytest.raises(RuntimeError, match="does not require grad"):
        slope(name, "waveform", 1.0, songs)
