"""Figures show the numbers they are given."""

import sys

import numpy as np
import pytest

from unmask.errors import ConfigError, MissingExtraError, ShapeError
from unmask.plots import (
    MaskImages,
    Plane,
    box_plot,
    box_plots,
    correction_histogram,
    level_image,
    magnitude_image,
    mask_figure,
    phase_benefit_figure,
    phase_image,
    spectrogram_figure,
    write_figure,
)

pytest.importorskip("matplotlib")

SCORES = {
    "ours": {"vocals": [1.0, 2.0, 2.0, 6.0], "drums": [3.0, np.nan, 4.0, 4.0, 5.0, np.inf]},
    "theirs": {"vocals": [4.0]},
}
LONG = "oracle of hybrid:complex_sigmoid_parts:6000:complex_tanh_parts"


def level_lines(ax):
    """(middle, height) of each level line: medians, and ends of whiskers."""
    ends = [(line.get_xdata(), line.get_ydata()) for line in ax.lines]
    return [(np.mean(x), y[0]) for x, y in ends if len(x) == 2 and y[0] == y[1]]


@pytest.fixture
def ax():
    return box_plot(SCORES, label="SDR (dB)")


def test_boxes_stand_side_by_side_at_their_medians(ax):
    drawn = level_lines(ax)
    for place, median in ((-0.2, 2), (0.8, 4)):
        assert any(drawn_at == pytest.approx((place, median)) for drawn_at in drawn)
    for place in (0.2, 1.2):  # one score is no box, and none is nothing
        assert not any(at == pytest.approx(place) and np.isfinite(y) for at, y in drawn)


def test_few_scores_are_dots_and_many_are_not(ax):
    dots = {tuple(point) for drawn in ax.collections for point in drawn.get_offsets().tolist()}
    assert dots == {
        *((-0.2, y) for y in (1, 2, 6)),
        (0.2, 4),
        *((0.8, y) for y in (3, 4, 5)),
    }
    assert not box_plot({"x": {"bass": np.arange(11.0)}}).collections


def test_axes_say_what_they_show(ax):
    assert ax.get_ylabel() == "SDR (dB)"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["vocals", "drums"]
    assert ax.get_legend_handles_labels()[1] == ["ours", "theirs"]


def test_it_draws_where_it_is_told(ax):
    assert box_plot({"x": {"bass": [1.0, 2.0]}}, ax=ax) is ax


def test_each_metric_has_a_panel(tmp_path):
    figure = box_plots({"SDR (dB)": SCORES, "PESQ": SCORES})
    assert [ax.get_ylabel() for ax in figure.axes] == ["SDR (dB)", "PESQ"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(SCORES)
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_figures_are_not_kept_by_matplotlib(ax):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    assert pyplot.get_fignums() == []


def test_nothing_to_draw_is_refused():
    with pytest.raises(ConfigError, match="SDR: no finite score to draw"):
        box_plot({"ours": {"vocals": [np.nan, np.inf]}}, label="SDR")
    with pytest.raises(ConfigError, match="panels: none"):
        box_plots({})


def test_a_missing_matplotlib_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'pip install "unmask\[plot\]"'):
        box_plot(SCORES)


def words_of(figure):
    """Titles and legends of a figure that was laid out."""
    figure.draw_without_rendering()
    titles = [ax.title for ax in figure.axes]
    return [text for text in (*titles, *figure.texts, *figure.legends) if text.get_visible()]


def test_long_names_stay_in_the_figure_and_do_not_overprint(mixture, plane):
    scores = {f"{LONG} {k}": {"vocals": [1.0]} for k in range(6)}
    curves = {LONG: [1.0, 2.0], "mean": [1.0, 2.0]}
    loss = {name: [1.0, 1.0, 0.0] for name in curves}
    figures = [
        figure_of(mixture, plane, n=2, title=LONG, name=LONG),
        box_plots({"SDR (dB)": scores, "PESQ": scores}),
        phase_benefit_figure([0, 62.5, 125], curves, loss, limit_db=0.5, title=f"{LONG} {LONG}"),
        spectrogram_figure({LONG: mixture, f"{LONG} again": mixture}, plane, title=LONG),
    ]
    for figure in figures:
        boxes = [text.get_window_extent() for text in words_of(figure)]
        boxes = [box for box in boxes if box.width > 1]
        for k, box in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
            assert not any(box.overlaps(other) for other in boxes[:k])


