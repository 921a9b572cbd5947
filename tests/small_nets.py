"""Small networks that tests share: every backbone behind every front, under every head."""

import pytest

torch = pytest.importorskip("torch")

from unmask import masks, nets  # noqa: E402
from unmask.nets.fronts import LearnedConfig, SpectrumConfig  # noqa: E402

#: Settings that make each backbone small; one bin less than a transform of 128 samples has.
SMALL = {
    "band_net": {
        "bands": (8, 4),
        "widths": (4, 8),
        "channels": 4,
        "layers": 1,
        "narrow": 6,
        "narrow_channels": 3,
        "band_hidden": (4,),
        "hidden": (5,),
    },
    "crn": {"channels": (4, 6), "patch": 4, "hidden": 5, "layers": 2},
    "tfc_tdf": {"bands": (16, 8), "widths": (2, 4), "channels": (4, 5, 6, 7)},
    "unet": {"width": 0.125},
}
#: Settings that change what a backbone is made of.
VARIANTS = {"crn with coarse bands": {"n_fine": 32, "coarse_bands": 4, "coarse_channels": 3}}
CHUNK = [name for name, (_, kind) in nets.NETS.items() if kind.context_frames]
STREAMING = sorted([*nets.NETS.keys() - set(CHUNK), *VARIANTS])
FRONTS = {
    "stft": SpectrumConfig(n_fft=128, hop=64),
    "learned": LearnedConfig(length=16, hop=8, filters=64),
}
#: Families whose masks are the raw maps.
RAW = {"stft": "complex", "learned": "psm"}
HEADS = {
    "shallow": {},
    "deep": {"depth": 3, "hidden": 7},
    "deep and grouped": {"depth": 2, "outputs": 4, "grouping": "sum"},
}


def build(name, *, front="stft", mask=None, n_sources=2, n_channels=1, head=None, **options):
    """Return a network in use, whose normalisation does something."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    config = FRONTS[front] if isinstance(front, str) else front
    kind = name.partition(" ")[0]
    net = nets.build(
        config,
        kind,
        masks.get(mask or RAW[front if isinstance(front, str) else "stft"], sample_rate=16000),
        n_sources=n_sources,
        n_channels=n_channels,
        options=SMALL[kind] | VARIANTS.get(name, {}) | options,
        **(head or {}),
    )
    with torch.no_grad():
        for _ in range(10):
            net(noise(net, 192), net.initial_state(2))
    return net.eval()


def noise(net, n_frames, *, batch=2, seed=2):
    """Return what a network may be given."""
    shape = net.front.example(batch, n_frames).shape
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def run(net, x):
    """Return what a network puts out."""
    with torch.no_grad():
        return net(x, net.initial_state(len(x)))[0]
