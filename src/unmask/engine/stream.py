"""Separation of a signal that comes in pieces: push any block, get the samples that are ready.

A file is a long stream: whole recordings are pushed through the same :class:`Streamer`, so that a
stream and its file cannot differ.
"""

import math

import numpy as np

from unmask._arrays import MOST_CHANNELS, Array, check_channels
from unmask.engine.asking import Network
from unmask.engine.chunks import Chunks, Pieces, n_chunk_frames
from unmask.engine.framing import Framing
from unmask.engine.masking import Decoding, Listener, Masking
from unmask.engine.metadata import SAMPLE_RATES
from unmask.engine.mixing import Mixing
from unmask.engine.settings import Settings
from unmask.errors import ConfigError, ModelError, SampleRateError, ShapeError, SignalError
from unmask.frontends import STFT, Frames

# Samples of all stems, channels and frames in one call of the network: enough that the call is
# cheap beside its work, few enough that its arrays stay in the processor's cache.
_SAMPLES_PER_CALL = 2**18
_FRAMES_PER_CALL = (16, 256)


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
        magnitude of the mask over the model's top third of an octave. A model with a learned
        front-end takes its own rate only.
    n_channels : int
        Channels of the stream; each has its own mask unless they are linked. A model that sees
        several channels at once takes that many, or one.
    residual : bool
        Also return what the stems leave of the mixture, so that all outputs add up to it. When left
        out, it is returned if the model's residual is a source like the stems.
    chunk_frames : int
        Frames that the network is given at a time, a multiple of its unit. Fewer mean less latency
        and more work: each call of a network costs, and for one without memory the context on both
        sides comes on top. When left out, every frame as soon as it is there; for networks without
        memory three times the context. The samples are the same.
    settings : Settings
        How masks are used. :attr:`settings` may be set to others while the stream runs; the change
        is heard within the next frames, without a click.
    on_masks : callable, optional
        Is given a :class:`unmask.engine.masking.UsedMasks` of every few frames, each frame once and
        in their order, before the samples are out.

    Raises
    ------
    SampleRateError, ShapeError
        If the rate is outside 8000 to 192000 Hz or not one of the model's, or there is no channel,
        or a number of them that the model does not take.
    ConfigError
        If `chunk_frames` is no multiple of the network's unit from 1 to 10000, or the model cannot
        be given these settings or a listener.

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
        settings: Settings | None = None,
        on_masks: Listener | None = None,
    ) -> None:
        rate = model.sample_rate if sample_rate is None else sample_rate
        check_sample_rate(rate)
        _check_channels(model, n_channels)
        self.model, self.sample_rate, self.n_channels = model, rate, n_channels
        self._settings = settings or Settings()
        self._settings.check(model)
        self._mixing = Mixing(
            model.stems,
            model.residual,
            with_residual=model.residual_is_source if residual is None else residual,
            sample_rate=rate,
            settings=self._settings,
            rest_in=model.slow_stem,
        )
        self.stems = self._mixing.names
        frontend = self.frontend = frontend_at(model, rate)
        self._framing = Framing(frontend, len(model.stems), n_channels, n_slow=model.n_slow)
        n_frames = _SAMPLES_PER_CALL // (frontend.length * n_channels * len(model.stems))
        self._piece = min(max(n_frames, _FRAMES_PER_CALL[0]), _FRAMES_PER_CALL[1])
        # Segments are made of frames as they come.
        unit = 1 if model.segment else model.unit
        self._chunk = n_chunk_frames(context=model.context, unit=unit, wanted=chunk_frames)
        self._masking: Masking | Decoding
        if isinstance(frontend, STFT):
            self._masking = Masking(
                model,
                frontend,
                n_channels,
                self._settings,
                n_piece=self._piece,
                listener=on_masks,
            )
        elif on_masks is None:
            self._masking = Decoding(model, n_channels, self._settings)
        else:
            raise ConfigError(f"on_masks: the masks of model {model.name} stay in its network")
        self.reset()

    @property
    def settings(self) -> Settings:
        """How masks are used from the next frames on."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        """Use masks in another way.

        Raises
        ------
        ConfigError
            If that is impossible for the model, or would change `linked`.
        """
        if settings.linked != self._settings.linked:
            raise ConfigError(
                "linked: cannot be changed while a stream runs, the network hears other signals; "
                "start another stream"
            )
        settings.check(self.model)
        self._settings = self._masking.settings = settings
        self._mixing.change(settings)

    @property
    def latency(self) -> int:
        """Largest number of samples that are held back: window, frames ahead, rest of the chunk."""
        ahead = self.model.lookahead + max(0, self.model.segment - 1)
        n_frames = ahead + max(0, self._chunk - 1)
        return self._framing.latency + n_frames * self.frontend.hop

    def reset(self) -> None:
        """Forget everything but the settings, as if new."""
        self._framing.reset()
        self._masking.reset()
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
        ModelError
            If the network fails, or gives NaN, infinity or another number of frames. The stream is
            to be reset.
        """
        block = check_signal(block, n_channels=self.n_channels)
        ready = []
        for samples in self._intake.push(block):
            ready += self._advance(self._framing.cut(samples))
        return self._named(ready)

    def flush(self) -> dict[str, Array]:
        """Return the rest of the stream; afterwards the streamer is as new.

        Raises
        ------
        ModelError
            As :meth:`process`.
        """
        framing, rest = self._framing, self._intake.rest()
        n_missing = framing.n_missing + rest.shape[1]
        ready = self._advance(framing.end(rest), last=True)
        ready.append(self._mixed(*framing.rest()))
        self.reset()
        n_ready = sum(samples.shape[-1] for samples in ready)
        if n_ready < n_missing:
            raise ModelError(
                f"model {self.model.name}: its network left out {n_missing - n_ready} samples; "
                "export it again"
            )
        return {stem: samples[:, :n_missing] for stem, samples in self._named(ready).items()}

    def _advance(self, frames: Array, *, last: bool = False) -> list[Array]:
        """Return the samples (output, channel, sample) that are ready after `frames`, in pieces."""
        # What becomes infinite is found in what comes out.
        with np.errstate(over="ignore", invalid="ignore"):
            separated = self._masking.advance(frames, last=last)
            return [self._mixed(*self._framing.add(some)) for some in separated]

    def _mixed(self, stems: Array, mixture: Array) -> Array:
        """Return what comes out (output, channel, sample) of samples that are whole."""
        mixed = self._mixing(stems, mixture)
        if not is_finite(mixed):
            raise ModelError(
                f"model {self.model.name}: its network gave NaN or infinity, expected finite "
                "numbers; export it again, of a training run that did not diverge"
            )
        return mixed

    def _new_intake(self) -> Pieces | Chunks:
        frontend = self.frontend
        if not self._chunk:
            return Pieces(self.n_channels, self._piece * frontend.hop)
        # The first chunk ends with the last sample of its last frame.
        n_first = (self._chunk - 1) * frontend.hop + frontend.length - frontend.lead
        return Chunks(self.n_channels, n_first, self._chunk * frontend.hop)

    def _named(self, parts: list[Array]) -> dict[str, Array]:
        if len(parts) == 1:
            return dict(zip(self.stems, parts[0], strict=True))
        nothing = np.zeros((len(self.stems), self.n_channels, 0), np.float32)
        return dict(zip(self.stems, np.concatenate([nothing, *parts], axis=-1), strict=True))


