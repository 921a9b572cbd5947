"""Pipes that do not wait: a pause is no end, and a full pipe is no error."""

import os
import threading
import time

import numpy as np
import pytest

from unmask.audio.pcm import ENCODINGS, Patient, PipeFormat, read_wav_head
from unmask.live.pipe import relay

pytestmark = pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="no such pipes here")
FORM = PipeFormat(16000, 2, ENCODINGS["s16le"])


class Same:
    """What hands on what it gets."""

    n_clipped = 0

    def process(self, samples):
        return samples

    def flush(self):
        return np.zeros((2, 0), np.float32)


def slowly(descriptor, data, size):
    """Write in pieces, with a pause behind each."""
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        for start in range(0, len(data), size):
            file.write(data[start : start + size])
            time.sleep(0.002)


@pytest.mark.parametrize("size", [4, 4001, 60_000])
def test_a_pause_is_not_the_end_and_a_full_pipe_no_error(rng, size):
    data = rng.bytes(400 * size if size < 1000 else 400_000)
    (into, feed), (out, drain) = os.pipe(), os.pipe()
    os.set_blocking(into, False)
    os.set_blocking(drain, False)
    endings = []

    def through():
        with os.fdopen(into, "rb") as source, os.fdopen(drain, "wb") as sink:
            endings.append(relay(source, sink, Same(), FORM, block=8))

    threads = [
        threading.Thread(target=through),
        threading.Thread(target=slowly, args=(feed, data, size)),
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.05)  # the pipe is full by then
    with os.fdopen(out, "rb") as file:
        found = file.read()
    for thread in threads:
        thread.join()
    assert endings == [(0, 0)]
    assert found == data


def test_the_head_of_a_wav_may_come_in_pieces():
    """The pieces end anywhere in the head."""
    form = b"\x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0"
    head = b"RIFF\xff\xff\xff\xffWAVEfmt " + form + b"data\xff\xff\xff\xff"
    into, feed = os.pipe()
    os.set_blocking(into, False)
    writer = threading.Thread(target=slowly, args=(feed, head + b"\1\2", 5))
    with os.fdopen(into, "rb") as source:
        writer.start()
        form = read_wav_head(source)
        assert Patient(source).read(9) == b"\1\2"
    writer.join()
    assert (form.sample_rate, form.n_channels, form.n_bytes) == (16000, 1, None)
