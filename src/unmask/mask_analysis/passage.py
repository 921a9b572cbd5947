"""The masks of a stretch of a recording, of which no more than a piece need be in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np

from unmask import masks
from unmask._arrays import Array
from unmask.engine.asking import Network
from unmask.engine.masking import UsedMasks
from unmask.engine.stream import Streamer
from unmask.folding import Folding, Rows, add_up, check, match, match_model
from unmask.frontends import STFT
from unmask.mask_analysis.applied import AppliedMasks, ideal, of_pieces
from unmask.masks import Family
from unmask.mixtures import Sources, stretch

# Frames of a piece.
_N_FRAMES = 32


class Separator(Network, Protocol):
    """A network on a transform: :class:`unmask.Model` is one, if its front-end is not learned."""

    def stft_at(self, sample_rate: int) -> STFT:
        """Return the transform whose bins its masks are for."""


@dataclass(frozen=True)
class Passage:
    """Masks, spectra and truth of a stretch, as :class:`AppliedMasks` in pieces."""

    name: str
    """Whose masks."""
    sources: Sources
    stft: STFT
    frames: slice
    """Of the recording."""
    rows: Rows
    """Target -> the sources that it is the sum of."""
    make: Callable[["Passage"], Iterator[AppliedMasks]]
    """Makes the pieces, from the first to the last."""
    n_freq: int
    """Bins up to where the model's band ends."""
    only: tuple[str, ...] = ()
    """Sources whose masks are asked for; all if empty."""

    @property
    def frame_s(self) -> float:
        """Step between frames in seconds."""
        return self.stft.hop / self.sources.sample_rate

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return self.sources.sample_rate

    @property
    def times_s(self) -> Array:
        """Centres of the frames in the recording, in seconds."""
        return np.arange(self.frames.start, self.frames.stop) * self.frame_s

    def of(self, sources: Sequence[str]) -> "Passage":
        """Return the same with the masks of `sources` only."""
        return replace(self, only=tuple(sources))

    def pieces(self) -> Iterator[AppliedMasks]:
        """Yield the pieces, made anew each time.

        Raises
        ------
        ConfigError
            If there is no mask of a source that was asked for.
        """
        for piece in self.make(self):
            yield piece.of(self.only) if self.only else piece

    def spectra(self) -> Iterator[Mapping[str, Array]]:
        """Yield the spectra of the targets alone, piece by piece."""
        for frames in _cut(self.frames):
            spectra, inner = self.analyzed(frames, context=0)
            yield {name: spectrum[..., inner] for name, spectrum in spectra.items()}

    def analyzed(self, frames: slice, *, context: int) -> tuple[dict[str, Array], slice]:
        """Return spectra that hold `frames` and their context, and where in them the frames are."""
        hop, margin = self.stft.hop, self.stft.overlap + context
        left = max(0, frames.start - margin)
        waves = self.sources.samples(slice(left * hop, (frames.stop + margin) * hop))
        targets = add_up(self.rows, dict(zip(self.sources.names, waves, strict=True)))
        spectra = self.stft.analyze(np.stack([*targets.values()])) * np.float32(self.stft.unit)
        inner = slice(frames.start - left, frames.stop - left)
        return dict(zip(targets, spectra[..., : self.n_freq, :], strict=True)), inner

    def piece(
        self,
        found: Mapping[str, Array],
        mixture: Array,
        targets: Mapping[str, Array],
        first_frame: int,
    ) -> AppliedMasks:
        """Return masks and spectra as a piece."""
        return AppliedMasks(
            self.name, found, mixture, targets, self.stft, self.sample_rate, first_frame
        )

    def ideal(self, family: Family) -> "Passage":
        """Return the best masks of `family` for the same bins, of the same sources.

        A crossover has its place in Hz on these bins.
        """
        top_hz = float(self.stft.frequencies(self.sample_rate)[self.n_freq - 1])
        family = family.at(2 * top_hz)
        return replace(self, name=f"oracle of {family.name}", make=_Ideal(family))


@dataclass(frozen=True)
class _Ideal:
    """Makes the best masks of a family."""

    family: Family

    def __call__(self, passage: Passage) -> Iterator[AppliedMasks]:
        for frames in _cut(passage.frames):
            targets, inner = passage.analyzed(frames, context=max(self.family.context))
            spectra = np.stack([*targets.values()])
            mixture = spectra.sum(axis=0)
            best = ideal(self.family, spectra, mixture)[..., inner]
            yield passage.piece(
                dict(zip(targets, best, strict=True)),
                mixture[..., inner],
                dict(zip(targets, spectra[..., inner], strict=True)),
                frames.start,
            )


