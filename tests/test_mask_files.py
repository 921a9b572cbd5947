"""Masks as files: applied they are the separation, edited they are the edit; no harm is in them."""

import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
from unmask import STFT, Settings, audio, mask_files, masks
from unmask.cli import main
from unmask.engine.model import load_model
from unmask.errors import ConfigError, FileError, SampleRateError, ShapeError, SignalError

STFT_ = STFT(64, 16)


def written(path, n_channels=2, n_samples=5003, sample_rate=16000, seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    noise = 0.2 * rng.standard_normal((n_channels, n_samples))
    audio.write(path, noise + offset, sample_rate)
    return path


def header(**changes):
    said = {
        "stems": ("a", "b"),
        "stft": STFT_,
        "sample_rate": 16000,
        "n_channels": 2,
        "n_samples": 5003,
        "family": "complex",
    }
    return mask_files.Header(**said | changes)


def some_masks(**changes):
    head = header(**changes)
    rng = np.random.default_rng(1)
    values = rng.standard_normal((*head.shape, 2)).astype(np.float32)
    return mask_files.Masks(values[..., 0] + 1j * values[..., 1], head)


@pytest.fixture
def mixture(tmp_path):
    return written(tmp_path / "mixture.wav")


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "saved.npz"
    mask_files.save(path, some_masks())
    return path


MODELS = {
    "complex": {"n_parts": 2},
    "real": {"n_parts": 1, "mask": {"family": "irm1", "options": {}}},
    "deep filter": {"n_parts": 10, "mask": {"family": "deep_filter", "options": {}}},
    "without an offset": {"n_parts": 2, "slow_terms": 1},
    "without a slope": {"n_parts": 1, "mask": {"family": "irm1", "options": {}}, "slow_terms": 2},
}


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("kind", MODELS)
def test_saved_masks_of_a_model_give_its_separation(tmp_path, kind, rate):
    model = load_model(onnx_models.recurrent(tmp_path / "m.onnx", **MODELS[kind]))
    offset = 0.3 if "slow_terms" in MODELS[kind] else 0.0
    path = written(tmp_path / "x.wav", sample_rate=rate, offset=offset)
    made = mask_files.save_used(model, path, tmp_path / "x.npz", residual=True)
    samples, _ = audio.read(path)
    found = mask_files.apply(mask_files.load(tmp_path / "x.npz"), samples, rate)
    expected = model.separate(samples, rate, residual=True)
    assert found.keys() == expected.keys() == set(made.outputs)
    for stem in expected:
        np.testing.assert_allclose(found[stem], expected[stem], rtol=0, atol=1e-6)


#: Masks of 0.75 and 0.25, and what is slow goes to the second.
SUMMING = {"slow_terms": 2, "slow_stem": "b", "stems": ["a", "b"], "residual": None}


def under_an_offset(path, n_samples=5003):
    """Write noise under an offset and a slope."""
    rng, time = np.random.default_rng(5), np.linspace(-1, 1, n_samples)
    waveform = 0.1 * rng.standard_normal((2, n_samples)) + 0.3 + 0.2 * time
    audio.write(path, waveform, 16000, subtype="FLOAT")
    return path


@pytest.mark.parametrize("settings", [None, Settings(sensitivity=2.0)])
def test_what_is_slow_goes_where_the_model_puts_it(tmp_path, settings):
    mask = {"family": "softmax", "options": {}}
    path = onnx_models.constant(tmp_path / "m.onnx", [[0.75], [0.25]], mask=mask, **SUMMING)
    model, recording = load_model(path), under_an_offset(tmp_path / "x.wav")
    mask_files.save_used(model, recording, tmp_path / "x.npz", settings=settings)
    samples, rate = audio.read(recording)
    found = mask_files.apply(mask_files.load(tmp_path / "x.npz"), samples, rate)
    expected = model.separate(samples, rate, settings=settings)
    for stem in expected:
        np.testing.assert_allclose(found[stem], expected[stem], rtol=0, atol=1e-6)
    assert abs(found["a"].mean()) < 0.01


def test_an_edit_does_not_move_to_the_stem_of_what_is_slow(tmp_path):
    mask = {"family": "softmax", "options": {}}
    path = onnx_models.constant(tmp_path / "m.onnx", [[0.75], [0.25]], mask=mask, **SUMMING)
    recording = under_an_offset(tmp_path / "x.wav")
    mask_files.save_used(load_model(path), recording, tmp_path / "x.npz")
    saved, (samples, rate) = mask_files.load(tmp_path / "x.npz"), audio.read(recording)
    before = mask_files.apply(saved, samples, rate)
    saved.masks[0] = 0
    after = mask_files.apply(saved, samples, rate)
    np.testing.assert_array_equal(after["b"], before["b"])
    assert not after["a"].any()


@pytest.mark.parametrize("wrong", [{"slow_terms": 9}, {"slow_terms": 1.0}, {"slow_stem": "c"}])
def test_a_header_whose_slow_part_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"slow_(terms|stem): .*, expected"):
        header(**wrong)


