"""Mixtures of known sources."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask import audio
from unmask.errors import ConfigError
from unmask.mixtures import Sources, stretch


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


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_piece_of_a_stretch_is_counted_from_its_beginning(tmp_path, rng, on_disk):
    stems = {name: rng.uniform(-1, 1, (2, 4000)).astype("float32") for name in "ab"}
    both = np.stack([*stems.values()])[..., 1500:3500]
    files = {name: tmp_path / f"{name}.wav" for name in stems}
    for name, path in files.items():
        audio.write(path, stems[name], 1000, subtype="FLOAT")
    sources = Sources(files if on_disk else stems, 1000, start_s=1.5, duration_s=2.0)
    assert sources.n_samples == 2000
    for span in (slice(0, 700), slice(500, 9000), slice(1999, 2000), slice(2000, 2100)):
        np.testing.assert_array_equal(sources.samples(span), both[..., span])
    np.testing.assert_array_equal(np.concatenate([*sources.blocks()], axis=-1), both)
