"""Separation of a signal that comes in pieces: push any block, get the samples that are ready.

A file is a long stream: whole recordings are pushed through the same :class:`Streamer`, so that a
stream and its file cannot differ.
"""

import math
from typing import Protocol

import numpy as np
import scipy.fft

from unmask._arrays import Array
from unmask.chunks import Chunks, Pieces, n_chunk_frames
from unmask.errors import ConfigError, SampleRateError, ShapeError, SignalError
from unmask.masks import Family, sharpen
from unmask.metadata import SAMPLE_RATES
from unmask.stft import STFT

# Samples of all stems, channels and frames in one call of the network: enough that the call is
# cheap beside its work, few enough that its arrays stay in the processor's cache.
_SAMPLES_PER_CALL = 2**18
_FRAMES_PER_CALL = (16, 256)

#: Least and greatest sensitivity.
SENSITIVITIES = (0.25, 4.0)


class Network(Protocol):
    """What a :class:`Streamer` needs to know of a model."""

    sample_rate: int
    """Rate in Hz that the network was trained at."""
    stft: STFT
    """Front-end at that rate."""
    family: Family
    """What raw maps mean."""
    stems: tuple[str, ...]
    """Names of the sources, in the order of the network's output."""
    residual: str
    """Name of what the stems leave of the mixture."""
    residual_is_source: bool
    """Whether the residual is a source like the stems."""
    lookahead: int
    """Frames that the network sees ahead."""
    context: int
    """Frames to either side that a mask depends on; 0 for networks that remember."""
    unit: int
    """Frames of a step are a multiple of this."""

    def start(self, n_channels: int) -> list[Array]:
        """Return the state of a stream that begins."""

    has_masked: bool
    """Whether there is :meth:`masked_step`; then unit is 1, without look-ahead or context."""

    def masked_step(self, features: Array, state: list[Array]) -> tuple[Array, list[Array]]:
        """Return masked spectra (channel, source, 2, freq, frame) and the state after them."""

    def step(self, features: Array, state: list[Array]) -> tuple[Array, list[Array]]:
        """Return raw maps (channel, source, map, freq, frame) and the state after them.

        `features` are the real and imaginary parts of the spectrum, (channel, 2, freq, frame). The
        maps are the next ones that are not out yet, up to `lookahead` frames before the last.
        """


