"""Recordings into training examples; an example depends on the seed and its index alone.

Recordings are decoded and resampled once, into a cache of 16-bit memory maps. Everything random
in example ``i`` is drawn from ``numpy.random.default_rng([seed, i])``: the number of workers, their
order and a restart change nothing. Nothing here imports torch.
"""

from unmask.data import speech_in_noise, stem_mixtures, talker_mixtures, talkers
from unmask.data.example import Example
from unmask.data.kind import Examples, Kind, Settings
from unmask.data.recordings import Recordings
from unmask.data.speech_in_noise import SpeechInNoiseConfig
from unmask.data.stem_mixtures import StemMixturesConfig
from unmask.data.talker_mixtures import TalkerMixturesConfig
from unmask.data.talkers import TalkersConfig
from unmask.data.tracks import Tracks

#: Name -> settings, and maker of the training set, the validation set and facts about them.
DATA: dict[str, Kind] = {
    "speech_in_noise": Kind(SpeechInNoiseConfig, speech_in_noise.make),
    "stems": Kind(StemMixturesConfig, stem_mixtures.make),
    "talker_mixtures": Kind(TalkerMixturesConfig, talker_mixtures.make),
    "talkers": Kind(TalkersConfig, talkers.make),
}

__all__ = [
    "DATA",
    "Example",
    "Examples",
    "Kind",
    "Recordings",
    "Settings",
    "SpeechInNoiseConfig",
    "StemMixturesConfig",
    "TalkerMixturesConfig",
    "TalkersConfig",
    "Tracks",
]
