"""Export: the file gives the numbers of the runs, says what it is, or is not there."""

import json
import re
import shutil

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from unmask import checkpoint, export, load_model, recipe, train  # noqa: E402
from unmask.errors import ConfigError, ModelError  # noqa: E402
from unmask.nets.counting import macs_per_frame  # noqa: E402

RATE = 8000
TABLES = {
    "name": "tiny-8k",
    "licence": "CC0-1.0",
    "frontend": {"n_fft": 128, "hop": 64},
    "backbone": {"kind": "crn", "channels": [8, 12], "hidden": 16, "layers": 2},
    "head": {"mask": {"family": "complex_tanh", "options": {"limit": 2.0}}},
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
    return path, export.export([run], path, version="2", test={"si_sdr_db": 1.5})


@pytest.fixture
def system(run):
    """The trained system, as the run left it."""
    tensors, header = checkpoint.load(run / "best.safetensors")
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
    spectrum = rng.standard_normal((batch, 2, 1, 65, n_frames)).astype(np.float32)
    mask, state = model.step(spectrum, model.start(batch))
    with torch.no_grad():
        expected, _ = system.net(torch.from_numpy(spectrum), system.net.initial_state(batch))
    assert np.abs(mask - expected.numpy()).max() <= 1e-4
    assert [array.shape for array in state] == [array.shape for array in model.start(batch)]


def stream(streamer, mixture, cuts):
    """Return (stem, channel, sample) of a mixture that is pushed in pieces."""
    parts = [streamer.process(block) for block in np.split(mixture, cuts, axis=1)]
    parts.append(streamer.flush())
    return np.concatenate([np.stack(list(part.values())) for part in parts], axis=-1)


def test_the_file_says_what_it_is(exported, run):
    path, returned = exported
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    metadata = json.loads(entries["unmask"])
    assert metadata == returned
    assert metadata["format"] == 2
    assert metadata["channels"] == 1
    assert (metadata["name"], metadata["version"], metadata["task"]) == ("tiny-8k", "2", "denoise")
    assert metadata["sample_rate"] == RATE
    assert metadata["frontend"] == {"kind": "stft", "n_fft": 128, "hop": 64, "window": "sqrt_hann"}
    assert metadata["mask"] == {"family": "complex_tanh", "options": {"limit": 2.0}}
    assert (metadata["stems"], metadata["residual"]) == (["speech"], "noise")
    assert metadata["licence"] == "CC0-1.0"
    shapes = [entry["shape"] for entry in metadata["state"]]
    assert shapes == [[3, 1, 64], [8, 1, 16], [16], [16]]
    assert metadata["training"]["steps"] == 3
    assert metadata["training"]["data"]["train speech"]["files"] == 2
    assert metadata["training"]["recipe"] == recipe.from_dict(TABLES).to_dict()
    assert metadata["scores"]["test"] == {"si_sdr_db": 1.5}
    header = checkpoint.load(run / "best.safetensors")[1]
    assert metadata["scores"]["valid"] == header["scores"]


def test_the_file_says_which_run_it_began_with_and_not_where_that_is(run, tmp_path):
    begun = tmp_path / "begun"
    shutil.copytree(run, begun)
    tensors, header = checkpoint.load(run / "best.safetensors")
    header["recipe"]["train"]["warm_start"] = "/home/someone/runs/larger"
    checkpoint.save(begun / "best.safetensors", tensors, header)
    metadata = export.export([begun], tmp_path / "begun.onnx")
    assert metadata["training"]["recipe"]["train"]["warm_start"] == "larger"
    assert b"someone" not in (tmp_path / "begun.onnx").read_bytes()


def test_what_it_costs_is_counted(exported, system):
    metadata = exported[1]
    assert metadata["parameters"] == sum(p.numel() for p in system.net.parameters())
    # the linear layers alone, 125 frames a second, are less than all
    linear = 2 * 8 * 12 * 16
    assert metadata["macs_per_second"] % 125 == 0
    assert 125 * linear < metadata["macs_per_second"] < 125 * 20 * linear


def test_a_file_that_would_differ_is_not_written(run, tmp_path, monkeypatch):
    monkeypatch.setitem(export.TOLERANCE, "float32", -1.0)
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"what was there before")
    with pytest.raises(ModelError, match=r"tiny\.onnx: ONNX Runtime differs from torch by"):
        export.export([run], path)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [
        ("tiny.onnx", b"what was there before")
    ]