def test_a_name_is_no_formula_and_of_any_script(tmp_path):
    write_figure(tmp_path / "x.png", box_plots({"SDR": {"a$b$\\x$": {"日本": [1.0]}}}))
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


# Masks

EDGES = (0, 60, 120, 180)


@pytest.fixture
def blank():
    from matplotlib.figure import Figure

    return Figure().subplots()


@pytest.fixture
def plane():
    return Plane(2 + 0.01 * np.arange(6), 1000.0 * np.arange(5))


@pytest.fixture
def mixture(rng):
    return rng.normal(size=(5, 6)) + 1j * rng.normal(size=(5, 6))


def drawn(ax):
    """What an image shows, (freq, frame) or (freq, frame, rgb)."""
    return ax.collections[0].get_array()


def figure_of(mixture, plane, n=1, mask=0.5, name="m", **options):
    images = [
        MaskImages(
            name=f"{name}{k}",
            masks={stem: np.full(mixture.shape, mask) for stem in ("vocals", "bass")},
            histograms={s: {"energy": [1, 0, 0], "bins": [0, 1, 0]} for s in ("vocals", "bass")},
        )
        for k in range(n)
    ]
    stems = {"vocals": mixture, "bass": 2 * mixture}
    return mask_figure(stems, mixture, images, plane, edges_deg=EDGES, **options)


def test_levels_are_relative_to_the_loudest_bin(blank, plane):
    spectrum = np.full((5, 6), 1e-3 + 0j)
    spectrum[2, 3], spectrum[1, 1] = 5j, 0.5
    image = level_image(spectrum, plane, ax=blank)
    assert drawn(blank)[2, 3] == 0
    assert drawn(blank)[1, 1] == pytest.approx(-20)
    assert image.get_clim() == (-80, 0)
    assert (blank.get_xlabel(), blank.get_ylabel()) == ("time (s)", "frequency (kHz)")


def test_pixels_stand_at_their_times_and_frequencies(blank, plane, mixture):
    level_image(mixture, plane, ax=blank)
    corners = blank.collections[0].get_coordinates()[[0, -1], [0, -1]]
    np.testing.assert_allclose(corners, [(1.995, -0.5), (2.055, 4.5)])
    assert blank.get_ylim() == (0, 4)


def test_magnitudes_are_not_drawn_where_there_is_nothing_to_mask(blank, plane, mixture):
    mixture[4] = 1e-9
    magnitude_image(np.full((5, 6), -0.25j), mixture, plane, ax=blank)
    assert np.ma.getmaskarray(drawn(blank)).sum(axis=1).tolist() == [0, 0, 0, 0, 6]
    np.testing.assert_allclose(drawn(blank)[:4], 0.25)


def test_a_turn_is_dark_none_is_pale_and_what_is_quiet_is_white(blank, plane):
    mask = np.ones((5, 6), complex)
    mask[1], mask[2], mask[3] = -1, 1j, -1j
    masked = mask.copy()
    masked[:, 0] *= 1e-4
    phase_image(mask, masked, plane, ax=blank)
    shown = drawn(blank)
    assert (shown[:, 0] == 1).all()
    pale, half_turn, left, right = shown[:4, 1]
    assert pale.min() > 0.8
    assert half_turn.max() < 0.3
    assert left[0] > left[2]  # reddish
    assert right[0] < right[2]  # bluish
    with pytest.raises(ShapeError, match="shapes must agree"):
        phase_image(mask, masked[:2], plane, ax=blank)


