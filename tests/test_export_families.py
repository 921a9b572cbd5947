"""Export of every mask family, front-end and number of channels: what is trained is what runs."""

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("lightning_fabric")

from small_nets import FRONTS, build  # noqa: E402
from unmask import audio, export, load_model, masks, recipe, train  # noqa: E402
from unmask.engine.stream import Streamer  # noqa: E402
from unmask.errors import ConfigError, ModelError  # noqa: E402
from unmask.layout import Output  # noqa: E402
from unmask.nets.system import MaskingSystem  # noqa: E402
from unmask.separate import separate_file  # noqa: E402

RATE = 8000
STEMS = ["vocals", "drums"]
LEARNED = {"kind": "learned", "length": 16, "hop": 8, "filters": 32}
TABLES = {
    "frontend": {"n_fft": 128, "hop": 64},
    "backbone": {"kind": "crn", "channels": [4, 6], "hidden": 5, "layers": 1},
    "loss": {"kind": "complex", "n_fft": 128, "hop": 64},
    "data": {
        "kind": "stems",
        "sample_rate": RATE,
        "samples": 2048,
        "sources": STEMS,
        "targets": STEMS,
        "valid_examples": 2,
        "tracks": [{"glob": "a"}, {"glob": "b", "valid_share": 1.0}],
    },
    "train": {"steps": 1, "batch": 2, "log": []},
}
HYBRIDS = [
    "hybrid:complex_tanh:2000:irm1",
    "hybrid:deep_filter:2000:psm_unit",
    "hybrid:cirm:2000:irm1",
]
CONSISTENT = ["consistent:irm1", "consistent:complex_tanh"]
STEPS = [name for name in masks.names() if name.startswith("ibm")]  # no slope to learn from
SMOOTH = [name for name in masks.names() if name not in STEPS]


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    torch.set_num_threads(1)
    root, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)
    for song in "ab":
        (root / song).mkdir()
        for stem in STEMS:
            soundfile.write(root / song / f"{stem}.wav", 0.1 * rng.standard_normal(RATE), RATE)
    return root


@pytest.fixture
def trained(songs, tmp_path):
    """Train a step and export; return the model and the system that was trained."""

    def trained(mask, **tables):
        made = recipe.from_dict(TABLES | {"head": {"mask": mask}} | tables)
        run = train.run(made, tmp_path / "run", data_root=songs, cache=songs / "cache")
        export.export([run], tmp_path / "x.onnx")
        tensors, _ = train.loop.checkpoint.load(run / train.BEST)
        system = made.system().eval()
        system.net.load_state_dict(train.loop.checkpoint.select(tensors, "mean"))
        return load_model(tmp_path / "x.onnx"), system

    return trained


@pytest.fixture
def untrained(tmp_path):
    """Export a network as it is; return the model and the system."""

    def untrained(net, front="stft", *, checked=True):
        host = FRONTS[front].host()
        fields = {key: getattr(host, key) for key in host.__dataclass_fields__}
        states = net.initial_state(1)
        metadata = {
            "format": 2,
            "name": "untrained",
            "version": "1",
            "task": "separate",
            "sample_rate": RATE,
            "frontend": {"kind": host.kind, **fields},
            "channels": net.n_channels,
            "mask": {"family": net.family.name, "options": {}},
            "stems": STEMS[: net.n_sources],
            "residual": None,
            "lookahead_frames": net.lookahead_frames,
            "context_frames": net.context_frames,
            "unit_frames": net.unit_frames,
            "state": [
                {"name": f"state_{k}", "shape": list(x.shape[1:])} for k, x in enumerate(states)
            ],
            "weights": "float32",
        }
        path = tmp_path / "untrained.onnx"
        export.write(path, net, metadata)
        if checked:
            export.check(load_model(path), net, path, 1e-4)
        return load_model(path), MaskingSystem(net, host).eval()

    return untrained


def check_agreement(model, system, n_channels, n_samples=1237):
    """The engine on the file gives the waveforms of the training wing, in one piece or in many."""
    rng = np.random.default_rng(n_channels)
    mixture = (0.3 * rng.standard_normal((n_channels, n_samples))).astype(np.float32)
    found = model.separate(mixture, RATE)
    with torch.no_grad():
        expected = system(torch.from_numpy(mixture)[None])[0].numpy()
    for stem, target in zip(model.stems, expected, strict=True):
        assert found[stem].shape == mixture.shape
        # Training sees nothing beyond an excerpt, chunks in use see silence.
        assert model.context or np.abs(found[stem] - target).max() <= 1e-4 * max(
            1, np.abs(target).max()
        )
    pieces = stream(Streamer(model, n_channels=n_channels), mixture, [1, 100, 101, 700, 1200])
    for stem, whole in found.items():
        assert np.abs(pieces[stem] - whole).max() <= 1e-5 * max(1, np.abs(whole).max())