@dataclass(frozen=True)
class _Heard:
    """Makes the masks that the engine applies, streaming the recording from its beginning."""

    model: Separator
    folding: Folding

    def __call__(self, passage: Passage) -> Iterator[AppliedMasks]:
        model, first = self.model, passage.frames.start
        for found in self._masks(passage):
            frames = slice(first, first + found.shape[-1])
            targets, inner = passage.analyzed(frames, context=0)
            targets = {name: spectrum[..., inner] for name, spectrum in targets.items()}
            named = dict(zip(model.stems, found, strict=True))
            named[model.residual] = 1 - found.sum(axis=0)
            summed = add_up(self.folding.estimates, named)
            chosen = {name: summed[name] for name in self.folding.common}
            mixture = np.stack([*targets.values()]).sum(axis=0)
            yield passage.piece(chosen, mixture, targets, first)
            first = frames.stop

    def _masks(self, passage: Passage) -> Iterator[Array]:
        """Yield the masks (source, channel, freq, frame) of the frames, as they come."""
        heard: list[UsedMasks] = []
        streamer = Streamer(
            self.model,
            sample_rate=passage.sample_rate,
            n_channels=passage.sources.n_channels,
            on_masks=heard.append,
        )
        n_heard, wanted = 0, passage.frames
        for block in chain(passage.sources.blocks(), [None]):
            if block is None:
                streamer.flush()
            else:
                streamer.process(block.sum(axis=0))
            for used in heard:
                n = used.mixture.shape[-1]
                start, stop = max(wanted.start - n_heard, 0), min(wanted.stop - n_heard, n)
                if start < stop:
                    yield used.per_bin[..., start:stop]
                n_heard += n
            heard.clear()
            if n_heard >= wanted.stop:
                return


def ideal_passage(
    sources: Sources,
    family: str | Family,
    *,
    stft: STFT | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
    fold: Mapping[str, str] | None = None,
) -> Passage:
    """Return what :func:`ideal_masks` does, in pieces."""
    stft = stft or STFT()
    if isinstance(family, str):
        family = masks.get(family, sample_rate=sources.sample_rate)
    rows: Rows = {name: (name,) for name in sources.names}
    if fold:
        check(fold, sources.names)
        rows = match((), sources.names, asked=fold).targets
    return Passage(
        name=f"oracle of {family.name}",
        sources=sources,
        stft=stft,
        frames=_frames(sources, stft, start_s, duration_s),
        rows=rows,
        make=_Ideal(family),
        n_freq=stft.n_freq,
    )


def model_passage(
    model: Separator,
    sources: Sources,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    fold: Mapping[str, str] | None = None,
) -> Passage:
    """Return what :func:`model_masks` does, in pieces."""
    stft = model.stft_at(sources.sample_rate)
    folding = match_model(model, sources.names, asked=fold)
    return Passage(
        name=model.name,
        sources=sources,
        stft=stft,
        frames=_frames(sources, stft, start_s, duration_s),
        rows=folding.targets,
        make=_Heard(model, folding),
        only=tuple(folding.common),
        n_freq=min(model.stft_at(model.sample_rate).n_freq, stft.n_freq),
    )


def ideal_masks(
    stems: Mapping[str, Array] | Mapping[str, Path],
    sample_rate: int | None,
    family: str | Family,
    *,
    stft: STFT | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
    fold: Mapping[str, str] | None = None,
) -> AppliedMasks:
    """Return the best masks of a family on ``sum(stems)``.

    Parameters
    ----------
    stems : mapping of str to array [shape=(channel, sample)], real, or path
        All sources of the mixture.
    sample_rate : int
        In Hz; files say it themselves.
    family : str or Family
        Or its name in the registry. Masks with several components a bin (deep filter, decoupled)
        are reduced to what they do to the bin: masked spectrum over mixture.
    stft : STFT, optional
        Front-end.
    start_s, duration_s : float
        The stretch, in whole frames; to the end when `duration_s` is left out.
    fold : mapping of str to str
        Part -> the source that it is added to.

    Raises
    ------
    ConfigError
        If there is no such family, `fold` names what is not there, or nothing of the recording
        lies in the stretch.
    """
    sources = Sources(stems, sample_rate)
    passage = ideal_passage(
        sources, family, stft=stft, start_s=start_s, duration_s=duration_s, fold=fold
    )
    return of_pieces(passage.pieces())


def model_masks(
    model: Separator,
    stems: Mapping[str, Array] | Mapping[str, Path],
    sample_rate: int | None = None,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    fold: Mapping[str, str] | None = None,
) -> AppliedMasks:
    """Return the masks that a model applies to ``sum(stems)``.

    The recording is streamed through the model from its beginning, at the front-end scaled to
    `sample_rate`, so masks are those of the whole file. What the stems leave has the mask that
    they leave of one. Bins above the model's band, where the engine extends masks, are left out.

    Parameters
    ----------
    model : Model
    stems : mapping of str to array [shape=(channel, sample)], real, or path
        The truth, by the model's names, as :func:`unmask.gap.gap` takes it.
    sample_rate : int
        In Hz; files say it themselves.
    start_s, duration_s : float
        The stretch, in whole frames; to the end when `duration_s` is left out.
    fold : mapping of str to str
        Part -> the source that it is added to, on both sides; so are the masks.

    Raises
    ------
    ConfigError
        If no stem is one of the model's, `fold` names what is not there, or nothing of the
        recording lies in the stretch.
    """
    sources = Sources(stems, sample_rate)
    passage = model_passage(model, sources, start_s=start_s, duration_s=duration_s, fold=fold)
    return of_pieces(passage.pieces())


def _frames(sources: Sources, stft: STFT, start_s: float, duration_s: float | None) -> slice:
    """Return the frames of a stretch."""
    span = stretch(sources.n_samples, sources.sample_rate, start_s, duration_s)
    first, last = round(span.start / stft.hop), stft.n_frames(sources.n_samples)
    if span.stop < sources.n_samples:
        last = first + max(1, round((span.stop - span.start) / stft.hop))
    return slice(first, last)


def _cut(frames: slice) -> Iterator[slice]:
    for start in range(frames.start, frames.stop, _N_FRAMES):
        yield slice(start, min(start + _N_FRAMES, frames.stop))