def test_settings_of_masks_are_in_them(tmp_path, mixture):
    model = load_model(onnx_models.recurrent(tmp_path / "m.onnx", n_parts=2))
    settings = Settings(sensitivity=2.0, linked=True)
    mask_files.save_used(model, mixture, tmp_path / "x.npz", settings=settings)
    samples, rate = audio.read(mixture)
    found = mask_files.apply(mask_files.load(tmp_path / "x.npz"), samples, rate)
    expected = model.separate(samples, rate, settings=settings)
    np.testing.assert_allclose(found["speech"], expected["speech"], rtol=0, atol=1e-6)


def test_a_quotient_of_spectra_gives_back_any_estimate(tmp_path, mixture):
    stems = {"a": written(tmp_path / "a.wav", seed=1), "b": written(tmp_path / "b.wav", seed=2)}
    mask_files.save_ideal(stems, mixture, tmp_path / "x.npz", stft=STFT(256, 100))
    mask_files.apply_to_file(
        mask_files.load(tmp_path / "x.npz"), mixture, tmp_path / "out", subtype="FLOAT"
    )
    for stem, path in stems.items():
        found, _ = audio.read(tmp_path / "out" / f"{stem}.wav")
        np.testing.assert_allclose(found, audio.read(path)[0], rtol=0, atol=1e-6)