def stream(streamer, mixture, cuts):
    parts = [streamer.process(block) for block in np.split(mixture, cuts, axis=1)]
    parts.append(streamer.flush())
    return {stem: np.concatenate([part[stem] for part in parts], axis=-1) for stem in parts[0]}


def check_files(model, folder):
    """A mono and a stereo file are separated, and the stems of a model of all add up to it."""
    rng = np.random.default_rng(0)
    for n_channels in (1, 2):
        song = folder / f"{n_channels}.wav"
        audio.write(song, 0.1 * rng.standard_normal((n_channels, 3000)), RATE, subtype="FLOAT")
        record = separate_file(song, model, Output(out=folder / "out"))
        for file in record["outputs"]:
            samples, rate = audio.read(file["path"])
            assert (samples.shape, rate) == ((n_channels, 3000), RATE)
            assert np.isfinite(samples).all()


@pytest.mark.parametrize("name", [*SMOOTH, *HYBRIDS, *CONSISTENT])
def test_every_family_that_can_be_trained_is_trained_exported_and_separates(
    trained, name, tmp_path
):
    model, system = trained(name)
    assert model.family.name == name
    check_agreement(model, system, 1)
    check_files(model, tmp_path)


@pytest.mark.parametrize("name", STEPS)
def test_families_that_cannot_be_trained_are_exported_all_the_same(untrained, name, tmp_path):
    with pytest.raises(ConfigError, match="where the mask is a step"):
        recipe.from_dict(TABLES | {"head": {"mask": name}})
    model, system = untrained(build("crn", mask=name))
    check_agreement(model, system, 2)
    check_files(model, tmp_path)


@pytest.mark.parametrize("name", ["complex_tanh", "complex_tanh_parts", "cirm", "cirm_tanh"])
def test_masks_that_are_bounded_stay_so_in_the_graph_whatever_the_weights(untrained, name):
    net = build("crn", mask=name)
    with torch.no_grad():
        for parameter in net.head.parameters():
            parameter.mul_(1e6)
    # Where weights are huge, the last bits of small maps are too.
    model, _ = untrained(net, checked=False)
    x = np.random.default_rng(0).standard_normal((2, 2, 1, 65, 20)).astype(np.float32)
    parts, _ = model.step(x, model.start(2))
    assert np.isfinite(parts).all()
    mag = np.hypot(parts[:, :, 0].astype(float), parts[:, :, 1])
    if name == "complex_tanh":
        assert 0.999 < mag.max() < 1
    elif name == "complex_tanh_parts":
        assert 0.999 < np.abs(parts).max() <= 1


@pytest.mark.parametrize("name", ["crn", "band_net"])
@pytest.mark.parametrize("mask", ["complex_tanh", "softmax"])
def test_a_network_that_sees_two_channels_at_once_is_exported(untrained, name, mask):
    net = build(name, mask=mask, n_channels=2)
    model, system = untrained(net)
    assert model.channels == 2
    check_agreement(model, system, 2)


@pytest.mark.parametrize("head", [{"depth": 3, "hidden": 7}, {"outputs": 4, "grouping": "sum"}])
def test_heads_of_every_kind_are_exported(untrained, head):
    model, system = untrained(build("band_net", mask="complex_tanh", head=head))
    assert len(model.stems) == 2
    check_agreement(model, system, 1)


@pytest.mark.parametrize("mask", ["irm1", "softmax"])
def test_a_learned_front_end_is_trained_exported_and_streamed(trained, mask, tmp_path):
    model, system = trained(mask, frontend=LEARNED)
    assert model.metadata["frontend"] == {"kind": "frames", "length": 16, "hop": 8}
    assert not model.masks_outside
    check_agreement(model, system, 1)
    check_agreement(model, system, 2)
    check_files(model, tmp_path)


@pytest.mark.parametrize("name", ["unet", "band_net"])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_every_backbone_is_exported_behind_a_learned_front_end(untrained, name, n_channels):
    net = build(name, front="learned", mask="irm1", n_channels=n_channels)
    check_agreement(*untrained(net, "learned"), n_channels)


def test_a_file_of_another_network_is_noticed(untrained, tmp_path):
    model, _ = untrained(build("crn", mask="irm1"))
    other = build("crn", mask="irm1", head={})
    with torch.no_grad():
        next(other.head.parameters()).add_(0.1)
    with pytest.raises(ModelError, match=r"y\.onnx: ONNX Runtime differs from torch by"):
        export.check(model, other, tmp_path / "y.onnx", 1e-4)