def test_weights_in_half_precision_halve_the_file_and_nothing_else(exported, run, tmp_path, rng):
    path = tmp_path / "half.onnx"
    said = export.export([run], path, version="2", test={"si_sdr_db": 1.5}, weights="float16")
    assert (exported[1]["weights"], said["weights"]) == ("float32", "float16")
    assert said | {"weights": "float32"} == exported[1]
    sizes = [
        sum(len(tensor.raw_data) for tensor in onnx.load(file).graph.initializer)
        for file in (path, exported[0])
    ]
    assert sizes[0] < 0.55 * sizes[1]
    whole, half = load_model(exported[0]), load_model(path)
    spectrum = rng.standard_normal((2, 2, 1, 65, 20)).astype(np.float32)
    (expected, _), (mask, _) = (model.step(spectrum, model.start(2)) for model in (whole, half))
    error = np.abs(mask - expected).max()
    assert 0 < error <= 5e-3 * max(1, np.abs(expected).max())


def test_weights_that_half_precision_cannot_hold_are_found(songs, tmp_path):
    run = songs("run", "vocals")
    tensors, header = checkpoint.load(run / "best.safetensors")
    name = next(name for name in reversed(tensors) if name.endswith("weight"))
    tensors[name].fill_(1e6)
    checkpoint.save(run / "best.safetensors", tensors, header)
    with pytest.raises(ModelError, match=r"x\.onnx: ONNX Runtime differs from torch by"):
        export.export([run], tmp_path / "x.onnx", weights="float16")
    assert not list(tmp_path.glob("*.onnx"))


