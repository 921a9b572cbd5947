"""Masks to save: those that a model uses, and the ideal ones of signals, S / X among them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unmask import audio, masks
from unmask._arrays import Array, complex_divide
from unmask.engine.masking import UsedMasks
from unmask.engine.mixing import keeps_sums
from unmask.engine.model import Model
from unmask.engine.settings import Settings
from unmask.engine.stream import Streamer
from unmask.frontends import STFT
from unmask.mask_files.container import MaskWriter
from unmask.mask_files.header import Header
from unmask.mixtures import Sources
from unmask.oracle import is_audible

Progress = Callable[[float], None]


def save_used(
    model: Model,
    mixture: str | Path,
    path: str | Path,
    *,
    settings: Settings | None = None,
    residual: bool | None = None,
    progress: Progress | None = None,
) -> Header:
    """Save the masks that a model uses on a recording, up to its highest bin.

    Applied, they give what the model's separation writes. Masks of several components a bin (deep
    filter) are saved as what they come to: masked spectrum over mixture.

    Parameters
    ----------
    model : Model
    mixture : path
        A sound file.
    path : path
        The ``.npz`` file to write.
    settings : Settings, optional
        How masks are used. Limit and gains act on samples: they are not in masks.
    residual : bool, optional
        Whether what the masks leave is to be an output as well; if it is a source, by default.
    progress : callable, optional
        Is told the share that is done.

    Raises
    ------
    ConfigError
        If the model has a learned front-end.
    AudioFileError, FileError, SampleRateError, ShapeError
        If the recording cannot be separated, or the file not be written.
    """
    info = audio.info(mixture)
    stft, family = model.stft_at(info.sample_rate), model.family
    wanted = model.residual_is_source if residual is None else residual
    header = Header(
        stems=model.stems,
        stft=stft,
        sample_rate=info.sample_rate,
        n_channels=info.n_channels,
        n_samples=info.n_samples,
        **_family(family, model.metadata["mask"]["options"]),
        residual=model.residual if wanted else None,
        slow_terms=model.n_slow,
        slow_stem=model.slow_stem if keeps_sums(settings or Settings()) else None,
        made_by=f"{model.name} {model.version}",
    )
    is_complex = family.is_complex or family.has_components
    with MaskWriter(path, header, is_complex=is_complex) as writer:

        def listen(used: UsedMasks) -> None:
            writer.write(used.whole)

        streamer = Streamer(
            model,
            sample_rate=info.sample_rate,
            n_channels=info.n_channels,
            settings=settings,
            on_masks=listen,
        )
        n_done = 0
        for block in audio.read_blocks(mixture):
            streamer.process(block)
            n_done += block.shape[-1]
            if progress:
                progress(n_done / info.n_samples)
        streamer.flush()
    return header


def save_ideal(
    targets: Mapping[str, Path],
    mixture: str | Path,
    path: str | Path,
    *,
    family: str = "complex",
    stft: STFT | None = None,
    residual: bool = False,
    progress: Progress | None = None,
) -> Header:
    """Save the best masks of a family for signals in a recording; S / X with ``"complex"``.

    Parameters
    ----------
    targets : mapping of str to path
        Stem -> sound file: true stems, or any separator's estimates. What they leave of the mixture
        counts as one more source, if it is above -90 dB.
    mixture : path
    path : path
        The ``.npz`` file to write.
    family : str
        Name in the registry.
    stft : STFT, optional
        Front-end.
    residual : bool
        Whether what the masks leave is to be an output as well.
    progress : callable, optional
        Is told the share that is done.

    Raises
    ------
    ConfigError
        If there is no such family.
    AudioFileError, FileError, SampleRateError, ShapeError
        If files do not agree, or cannot be read or written.

    Notes
    -----
    Where the mixture is digital silence, S / X is not defined and 0 is saved.
    """
    stft, sources = stft or STFT(), Sources({"": Path(mixture), **targets})
    member = masks.get(family, sample_rate=sources.sample_rate)
    header = Header(
        stems=tuple(targets),
        stft=stft,
        sample_rate=sources.sample_rate,
        n_channels=sources.n_channels,
        n_samples=sources.n_samples,
        **_family(member, {}),
        residual="residual" if residual else None,
        made_by=f"ideal {family}",
    )
    has_rest = family != "complex" and _has_rest(sources)  # which needs no other sources
    is_complex = member.is_complex or member.has_components
    with MaskWriter(path, header, is_complex=is_complex) as writer:
        for block in _ideal(member, stft, sources, has_rest=has_rest):
            writer.write(block)
            if progress:
                progress(writer.share)
    return header


def _family(family: masks.Family, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the family of what is saved: one value a bin."""
    if family.has_components:
        return {"family": "complex"}
    return {"family": family.name, "options": dict(options)}


def _has_rest(sources: Sources) -> bool:
    """Tell whether the targets leave more of the mixture than rounding."""
    loudest = rest = 0.0
    for waves in sources.blocks():
        loudest = max(loudest, float(np.abs(waves[0]).max()))
        rest = max(rest, float(np.abs(waves[0] - waves[1:].sum(axis=0)).max()))
    return is_audible(rest, loudest)


def _ideal(
    family: masks.Family, stft: STFT, sources: Sources, *, has_rest: bool
) -> Iterator[Array]:
    """Yield the ideal masks (source, channel, freq, frame) in blocks of frames."""
    spans = stft.pieces(sources.n_samples, context=max(family.context))
    for outer, inner, waves in sources.pieces(spans):
        mixture, targets = waves[:1], waves[1:]
        if has_rest:
            targets = np.concatenate([targets, mixture - targets.sum(axis=0, keepdims=True)])
        x = stft.analyze(mixture[0])
        found = family.ideal(stft.analyze(targets), x)[: len(waves) - 1]
        if family.has_components:
            found = complex_divide(family.apply(found, x), x[None])
        is_last = outer.start + inner.stop == sources.n_samples
        yield found[..., inner.start // stft.hop : None if is_last else inner.stop // stft.hop]
