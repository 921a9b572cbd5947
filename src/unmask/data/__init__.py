"""Recordings into training examples; an example depends on the seed and its index alone.

Recordings are decoded and resampled once, into a cache of 16-bit memory maps. Everything random
in example ``i`` is drawn from ``numpy.random.default_rng([seed, i])``: the number of workers, their
order and a restart change nothing. Nothing here imports torch.
"""

from typing import Any

from unmask.data import speech_in_noise, stem_mixtures
from unmask.data.recordings import Recordings
from unmask.data.speech_in_noise import SpeechInNoiseConfig
from unmask.data.stem_mixtures import StemMixturesConfig
from unmask.data.tracks import Tracks

#: kind -> (settings, maker of the training set, the validation set and facts about them)
DATA: dict[str, tuple[Any, Any]] = {
    "speech_in_noise": (SpeechInNoiseConfig, speech_in_noise.make),
    "stems": (StemMixturesConfig, stem_mixtures.make),
}

__all__ = ["DATA", "Recordings", "SpeechInNoiseConfig", "StemMixturesConfig", "Tracks"]
