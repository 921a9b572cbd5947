"""Model files of untrained networks: every mask family, front-end and number of channels."""

from dataclasses import asdict

import pytest

from unmask import masks

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from small_nets import SMALL  # noqa: E402  (needs torch)
from unmask import export, nets  # noqa: E402
from unmask.engine.metadata import FORMAT  # noqa: E402
from unmask.nets.fronts import LearnedConfig, SpectrumConfig  # noqa: E402

#: Front-ends of 64 bins, as small networks see them.
SPECTRUM = SpectrumConfig(n_fft=128, hop=64)
LEARNED = LearnedConfig(length=24, hop=10, filters=64)


def write(
    path,
    mask="complex_tanh",
    *,
    options=(),
    frontend=SPECTRUM,
    backbone="crn",
    channels=1,
    stems=("speech",),
    net=(),
    head=(),
    seed=0,
    **metadata,
):
    """Write a small network with random weights as a model file; return `path`.

    Parameters
    ----------
    path : Path
    mask : str
        Name of the family.
    options : mapping
        Of the family.
    frontend : SpectrumConfig or LearnedConfig
    backbone : str
        A name in :data:`small_nets.SMALL`.
    channels : int
        Channels that it sees at once.
    stems : sequence of str
    net, head : mapping
        Settings of the backbone, beside those of a small one, and of the head.
    seed : int
        Of the weights.
    **metadata
        What the file says otherwise than here.
    """
    sample_rate = metadata.get("sample_rate", 16000)
    family = masks.get(mask, sample_rate=sample_rate, **dict(options))
    network = build(
        family,
        frontend=frontend,
        backbone=backbone,
        channels=channels,
        n_sources=len(stems),
        net=net,
        head=head,
        seed=seed,
    )
    host = frontend.host()
    values = {
        "format": FORMAT,
        "name": "test",
        "version": "1",
        "task": "denoise",
        "sample_rate": sample_rate,
        "frontend": {"kind": host.kind, **asdict(host)},
        "channels": channels,
        "mask": {"family": mask, "options": dict(options)},
        "stems": list(stems),
        "residual": "noise",
        "lookahead_frames": network.lookahead_frames,
        "context_frames": network.context_frames,
        "unit_frames": network.unit_frames,
        "state": [
            {"name": f"state_{k}", "shape": list(state.shape[1:])}
            for k, state in enumerate(network.initial_state(1))
        ],
        "weights": "float32",
    }
    export.write(path, network, values | metadata)
    return path


def build(family, *, frontend, backbone, channels, n_sources, net, head, seed):
    """Return a small network whose masks vary: weights of the head are larger than fresh ones."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        network = nets.build(
            frontend,
            backbone,
            family,
            n_sources=n_sources,
            n_channels=channels,
            options=SMALL[backbone] | dict(net),
            **dict(head),
        ).eval()
        for parameter in network.head.parameters():
            parameter.mul_(3)
    return network