def test_what_stems_leave_of_the_mixture_has_its_share(tmp_path):
    one, two = (written(tmp_path / f"{k}.wav", seed=k) for k in (1, 2))
    both = audio.read(one)[0] + audio.read(two)[0]
    audio.write(tmp_path / "x.wav", both, 16000, subtype="FLOAT")
    mask_files.save_ideal({"a": one}, tmp_path / "x.wav", tmp_path / "x.npz", family="irm1")
    stft, found = STFT(), mask_files.load(tmp_path / "x.npz").masks
    spectra = [stft.analyze(x) for x in (audio.read(one)[0], audio.read(two)[0])]
    expected = masks.get("irm1").ideal(np.stack(spectra), sum(spectra))[:1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_ideal_masks_in_pieces_are_those_of_the_whole(tmp_path, mixture):
    stem = written(tmp_path / "a.wav", seed=1)
    mask_files.save_ideal({"a": stem}, mixture, tmp_path / "x.npz", stft=STFT(64, 16))
    whole = [STFT_.analyze(audio.read(path)[0].astype("float64")) for path in (stem, mixture)]
    found = mask_files.load(tmp_path / "x.npz").masks[0]
    np.testing.assert_allclose(found * whole[1], whole[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_edits_in_numpy_are_applied(tmp_path, saved, mixture, write, order):
    with np.load(saved) as file:
        values, head = np.array(file["masks"], order=order), file["header"]
    values[0] *= 0.5
    write(tmp_path / "edited.npz", masks=values, header=head)
    samples, rate = audio.read(mixture)
    before, after = (
        mask_files.apply(mask_files.load(path), samples, rate)
        for path in (saved, tmp_path / "edited.npz")
    )
    np.testing.assert_allclose(after["a"], 0.5 * before["a"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(after["b"], before["b"])


def test_changing_loaded_masks_leaves_the_file(saved):
    loaded = mask_files.load(saved)
    loaded.masks[:] = 0
    assert np.all(mask_files.load(saved).masks != 0)
    assert np.all(next(loaded.blocks()) == 0)


def test_masks_that_stay_on_disk_are_the_same_and_cannot_be_changed(saved):
    whole, mapped = (mask_files.load(saved, mapped=mapped) for mapped in (False, True))
    for ours, theirs in zip(whole.blocks(), mapped.blocks(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="read-only"):
        mapped.masks[:] = 0


def test_the_same_masks_give_the_same_bytes(tmp_path, saved):
    mask_files.save(tmp_path / "again.npz", mask_files.load(saved))
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_masks_of_true_and_false_are_applied(mixture):
    head = header(stems=("a",))
    ones = mask_files.Masks(np.ones(head.shape, bool), head)
    samples, rate = audio.read(mixture)
    found = mask_files.apply(ones, samples, rate)["a"]
    np.testing.assert_allclose(found, samples, rtol=0, atol=1e-6)


def test_memory_does_not_grow_with_the_recording(tmp_path):
    def peak(n_samples):
        stem, mixture = (
            written(tmp_path / f"{k}.wav", n_channels=1, n_samples=n_samples, seed=k)
            for k in (1, 2)
        )
        tracemalloc.start()
        mask_files.save_ideal({"a": stem}, mixture, tmp_path / "x.npz", stft=STFT(512, 128))
        loaded = mask_files.load(tmp_path / "x.npz", mapped=True)
        mask_files.apply_to_file(loaded, mixture, tmp_path / "out")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100_000)  # what is loaded once
    assert peak(1_200_000) < 1.2 * peak(600_000)


def test_a_summary_has_the_known_answer(tmp_path):
    head = header(stems=("a", "b"), family="irm1")
    values = np.zeros(head.shape, np.complex64)
    values[0] = 2j
    values[1, ..., : head.shape[2] // 2, :] = 0.5
    first, second = mask_files.summary(mask_files.Masks(values, head))
    half = (head.shape[2] // 2) / head.shape[2]
    assert (first.least, first.mean, first.greatest) == (2, 2, 2)
    assert (first.closed, first.above_one, first.turned, first.outside) == (0, 1, 1, 1)
    assert (second.least, second.greatest, second.turned, second.outside) == (0, 0.5, 0, 0)
    assert second.closed == pytest.approx(1 - half)
    assert second.mean == pytest.approx(half / 2)


def with_header(path, **changes):
    loaded = mask_files.load(path)
    said = json.loads(loaded.header.text()) | changes
    np.savez(path, masks=loaded.masks, header=np.array(json.dumps(said)))


def with_masks(path, change):
    loaded = mask_files.load(path)
    np.savez(path, masks=change(loaded.masks), header=np.array(loaded.header.text()))


def poisoned(values):
    values[1, 0, 3, 7] = np.nan
    return values


def bomb(path):
    head = header(n_samples=1 << 22, n_channels=1, stems=("a",))
    np.savez_compressed(
        path, masks=np.zeros(head.shape, np.complex64), header=np.array(head.text())
    )


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-3000])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def with_more(path):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil.npy", b"x")


BAD = {
    "no file": (Path.unlink, "cannot be read"),
    "text": (lambda path: path.write_text("Dear all,\n"), "is damaged or no .npz"),
    "cut short": (cut_short, "is damaged or no .npz"),
    "a flipped bit": (flipped, "is damaged or no .npz"),
    "other arrays": (lambda path: np.savez(path, x=np.ones(3)), "holds x.npy, expected the arrays"),
    "a path that leads out": (with_more, r"holds \.\./\.\./evil.npy"),
    "pickled masks": (
        lambda path: with_masks(path, lambda m: np.array([m, None], object)),
        "pickled objects",
    ),
    "a pickled header": (
        lambda path: np.savez(path, masks=np.ones(3), header=np.array([None], object)),
        "is damaged or no .npz",
    ),
    "integers": (lambda path: with_masks(path, lambda m: m.real.astype(int)), "masks are int64"),
    "another shape": (lambda path: with_masks(path, lambda m: m[:, :, 1:]), "masks have shape"),
    "a bomb": (bomb, "unpacks to"),
    "another front-end": (
        lambda path: with_header(path, front_end={"kind": "stft", "n_fft": 128, "hop": 32}),
        "of another front-end or recording",
    ),
    "no front-end": (lambda path: with_header(path, front_end={"kind": "frames"}), "is no stft"),
    "a front-end that cannot be": (
        lambda path: with_header(path, front_end={"kind": "stft", "n_fft": 64, "hop": 65}),
        "hop: 65",
    ),
    "a huge front-end": (
        lambda path: with_header(path, front_end={"kind": "stft", "n_fft": 1 << 40, "hop": 1}),
        "n_fft, hop are",
    ),
    "an unknown window": (
        lambda path: with_header(
            path, front_end={"kind": "stft", "n_fft": 64, "hop": 16, "window": "x"}
        ),
        "window: 'x' is unknown",
    ),
    "an unknown family": (lambda path: with_header(path, family="best"), "no mask family named"),
    "a format to come": (lambda path: with_header(path, format=2), "is not of format 1"),
    "a stem that leads out": (
        lambda path: with_header(path, stems=["../../a", "b"]),
        "cannot be the name of a file",
    ),
    "a stem that is a device": (
        lambda path: with_header(path, stems=["con", "b"]),
        "cannot be the name of a file",
    ),
    "a stem twice": (lambda path: with_header(path, stems=["a", "A"]), "two are the same"),
    "stems that are none": (lambda path: with_header(path, stems=[["a"], 3]), "cannot be the name"),
    "a rate that is none": (lambda path: with_header(path, sample_rate=True), "sample_rate: True"),
    "more fields": (lambda path: with_header(path, colour="red"), "header cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_file_of_masks_is_refused_in_one_line(tmp_path, saved, mixture, case):
    spoil, words = BAD[case]
    spoil(saved)
    with pytest.raises(FileError, match=words):
        mask_files.load(saved)
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["masks", "apply", str(saved), str(mixture), "-o", str(out)])
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert not out.exists()


def test_masks_that_are_no_numbers_are_refused_when_they_are_used(tmp_path, saved, mixture):
    with_masks(saved, poisoned)
    out = tmp_path / "out"
    with pytest.raises(SignalError, match=r"the mask at \(1, 0, 3, 7\) is .*nan"):
        mask_files.apply_to_file(mask_files.load(saved), mixture, out)
    assert list(out.iterdir()) == []
    with pytest.raises(SignalError, match="expected a finite number"):
        mask_files.summary(mask_files.load(saved))


def test_masks_of_another_recording_are_refused(tmp_path, saved):
    loaded = mask_files.load(saved)
    with pytest.raises(SampleRateError, match="for 16000 Hz"):
        mask_files.apply(loaded, np.zeros((2, 5003)), 44100)
    with pytest.raises(ShapeError, match=r"1 channels of 5003 samples, .* for 2 of 5003"):
        mask_files.apply(loaded, np.zeros((1, 5003)), 16000)
    with pytest.raises(ShapeError, match="for 2 of 5003"):
        mask_files.apply(loaded, np.zeros((2, 5004)), 16000)


def test_a_file_that_is_not_whole_is_not_there(tmp_path):
    made = some_masks()
    with (
        pytest.raises(ShapeError, match="64 frames of masks"),
        mask_files.MaskWriter(tmp_path / "x.npz", made.header, is_complex=True) as writer,
    ):
        writer.write(made.masks[..., :64])
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_saves_looks_and_applies(tmp_path, mixture, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stems").mkdir()
    written(tmp_path / "stems" / "vocals.wav", seed=1)
    run = CliRunner().invoke
    made = run(main, ["masks", "save", "mixture.wav", "--of", "stems", "--residual"])
    assert made.stdout == "mixture.npz\n"
    looked = run(main, ["masks", "inspect", "mixture.npz", "--json", "-"])
    assert json.loads(looked.stdout)["summary"][0]["stem"] == "vocals"
    applied = run(main, ["masks", "apply", "mixture.npz", "mixture.wav", "--subtype", "FLOAT"])
    assert applied.stdout.split() == ["masked/vocals.wav", "masked/residual.wav"]
    parts = [audio.read(path)[0] for path in ("masked/vocals.wav", "masked/residual.wav")]
    np.testing.assert_allclose(sum(parts), audio.read(mixture)[0], rtol=0, atol=1e-6)


def test_a_bare_command_lists_the_families(tmp_path):
    bare, listed = (CliRunner().invoke(main, ["masks", *word]) for word in ([], ["list"]))
    assert bare.output == listed.output
    assert "complex_tanh" in bare.output
    refused = CliRunner().invoke(main, ["masks", "--json", "x", "inspect", "y"])
    assert "--json: belongs after the command" in refused.stderr