def frontend_at(model: Network, sample_rate: int) -> STFT | Frames:
    """Return the front-end of a model at a sample rate: bins and frames as wide as at its own.

    Raises
    ------
    SampleRateError
        If it is learned, and made for another rate.
    """
    if isinstance(model.frontend, STFT):
        return model.frontend.scaled(sample_rate / model.sample_rate)
    if sample_rate != model.sample_rate:
        raise SampleRateError(
            f"sample rate is {sample_rate} Hz, model {model.name} has filters learned for "
            f"{model.sample_rate} Hz; resample first"
        )
    return model.frontend


def _check_channels(model: Network, n_channels: int) -> None:
    """Refuse numbers of channels that a model cannot be given."""
    if not 1 <= n_channels <= MOST_CHANNELS:
        raise ShapeError(f"n_channels: {n_channels}, expected 1 to {MOST_CHANNELS}")
    n_seen = model.channels
    if n_seen > 1 and n_channels not in (1, n_seen):
        groups = ", ".join(
            "+".join(str(k + 1) for k in range(first, min(first + n_seen, n_channels)))
            for first in range(0, n_channels, n_seen)
        )
        raise ShapeError(
            f"n_channels: {n_channels}, model {model.name} sees {n_seen} channels at once and "
            f"takes {n_seen} or 1; separate channels {groups} by themselves"
        )


def check_sample_rate(sample_rate: int) -> None:
    """Refuse sample rates that are not separated.

    Raises
    ------
    SampleRateError
        If it is outside 8000 to 192000 Hz.
    """
    low, high = SAMPLE_RATES
    if not low <= sample_rate <= high:
        raise SampleRateError(
            f"sample rate is {sample_rate} Hz, expected {low} to {high} Hz; resample it first"
        )


def check_signal(mixture: Array, *, n_channels: int | None = None) -> Array:
    """Return `mixture` (channel, sample) as float32, or say why it is none.

    Raises
    ------
    ShapeError
        If it has other axes or another number of channels, or is not real floating point.
    SignalError
        If a sample is NaN or infinite.
    """
    mixture = _as_numpy(mixture)
    if mixture.ndim != 2 or not mixture.shape[0] or n_channels not in (None, mixture.shape[0]):
        expected = "channel >= 1" if n_channels is None else n_channels
        raise ShapeError(f"mixture has shape {mixture.shape}, expected ({expected}, sample)")
    if n_channels is None:
        check_channels(mixture=mixture)
    if mixture.dtype.kind != "f":
        raise ShapeError(
            f"mixture has type {mixture.dtype}, expected floating point in [-1, 1]; "
            "divide integer samples by their full scale"
        )
    single = mixture
    if mixture.dtype != np.float32:
        with np.errstate(over="ignore"):
            single = mixture.astype(np.float32)
    if not is_finite(single):
        channel, sample = np.argwhere(~np.isfinite(single))[0]
        raise SignalError(
            f"mixture: sample {sample} of channel {channel} is {mixture[channel, sample]}, "
            "expected a finite number; repair the recording first"
        )
    return single


def _as_numpy(mixture: Array) -> Array:
    """Return samples of any library as a NumPy array, without gradients."""
    if isinstance(mixture, np.ndarray):
        return mixture
    try:
        return np.asarray(mixture.detach() if hasattr(mixture, "detach") else mixture)
    except TypeError as error:  # a type that NumPy lacks, as bfloat16
        raise ShapeError(
            f"mixture has type {getattr(mixture, 'dtype', type(mixture).__name__)}, expected "
            "single or double precision; convert it first"
        ) from error


def is_finite(x: Array) -> bool:
    """Tell whether all of `x` is finite."""
    # A sum of squares is finite if all are, unless they are huge; it is found at once.
    return math.isfinite(np.vdot(x, x)) or bool(np.isfinite(x).all())
