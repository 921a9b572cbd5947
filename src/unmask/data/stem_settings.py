"""How songs and recordings of single stems become examples."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from unmask.data.effects import EFFECTS, Variation
from unmask.data.tracks import Tracks
from unmask.errors import ConfigError

_RANGES = ("gain_db", "level_db", "stretch", "semitones", "speed", "excerpt_speed")


@dataclass(frozen=True, kw_only=True)
class StemMixturesConfig:
    """How stems are mixed. Ranges are drawn from evenly, shares are probabilities."""

    sample_rate: int = 22050
    samples: int = 65280
    """Length of an example; 255 hops of 256 are 256 frames, the patch of Jansson et al., 2021."""
    channels: int = 1
    """Of an example: 1, the mean of those of a file, or 2, where mono is the same on both sides."""
    targets: tuple[str, ...] = ("vocals",)
    """Stems that the network estimates, in this order."""
    sources: tuple[str, ...] = ("vocals", "drums", "bass", "other")
    """What a mixture is made of; any other stem is taken for ``other``."""
    tracks: tuple[Tracks, ...] = ()
    coherent_share: float = 0.5
    """Examples that are one song at one time; elsewhere each source is of a track of its own."""
    gain_db: tuple[float, float] = (-6.0, 6.0)
    """Of every source: as it was in its song, or from equal loudness across songs."""
    absent_share: float = 0.1
    """Sources across songs that are left out, if they are no targets."""
    silent_share: float = 0.05
    """The same for targets; and of songs, excerpts taken anywhere, also where no target plays."""
    level_db: tuple[float, float] = (-35.0, -12.0)
    """RMS of the mixture, dB below full scale: wide, so that level does not matter later."""
    variants: int = 1
    """Versions of every track to train on: itself, and others of a tempo and pitch of their own."""
    stretch: tuple[float, float] = (0.85, 1.15)
    """Tempo of the others, at the same pitch."""
    semitones: tuple[float, float] = (-2.0, 2.0)
    """Pitch of the others, at the same tempo."""
    speed: tuple[float, float] = (0.95, 1.05)
    """Tempo and pitch of the others together: resampling."""
    equalise_db: float = 0.0
    """Largest gain of a random smooth filter on every source; 0 is none."""
    excerpt_speed: tuple[float, float] = (1.0, 1.0)
    """All of an example is played that much faster, tempo and pitch together; as `speed`, but anew
    for every example."""
    reverb_share: float = 0.0
    """Sources in a simulated room, which stays in the target."""
    swap_share: float = 0.0
    """Sources whose left and right change places; 0.5 makes both sides alike to a network."""
    effects: Mapping[str, float] = field(default_factory=dict)
    """Name of an effect on a stem -> its probability in an example, see `data.effects.EFFECTS`."""
    jobs: int = 1
    """Processes that decode and vary tracks which the cache lacks; changes no example."""
    valid_examples: int = 64
    """Coherent excerpts, as they were, in which every target plays; the same for every seed."""

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.samples, self.valid_examples, self.jobs) < 1:
            raise ConfigError(
                f"data: sample_rate = {self.sample_rate}, samples = {self.samples}, "
                f"valid_examples = {self.valid_examples} and jobs = {self.jobs}, expected > 0"
            )
        if self.channels not in (1, 2):
            raise ConfigError(f"data: channels = {self.channels}, expected 1 or 2")
        if self.swap_share and self.channels == 1:
            raise ConfigError(
                f"data: swap_share = {self.swap_share}, expected 0 in mono; set channels = 2"
            )
        for name in ("targets", "sources"):
            names = getattr(self, name)
            if not names or len(set(names)) < len(names):
                raise ConfigError(f"data: {name} = {list(names)}, expected different stems")
        if unknown := [name for name in self.targets if name not in self.sources]:
            raise ConfigError(f"data: targets {unknown} are not among the sources {self.sources}")
        if self.variants < 1 or min(self.stretch[0], self.speed[0], self.excerpt_speed[0]) <= 0:
            raise ConfigError(
                f"data: variants = {self.variants}, stretch = {list(self.stretch)}, "
                f"speed = {list(self.speed)} and excerpt_speed = {list(self.excerpt_speed)}, "
                "expected > 0"
            )
        if not 0 <= self.equalise_db < np.inf:
            raise ConfigError(f"data: equalise_db = {self.equalise_db}, expected 0 or more")
        for name in _RANGES:
            low, high = getattr(self, name)
            if not low <= high:
                raise ConfigError(f"data: a range must be [low, high], got [{low}, {high}]")
        if unknown := sorted(self.effects.keys() - EFFECTS.keys()):
            raise ConfigError(f"data: no effects {unknown}; there are {list(EFFECTS)}")
        shares = {f"effects.{name}": share for name, share in self.effects.items()}
        names = ("coherent_share", "absent_share", "silent_share", "swap_share", "reverb_share")
        for name in names:
            shares[name] = getattr(self, name)
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ConfigError(f"data: {name} = {share}, expected 0 to 1")

    def variation(self, track: str, variant: int) -> Variation | None:
        """Return how a variant of a track differs; it depends on the two alone."""
        if variant == 0:
            return None
        rng = np.random.default_rng([variant, zlib.crc32(track.encode())])
        return Variation(
            stretch=rng.uniform(*self.stretch),
            semitones=rng.uniform(*self.semitones),
            speed=rng.uniform(*self.speed),
        )

    @property
    def seconds(self) -> float:
        """Length of an example."""
        return self.samples / self.sample_rate

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.targets

    @property
    def residual(self) -> str | None:
        """Name of what the targets leave, None if they are all there is."""
        left = [name for name in self.sources if name not in self.targets]
        if len(left) <= 1:
            return left[0] if left else None
        return f"no_{self.targets[0]}" if len(self.targets) == 1 else "rest"

    @property
    def task(self) -> str:
        """What a model is for that was trained on this."""
        return "separate"
