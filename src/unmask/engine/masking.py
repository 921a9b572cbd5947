"""Frames in, separated frames out: the network is asked, its masks are used as the settings say.

Inside, spectra and masks lie frame by frame, ``(…, channel, frame, freq)``: what the transforms
take and give. The rest of the package has frames last.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from unmask._arrays import Array, complex_divide
from unmask.engine.asking import Network, Pace
from unmask.engine.level import RunningLevel
from unmask.engine.segments import Segments
from unmask.engine.settings import Settings
from unmask.frontends import STFT
from unmask.masks import sharpen
from unmask.transforms import irfft, rfft


@dataclass(frozen=True)
class UsedMasks:
    """Masks that were applied to a few frames, up to the highest bin that model and signal have."""

    masks: Array
    """(source, channel, freq, frame), or with an axis of components after the sources."""
    mixture: Array
    """What they were applied to, (channel, freq, frame); a full-scale sine is 1."""
    masked: Array
    """What came of it, (source, channel, freq, frame)."""
    above: Array
    """Factor on the bins above them, (source, channel, freq, frame)."""

    @property
    def per_bin(self) -> Array:
        """One value a bin, (source, channel, freq, frame): the mask, or what it comes to."""
        if self.masks.ndim == self.masked.ndim:
            return self.masks
        return complex_divide(self.masked, self.mixture[None])

    @property
    def whole(self) -> Array:
        """:attr:`per_bin` and the factors above it: all bins of the signal."""
        known, above = self.per_bin, self.above
        above = np.broadcast_to(above, (*known.shape[:2], *above.shape[2:]))
        return np.concatenate([known, above], axis=-2)


Listener = Callable[[UsedMasks], None]


class Masking:
    """Masks on the bins of a transform.

    Parameters
    ----------
    model : Network
    stft : STFT
        The model's, at the rate of the stream.
    n_channels : int
        Of the stream.
    settings : Settings
        How masks are used.
    n_piece : int
        Frames that are masked at a time.
    listener : callable, optional
        Is told the masks of every frame once they are applied.
    """

    def __init__(
        self,
        model: Network,
        stft: STFT,
        n_channels: int,
        settings: Settings,
        *,
        n_piece: int,
        listener: Listener | None = None,
    ) -> None:
        self._model, self._stft, self._n_channels = model, stft, n_channels
        self.settings, self._n_piece, self._listener = settings, n_piece, listener
        self._n_freq = model.frontend.n_freq  # type: ignore[union-attr]
        self._n_known = min(self._n_freq, stft.n_freq)
        self._past, self._future = model.family.context
        self._is_single = model.family.n_components == 1
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if new."""
        is_alone = self._model.channels == 1 and not self.settings.linked
        n_signals = self._n_channels if is_alone else 1
        self._pace = _asking(self._model, n_signals)
        self._level = _running_level(self._model, n_signals)
        # Spectra that masks to come are applied to, or look back at.
        self._spectra = self._silence(self._past)

    def advance(self, frames: Array, *, last: bool) -> Iterable[Array]:
        """Return separated frames (source, channel, frame, sample) that are due after `frames`.

        Parameters
        ----------
        frames : array [shape=(channel, frame, sample)]
            The next ones, windowed.
        last : bool
            Whether there are no more.
        """
        if not frames.shape[1] and not (last and self._pace.n_held):
            return ()
        spectrum = rfft(frames)
        parts = self._pace.ask(self._features(spectrum), last=last)
        if self._spectra.shape[1]:
            spectrum = np.concatenate([self._spectra, spectrum], axis=1)
        if last and self._future:
            spectrum = np.concatenate([spectrum, self._silence(self._future)], axis=1)
        self._spectra = spectrum
        if parts is None:
            return ()
        n_frames, n_piece = parts.shape[-1], self._n_piece
        if n_frames <= n_piece:
            return (self._separated(parts),) if n_frames else ()
        starts = range(0, n_frames, n_piece)
        return (self._separated(parts[..., k : k + n_piece]) for k in starts)

    def _separated(self, parts: Array) -> Array:
        """Return the next frames, masked."""
        return irfft(self._mask(parts), self._stft.n_fft)

    def _silence(self, n_frames: int) -> Array:
        return np.zeros((self._n_channels, n_frames, self._stft.n_freq), np.complex64)

    def _features(self, spectrum: Array) -> Array:
        """Return (signal, part, channel, freq, frame) in the network's bins; others are silent."""
        n_channels, (_, n_frames, n_freq) = self._model.channels, spectrum.shape
        if self.settings.linked:
            spectrum = spectrum.mean(axis=0, keepdims=True)
        if n_channels > len(spectrum):
            spectrum = np.repeat(spectrum, n_channels, axis=0)
        # Real and imaginary part are neighbours: one copy moves all to their places.
        rows = spectrum.view(np.float32)
        if self._level:
            gains = self._level.gains(rows[..., : 2 * self._n_freq])
            rows = rows * (gains.item() if gains.size == 1 else gains)
        parts = rows.reshape(-1, n_channels, n_frames, n_freq, 2)
        parts = parts[..., : self._n_freq, :].transpose(0, 4, 1, 3, 2)
        if n_freq >= self._n_freq:
            return np.ascontiguousarray(parts)
        return np.pad(parts, [(0, 0), (0, 0), (0, 0), (0, self._n_freq - n_freq), (0, 0)])

    def _mask(self, parts: Array) -> Array:
        """Return the masked spectra (source, channel, frame, freq) of the next frames."""
        n_frames, n_known = parts.shape[-1], self._n_known
        spectra = self._spectra[:, : self._past + n_frames + self._future]
        self._spectra = self._spectra[:, n_frames:]
        masks = self._masks(parts)
        if self._is_single:
            mixture = spectra
            known = masks * spectra[..., :n_known]
        else:
            mixture = spectra[:, self._past : self._past + n_frames]
            known = self._filtered(masks, spectra)
        n_above = mixture.shape[-1] - n_known
        gain = self._gain(masks, mixture, known) if n_above else known.real[..., :1]
        if self._listener:
            above = np.broadcast_to(gain, (*gain.shape[:-1], n_above))
            used = (masks[..., :n_known], mixture[..., :n_known], known, above)
            # Copies with frames last, which later frames do not change.
            self._listener(UsedMasks(*(x.swapaxes(-1, -2).copy() for x in used)))
        if not n_above:
            return known
        return np.concatenate([known, gain * mixture[..., n_known:]], axis=-1)

    def _masks(self, parts: Array) -> Array:
        """Return the masks (source, channel, frame, freq) of the network's, as they are used."""
        # (signal, source, part, channel, freq, frame): signals or channels are a single one
        if self._model.channels == 1:
            parts = parts[:, :, :, 0].transpose(1, 2, 0, 4, 3)
        else:
            parts = parts[0].swapaxes(-1, -2)
        if self._is_single:
            masks = _single(parts[..., : self._n_known])
        else:
            masks = self._model.family.of_parts(parts)
        if masks.shape[-3] > self._n_channels:  # one channel, which the network saw several times
            masks = masks.mean(axis=-3, keepdims=True)
        if self.settings.sensitivity != 1:
            masks = sharpen(masks, self.settings.sensitivity)
        if masks.shape[-3] < self._n_channels:
            masks = np.broadcast_to(masks, (*masks.shape[:-3], self._n_channels, *masks.shape[-2:]))
        return masks

    def _filtered(self, masks: Array, spectra: Array) -> Array:
        """Return what masks of several components make of `spectra` and the frames around."""
        n_known, missing = self._n_known, (0, self._n_freq - self._n_known)
        beside = (self._past, self._future)
        masks = np.pad(masks, [(0, 0)] * (masks.ndim - 2) + [beside, (0, 0)])
        spectra = np.pad(spectra[..., :n_known], [(0, 0), (0, 0), missing])
        masked = self._model.family.apply(masks.swapaxes(-1, -2), spectra.swapaxes(-1, -2))
        now = slice(self._past, masked.shape[-1] - self._future)
        return np.ascontiguousarray(masked[..., :n_known, now].swapaxes(-1, -2))

    def _gain(self, masks: Array, mixture: Array, known: Array) -> Array:
        """Return the factor on bins above the network's, (source, channel, frame, 1)."""
        if not self.settings.extend:
            return np.zeros((len(known), 1, 1, 1), np.float32)
        top = slice(math.floor(self._n_freq * 2 ** (-1 / 3)), self._n_freq)
        if self._is_single:
            return _mean(masks[..., top])
        before, after = _mean(mixture[..., top]), _mean(known[..., top])
        return np.divide(after, before, out=np.zeros_like(after), where=before > 0)


