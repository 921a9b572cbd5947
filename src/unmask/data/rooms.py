"""Rooms: measured or simulated responses to an impulse."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unmask import audio
from unmask.data.cache import Cache
from unmask.data.recordings import Chosen


class Rooms:
    """Responses to draw from; the channels of a file are talkers at places of one room.

    Parameters
    ----------
    files : sequence
        Files, and the weight of each.
    cache : Cache
        Where they are kept at its rate.
    """

    def __init__(self, files: Sequence[Chosen], cache: Cache) -> None:
        self._files = [
            cache.keep(partial(_response, path, cache.sample_rate), [path], "room")
            for path, *_ in files
        ]
        weights = np.array([one.weight for one in files])
        self._chances = weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> Any:
        """Return the responses of a room, float32 of shape (talker, sample), in drawn order."""
        responses = np.load(self._files[int(rng.choice(len(self._files), p=self._chances))])
        return rng.permutation(responses)


def _response(path: Path, sample_rate: int) -> Any:
    """Return a response at a rate, float32 (channel, sample), its loudest sample 1."""
    waveform, found = audio.read(path)
    if found != sample_rate:
        waveform = audio.resample(waveform, found, sample_rate)
    return (waveform / np.abs(waveform).max()).astype(np.float32)
