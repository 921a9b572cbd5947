"""Mixtures of known sources: their sum, the sources as a model names them, a stretch of them."""

from collections.abc import Mapping
from typing import Protocol

from unmask._arrays import Array, namespace
from unmask.errors import ConfigError


class Named(Protocol):
    """What says which sources it estimates: a model does."""

    stems: tuple[str, ...]
    residual: str
    """Name of what the stems leave of the mixture."""


def sum_of(stems: Mapping[str, Array]) -> Array:
    """Return the mixture ``sum(stems)``, shape (channel, sample)."""
    waveforms = list(stems.values())
    return namespace(*waveforms).sum(namespace(*waveforms).stack(waveforms), axis=0)


def named_sources(model: Named, stems: Mapping[str, Array]) -> dict[str, Array]:
    """Return the true sources under the model's names, everything else as one more.

    If the model's residual is not among `stems`, it is all that the model does not name.

    Raises
    ------
    ConfigError
        If no stem is one of the model's.
    """
    named = {name: stems[name] for name in (*model.stems, model.residual) if name in stems}
    rest = {name: x for name, x in stems.items() if name not in named}
    if not any(name in named for name in model.stems):
        raise ConfigError(
            f"stems: none of {', '.join(model.stems)} is among {', '.join(stems)}; "
            "name the files as the model names its stems"
        )
    if rest:
        named["everything else" if model.residual in named else model.residual] = sum_of(rest)
    return named


def stretch(
    n_samples: int,
    sample_rate: int,
    start_s: float,
    duration_s: float | None,
    *,
    subject: object = "recording",
) -> slice:
    """Return the samples of a stretch of a recording, as many as there are.

    Parameters
    ----------
    n_samples : int
        Of the recording.
    sample_rate : int
        In Hz.
    start_s, duration_s : float
        In seconds, rounded to whole samples; to the end when `duration_s` is None.
    subject
        What the recording is called in the message.

    Raises
    ------
    ConfigError
        If nothing of the recording lies there.

    Examples
    --------
    >>> stretch(8000, 1000, 2.5, 2.0), stretch(8000, 1000, 7, None)
    (slice(2500, 4500, None), slice(7000, 8000, None))
    """
    length_s = n_samples / sample_rate
    if not 0 <= start_s < length_s or not (duration_s is None or duration_s > 0):
        raise ConfigError(
            f"{subject}: start {start_s:g} s, duration {duration_s} s, expected a stretch of the "
            f"recording, which is {length_s:.1f} s long"
        )
    end_s = length_s if duration_s is None else start_s + duration_s
    return slice(round(start_s * sample_rate), min(n_samples, round(end_s * sample_rate)))