class Decoding:
    """Frames of a network that has its own encoder and decoder; otherwise as :class:`Masking`."""

    def __init__(self, model: Network, n_channels: int, settings: Settings) -> None:
        self._model, self._n_channels, self.settings = model, n_channels, settings
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if new."""
        n_signals = self._n_channels if self._model.channels == 1 else 1
        self._pace = _asking(self._model, n_signals)
        self._level = _running_level(self._model, n_signals)
        # Of the frames that the network has not given back.
        self._gains = np.ones((n_signals, 0, 1), np.float32)

    def advance(self, frames: Array, *, last: bool) -> Iterable[Array]:
        """Return separated frames (source, channel, frame, sample) that are due after `frames`."""
        if not frames.shape[1] and not (last and self._pace.n_held):
            return ()
        n_seen = self._model.channels
        if n_seen > len(frames):
            frames = np.repeat(frames, n_seen, axis=0)
        seen = frames.swapaxes(-1, -2).reshape(-1, n_seen, frames.shape[2], frames.shape[1])
        if self._level:
            gains = self._level.gains(frames)
            self._gains = np.concatenate([self._gains, gains], axis=1)
            seen = seen * gains[:, None, None, :, 0]
        found = self._pace.ask(seen, last=last)
        if found is None:
            return ()
        if self._level:
            found = found * self._undone(found.shape[-1])
        # (signal, source, channel, sample, frame): signals or channels are a single one
        found = found.transpose(1, 0, 2, 4, 3)
        found = found.reshape(len(found), -1, *found.shape[3:])
        if found.shape[1] > self._n_channels:
            found = found.mean(axis=1, keepdims=True)
        return (np.ascontiguousarray(found),) if found.shape[2] else ()

    def _undone(self, n_frames: int) -> Array:
        """Return what makes up for the gains of the next frames, (signal, 1, 1, 1, frame)."""
        gains = self._gains[:, None, None, None, :n_frames, 0]
        self._gains = self._gains[:, n_frames:]
        return np.divide(1, gains, out=np.zeros_like(gains), where=gains > 0)


def _asking(model: Network, n_signals: int) -> Pace | Segments:
    """Return what asks a network for the frames of signals that begin."""
    return Segments(model, n_signals) if model.segment else Pace(model, n_signals)


def _running_level(model: Network, n_signals: int) -> RunningLevel | None:
    """Return what finds the gains of signals that begin, None for a model that needs none."""
    if model.level is None:
        return None
    return RunningLevel(
        model.level,
        model.frontend,
        hop_s=model.frontend.hop / model.sample_rate,
        n_signals=n_signals,
        n_channels=model.channels,
    )


def _single(parts: Array) -> Array:
    """Return what :meth:`unmask.masks.Family.of_parts` does for one component, in less time."""
    if parts.shape[1] == 1:
        return parts[:, 0]
    masks = np.empty((len(parts), *parts.shape[2:]), np.complex64)
    masks.real, masks.imag = parts[:, 0], parts[:, 1]
    return masks


def _mean(x: Array) -> Array:
    """Return the mean magnitude over frequencies, (..., frame, 1)."""
    return np.abs(x).mean(axis=-1, keepdims=True)
