"""Examples of speech in noise: what a denoiser is trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unmask.data import augment
from unmask.data.augment import Crowd, Excerpt, Rumble, Sound
from unmask.data.cache import Cache
from unmask.data.example import Example, column, known_apart, single
from unmask.data.recordings import ROLES, Chosen, Pool, Recordings, find, licences
from unmask.data.store import Recording, Store
from unmask.errors import ConfigError
from unmask.transforms import quick_length

#: Of babble.
N_TALKERS = 6


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
    babble_share: float = 0.0
    """Noises that are six talkers at once."""
    rumble_share: float = 0.0
    """Examples with an offset and a rumble below 60 Hz, as of wind and steps, in the noise."""
    clipped_share: float = 0.0
    """Examples whose mixture is clipped; the target is not."""
    full_band_share: float = 0.3
    """Examples whose noise reaches above the band of the speech."""
    equalise_db: float = 8.0
    """Largest gain of a random smooth filter on speech and noise."""
    speed: tuple[float, float] = (0.85, 1.15)
    """Speech is played that much faster: other voices, other pitches."""
    reverb_share: float = 0.2
    """Speech with a simulated room."""
    early_s: float = 1.0
    """What of a room stays in the target: what comes so soon after the direct sound, as 0.05; in
    1 s all of it has come."""
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
            "babble_share",
            "rumble_share",
            "clipped_share",
            "full_band_share",
            "reverb_share",
        )
        if not self.early_s >= 0:
            raise ConfigError(f"data: early_s = {self.early_s}, expected 0 or more")
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


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What is random in an example of speech in noise."""

    speech: Excerpt
    room: Any
    """Its answer to a click, None where there is none."""
    noise: Sequence[tuple[Sound, float]]
    """One or two, and how loud they are beside the first."""
    band: float
    """Where the noise ends, as a share of half the sample rate."""
    snr_db: float
    rumble: Rumble | None
    clipped_db: float
    """How far below its peak the mixture is clipped; 0 where it is not."""
    has_speech: bool
    has_noise: bool
    level_db: float


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

    @property
    def recordings(self) -> list[Recording]:
        """What excerpts are read of."""
        return [*self.speech.recordings, *self.noise.recordings]

    def __getitem__(self, index: int) -> Example:
        """Return example `index`."""
        return single(self, index)

    def draw(self, index: int) -> Drawn:
        """Return what is random in example `index`."""
        rng = np.random.default_rng([self.seed, index])
        speech, band, room = self._speech(rng)
        noise = self._noise(rng)
        has_speech, has_noise, full_band = self._kind(rng)
        low, high = self.config.valid_snr_db if self.plain else self.config.snr_db
        snr_db, rumble, clipped_db = rng.uniform(low, high), None, 0.0
        if self._is_drawn(rng, self.config.rumble_share):
            rumble = augment.draw_rumble(rng, self.n_samples)
        if self._is_drawn(rng, self.config.clipped_share):
            clipped_db = augment.draw_clipping(rng)
        return Drawn(
            speech=speech,
            room=room,
            noise=noise,
            band=1.0 if full_band else band,
            snr_db=snr_db,
            rumble=rumble,
            clipped_db=clipped_db,
            has_speech=has_speech,
            has_noise=has_noise,
            level_db=rng.uniform(*self.config.level_db),
        )

    def render(self, drawn: Sequence[Drawn], store: Store) -> Example:
        """Return the examples that were drawn, a batch of them."""
        dry = augment.sounds([one.speech for one in drawn], self.n_samples, store)
        rooms = [one.room for one in drawn]
        heard = augment.in_rooms(dry, rooms, store)
        speech = augment.in_rooms(dry, [self._early(room) for room in rooms], store)
        noise = self._mixed_noise([one.noise for one in drawn], store)
        noise = augment.low_pass(noise, [one.band for one in drawn], store)
        below = column([10 ** (-one.snr_db / 20) for one in drawn], store)
        noise *= below * augment.gains(augment.levels(heard), augment.levels(noise))
        rate = self.config.sample_rate
        noise = augment.rumbling(noise, [one.rumble for one in drawn], store, sample_rate=rate)
        has_speech = column([one.has_speech for one in drawn], store)
        mixture = heard * has_speech + noise * column([one.has_noise for one in drawn], store)
        mixture = augment.clipped(mixture, [one.clipped_db for one in drawn], store)
        wanted = column([10 ** (one.level_db / 20) for one in drawn], store)
        gain = augment.gains(wanted, augment.levels(mixture))
        return {
            "mixture": gain * mixture,
            "targets": (gain * has_speech * speech)[:, None],
            "sums": known_apart(len(drawn), 1, store),
        }

    def _early(self, room: Any) -> Any:
        """Return what of a room's answer stays in the target."""
        if room is None:
            return None
        return room[:, : max(1, int(self.config.early_s * self.config.sample_rate))]

    def _is_drawn(self, rng: np.random.Generator, share: float) -> bool:
        """Return whether an example is one of a share; a share of 0 draws nothing."""
        return not self.plain and share > 0 and bool(rng.uniform() < share)

    def _kind(self, rng: np.random.Generator) -> tuple[bool, bool, bool]:
        """Return whether there is speech, whether there is noise, and whether it is left uncut."""
        if self.plain:
            return True, True, False
        kind = rng.uniform()
        has_speech = kind >= self.config.noise_share
        full_band = not has_speech or rng.uniform() < self.config.full_band_share
        return has_speech, kind < 1 - self.config.clean_share, full_band

    def _speech(self, rng: np.random.Generator) -> tuple[Excerpt, float, Any]:
        """Return an excerpt, its band, a share of half the sample rate, and the room it is in."""
        if self.plain:
            pieces, band = self.speech.draw(rng, self.n_samples)
            return Excerpt([pieces], self.n_samples), band, None
        n_read = quick_length(round(self.n_samples * rng.uniform(*self.config.speed)))
        pieces, band = self.speech.draw(rng, n_read)
        gains = augment.draw_filter(rng, self.config.equalise_db)
        room = None
        if rng.uniform() < self.config.reverb_share:
            room = augment.draw_room(rng, 1, self.config.sample_rate)
        return Excerpt([pieces], n_read, gains), band * n_read / self.n_samples, room

    def _noise(self, rng: np.random.Generator) -> list[tuple[Sound, float]]:
        """Return one or two noises, and how loud they are beside the first."""
        noises = [(self._one_noise(rng), 1.0)]
        if not self.plain and rng.uniform() < self.config.second_noise_share:
            noises.append((self._one_noise(rng), rng.uniform(0.3, 1.0)))
        return noises

    def _one_noise(self, rng: np.random.Generator) -> Sound:
        if self.plain:
            return Excerpt([self.noise.draw(rng, self.n_samples)[0]], self.n_samples)
        kind = rng.uniform() - self.config.synthetic_share
        if kind < 0:
            return augment.draw_noise(rng, self.n_samples, self.config.sample_rate)
        if kind < self.config.babble_share:
            talkers = [self.speech.draw(rng, self.n_samples)[0] for _ in range(N_TALKERS)]
            return Crowd([Excerpt([pieces], self.n_samples) for pieces in talkers])
        pieces, _ = self.noise.draw(rng, self.n_samples)
        gains = augment.draw_filter(rng, self.config.equalise_db)
        return Excerpt([pieces], self.n_samples, gains)

    def _mixed_noise(self, noises: Sequence[Sequence[tuple[Sound, float]]], store: Store) -> Any:
        """Return the noise of every example, at the level of the first of its noises."""
        mixed = augment.sounds([first for (first, _), *_ in noises], self.n_samples, store)
        rows = [k for k, more in enumerate(noises) if len(more) > 1]
        if rows:
            seconds = [noises[k][1] for k in rows]
            second = augment.sounds([sound for sound, _ in seconds], self.n_samples, store)
            gain = augment.gains(augment.levels(mixed[rows]), augment.levels(second))
            mixed[rows] += second * gain * column([share for _, share in seconds], store)
        return mixed


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
    root: Path, files: Sequence[Chosen], pool: Pool, config: SpeechInNoiseConfig
) -> dict[str, Any]:
    """Return how much there is, and under which licences if a manifest tells."""
    return {
        "files": len(files),
        "minutes": round(pool.n_samples / config.sample_rate / 60, 1),
        "licences": licences(root, (path for path, *_ in files)),
    }
