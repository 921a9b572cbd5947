"""Mixtures of known sources."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.errors import ConfigError
from unmask.mixtures import named_sources, stretch, sum_of

MODEL = SimpleNamespace(stems=("vocals", "drums"), residual="other")


def sources(*names):
    return {name: np.full((1, 3), 2.0**k) for k, name in enumerate(names)}


@given(st.integers(1, 400), st.floats(0, 1, exclude_max=True), st.floats(0.01, 2))
def test_stretches_side_by_side_are_the_recording(n_samples, share, duration_s):
    start_s = share * n_samples / 100
    first = stretch(n_samples, 100, 0, start_s) if start_s else slice(0, 0)
    middle = stretch(n_samples, 100, start_s, duration_s)
    assert first.start == 0
    assert first.stop == middle.start <= middle.stop <= n_samples
    if middle.stop < n_samples:
        assert middle.stop == round((start_s + duration_s) * 100)
    assert stretch(n_samples, 100, start_s, None) == slice(middle.start, n_samples)


@pytest.mark.parametrize("span", [(-0.1, None), (3.0, None), (0.0, 0.0), (0.0, float("nan"))])
def test_a_stretch_outside_is_refused(span):
    refusal = "song: start .* s, duration .* s, expected a stretch of the recording, which is 3.0 s"
    with pytest.raises(ConfigError, match=refusal):
        stretch(30, 10, *span, subject="song")


@pytest.mark.parametrize(
    ("given_", "named"),
    [
        (("drums", "vocals"), {"vocals": 2, "drums": 1}),
        (("vocals", "bass", "piano"), {"vocals": 1, "other": 6}),
        (("drums", "other", "bass"), {"drums": 1, "other": 2, "everything else": 4}),
    ],
)
def test_what_a_model_does_not_name_is_the_rest(given_, named):
    found = named_sources(MODEL, sources(*given_))
    assert {name: float(x[0, 0]) for name, x in found.items()} == named
    np.testing.assert_array_equal(sum_of(found), sum_of(sources(*given_)))


def test_sources_without_any_of_the_models_are_refused():
    with pytest.raises(ConfigError, match="none of vocals, drums is among other, bass; name the"):
        named_sources(MODEL, sources("other", "bass"))
