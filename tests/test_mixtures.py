"""Mixtures of known sources."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.errors import ConfigError
from unmask.mixtures import stretch


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