@pytest.mark.parametrize("scale", ["linear", "log", "mel"])
def test_frequency_axes_rise_to_where_they_are_told(blank, mixture, scale):
    plane = Plane(np.arange(6), 1000.0 * np.arange(5), scale, highest_hz=3000)
    level_image(mixture, plane, ax=blank)
    assert blank.get_ylim()[1] == 3
    heights = blank.transData.transform([(0, khz) for khz in (0.5, 1, 2)])[:, 1]
    ratio = (heights[1] - heights[0]) / (heights[2] - heights[1])
    assert ratio == pytest.approx({"linear": 0.5, "log": 1, "mel": 0.753}[scale], abs=0.01)


def test_histograms_are_in_percent(blank):
    correction_histogram(EDGES, {"energy": [0.9, 0.09, 0.01], "bins": [0.5, 0.5, 0]}, ax=blank)
    first, second = (steps.get_data() for steps in blank.patches if hasattr(steps, "get_data"))
    np.testing.assert_allclose(first.values, [90, 9, 1])
    np.testing.assert_allclose(second.values, [50, 50, 0])
    assert blank.get_legend_handles_labels()[1] == ["energy", "bins"]


def test_a_mask_figure_has_a_row_a_stem_and_says_what_is_what(mixture, plane, tmp_path):
    figure = figure_of(mixture, plane, n=2, title="song")
    images = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    assert len(images) == 2 * 6
    assert [ax.get_title() for ax in images[:6]] == [
        "clean stem", "|M|, m0", "∠M, m0", "|M|, m1", "∠M, m1", "phase corrections",
    ]  # fmt: skip
    assert [ax.get_ylabel() for ax in images[::6]] == [
        "vocals\nfrequency (kHz)",
        "bass\nfrequency (kHz)",
    ]
    assert {ax.get_xlabel() for ax in images[6:]} == {"time (s)", "correction (degrees)"}
    bars = [ax.get_xlabel() for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert bars == ["dB", "magnitude", "degrees", "magnitude", "degrees"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["m0: energy", "m0: bins", "m1: energy", "m1: bins"]
    assert figure.get_suptitle() == "song"
    figure.savefig(tmp_path / "figure.png")


@pytest.mark.parametrize(("mask", "limit"), [(0.5, 1), (-1.0, 1), (1.5, 2)])
def test_masks_above_one_get_more_colours(mixture, plane, mask, limit):
    figure = figure_of(mixture, plane, mask=mask)
    assert figure.axes[1].collections[0].get_clim() == (0, limit)


def test_what_cannot_be_drawn_is_said(mixture, plane, blank):
    with pytest.raises(ConfigError, match="no stem or no mask to draw"):
        mask_figure({}, mixture, [], plane, edges_deg=EDGES)
    with pytest.raises(ConfigError, match="scale: 'bark', expected 'linear', 'log' or 'mel'"):
        Plane(np.arange(6), np.arange(5), "bark")
    with pytest.raises(ConfigError, match="highest_hz: 0"):
        Plane(np.arange(6), np.arange(5), highest_hz=0)
    with pytest.raises(ShapeError, match=r"expected \(freq, frame\) = \(5, 6\)"):
        level_image(mixture.T, plane, ax=blank)


@pytest.mark.parametrize("scale", ["linear", "log", "mel"])
def test_no_more_is_drawn_of_a_large_image_than_can_be_seen(blank, scale):
    plane = Plane(0.01 * np.arange(3000), 10.0 * np.arange(2049), scale)
    level = np.abs(np.sin(np.arange(2049)))[:, None] * np.ones(3000)
    plane.draw(level, blank)
    image, corners = drawn(blank), blank.collections[0].get_coordinates()
    assert image.shape[0] <= 256
    assert image.shape[1] <= 400
    heights = blank.transData.transform(corners[:, 0])[:, 1]
    heights = heights[heights > 0]
    assert np.diff(heights).max() < 0.06 * np.ptp(
        heights
    )  # the lowest bins of a logarithmic axis are wide
    assert corners[-1, -1, 0] == pytest.approx(29.99, abs=0.06)
