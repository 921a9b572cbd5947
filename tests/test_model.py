"""Loading models: what a file says is believed only after it was checked, and never executed."""

import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import onnx_models
from unmask import Streamer, audio
from unmask.engine.model import bundled, load_model
from unmask.errors import ConfigError, ModelError, SampleRateError, ShapeError, SignalError
from unmask.metrics import best_permutation, pairwise, si_sdr

DEMO = Path(__file__).parents[1] / "assets" / "demo"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A valid model of two stems with state."""
    file = tmp_path_factory.mktemp("model") / "two.onnx"
    return onnx_models.recurrent(file, n_parts=2, stems=["vocals", "drums"], residual="other")


@pytest.fixture
def changed(path, tmp_path):
    """Write the model with other metadata: text, or a function on the dictionary."""

    def changed(change):
        model = onnx.load(path)
        meta = json.loads(model.metadata_props[0].value)
        text = change if isinstance(change, str) else json.dumps(change(meta))
        helper.set_model_props(model, {"unmask": text})
        onnx.save(model, tmp_path / "changed.onnx")
        return tmp_path / "changed.onnx"

    return changed


def refused(path, *words):
    """Check that loading fails with one line that names the file and holds `words`."""
    with pytest.raises(ModelError) as caught:
        load_model(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def noise(n_channels, n_samples):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n_channels, n_samples)).astype(np.float32)


def test_a_model_says_what_its_file_says(path):
    model = load_model(str(path))
    assert (model.name, model.version, model.task) == ("test", "1", "denoise")
    assert (model.stems, model.residual) == (("vocals", "drums"), "other")
    assert (model.sample_rate, model.frontend.n_fft, model.frontend.hop) == (16000, 64, 32)
    assert model.latency_s == 63 / 16000
    assert model.metadata["training"] == {"data": "none"}
    assert len(model.sha256) == 64


def test_stems_come_by_name_and_the_residual_when_asked(path):
    model, mixture = load_model(path), noise(2, 1000)
    stems = model.separate(mixture, 16000)
    assert list(stems) == ["vocals", "drums"]
    parts = model.separate(mixture, 16000, residual=True)
    assert list(parts) == ["vocals", "drums", "other"]
    for part in parts.values():
        assert (part.shape, part.dtype) == ((2, 1000), np.float32)
    np.testing.assert_allclose(sum(parts.values()), mixture, rtol=0, atol=1e-5)


def test_repeats_are_identical_to_the_bit(path):
    mixture = noise(2, 5000)
    first = load_model(path).separate(mixture, 44100)["vocals"]
    model = load_model(path)
    for _ in range(2):
        np.testing.assert_array_equal(model.separate(mixture, 44100)["vocals"], first)


@pytest.mark.parametrize("n_samples", [40000, 40001])
def test_a_part_at_the_start_does_not_depend_on_what_follows(path, n_samples):
    """Neither the batch nor the size of a call may show (peers: -40 dB over a whole file)."""
    model, mixture = load_model(path), noise(8, n_samples)
    together = model.separate(mixture, 16000)["drums"]
    alone = model.separate(mixture[:1, : n_samples // 2], 16000)["drums"]
    known = n_samples // 2 - 64
    np.testing.assert_allclose(together[:1, :known], alone[:, :known], rtol=0, atol=1e-5)


def test_the_mixture_is_not_changed(path):
    mixture = noise(1, 500)
    before = mixture.copy()
    load_model(path).separate(mixture, 16000, residual=True)
    np.testing.assert_array_equal(mixture, before)


def test_double_precision_and_strided_arrays_are_taken(path):
    model, mixture = load_model(path), noise(2, 500)
    interleaved = np.ascontiguousarray(mixture.T).T
    expected = model.separate(mixture, 16000)["vocals"]
    for same in (interleaved, mixture.astype(np.float64)):
        np.testing.assert_array_equal(model.separate(same, 16000)["vocals"], expected)


@pytest.mark.parametrize(
    ("mixture", "sample_rate", "error", "words"),
    [
        (np.zeros(8, np.float32), 16000, ShapeError, r"\(8,\), expected \(channel >= 1, sample\)"),
        (np.zeros((0, 8), np.float32), 16000, ShapeError, r"\(0, 8\), expected \(channel >= 1"),
        (np.zeros((1, 8), np.int16), 16000, ShapeError, "type int16"),
        (np.zeros((1, 8), complex), 16000, ShapeError, "type complex128"),
        (np.full((1, 8), np.nan), 16000, SignalError, "sample 0 of channel 0 is nan"),
        (np.full((1, 8), np.inf), 16000, SignalError, "is inf"),
        (np.full((1, 8), 1e39), 16000, SignalError, r"is 1e\+39"),
        (np.zeros((1, 8)), 7999, SampleRateError, "7999 Hz, expected 8000 to 192000 Hz"),
    ],
)
def test_what_is_no_sound_is_refused_in_one_sentence(path, mixture, sample_rate, error, words):
    with pytest.raises(error, match=words):
        load_model(path).separate(mixture, sample_rate)


def test_a_file_that_is_not_there_is_named(tmp_path):
    refused(tmp_path / "none.onnx", "no such file")


def test_a_folder_is_refused_with_the_way_out(tmp_path):
    refused(tmp_path, "is a folder", "unmask export")


@pytest.mark.parametrize(
    "content",
    [b"", b"not a model", b"PK\x03\x04 zip", b"RIFF....WAVEfmt ", pickle.dumps({"state": [1.0]})],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    refused(file)


def test_a_truncated_model_is_refused(path, tmp_path):
    file = tmp_path / "half.onnx"
    file.write_bytes(path.read_bytes()[:500])
    refused(file, "ONNX")


def test_a_foreign_onnx_file_is_refused(path, tmp_path):
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    refused(tmp_path / "foreign.onnx", "without the metadata", "unmask export")


@pytest.mark.parametrize(("number", "remedy"), [(3, "update unmask"), (1, "export it again")])
def test_another_format_is_refused(changed, number, remedy):
    refused(changed(lambda meta: meta | {"format": number}), f"has format {number}", remedy)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "{}", '{"format": true}', '{"format": "1"}']
)
def test_metadata_that_is_no_metadata_is_refused(changed, text):
    refused(changed(text), "metadata", "export it again")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../../etc/passwd"),
        ("name", ""),
        ("name", None),
        ("version", 1),
        ("task", None),
        ("sample_rate", "16000"),
        ("sample_rate", 7999),
        ("sample_rate", True),
        ("frontend", None),
        ("frontend", {"kind": "learned", "n_fft": 64, "hop": 32, "window": "hann"}),
        ("frontend", {"kind": "stft", "n_fft": 64, "hop": 32.0, "window": "hann"}),
        ("frontend", {"kind": "stft", "n_fft": 64, "hop": 32, "window": "hann", "pad": 1}),
        ("frontend", {"kind": "frames", "length": 64}),
        ("frontend", {"kind": "frames", "length": 64, "hop": 32, "window": "hann"}),
        ("channels", 0),
        ("channels", 2.0),
        ("frontend", {"kind": "stft", "n_fft": 2**30, "hop": 2**29, "window": "hann"}),
        ("mask", {"family": "complex_tanh"}),
        ("mask", {"family": "complex_tanh", "options": {"limit": "1"}}),
        ("stems", []),
        ("stems", ["vocals", "vocals"]),
        ("stems", ["a/b", "c"]),
        ("stems", [["vocals"], "drums"]),
        ("stems", "vd"),
        ("residual", "../noise"),
        ("residual", "drums"),
        ("lookahead_frames", -1),
        ("context_frames", -4),
        ("context_frames", 4.0),
        ("unit_frames", 0),
        ("unit_frames", None),
        ("state", {}),
        ("state", [{"name": "state_0"}]),
        ("state", [{"name": "state_0", "shape": [0]}]),
    ],
)
def test_every_field_is_checked(changed, field, value):
    refused(changed(lambda meta: meta | {field: value}), f"metadata field {field}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"context_frames": 6, "unit_frames": 4}, "context_frames is 6, expected a multiple of"),
        ({"context_frames": 4}, "neither state nor lookahead_frames"),
        ({"context_frames": 4, "state": [], "lookahead_frames": 1}, "neither state nor lookahead"),
    ],
)
def test_a_network_remembers_or_works_in_chunks(changed, change, words):
    refused(changed(lambda meta: meta | change), words, "export it again")


def test_a_network_that_cannot_take_its_unit_is_refused(tmp_path):
    """Three frames up become four: the file says it takes any number."""
    path = onnx_models.hourglass(tmp_path / "h.onnx", n_parts=2, unit=1)
    refused(path, "metadata", "export it again")
    model = load_model(onnx_models.hourglass(tmp_path / "h.onnx", n_parts=2))
    assert (model.context, model.unit, model.lookahead) == (12, 4, 12)


def test_a_file_without_the_fields_of_chunks_is_no_chunk_network(path):
    model = load_model(path)
    assert "unit_frames" not in json.loads(onnx.load(path).metadata_props[0].value)
    assert (model.context, model.unit, model.lookahead) == (0, 1, 0)


def test_a_missing_field_is_named(changed):
    refused(changed(lambda meta: {key: meta[key] for key in meta if key != "stems"}), "stems")


@pytest.mark.parametrize(
    "family", ["builtins.print", "os.system", "unmask.masks.get", "complex_tnh"]
)
def test_a_mask_family_is_looked_up_in_the_registry_and_never_imported(changed, capsys, family):
    """Peers import the class that a weights file names; `builtins.print` did print."""
    change = {"mask": {"family": family, "options": {}}}
    refused(changed(lambda meta: meta | change), f"no mask family named {family!r}", "irm1")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "change",
    [
        {"frontend": {"kind": "stft", "n_fft": 64, "hop": 65, "window": "hann"}},
        {"frontend": {"kind": "frames", "length": 64, "hop": 65}},
        {"frontend": {"kind": "stft", "n_fft": 64, "hop": 64, "window": "hann"}},
        {"frontend": {"kind": "stft", "n_fft": 64, "hop": 32, "window": "os.system"}},
        {"mask": {"family": "complex_tanh", "options": {"bound": 1}}},
        {"mask": {"family": "complex_tanh", "options": {"sample_rate": 1, "limit": 1}}},
        {"mask": {"family": "hybrid:complex:9000:irm1", "options": {}}},
    ],
)
def test_settings_that_cannot_work_are_refused(changed, change):
    refused(changed(lambda meta: meta | change), "metadata")


@pytest.mark.parametrize(
    "change",
    [
        {"stems": ["vocals"]},
        {"mask": {"family": "irm1", "options": {}}},
        {"frontend": {"kind": "stft", "n_fft": 128, "hop": 32, "window": "sqrt_hann"}},
        {"state": []},
        {"state": [{"name": "state_0", "shape": [2, 33, 2]}]},
        {"state": [{"name": "state_1", "shape": [1, 5]}, {"name": "state_0", "shape": [2, 33, 1]}]},
        {"state": [{"name": "memory", "shape": [1]}]},
        {"mask": {"family": "deep_filter", "options": {"order": 2}}, "stems": ["a", "b", "c"]},
        {"channels": 2},
        {"frontend": {"kind": "frames", "length": 64, "hop": 32}},
    ],
)
def test_a_network_that_does_not_fit_its_metadata_is_refused(changed, change):
    refused(changed(lambda meta: meta | change), "metadata", "export it again")


def test_a_fixed_batch_axis_is_refused(path, tmp_path):
    model = onnx.load(path)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, tmp_path / "one.onnx")
    refused(tmp_path / "one.onnx", "do not fit the metadata")


def test_a_mask_that_looks_ahead_needs_a_model_that_does(tmp_path):
    mask = {"family": "deep_filter", "options": {"order": 3, "lookahead": 2}}
    file = onnx_models.recurrent(tmp_path / "ahead.onnx", n_parts=6, mask=mask, lookahead_frames=1)
    refused(file, "looks 2 frames ahead, lookahead_frames is 1")


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(ModelError, match=r"no model named 'htdemucs'; there are .*path of an"):
        load_model("htdemucs")


@pytest.mark.parametrize("name", sorted(bundled()))
def test_bundled_models_load_under_their_name(name):
    assert load_model(name).name == name


DENOISERS = [name for name in sorted(bundled()) if load_model(name).task == "denoise"]


@pytest.mark.parametrize("sample_rate", [16000, 48000])
@pytest.mark.parametrize("name", DENOISERS)
def test_bundled_denoisers_denoise(name, sample_rate):
    mixture, speech = (
        audio.resample(*audio.read(DEMO / f"{stem}.flac"), sample_rate)
        for stem in ("mixture", "speech")
    )
    found = load_model(name).separate(mixture, sample_rate)["speech"]
    assert si_sdr(found, speech) > si_sdr(mixture, speech) + 5.5


@pytest.mark.parametrize("sample_rate", [8000, 16000])
def test_two_talkers_become_one_each(sample_rate, shared):
    """A man (93 Hz) and a woman (222 Hz) whom the network never heard, both all the time."""
    folder = shared / "audio/speech/librispeech_many"
    files = (folder / f"valid_libri_{number}.opus" for number in (7447, 2989))
    talkers = [
        audio.resample(*audio.read(file), sample_rate)[:, : 8 * sample_rate] for file in files
    ]
    talkers = np.stack([talker / talker.std() for talker in talkers]) / 10
    mixture = talkers.sum(axis=0)
    found = load_model("two-speakers").separate(mixture, sample_rate)
    assert list(found) == ["speaker1", "speaker2"]
    np.testing.assert_allclose(sum(found.values()), mixture, atol=1e-5)
    scores = pairwise(si_sdr, np.stack(list(found.values())), talkers)
    best = scores[best_permutation(scores), [0, 1]]
    before = si_sdr(np.broadcast_to(mixture, talkers.shape), talkers)
    assert best.mean() > before.mean() + 6


@pytest.mark.parametrize("level_db", [-60, -35, -10])
@pytest.mark.parametrize("sample_rate", [16000, 48000])
@pytest.mark.parametrize("name", DENOISERS)
def test_bundled_denoisers_take_out_hiss(name, sample_rate, level_db, rng):
    """White noise up to half the rate: trained on less, they take what is high for speech."""
    noise = 10 ** (level_db / 20) * rng.standard_normal((1, 3 * sample_rate))
    found = load_model(name).separate(noise, sample_rate)["speech"]
    assert np.std(found[:, 2 * sample_rate :]) < 10 ** (-30 / 20) * np.std(noise)


def test_the_bundled_denoiser_for_calls_is_20_ms_late():
    assert Streamer(load_model("denoise-48k-live"), sample_rate=48000).latency < 0.020 * 48000


def test_threads_and_providers_are_checked(path):
    with pytest.raises(ConfigError, match="threads: 0"):
        load_model(path, threads=0)
    with pytest.raises(ConfigError, match=r"providers: abacus not in .* there are .*cpu"):
        load_model(path, providers=["cpu", "abacus"])
    for name in ("cpu", "CPUExecutionProvider"):
        assert load_model(path, providers=[name]).name == "test"


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_refused(path, monkeypatch):
    """ONNX Runtime goes on with the CPU instead."""
    names = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    monkeypatch.setattr("unmask.engine.session.available_providers", lambda: names)
    with pytest.raises(ConfigError, match="providers: cuda did not start"):
        load_model(path, providers=["cuda", "cpu"])


def test_the_number_of_threads_does_not_change_the_result(path):
    mixture = noise(1, 3000)
    one, two = (load_model(path, threads=n).separate(mixture, 16000)["drums"] for n in (1, 2))
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-5)


def test_tensors_are_taken_with_gradients_and_refused_in_types_that_numpy_lacks(path):
    torch = pytest.importorskip("torch")
    model, mixture = load_model(path), noise(2, 500)
    tensor = torch.from_numpy(mixture).requires_grad_()
    expected = model.separate(mixture, 16000)["drums"]
    np.testing.assert_array_equal(model.separate(tensor, 16000)["drums"], expected)
    with pytest.raises(ShapeError, match=r"type torch\.bfloat16, expected single or double"):
        model.separate(tensor.bfloat16(), 16000)
