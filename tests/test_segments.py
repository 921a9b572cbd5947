"""Segments that are heard by themselves: joined without jumps, sources in their places."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from unmask.engine.segments import Segments

LENGTH = 8


@dataclass
class Heard:
    """A network that hears two talkers apart, and says them in the other order now and then."""

    swaps: tuple[bool, ...] = ()
    """Of every call, again and again."""
    is_in_no_order: bool = True
    masks_outside: bool = False
    segment: int = LENGTH
    calls: list = field(default_factory=list)

    def start(self, n_signals):
        return []

    def step(self, x, state):
        assert x.shape[-1] == self.segment
        swap = bool(self.swaps) and self.swaps[len(self.calls) % len(self.swaps)]
        self.calls.append(x)
        talkers = np.stack([x[:, :, :2], x[:, :, 2:]], axis=1)  # (signal, source, channel, …)
        return (talkers[:, ::-1] if swap else talkers), state


def talkers(n_frames, n_signals=1, seed=0):
    """Frames (signal, channel, sample, frame), half of whose samples are of one talker."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n_signals, 1, 4, n_frames)).astype(np.float32)


def asked(model, x, cuts=()):
    segments = Segments(model, len(x))
    pieces = np.split(x, list(cuts), axis=-1)
    found = [segments.ask(piece, last=k == len(pieces) - 1) for k, piece in enumerate(pieces)]
    return np.concatenate([piece for piece in found if piece is not None], axis=-1)


def apart(x):
    return np.stack([x[:, :, :2], x[:, :, 2:]], axis=1)


@pytest.mark.parametrize("n_frames", [1, 7, 8, 9, 12, 13, 40, 43])
@pytest.mark.parametrize("swaps", [(False,), (False, True), (False, True, True)])
def test_sources_keep_their_places_where_segments_exchange_them(swaps, n_frames):
    x = talkers(n_frames)
    np.testing.assert_allclose(asked(Heard(swaps), x), apart(x), rtol=0, atol=1e-6)


def test_sources_that_have_an_order_stay_as_the_network_gives_them():
    x = talkers(LENGTH + 4)
    found = asked(Heard((False, True), is_in_no_order=False), x)
    np.testing.assert_allclose(found[..., :4], apart(x)[..., :4], rtol=1e-6)
    np.testing.assert_allclose(found[..., LENGTH:], apart(x)[:, ::-1, ..., LENGTH:], rtol=1e-6)


@pytest.mark.parametrize("cuts", [(1,), (8,), (3, 9, 10, 31), tuple(range(1, 40)), (0, 0, 39)])
def test_it_does_not_matter_how_the_stream_is_cut(cuts):
    x, swaps = talkers(41, n_signals=2), (False, True)
    np.testing.assert_array_equal(asked(Heard(swaps), x, cuts), asked(Heard(swaps), x))


def test_one_segment_goes_as_the_next_comes():
    class Counting(Heard):
        def step(self, x, state):
            self.calls.append(x)
            return np.full((1, 2, 1, 2, LENGTH), float(len(self.calls)), np.float32), state

    found = asked(Counting(is_in_no_order=False), talkers(16))[0, 0, 0, 0]
    expected = [1, 1, 1, 1, 1.125, 1.375, 1.625, 1.875]
    expected += [2.125, 2.375, 2.625, 2.875, 3, 3, 3, 3]
    np.testing.assert_array_equal(found, expected)


def test_the_last_segment_ends_with_the_stream_and_a_short_stream_with_silence():
    model, x = Heard(), talkers(21)
    asked(model, x)
    starts = [int(np.flatnonzero(x[0, 0, 0] == call[0, 0, 0, 0])[0]) for call in model.calls]
    assert starts == [0, 2, 4, 6, 8, 10, 12, 13]
    model = Heard()
    asked(model, x[..., :5])
    np.testing.assert_array_equal(model.calls[0][..., :5], x[..., :5])
    assert not model.calls[0][..., 5:].any()


def test_no_more_than_a_segment_is_held_back():
    segments, x, n_out = Segments(Heard(), 1), talkers(60), 0
    for n_in in range(1, 61):
        found = segments.ask(x[..., n_in - 1 : n_in], last=n_in == 60)
        n_out += 0 if found is None else found.shape[-1]
        assert n_in - n_out == segments.n_held < LENGTH
    assert n_out == 60


def test_signals_begin_in_the_order_of_the_first_and_then_follow_themselves():
    class Apart(Heard):
        """Exchanges the sources of the second signal."""

        def step(self, x, state):
            heard, _ = super().step(x, state)
            return np.concatenate([heard[:1], heard[1:, ::-1]]), state

    one, gain = talkers(20), 0.5
    x = np.concatenate([one, gain * one])
    found = asked(Apart((False, True)), x)
    np.testing.assert_allclose(found, apart(x), rtol=0, atol=1e-6)


def test_masks_are_compared_where_there_is_sound():
    """In most bins, which are silent, the second segment's masks are those of the other source."""

    class Masks(Heard):
        def step(self, x, state):
            self.calls.append(x)
            masks = np.zeros((1, 2, 1, 1, 5, LENGTH), np.float32)
            masks[:, 0, ..., 0, :] = masks[:, 1, ..., 1:, :] = 1
            if len(self.calls) == 2:
                masks = masks[:, ::-1].copy()
                masks[..., 1:, :] = masks[:, ::-1, ..., 1:, :]
            return masks, state

    spectrum = np.zeros((1, 2, 1, 5, LENGTH + 4), np.float32)
    spectrum[..., 0, :] = 1
    spectrum[..., 1:, :] = 1e-3
    found = asked(Masks(masks_outside=True), spectrum)
    assert (found[0, 0, 0, 0, 0] == 1).all()
    assert not found[0, 1, 0, 0, 0].any()


def test_an_empty_stream_gives_nothing():
    assert Segments(Heard(), 1).ask(talkers(0), last=True) is None
