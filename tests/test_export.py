"""Export: the file gives the numbers of the run, says what it is, or is not there."""

import json

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from unmask import checkpoint, export, load_model, recipe, train  # noqa: E402
from unmask.errors import ModelError  # noqa: E402

RATE = 8000
TABLES = {
    "name": "tiny-8k",
    "licence": "CC0-1.0",
    "frontend": {"n_fft": 128, "hop": 64},
    "backbone": {"kind": "crn", "channels": [8, 12], "hidden": 16, "layers": 2},
    "head": {"mask": "complex_tanh", "limit": 2.0},
    "data": {
        "sample_rate": RATE,
        "seconds": 0.25,
        "valid_examples": 2,
        "recordings": [
            {"role": "speech", "glob": "[12].wav"},
            {"role": "speech", "glob": "3.wav", "valid_share": 1.0},
            {"role": "noise", "glob": "[12].wav"},
            {"role": "noise", "glob": "4.wav", "valid_share": 1.0},
        ],
    },
    "train": {"steps": 3, "batch": 2, "valid_every": 3},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for k in range(1, 5):
        soundfile.write(root / f"{k}.wav", 0.1 * rng.standard_normal(RATE), RATE)
    return train.run(recipe.from_dict(TABLES), root / "run", data_root=root)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    return path, export.export(run, path, version="2", test={"si_sdr_db": 1.5})


@pytest.fixture
def system(run):
    """The trained system, as the run left it."""
    tensors, header = checkpoint.load(run / train.BEST)
    system = recipe.from_dict(header["recipe"]).system().eval()
    system.net.load_state_dict(checkpoint.select(tensors, "mean"))
    return system


@pytest.mark.parametrize(("n_channels", "n_samples"), [(1, 1), (2, 4000), (3, 1237)])
def test_the_engine_gives_the_waveforms_of_the_training_wing(
    exported, system, rng, n_channels, n_samples
):
    mixture = rng.standard_normal((n_channels, n_samples)).astype(np.float32)
    found = load_model(exported[0]).separate(mixture, RATE)
    with torch.no_grad():
        expected = system(torch.from_numpy(mixture)[None])[0, 0].numpy()
    assert found.keys() == {"speech"}
    assert np.abs(found["speech"] - expected).max() <= 1e-4
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize(("batch", "n_frames"), [(1, 1), (1, 30), (5, 2)])
def test_batch_and_frames_are_free(exported, system, rng, batch, n_frames):
    model = load_model(exported[0])
    spectrum = rng.standard_normal((batch, 2, 65, n_frames)).astype(np.float32)
    raw, state = model.step(spectrum, model.start(batch))
    with torch.no_grad():
        expected, _ = system.net(torch.from_numpy(spectrum), system.net.initial_state(batch))
    assert np.abs(raw - expected.numpy()).max() <= 1e-4
    assert [array.shape for array in state] == [array.shape for array in model.start(batch)]


def test_the_file_says_what_it_is(exported, run):
    path, returned = exported
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    metadata = json.loads(entries["unmask"])
    assert metadata == returned
    assert metadata["format"] == 1
    assert (metadata["name"], metadata["version"], metadata["task"]) == ("tiny-8k", "2", "denoise")
    assert metadata["sample_rate"] == RATE
    assert metadata["frontend"] == {"kind": "stft", "n_fft": 128, "hop": 64, "window": "sqrt_hann"}
    assert metadata["mask"] == {"family": "complex_tanh", "options": {"limit": 2.0}}
    assert (metadata["stems"], metadata["residual"]) == (["speech"], "noise")
    assert metadata["licence"] == "CC0-1.0"
    assert [entry["shape"] for entry in metadata["state"]] == [[3, 64, 1], [8, 16, 1], [2, 16]]
    assert metadata["training"]["steps"] == 3
    assert metadata["training"]["data"]["train speech"]["files"] == 2
    assert metadata["training"]["recipe"] == recipe.from_dict(TABLES).to_dict()
    assert metadata["scores"]["test"] == {"si_sdr_db": 1.5}
    header = checkpoint.load(run / train.BEST)[1]
    assert metadata["scores"]["valid"] == header["scores"]


def test_what_it_costs_is_counted(exported, system):
    metadata = exported[1]
    assert metadata["parameters"] == sum(p.numel() for p in system.net.parameters())
    # the linear layers alone, 125 frames a second, are less than all
    linear = 2 * 8 * 12 * 16
    assert metadata["macs_per_second"] % 125 == 0
    assert 125 * linear < metadata["macs_per_second"] < 125 * 20 * linear


def test_a_file_that_would_differ_is_not_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"what was there before")
    with pytest.raises(ModelError, match=r"tiny\.onnx: ONNX Runtime differs from torch by"):
        export.export(run, path)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [
        ("tiny.onnx", b"what was there before")
    ]


def test_a_folder_that_is_no_run_is_refused(run, tmp_path):
    with pytest.raises(ModelError, match=r"best\.safetensors: no such checkpoint"):
        export.export(tmp_path, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_the_last_weights_can_be_exported_too(run, tmp_path):
    export.export(run, tmp_path / "last.onnx", which="last")
    assert load_model(tmp_path / "last.onnx").metadata["scores"] == {"valid": {}}
