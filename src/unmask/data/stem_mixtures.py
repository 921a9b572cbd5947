"""Examples of songs: mixtures of stems, as they were or across songs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unmask.data.cache import Cache
from unmask.data.effects import pedals
from unmask.data.recordings import licences
from unmask.data.songs import StemMixtures
from unmask.data.stem_settings import StemMixturesConfig
from unmask.data.tracks import Track, find_songs, load_tracks
from unmask.errors import ConfigError


def make(
    config: StemMixturesConfig, root: Path, cache: Path, *, seed: int, n_examples: int
) -> tuple[StemMixtures, StemMixtures, Mapping[str, Any]]:
    """Return the training set, the validation set, and what they are made of.

    Raises
    ------
    ConfigError, AudioFileError, SampleRateError, ShapeError
        If the tracks cannot give what `config` asks for; before anything is trained.
    """
    if config.effects or config.variants > 1:
        pedals()
    store = Cache(cache, config.sample_rate)
    asked = {"sources": config.sources, "targets": config.targets}
    songs = list(find_songs(root, config.tracks, **asked, channels=config.channels))
    tracks = {}
    for split, n_variants in (("train", config.variants), ("valid", 1)):
        versions = [
            (song, config.variation(song.name, variant))
            for where, song in songs
            if where == split
            for variant in range(n_variants)
        ]
        loaded = load_tracks(versions, store, n_samples=config.samples, jobs=config.jobs)
        tracks[split] = list(loaded)
    train = StemMixtures(config, tracks["train"], seed=seed, n_examples=n_examples)
    valid = StemMixtures(
        config, tracks["valid"], seed=0, n_examples=config.valid_examples, plain=True
    )
    _check_enough(config, train, valid)
    facts = {split: _facts(root, tracks[split], config) for split in tracks}
    return train, valid, facts


def _check_enough(config: StemMixturesConfig, train: StemMixtures, valid: StemMixtures) -> None:
    """Refuse tracks that never show a target."""
    pure = [train.holds[train.holds.sum(axis=1) == 1].any(axis=0)] if train.parts else []
    held = {s for s, there in zip(config.sources, *pure, strict=True) if there} if pure else set()
    if missing := [name for name in config.targets if name not in held]:
        raise ConfigError(f"data: no track to train on in which {missing} plays alone; add some")
    if config.coherent_share and not train.songs:
        raise ConfigError(
            f"data: no song to train on keeps {list(config.targets)} apart from other sources; "
            "set coherent_share = 0"
        )
    if not valid.songs:
        raise ConfigError(
            f"data: no song to validate with in which {list(config.targets)} play at one time, "
            "apart from other sources; give one valid_share = 1"
        )


def _facts(root: Path, tracks: Sequence[Track], config: StemMixturesConfig) -> dict[str, Any]:
    """Return how much there is, variants counted, and under which licences if a manifest tells."""
    paths = {path for track in tracks for path in track.song.paths}
    minutes = {
        name: sum(
            track.length for track in tracks if any(held == {name} for held in track.contents)
        )
        / (60 * config.sample_rate)
        for name in config.sources
    }
    return {
        "tracks": len({track.song.name for track in tracks}),
        "minutes": {name: round(value, 1) for name, value in minutes.items()},
        "licences": licences(root, paths),
    }
