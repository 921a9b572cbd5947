"""Small networks that tests share: every backbone behind every front, under every head."""

import pytest

torch = pytest.importorskip("torch")

from unmask import masks, nets  # noqa: E402
from unmask.nets.fronts import AnalyticConfig, LearnedConfig, SpectrumConfig  # noqa: E402

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
    "dual_path": {"channels": 4, "hidden": 3, "blocks": 1, "chunk": 8, "segment": 32},
    "tcn": {"channels": 4, "hidden": 5, "skip": 6, "blocks": 2, "repeats": 2},
    "tfc_tdf": {"bands": (16, 8), "widths": (2, 4), "channels": (4, 5, 6, 7)},
    "unet": {"width": 0.125},
}
#: Settings that change what a backbone is made of.
VARIANTS = {
    "crn with coarse bands": {"n_fine": 32, "coarse_bands": 4, "coarse_channels": 3},
    "tcn that looks both ways": {"causal": False, "norm": "batch"},
    "tcn of segments": {"causal": False, "norm": "global", "segment": 32},
}
FRONTS = {
    "stft": SpectrumConfig(n_fft=128, hop=64),
    "learned": LearnedConfig(length=16, hop=8, filters=64),
    "analytic": AnalyticConfig(length=16, hop=8, filters=64),
}
#: Families whose masks are the raw maps.
RAW = {"stft": "complex", "learned": "psm", "analytic": "psm"}
HEADS = {
    "shallow": {},
    "deep": {"depth": 3, "hidden": 7},
    "deep and grouped": {"depth": 2, "outputs": 4, "grouping": "sum"},
    "shared": {"depth": 2, "hidden": 7, "shared": True, "outputs": 4, "grouping": "learned"},
}


def fresh(name, *, front="stft", mask=None, n_sources=2, n_channels=1, head=None, **options):
    """Return a small network as it is before training."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    config = FRONTS[front] if isinstance(front, str) else front
    kind = name.partition(" ")[0]
    return nets.build(
        config,
        kind,
        masks.get(mask or RAW[front if isinstance(front, str) else "stft"], sample_rate=16000),
        n_sources=n_sources,
        n_channels=n_channels,
        options=SMALL[kind] | VARIANTS.get(name, {}) | options,
        **(head or {}),
    )


def build(name, **settings):
    """Return a network in use, whose normalisation does something."""
    net = fresh(name, **settings)
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


#: Those that remember, and those that are given what is around.
CHUNK = [name for name in [*SMALL, *VARIANTS] if fresh(name).initial_state(1) == ()]
STREAMING = sorted({*SMALL, *VARIANTS} - set(CHUNK))
