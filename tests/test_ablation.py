"""The ablation: an independent computation in plain NumPy, and what holds for every recording."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest

from unmask import ablation, masks
from unmask.ablation import Cell, Grid, Material, Results, find_material, measure, statements
from unmask.ablation.grid import FULL, canonical
from unmask.ablation.material import Waves
from unmask.ablation.tables import blog_rows, level_rows, results
from unmask.errors import AudioFileError, ConfigError, SampleRateError, ShapeError
from unmask.frontends import STFT

MUSIC = Path(__file__).parents[1] / "assets" / "music"
SMALL = {"n_fft": 510, "hop": 128}


def noise(n_sources=2, n_samples=6000, n_channels=1, seed=0):
    """Sources whose spectra fall, so that their bins are unlike."""
    rng = np.random.default_rng(seed)
    waves = np.cumsum(rng.normal(size=(n_sources, n_channels, n_samples)), axis=-1)
    waves = waves[..., 1:] - 0.95 * waves[..., :-1]
    waves = (waves / np.abs(waves).max()).astype(np.float32)
    return Waves(tuple("abcd"[:n_sources]), waves, 16000)


def interpolated(grid, waves=None, stft=None):
    waves = waves or noise()
    cells = grid.cells()
    found = {}
    for cell in cells:
        found |= measure(waves, [cell])
    return Results(found, "sum", grid.stfts[0])


# ---- an independent computation: nothing of the package below this line


def spectra_by_hand(x, n=510, hop=128):
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    padded = np.pad(x, (n // 2, n // 2 + hop))
    starts = range(0, hop * (1 + math.ceil(len(x) / hop)), hop)
    return np.array([np.fft.rfft(window * np.pad(padded, (0, n))[k : k + n]) for k in starts]).T


def sound_by_hand(spectrum, n_samples, n=510, hop=128):
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    total, weight = np.zeros((2, n + hop * spectrum.shape[1]))
    for k, column in enumerate(spectrum.T):
        total[k * hop : k * hop + n] += window * np.fft.irfft(column, n)
        weight[k * hop : k * hop + n] += window**2
    return (total / np.maximum(weight, 1e-12))[n // 2 : n // 2 + n_samples]


def column_by_hand(low, n_freq, factor, how, shift):
    """One column at `n_freq` bins; `shift` is 0 where aligned."""
    at = np.clip(np.arange(n_freq) / factor - shift, 0, len(low) - 1)
    if how == "linear":
        return np.interp(at, np.arange(len(low)), low)
    return low[np.arange(n_freq) // factor]


def sdr_by_hand(sources, *, bound, upsampled, space, how, shift, factor=2):
    spectra = [spectra_by_hand(x) for x in sources]
    mixture, n_freq = sum(spectra), len(spectra[0])
    found = []
    for wave, target in zip(sources, spectra, strict=True):
        mask = np.divide(target, mixture, out=0 * target, where=mixture != 0)
        mask = mask / np.maximum(1, np.abs(mask) / bound)
        is_mask, bins = upsampled == "mask", np.arange(n_freq)[:, None]
        turn = (-1.0) ** bins if upsampled == "centred_spectrum" else 1.0 + 0 * bins
        low = mask[::factor] * (1 if is_mask else (turn * mixture)[::factor])
        views = (np.abs, np.angle) if space == "polar" else (np.real, np.imag)
        one, other = (
            np.array([column_by_hand(c, n_freq, factor, how, shift) for c in view(low).T]).T
            for view in views
        )
        full = one * np.exp(1j * other) if space == "polar" else one + 1j * other
        heard = sound_by_hand(full * (mixture if is_mask else turn), len(wave))
        found.append(10 * np.log10(np.sum(wave**2) / np.sum((wave - heard) ** 2)))
    return float(np.mean(found))


# ---- the package again


@pytest.mark.parametrize(
    ("bound", "upsampled", "space", "how", "alignment"),
    [
        ("none", "mask", "cartesian", "linear", "aligned"),
        ("none", "mask", "cartesian", "linear", "half_bin"),
        ("none", "mask", "cartesian", "nearest", "half_bin"),
        ("1", "mask", "polar", "linear", "aligned"),
        ("2", "mask", "cartesian", "nearest", "aligned"),
        ("none", "spectrum", "cartesian", "linear", "aligned"),
        ("none", "spectrum", "polar", "linear", "half_bin"),
        ("none", "centred_spectrum", "cartesian", "linear", "aligned"),
    ],
)
def test_cells_are_those_of_an_independent_computation(bound, upsampled, space, how, alignment):
    stems = {n: f for n, f, _ in find_material([MUSIC])[1] if n in ("vocals", "drums")}
    material = Material("two", tuple((n, f, 0) for n, f in stems.items()), 2.0, 2.0, 16384, True)
    waves = material.load()
    cell = Cell("complex", bound, 2, upsampled, space, how, alignment, **SMALL)
    (scores,) = measure(waves, [cell]).values()
    expected = sdr_by_hand(
        waves.samples[:, 0].astype(float),
        bound=math.inf if bound == "none" else float(bound),
        upsampled=upsampled,
        space=space,
        how=how,
        shift=0.25 if alignment == "half_bin" else 0.0,
    )
    assert np.mean([score.sdr for score in scores]) == pytest.approx(expected, abs=0.05)


def test_the_excerpt_of_musdb18_gives_what_an_independent_computation_gives():
    found = importlib.util.find_spec("stempeg")  # importing it needs a program that we do not
    if found is None or importlib.util.find_spec("av") is None:
        pytest.skip("no stempeg, whose excerpt of a song this is, or no PyAV")
    (excerpt,) = Path(found.origin).parent.glob("data/*.stem.mp4")
    name, files = find_material([excerpt])
    waves = Material(name, files, 0.0, 4.0, 16384, True, target="vocals").load()
    sources, values = waves.samples[:, 0].astype(float), {}
    for how, alignment, shift in (
        ("nearest", "half_bin", 0.0),
        ("linear", "half_bin", 0.25),
        ("linear", "aligned", 0.0),
    ):
        cell = Cell("complex", "none", 2, "mask", "cartesian", how, alignment, **SMALL)
        (scores,) = measure(waves, [cell]).values()
        values[how, alignment] = np.mean([score.sdr for score in scores])
        axes = {"bound": math.inf, "upsampled": "mask", "space": "cartesian"}
        expected = sdr_by_hand(sources, how=how, shift=shift, **axes)
        assert values[how, alignment] == pytest.approx(expected, abs=0.05)
    assert values["linear", "half_bin"] < values["nearest", "half_bin"]
    assert values["nearest", "half_bin"] < values["linear", "aligned"]


def test_the_ranking_of_nearest_and_linear_is_turned_by_the_half_bin_shift():
    name, files = find_material([MUSIC])
    grid = Grid(families=["complex"], decimations=[2], upsampled=["mask"], spaces=["cartesian"])
    found = {}
    material = Material(name, files, 2.0, 2.0, 22050, True)
    for cell in grid.cells():
        found |= measure(material.load(), [cell])
    said = {one.text[:36]: one for one in statements(Results(found, "sum", STFT()))}
    assert said["With the half-bin shift of the usual"].holds
    assert said["With interpolation aligned to the ke"].holds
    assert said["So the blog's ranking, nearest first"].holds


def test_a_complex_mask_keeps_levels_and_a_binary_mask_shares_them():
    for n_sources in (2, 3):
        found = interpolated(Grid(decimations=[1]), noise(n_sources))
        assert found.gains("complex", "mean") == pytest.approx([1] * n_sources, abs=1e-4)
        shared = np.divide(found.gains("ibm_argmax", "mean"), found.gains("ibm_argmax", "sum"))
        assert shared == pytest.approx([1 / n_sources] * n_sources, abs=1e-5)
        assert found.sdr("complex") > 100 > found.sdr("ibm_argmax")


def test_repetition_is_the_same_in_both_spaces():
    grid = Grid(
        families=["complex"], bounds=["none"], decimations=[2, 4], interpolations=["nearest"]
    )
    found = interpolated(grid)
    for decimation in (2, 4):
        for alignment in ("aligned", "half_bin"):
            cartesian, polar = (
                found.sdr(
                    "complex",
                    decimation=decimation,
                    upsampled="mask",
                    space=space,
                    interpolation="nearest",
                    alignment=alignment,
                )
                for space in ("cartesian", "polar")
            )
            assert cartesian == pytest.approx(polar, abs=1e-3)


def test_compression_alone_loses_nothing_and_a_bound_does():
    found = interpolated(
        Grid(families=["complex"], bounds=["none", "1", "tanh:0.1"], decimations=[1])
    )
    assert found.sdr("complex", "tanh:0.1") > 60 > found.sdr("complex", "1")


def test_a_bound_draws_magnitudes_back_and_leaves_phases():
    from unmask.ablation.scoring import bounded

    mask = np.array([3 + 4j, 0.3 - 0.4j, 0])
    assert bounded(mask, 1.0) == pytest.approx([0.6 + 0.8j, 0.3 - 0.4j, 0])
    assert bounded(np.array([-3.0, 0.5]), 2.0).tolist() == [-2.0, 0.5]
    ideal = masks.get("complex").ideal(*_two_spectra())
    tanh = masks.get("complex_tanh", limit=2.0).ideal(*_two_spectra())
    assert np.allclose(bounded(ideal, 2.0), tanh)


def _two_spectra():
    rng = np.random.default_rng(1)
    parts = rng.normal(size=(2, 2, 1, 9, 4))
    targets = parts[0] + 1j * parts[1]
    return targets, targets.sum(0)


@pytest.mark.parametrize(
    ("cell", "same"),
    [
        (Cell("complex", "1", 1, "mask", "polar", "cubic", "aligned"), Cell("complex", "1")),
        (Cell("ibm_argmax", "1"), Cell("ibm_argmax")),
        (Cell("irm1", "2"), Cell("irm1")),
        (Cell("psm_signed", "1"), Cell("psm_signed")),
        (Cell("complex_tanh", "2"), Cell("complex_tanh")),
        (Cell("psm", "tanh:0.1"), Cell("psm")),
        (
            Cell("irm1", "none", 2, "mask", "polar", "linear", "aligned"),
            Cell("irm1", "none", 2, "mask", "", "linear", "aligned"),
        ),
    ],
)
def test_what_makes_no_difference_is_one_cell(cell, same):
    assert canonical(cell) == same == canonical(same)


def test_what_makes_a_difference_is_a_cell_of_its_own():
    for cell in (
        Cell("psm", "1"),
        Cell("complex_tanh", "0.5"),
        Cell("complex", "tanh:0.1"),
        Cell("ibm_argmax", "none", 2, "spectrum", "polar", "linear", "aligned"),
    ):
        assert canonical(cell) == cell


def test_cells_of_one_family_measured_together_are_those_measured_alone():
    waves = noise()
    grid = Grid(families=["complex"], bounds=["1"], decimations=[2], upsampled=["mask"])
    cells = [cell for cell in grid.cells() if cell.decimation == 2]
    together = measure(waves, cells)
    assert together == {cell: measure(waves, [cell])[cell] for cell in cells}
    assert len({tuple(scores) for scores in together.values()}) >= 10


def test_the_full_grid_has_every_axis_and_no_cell_twice():
    cells = FULL.cells()
    assert len(set(cells)) == len(cells)
    for axis in Cell.__dataclass_fields__:
        assert len({getattr(cell, axis) for cell in cells}) >= 2


def test_pieces_leave_no_seam(monkeypatch):
    waves, cell = (
        noise(n_samples=9000),
        Cell("complex", "1", 2, "mask", "polar", "linear", "aligned"),
    )
    cell = Cell(**{**cell.__dict__, **SMALL})
    whole = measure(waves, [cell])[cell]
    monkeypatch.setattr("unmask.ablation.scoring._N_FRAMES", 8)
    pieces = measure(waves, [cell])[cell]
    for one, other in zip(whole, pieces, strict=True):
        assert one.sdr == pytest.approx(other.sdr, abs=1e-3)
        assert one.l1 == pytest.approx(other.l1, rel=1e-4)


def test_statements_without_their_cells_are_not_measured():
    found = interpolated(Grid(decimations=[1], stfts=[STFT(510, 128)]))
    said = statements(found)
    assert {one.holds for one in said[:2]} == {True, False} or said[0].holds is True
    assert [one.verdict for one in said].count("not measured") == len(said) - 3
    assert all(not one.found for one in said if one.holds is None)


# ---- what is mixed


def material(tmp_path, n_sources=2, **options):
    from unmask import audio

    waves = noise(n_sources, n_samples=4000)
    for name, x in zip(waves.names, waves.samples, strict=True):
        audio.write(tmp_path / f"{name}.wav", x, 16000, subtype="FLOAT")
    return Material(*find_material([tmp_path]), **options)


def test_one_recording_is_mixed_with_itself_half_its_length_later(tmp_path):
    found = material(tmp_path, 1).load()
    assert found.names == ("a", "a later")
    assert np.array_equal(np.roll(found.samples[0], 1999, -1), found.samples[1])


def test_a_target_stands_against_the_sum_of_all_others(tmp_path):
    whole, two = material(tmp_path, 3).load(), material(tmp_path, 3, target="b").load()
    assert two.names == ("b", "everything else")
    assert np.allclose(two.samples[1], whole.samples[0] + whole.samples[2])


def test_what_cannot_be_mixed_is_refused_in_one_line(tmp_path):
    from unmask import audio

    with pytest.raises(ConfigError, match="no source 'x'; there are a, b"):
        material(tmp_path, target="x").load()
    with pytest.raises(ConfigError, match="expected a stretch"):
        material(tmp_path, start_s=9.0).load()
    with pytest.raises(AudioFileError, match="folder among files"):
        find_material([tmp_path / "a.wav", tmp_path])
    audio.write(tmp_path / "c.wav", np.zeros((1, 3999)), 16000)
    with pytest.raises(ConfigError, match="c is silent in this stretch"):
        Material(*find_material([tmp_path])).load()
    audio.write(tmp_path / "c.wav", np.ones((1, 3999)), 8000)
    with pytest.raises(SampleRateError, match=r"\[8000, 16000\] Hz, expected one"):
        Material(*find_material([tmp_path])).load()
    audio.write(tmp_path / "c.wav", np.ones((2, 3000)), 16000)
    with pytest.raises(ShapeError, match="take --mono"):
        Material(*find_material([tmp_path])).load()
    assert Material(*find_material([tmp_path]), mono=True).load().samples.shape == (3, 1, 3000)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"families": []}, "families: empty"),
        ({"families": ["irm"]}, "no mask family named 'irm'"),
        ({"families": ["deep_filter"]}, "several numbers a bin"),
        ({"families": ["hybrid:irm1:500:complex"]}, "hybrids are not in the grid"),
        ({"bounds": ["0"]}, "bound '0': expected none, a number above 0"),
        ({"bounds": ["tan"]}, "bound 'tan'"),
        ({"spaces": ["log"]}, "spaces: 'log', expected of cartesian, polar"),
        ({"decimations": [0]}, "decimations: 0"),
    ],
)
def test_wrong_axes_are_refused_in_one_line(axes, message):
    with pytest.raises(ConfigError, match=message):
        Grid(**axes)


# ---- kept on disk


def run(where, cache, grid):
    done = list(ablation.ablate(where, grid, cache=cache))
    cells = {cell: scores for one in done for cell, scores in one.scores.items()}
    return cells, sum(one.n_new for one in done)


def test_a_second_run_computes_only_what_is_new(tmp_path):
    small = {
        "families": ["complex"],
        "bounds": ["none"],
        "decimations": [2],
        "stfts": [STFT(256, 64)],
    }
    where, cache = material(tmp_path), tmp_path / "cache"
    first, n_first = run(where, cache, Grid(**small, interpolations=["linear"]))
    assert n_first == len(first)
    again, n_again = run(where, cache, Grid(**small, interpolations=["linear"]))
    assert n_again == 0
    assert again == first
    more, n_more = run(where, cache, Grid(**small))
    assert n_more == len(more) - len(first)
    assert first.items() <= more.items()
    fresh, _ = run(where, tmp_path / "other", Grid(**small))
    assert fresh == more


def test_other_samples_and_broken_files_are_computed_again(tmp_path):
    from unmask import audio

    small = Grid(families=["complex"], decimations=[1], stfts=[STFT(256, 64)])
    cache = tmp_path / "cache"
    _, n_cells = run(material(tmp_path), cache, small)
    for file in cache.glob("*.json"):
        json.loads(file.read_text("utf-8"))
        file.write_text("{", "utf-8")
    assert run(material(tmp_path), cache, small)[1] == n_cells
    audio.write(tmp_path / "a.wav", 0.5 * noise(n_samples=4000).samples[0], 16000, subtype="FLOAT")
    assert run(Material(*find_material([tmp_path]), mono=True), cache, small)[1] == n_cells


# ---- tables


def test_the_table_of_the_blog_has_its_rows_and_columns():
    found = interpolated(Grid(bounds=["none"], decimations=[1, 2], stfts=[STFT(510, 128)]))
    rows = blog_rows(found, 2)
    heads = {(row["upsampled"], row["family"], row["space"]) for row in rows}
    assert heads == {
        ("mask", "complex", "cartesian"),
        ("mask", "complex", "polar"),
        ("mask", "ibm_argmax", "either"),
        *(("spectrum", f, s) for f in ("complex", "ibm_argmax") for s in ("cartesian", "polar")),
        *(("centred_spectrum", f, "cartesian") for f in ("complex", "ibm_argmax")),
    }
    assert not any(math.isnan(row["aligned cubic"]) for row in rows)
    assert [row["family"] for row in level_rows(found)] == ["ibm_argmax", "complex"]


def test_every_score_is_in_the_csv_and_every_verdict_on_the_pages():
    grid = Grid(bounds=["none"], decimations=[1, 2], stfts=[STFT(510, 128)])
    found = interpolated(grid)
    assert results(found.cells) == [found]
    lines = ablation.to_csv(found.cells).splitlines()
    assert len(lines) == 1 + len(found.cells) * 2
    page = ablation.page(found.cells, title="A < B", note="n")
    report = ablation.report(found.cells, title="A < B", note="n")
    assert "<h1>A &lt; B</h1>" in page
    for one in statements(found):
        assert one.found.replace("<", "&lt;").replace("'", "&#x27;") in page
        assert one.text.replace("|", "\\|") in report
    assert "<script" not in page
    assert "http" not in page
