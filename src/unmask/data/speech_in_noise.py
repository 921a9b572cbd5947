"""Examples of speech in noise: what a denoiser is trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unmask.data import augment
from unmask.data.cache import Cache
from unmask.data.example import Example, ratio, rms
from unmask.data.recordings import ROLES, Pool, Recordings, find, licences
from unmask.errors import ConfigError
from unmask.transforms import quick_length


@dataclass(frozen=True, kw_only=True)
class SpeechInNoiseConfig:
    """How speech and noise are mixed. Ranges are drawn from evenly, shares are probabilities."""

    sample_rate: int = 16000
    seconds: float = 4.0
    recordings: tuple[Recordings, ...] = ()
    snr_db: tuple[float, float] = (-5.0, 20.0)
    level_db: tuple[float, float] = (-55.0, -15.0)
    """RMS of the mixture, dB below full scale: wide, so that level does not matter later."""
    clean_share: float = 0.05
    """Examples without noise."""
    noise_share: float = 0.05
    """Examples without speech."""
    second_noise_share: float = 0.3
    synthetic_share: float = 0.1
    """Noises that are coloured noise or hum rather than recordings."""
    full_band_share: float = 0.3
    """Examples whose noise reaches above the band of the speech."""
    equalise_db: float = 8.0
    """Largest gain of a random smooth filter on speech and noise."""
    speed: tuple[float, float] = (0.85, 1.15)
    """Speech is played that much faster: other voices, other pitches."""
    reverb_share: float = 0.2
    """Speech with a simulated room; the room stays in the target."""
    valid_examples: int = 64
    valid_snr_db: tuple[float, float] = (0.0, 5.0)

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or not self.seconds > 0:
            raise ConfigError(
                f"data: sample_rate = {self.sample_rate} and seconds = {self.seconds}, expected > 0"
            )
        for low, high in (self.snr_db, self.level_db, self.speed, self.valid_snr_db):
            if not low <= high:
                raise ConfigError(f"data: a range must be [low, high], got [{low}, {high}]")

        shares = (
            "clean_share",
            "noise_share",
            "second_noise_share",
            "synthetic_share",
            "full_band_share",
            "reverb_share",
        )
        if self.valid_examples < 1:
            raise ConfigError(f"data: valid_examples = {self.valid_examples}, expected 1 or more")
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"data: {name} = {getattr(self, name)}, expected 0 to 1")

    @property
    def channels(self) -> int:
        """Of the examples: recordings become mono."""
        return 1

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the targets."""
        return ("speech",)

    @property
    def residual(self) -> str:
        """Name of what the targets leave."""
        return "noise"

    @property
    def task(self) -> str:
        """What a model is for that was trained on this."""
        return "denoise"