class Streamer:
    """Separate a stream block by block, with the samples of the whole file.

    However the input is cut, the concatenated output is the same and has exactly as many samples as
    came in. Samples keep their place: output sample `n` belongs to input sample `n`, it only comes
    up to :attr:`latency` samples later. Several streamers may share one model.

    Parameters
    ----------
    model : Model
        Loaded by :func:`unmask.load_model`.
    sample_rate : int, 8000 to 192000
        Rate of the stream in Hz; the model's own when left out. At another rate the front-end is
        scaled, nothing is resampled, and the band above the model's is kept: its bins get the mean
        magnitude of the mask over the model's top third of an octave.
    n_channels : int
        Channels of the stream; each has its own mask unless they are linked.
    residual : bool
        Also return what the stems leave of the mixture, so that all outputs add up to it. When left
        out, it is returned if the model's residual is a source like the stems.
    chunk_frames : int
        Frames that the network is given at a time, a multiple of its unit. Fewer mean less latency
        and more work: each call of a network costs, and for one without memory the context on both
        sides comes on top. When left out, every frame as soon as it is there; for networks without
        memory three times the context. The samples are the same.
    sensitivity : float, 0.25 to 4
        Power that the magnitude of every mask is raised to, see :func:`unmask.masks.sharpen`: above
        1 more is taken out of each stem, below 1 less. Stems and residual still add up.
    linked : bool
        Give all channels one mask, that of their mean: the network then hears one channel, and
        costs what it costs for one. What is opposite in two channels it does not hear.

    Raises
    ------
    SampleRateError, ShapeError
        If the rate is outside 8000 to 192000 Hz, or there is no channel.
    ConfigError
        If `chunk_frames` is no multiple of the network's unit from 1 to 10000, or `sensitivity` is
        outside its range, or not 1 for masks of several components a bin.

    Examples
    --------
    >>> streamer = Streamer(model, n_channels=2)  # doctest: +SKIP
    >>> parts = [streamer.process(block) for block in blocks] + [streamer.flush()]  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Network,
        *,
        sample_rate: int | None = None,
        n_channels: int = 1,
        residual: bool | None = None,
        chunk_frames: int | None = None,
        sensitivity: float = 1.0,
        linked: bool = False,
    ) -> None:
        rate = model.sample_rate if sample_rate is None else sample_rate
        check_sample_rate(rate)
        if n_channels < 1:
            raise ShapeError(f"n_channels: {n_channels}, expected 1 or more")
        check_sensitivity(sensitivity, model.family)
        self.model = model
        self.sensitivity = sensitivity
        self.linked = linked
        self.sample_rate = rate
        self.n_channels = n_channels
        self._shape = len(model.stems), n_channels
        self._residual = model.residual_is_source if residual is None else residual
        self.stems = (*model.stems, model.residual) if self._residual else model.stems
        self._stft = stft = model.stft.scaled(rate / model.sample_rate)
        # Everything is done in hops: a frame is `overlap` of them.
        self._overlap = stft.n_fft // stft.hop
        window = stft.window_values.reshape(self._overlap, stft.hop)
        # Row b: sum of the squared windows of the b + 1 latest frames over one hop.
        self._envelope = np.cumsum(window**2, axis=0)
        # The network sees a full-scale sine as 1.
        scale = 2 / window.sum()
        self._analysis_window = (window * scale).astype(np.float32)
        self._synthesis_window = (window / self._envelope[-1] / scale).astype(np.float32)
        n_frames = _SAMPLES_PER_CALL // (stft.n_fft * n_channels * len(model.stems))
        self._piece = min(max(n_frames, _FRAMES_PER_CALL[0]), _FRAMES_PER_CALL[1])
        self._chunk = n_chunk_frames(context=model.context, unit=model.unit, wanted=chunk_frames)
        is_plain = sensitivity == 1 and not linked and stft.n_freq == model.stft.n_freq
        self._masks_in_graph = model.has_masked and is_plain
        self.reset()

    @property
    def latency(self) -> int:
        """Largest number of samples that are held back: window, frames ahead, rest of the chunk."""
        n_frames = self.model.lookahead + max(0, self._chunk - 1)
        return self._stft.n_fft - 1 + n_frames * self._stft.hop

    def reset(self) -> None:
        """Forget everything, as if new."""
        stft, n_past = self._stft, self.model.family.context[0]
        self._state = self.model.start(1 if self.linked else self.n_channels)
        # Samples from the first that is not out yet; frame 0 is centred at sample 0.
        self._held = np.zeros((self.n_channels, stft.n_fft // 2), np.float32)
        # Spectra that masks to come are applied to, or look back at.
        self._spectra = self._silence(n_past)
        self._tail = np.zeros((*self._shape, self._overlap - 1, stft.hop), np.float32)
        self._n_in = self._n_out = self._n_rows = 0
        self._intake = self._new_intake()

    def process(self, block: Array) -> dict[str, Array]:
        """Take in `block` and return what is ready.

        Parameters
        ----------
        block : array [shape=(channel, sample)], real floating point
            Any number of samples, also none.

        Returns
        -------
        dict of stem to float32 array [shape=(channel, sample)]
            All of one length, which may be 0.

        Raises
        ------
        ShapeError
            If `block` has another number of channels, or is not real floating point.
        SignalError
            If a sample is NaN or infinite. The stream is left as it was and can go on.
        """
        block = check_signal(block, n_channels=self.n_channels)
        self._n_in += block.shape[1]
        if self._is_one_hop(block):
            return dict(zip(self.stems, self._advance_one_hop(block), strict=True))
        ready = self._intake.push(block)
        return self._named([part for samples in ready for part in self._advance(samples)])

    def flush(self) -> dict[str, Array]:
        """Return the rest of the stream; afterwards the streamer is as new."""
        stft, n_missing = self._stft, self._n_in - self._n_out
        end = (stft.n_frames(self._n_in) - 1) * stft.hop + stft.n_fft - stft.n_fft // 2
        padding = np.zeros((self.n_channels, end - self._n_in), np.float32)
        parts = self._advance(np.hstack([self._intake.rest(), padding]), last=True)
        parts.append(self._finish(self._tail, last=True))
        rest = np.concatenate(parts, axis=-1)[..., :n_missing]
        self.reset()
        return self._named([rest])

    def _new_intake(self) -> Pieces | Chunks:
        stft = self._stft
        if not self._chunk:
            return Pieces(self.n_channels, self._piece * stft.hop)
        # The first chunk ends with the window of its last frame.
        n_first = (self._chunk - 1) * stft.hop + stft.n_fft - stft.n_fft // 2
        return Chunks(self.n_channels, n_first, self._chunk * stft.hop)

    def _silence(self, n_frames: int) -> Array:
        return np.zeros((self.n_channels, self._stft.n_freq, n_frames), np.complex64)

    def _named(self, parts: list[Array]) -> dict[str, Array]:
        if not parts:
            parts = [np.zeros((len(self.stems), self.n_channels, 0), np.float32)]
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        return dict(zip(self.stems, joined, strict=True))

    def _advance(self, samples: Array, *, last: bool = False) -> list[Array]:
        """Take in samples (channel, sample), return those that are ready, in pieces."""
        self._held = np.concatenate([self._held, samples], axis=1)
        spectrum = self._analyze()
        if self._masks_in_graph:
            return [self._overlap_add(self._masked(spectrum))] if spectrum.shape[-1] else []
        raw = self._infer(np.ascontiguousarray(spectrum), last=last)
        starts = range(0, raw.shape[-1], self._piece)
        masked = (self._mask(raw[..., k : k + self._piece]) for k in starts)
        return [self._overlap_add(spectra.swapaxes(-1, -2)) for spectra in masked]

    def _is_one_hop(self, samples: Array) -> bool:
        """Tell whether `samples` complete one frame, and one hop that no more frames reach."""
        hop, n_past = self._stft.hop, self._stft.n_fft - self._stft.hop
        return (
            self._masks_in_graph
            and not self._chunk
            and samples.shape[1] == hop
            and self._held.shape[1] == n_past
            and self._n_rows * hop >= n_past
        )

    def _advance_one_hop(self, samples: Array) -> Array:
        """Return the samples that are ready: what :meth:`_advance` does, for one frame.

        Hop by hop, the lines around a small network cost as much as the network does.
        """
        stft = self._stft
        held = np.concatenate([self._held, samples], axis=1)
        spectrum = scipy.fft.rfft(held * self._analysis_window.reshape(-1))
        masked = self._masked(spectrum[..., None])[..., 0, :]
        frames = scipy.fft.irfft(masked, n=stft.n_fft)
        frames *= self._synthesis_window.reshape(-1)
        hops = frames.reshape(*self._shape, self._overlap, stft.hop)
        hops[:, :, :-1] += self._tail
        stems, self._tail = hops[:, :, 0], hops[:, :, 1:]
        mixture, self._held = held[:, : stft.hop], held[:, stft.hop :]
        if self._residual:
            stems = np.concatenate([stems, (mixture - stems.sum(axis=0))[None]])
        self._n_rows += 1
        self._n_out += stft.hop
        return stems

    def _analyze(self) -> Array:
        """Return the spectrum (channel, freq, frame) of all new frames that are complete."""
        stft = self._stft
        n_waiting = self._spectra.shape[-1] - self.model.family.context[0]
        n_hops = self._held.shape[1] // stft.hop
        n_frames = n_hops - n_waiting - self._overlap + 1
        if n_frames < 1:
            return self._silence(0)
        hops = self._held[:, : n_hops * stft.hop].reshape(self.n_channels, n_hops, stft.hop)
        frames = np.empty((self.n_channels, n_frames, self._overlap, stft.hop), np.float32)
        for k, first in enumerate(range(n_waiting, n_waiting + self._overlap)):
            part = hops[:, first : first + n_frames]
            np.multiply(part, self._analysis_window[k], out=frames[:, :, k])
        # SciPy's transform is several times faster than NumPy's for many frames.
        spectrum = scipy.fft.rfft(frames.reshape(self.n_channels, n_frames, -1), overwrite_x=True)
        return spectrum.swapaxes(-1, -2)

    def _masked(self, spectrum: Array) -> Array:
        """Return the masked spectra (source, channel, frame, freq), from the network itself."""
        features = np.empty((self.n_channels, 2, *spectrum.shape[1:]), np.float32)
        features[:, 0], features[:, 1] = spectrum.real, spectrum.imag
        parts, self._state = self.model.masked_step(features, self._state)
        parts = parts.transpose(2, 1, 0, 4, 3)
        masked = np.empty(parts.shape[1:], np.complex64)
        masked.real, masked.imag = parts[0], parts[1]
        return masked

    def _infer(self, spectrum: Array, *, last: bool) -> Array:
        """Return the raw maps (source, map, channel, freq, frame) of the frames that are due.

        Linked channels have one.
        """
        model, n_spare = self.model, 0
        if last:
            n_spare = -(spectrum.shape[-1] + model.lookahead) % model.unit
            silence = self._silence(model.lookahead + n_spare)
            spectrum = np.concatenate([spectrum, silence], axis=-1)
        if not spectrum.shape[-1]:
            return np.zeros((*self._shape, 0, 0, 0))
        raw, self._state = model.step(self._features(spectrum), self._state)
        self._spectra = np.concatenate([self._spectra, spectrum], axis=-1)
        n_due = self._spectra.shape[-1] - model.family.context[0] - model.lookahead - n_spare
        n_made = raw.shape[-1] - n_spare
        return raw[..., n_made - max(0, n_due) : n_made].transpose(1, 2, 0, 3, 4)

    def _mask(self, raw: Array) -> Array:
        """Return the masked spectra (source, channel, freq, frame) of the next frames."""
        (past, future), n_frames = self.model.family.context, raw.shape[-1]
        mask = self.model.family.activate(raw)
        if self.sensitivity != 1:
            mask = sharpen(mask, self.sensitivity)
        if self.linked:
            mask = np.broadcast_to(mask, (*mask.shape[:-3], self.n_channels, *mask.shape[-2:]))
        masked = self._apply(mask, past + n_frames + future)
        self._spectra = self._spectra[..., n_frames:]
        return masked[..., past : past + n_frames]

    def _features(self, spectrum: Array) -> Array:
        """Return real and imaginary part in the network's bins; those it misses are silent."""
        if self.linked:
            spectrum = spectrum.mean(axis=0, keepdims=True)
        n_known = min(self.model.stft.n_freq, spectrum.shape[1])
        shape = (spectrum.shape[0], 2, self.model.stft.n_freq, spectrum.shape[-1])
        features = np.zeros(shape, np.float32)
        features[:, 0, :n_known] = spectrum[:, :n_known].real
        features[:, 1, :n_known] = spectrum[:, :n_known].imag
        return features

    def _apply(self, mask: Array, n_frames: int) -> Array:
        """Return the first `n_frames` of the spectra, masked: context, frames of `mask`, context.

        Bins above the network's band get the mean gain over its top third of an octave.
        """
        family, n_known = self.model.family, self.model.stft.n_freq
        past, future = family.context
        if past or future:
            mask = np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(past, future)])
        spectrum = self._spectra[..., :n_frames]
        known = family.apply(mask[..., : spectrum.shape[1], :], spectrum[:, :n_known])
        if spectrum.shape[1] <= n_known:
            return known
        top = slice(math.floor(n_known * 2 ** (-1 / 3)), n_known)
        if family.has_components:
            before, after = (_mean(x[..., top, :]) for x in (spectrum, known))
            gain = np.divide(after, before, out=np.zeros_like(after), where=before > 0)
        else:
            gain = _mean(mask[..., top, :])
        return np.concatenate([known, gain * spectrum[:, n_known:]], axis=-2)

    def _overlap_add(self, spectra: Array) -> Array:
        """Return the samples that the masked spectra (source, channel, frame, freq) complete."""
        n_frames, hop = spectra.shape[-2], self._stft.hop
        frames = scipy.fft.irfft(spectra, n=self._stft.n_fft)
        frames = frames.reshape(*self._shape, n_frames, self._overlap, hop)
        frames *= self._synthesis_window
        rows = np.zeros((*self._shape, n_frames + self._overlap - 1, hop), np.float32)
        rows[:, :, : self._overlap - 1] = self._tail
        for k in range(self._overlap):
            rows[:, :, k : k + n_frames] += frames[:, :, :, k]
        self._tail = rows[:, :, n_frames:].copy()
        return self._finish(rows[:, :, :n_frames], last=False)

    def _finish(self, rows: Array, *, last: bool) -> Array:
        """Return the next samples (stem, channel, sample) from `rows` that all frames are in."""
        n_rows, hop, first = rows.shape[2], self._stft.hop, self._n_rows
        if last or first < self._overlap - 1:
            rows = rows * self._edge(first, n_rows, last=last)
        stems = rows.reshape(*self._shape, n_rows * hop)
        mixture, self._held = self._held[:, : n_rows * hop], self._held[:, n_rows * hop :]
        if self._residual:
            stems = np.concatenate([stems, (mixture - stems.sum(axis=0))[None]])
        self._n_rows += n_rows
        stems = stems[..., max(0, self._stft.n_fft // 2 - first * hop) :]
        self._n_out += stems.shape[-1]
        return stems

    def _edge(self, first: int, n_rows: int, *, last: bool) -> Array:
        """Return what makes up for the frames that rows at either end of the stream lack."""
        envelope = self._envelope[np.minimum(first + np.arange(n_rows), self._overlap - 1)]
        if last:
            envelope -= self._envelope[:n_rows]
        # Zero only where the window is, before the first sample or after the last.
        envelope = np.where(envelope > 0, envelope, self._envelope[-1])
        return (self._envelope[-1] / envelope).astype(np.float32)


def check_sample_rate(sample_rate: int) -> None:
    """Refuse sample rates that are not separated."""
    low, high = SAMPLE_RATES
    if not low <= sample_rate <= high:
        raise SampleRateError(
            f"sample rate is {sample_rate} Hz, expected {low} to {high} Hz; resample it first"
        )


def check_sensitivity(sensitivity: float, family: Family) -> None:
    """Refuse a sensitivity that masks of `family` cannot be given."""
    low, high = SENSITIVITIES
    if not low <= sensitivity <= high:
        raise ConfigError(f"sensitivity: {sensitivity}, expected {low:g} to {high:g}; 1 is neutral")
    if sensitivity != 1 and family.has_components:
        raise ConfigError(
            f"sensitivity: {sensitivity}, but masks of {family.name} have several components a "
            "bin; leave it at 1"
        )


def check_signal(mixture: Array, *, n_channels: int | None = None) -> Array:
    """Return `mixture` (channel, sample) as float32, or say why it is none."""
    mixture = np.asarray(mixture)
    if mixture.ndim != 2 or not mixture.shape[0] or n_channels not in (None, mixture.shape[0]):
        expected = "channel >= 1" if n_channels is None else n_channels
        raise ShapeError(f"mixture has shape {mixture.shape}, expected ({expected}, sample)")
    if mixture.dtype.kind != "f":
        raise ShapeError(
            f"mixture has type {mixture.dtype}, expected floating point in [-1, 1]; "
            "divide integer samples by their full scale"
        )
    single = mixture
    if mixture.dtype != np.float32:
        with np.errstate(over="ignore"):
            single = mixture.astype(np.float32)
    # A sum of squares is finite if all samples are, unless they are huge; it is found at once.
    if not math.isfinite(np.vdot(single, single)) and not np.isfinite(single).all():
        channel, sample = np.argwhere(~np.isfinite(single))[0]
        raise SignalError(
            f"mixture: sample {sample} of channel {channel} is {mixture[channel, sample]}, "
            "expected a finite number; repair the recording first"
        )
    return single


def _mean(x: Array) -> Array:
    """Return the mean magnitude over frequencies, (..., 1, frame)."""
    return np.abs(x).mean(axis=-2, keepdims=True)