def test_other_types_of_weights_are_refused(run, tmp_path):
    with pytest.raises(ConfigError, match="weights: 'int8', expected one of float32, float16"):
        export.export([run], tmp_path / "x.onnx", weights="int8")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_run_is_refused(run, tmp_path):
    with pytest.raises(ModelError, match=r"best\.safetensors: no such checkpoint"):
        export.export([tmp_path], tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_the_last_weights_can_be_exported_too(run, tmp_path):
    export.export([run], tmp_path / "last.onnx", which="last")
    header = checkpoint.load(run / "last.safetensors")[1]
    assert load_model(tmp_path / "last.onnx").metadata["scores"] == {"valid": header["scores"]}


SONGS = {
    "name": "songs",
    "frontend": {"n_fft": 128, "hop": 32, "window": "hann", "input": "complex"},
    "backbone": {"kind": "unet", "width": 1 / 16},
    "head": {"mask": "complex_tanh"},
    "data": {
        "kind": "stems",
        "sample_rate": RATE,
        "samples": 8 * 128,
        "sources": ["vocals", "drums", "bass", "guitar", "other"],
    },
}


@pytest.fixture
def songs(tmp_path):
    """Make run folders of untrained networks whose masks are far from constant."""

    def songs(folder, *targets, seed=0, **changes):
        tables = SONGS | {"licence": changes.get("licence", "MIT")}
        for table in ("frontend", "head", "data"):
            tables[table] = tables[table] | changes.get(table, {})
        tables["backbone"] = changes.get("backbone", tables["backbone"])
        tables["data"]["targets"] = list(targets)
        made = recipe.from_dict(tables)
        net = made.system().net
        generator = torch.Generator().manual_seed(seed)
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(1 + noise**2 if "running_var" in name else 0.5 * noise)
        (tmp_path / folder).mkdir()
        tensors = {f"mean.{name}": tensor for name, tensor in net.state_dict().items()}
        header = {"recipe": made.to_dict(), "step": 7, "scores": {"si_sdr_db": seed}}
        checkpoint.save(tmp_path / folder / "best.safetensors", tensors, header)
        (tmp_path / folder / "run.json").write_text(json.dumps({"seed": seed}))
        return tmp_path / folder

    return songs


@pytest.fixture
def band(songs):
    """Four run folders, one for each stem."""
    names = ["vocals", "drums", "bass", "guitar"]
    return [songs(name, name, seed=k) for k, name in enumerate(names)]


def test_a_network_that_works_in_chunks_is_exported(songs, tmp_path, rng):
    run = songs("run", "vocals")
    said = export.export([run], tmp_path / "vocals.onnx")
    assert (said["context_frames"], said["unit_frames"], said["state"]) == (192, 64, [])
    assert (said["task"], said["stems"], said["residual"]) == ("separate", ["vocals"], "no_vocals")
    tensors, header = checkpoint.load(run / "best.safetensors")
    net = recipe.from_dict(header["recipe"]).system().eval().net
    net.load_state_dict(checkpoint.select(tensors, "mean"))
    assert said["parameters"] == sum(p.numel() for p in net.parameters())
    assert said["macs_per_second"] == round(macs_per_frame(net) * RATE / 32)
    model = load_model(tmp_path / "vocals.onnx")
    for n_frames in (64, 128, 448):
        spectrum = rng.standard_normal((2, 2, 1, 65, n_frames)).astype(np.float32)
        silent = np.pad(spectrum, 4 * [(0, 0)] + [(192, 192)])
        mask, _ = model.step(silent[..., 192:], model.start(2))
        with torch.no_grad():
            expected = net(torch.from_numpy(silent), ())[0].numpy()[..., 192:-192]
        assert np.abs(expected).std() > 0.1
        assert np.abs(mask - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_context_that_is_too_small_is_found(songs, tmp_path, monkeypatch):
    run = songs("run", "vocals")
    monkeypatch.setattr("unmask.nets.unet.UNet.context_frames", 64)
    with pytest.raises(ModelError, match=r"vocals\.onnx: ONNX Runtime differs from torch by"):
        export.export([run], tmp_path / "vocals.onnx")
    assert not list(tmp_path.glob("*.onnx"))


def test_several_runs_become_one_model(band, tmp_path, rng):
    said = export.export(band, tmp_path / "band.onnx", version="3")
    alone = [export.export([run], tmp_path / f"{run.name}.onnx") for run in band]
    assert (said["name"], said["version"], said["residual"]) == ("band", "3", "other")
    assert said["stems"] == ["vocals", "drums", "bass", "guitar"]
    for key in ("parameters", "macs_per_second"):
        assert said[key] == pytest.approx(sum(one[key] for one in alone), abs=2)
    assert said["training"] == [one["training"] for one in alone]
    assert [run["seed"] for run in said["training"]] == [0, 1, 2, 3]
    assert said["scores"]["valid"]["bass"] == {"si_sdr_db": 2}
    mixture = 0.1 * rng.standard_normal((2, 3 * RATE)).astype(np.float32)
    together = load_model(tmp_path / "band.onnx").separate(mixture, RATE)
    assert list(together) == ["vocals", "drums", "bass", "guitar", "other"]
    for run in band:
        own = load_model(tmp_path / f"{run.name}.onnx").separate(mixture, RATE)[run.name]
        np.testing.assert_allclose(together[run.name], own, rtol=0, atol=1e-5)
        assert np.std(own) > 1e-3
    np.testing.assert_allclose(sum(together.values()), mixture, rtol=0, atol=1e-6)


def test_the_five_files_of_a_song_add_up_to_it(band, tmp_path, rng):
    """Four networks and what they leave, through files, at another rate than they were made for."""
    from unmask import audio
    from unmask.layout import Output
    from unmask.separate import separate_file

    export.export(band, tmp_path / "band.onnx")
    model = load_model(tmp_path / "band.onnx")
    for subtype, least in (("FLOAT", 1e-6), ("PCM_16", 0)):
        song = tmp_path / f"{subtype}.wav"
        audio.write(song, 0.1 * rng.standard_normal((2, 50000)), 22050, subtype=subtype)
        record = separate_file(song, model, Output(out=tmp_path / "out"))
        assert [file["stem"] for file in record["outputs"]] == [*model.stems, "other"]
        total = sum(audio.read(file["path"])[0].astype(np.float64) for file in record["outputs"])
        np.testing.assert_allclose(total, audio.read(song)[0], rtol=0, atol=least)


def test_a_chunk_network_may_have_masks_that_look_ahead(songs, tmp_path):
    head = {"mask": {"family": "deep_filter", "options": {"order": 4, "lookahead": 2}}}
    export.export([songs("run", "vocals", head=head)], tmp_path / "x.onnx")
    assert load_model(tmp_path / "x.onnx").family.context == (1, 2)


def test_names_can_be_chosen(band, tmp_path):
    said = export.export(band[:2], tmp_path / "x.onnx", name="duo", residual="band")
    assert (said["name"], said["residual"]) == ("duo", "band")
    model = load_model(tmp_path / "x.onnx")
    assert (model.name, model.residual, model.residual_is_source) == ("duo", "band", True)


def test_a_residual_beside_a_stem_other_has_no_name_of_its_own(songs, tmp_path):
    runs = [songs("a", "vocals", "drums"), songs("b", "other", "bass", "guitar")]
    said = export.export(runs, tmp_path / "all.onnx")
    assert (said["stems"][2:], said["residual"]) == (["other", "bass", "guitar"], None)
    assert list(load_model(tmp_path / "all.onnx").separate(np.zeros((1, 800)), RATE)) == [
        *("vocals", "drums", "other", "bass", "guitar")
    ]


def test_licences_are_kept(songs, tmp_path):
    runs = [songs("a", "vocals", licence="MIT"), songs("b", "drums", licence="CC-BY-4.0")]
    assert export.export(runs, tmp_path / "x.onnx")["licence"] == "CC-BY-4.0 AND MIT"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"frontend": {"hop": 64}},
            "b: front-end is stft, .*hop = 64, .*that of .*a is stft, .*hop = 32",
        ),
        ({"data": {"sample_rate": 16000}}, "b: sample rate is 16000 Hz, that of .*a is 8000 Hz"),
        ({"head": {"mask": "irm1"}}, "b: mask is irm1, that of .*a is complex_tanh"),
        (
            {"head": {"mask": {"family": "complex_tanh", "options": {"limit": 2.0}}}},
            r"b: mask is complex_tanh \(limit = 2.0\), that of",
        ),
    ],
)
def test_runs_that_do_not_fit_are_refused(songs, tmp_path, changes, words):
    runs = [songs("a", "vocals"), songs("b", "drums", **changes)]
    with pytest.raises(ConfigError, match=words):
        export.export(runs, tmp_path / "x.onnx")
    assert not list(tmp_path.glob("*.onnx"))