class SpeechInNoise:
    """Examples of speech in noise, by index.

    Where the recording of the speech ends (at 8 kHz for one of 16 kHz) the noise is cut in most
    examples: a network for 48 kHz would learn from it that what is high is never speech. In the
    others it goes on, or the network never hears what hiss is; noise alone always does.

    Parameters
    ----------
    config : SpeechInNoiseConfig
        How to mix.
    speech, noise : Pool
        What to mix.
    seed : int
        Together with the index, decides an example.
    n_examples : int
        Length.
    plain : bool
        Leave out everything but excerpts, the ratio and the level: for validation.
    """

    def __init__(
        self,
        config: SpeechInNoiseConfig,
        speech: Pool,
        noise: Pool,
        *,
        seed: int,
        n_examples: int,
        plain: bool = False,
    ) -> None:
        self.config, self.speech, self.noise = config, speech, noise
        self.seed, self.n_examples, self.plain = seed, n_examples, plain
        self.n_samples = round(config.seconds * config.sample_rate)

    def __len__(self) -> int:
        """Return the number of examples."""
        return self.n_examples

    def __getitem__(self, index: int) -> Example:
        """Return example `index`."""
        rng = np.random.default_rng([self.seed, index])
        speech, band = self._speech(rng)
        noise = self._noise(rng)
        has_speech, has_noise, full_band = self._kind(rng)
        if not full_band:
            noise = augment.low_pass(noise, band)
        snr_db = self.config.valid_snr_db if self.plain else self.config.snr_db
        noise *= ratio(rms(speech), rms(noise)) * 10 ** (-rng.uniform(*snr_db) / 20)
        speech *= has_speech
        noise *= has_noise
        mixture = speech + noise
        gain = ratio(10 ** (rng.uniform(*self.config.level_db) / 20), rms(mixture))
        return {
            "mixture": (gain * mixture)[None].astype(np.float32),
            "targets": (gain * speech)[None, None].astype(np.float32),
            "sums": np.ones((1, 1), np.float32),
        }

    def _kind(self, rng: np.random.Generator) -> tuple[bool, bool, bool]:
        """Return whether there is speech, whether there is noise, and whether it is left uncut."""
        if self.plain:
            return True, True, False
        kind = rng.uniform()
        has_speech = kind >= self.config.noise_share
        full_band = not has_speech or rng.uniform() < self.config.full_band_share
        return has_speech, kind < 1 - self.config.clean_share, full_band

    def _speech(self, rng: np.random.Generator) -> tuple[Any, float]:
        """Return an excerpt and its band, a share of half the sample rate."""
        if self.plain:
            return self.speech.excerpt(rng, self.n_samples)
        n_read = quick_length(round(self.n_samples * rng.uniform(*self.config.speed)))
        speech, band = self.speech.excerpt(rng, n_read)
        speech = augment.smooth_filter(
            rng, speech, self.config.equalise_db, n_samples=self.n_samples
        )
        if rng.uniform() < self.config.reverb_share:
            speech = augment.reverberate(rng, speech, self.config.sample_rate)
        return speech, band * n_read / self.n_samples

    def _noise(self, rng: np.random.Generator) -> Any:
        noise = self._one_noise(rng)
        if not self.plain and rng.uniform() < self.config.second_noise_share:
            second = self._one_noise(rng)
            noise = noise + second * ratio(rms(noise), rms(second)) * rng.uniform(0.3, 1.0)
        return noise

    def _one_noise(self, rng: np.random.Generator) -> Any:
        if self.plain:
            return self.noise.excerpt(rng, self.n_samples)[0]
        if rng.uniform() < self.config.synthetic_share:
            return augment.synthetic_noise(rng, self.n_samples, self.config.sample_rate)
        noise, _ = self.noise.excerpt(rng, self.n_samples)
        return augment.smooth_filter(rng, noise, self.config.equalise_db, n_samples=self.n_samples)


def make(
    config: SpeechInNoiseConfig, root: Path, cache: Path, *, seed: int, n_examples: int
) -> tuple[SpeechInNoise, SpeechInNoise, Mapping[str, Any]]:
    """Return the training set, the validation set, and what they are made of.

    Raises
    ------
    ConfigError, AudioFileError
        If there are no recordings of a role to train on or to validate with, or some may not be
        used or cannot be read.
    """
    found = find(root, config.recordings)
    store = Cache(cache, config.sample_rate)
    needed = [f"{split} {role}" for split in ("train", "valid") for role in ROLES]
    if missing := [name for name in needed if name not in found]:
        raise ConfigError(f"data: no recordings for {missing}; add them to data.recordings")
    pools = {name: Pool(files, store) for name, files in found.items()}
    train = SpeechInNoise(
        config, pools["train speech"], pools["train noise"], seed=seed, n_examples=n_examples
    )
    valid = SpeechInNoise(
        config,
        pools["valid speech"],
        pools["valid noise"],
        seed=seed + 1,
        n_examples=config.valid_examples,
        plain=True,
    )
    facts = {name: _facts(root, found[name], pools[name], config) for name in needed}
    return train, valid, facts


def _facts(
    root: Path, files: Sequence[tuple[Path, float]], pool: Pool, config: SpeechInNoiseConfig
) -> dict[str, Any]:
    """Return how much there is, and under which licences if a manifest tells."""
    return {
        "files": len(files),
        "minutes": round(pool.n_samples / config.sample_rate / 60, 1),
        "licences": licences(root, (path for path, _ in files)),
    }
