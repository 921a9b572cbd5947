"""Figures show the numbers they are given."""

import sys

import numpy as np
import pytest

from unmask.errors import ConfigError, MissingExtraError
from unmask.plots import box_plot, box_plots

pytest.importorskip("matplotlib")

SCORES = {
    "ours": {"vocals": [1.0, 2.0, 6.0], "drums": [3.0, np.nan, 5.0, np.inf]},
    "theirs": {"vocals": [4.0]},
}


def level_lines(ax):
    """(middle, height) of each level line: medians, and ends of whiskers."""
    ends = [(line.get_xdata(), line.get_ydata()) for line in ax.lines]
    return [(np.mean(x), y[0]) for x, y in ends if len(x) == 2 and y[0] == y[1]]


@pytest.fixture
def ax():
    return box_plot(SCORES, label="SDR (dB)")


def test_boxes_stand_side_by_side_at_their_medians(ax):
    drawn = level_lines(ax)
    for place, median in ((-0.2, 2), (0.2, 4), (0.8, 4)):
        assert any(drawn_at == pytest.approx((place, median)) for drawn_at in drawn)
    assert not any(place == pytest.approx(1.2) and np.isfinite(y) for place, y in drawn)


def test_axes_say_what_they_show(ax):
    assert ax.get_ylabel() == "SDR (dB)"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["vocals", "drums"]
    assert ax.get_legend_handles_labels()[1] == ["ours", "theirs"]


def test_it_draws_where_it_is_told(ax):
    assert box_plot({"x": {"bass": [1.0, 2.0]}}, ax=ax) is ax


def test_each_metric_has_a_panel(tmp_path):
    figure = box_plots({"SDR (dB)": SCORES, "PESQ": SCORES})
    assert [ax.get_ylabel() for ax in figure.axes] == ["SDR (dB)", "PESQ"]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == list(SCORES)
    assert figure.axes[1].get_legend() is None
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
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r'pip install "unmask\[plot\]"'):
        box_plot(SCORES)