def test_a_stem_twice_or_as_residual_is_refused(songs, tmp_path):
    runs = [songs("a", "vocals"), songs("b", "drums", "vocals")]
    with pytest.raises(ConfigError, match=r"b: stem 'vocals' is also that of .*a; export one"):
        export.export(runs, tmp_path / "x.onnx")
    with pytest.raises(ConfigError, match="residual: 'drums' is a stem"):
        export.export(runs[1:], tmp_path / "x.onnx", residual="drums")


def test_masks_that_depend_on_each_other_are_trained_together(songs, tmp_path):
    pairs = [("vocals", "drums"), ("bass", "guitar")]
    runs = [
        songs(pair[0], *pair, head={"mask": "softmax"}, data={"sources": list(pair)})
        for pair in pairs
    ]
    with pytest.raises(ConfigError, match="softmax depend on those of the other sources"):
        export.export(runs, tmp_path / "x.onnx")


def test_a_stream_and_a_chunk_network_do_not_share_a_file(songs, tmp_path):
    crn = {"kind": "crn", "channels": [8], "hidden": 8}
    runs = [songs("a", "vocals"), songs("b", "drums", backbone=crn)]
    with pytest.raises(ConfigError, match="side by side"):
        export.export(runs, tmp_path / "x.onnx")


def test_the_name_of_the_model_comes_last(band, tmp_path):
    with pytest.raises(ConfigError, match=re.escape(f"{band[1]}: is no name of a model")):
        export.export(band[:1], band[1])
