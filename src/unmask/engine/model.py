"""Models in use: one ``.onnx`` file each, whose metadata says everything; it holds no code."""

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from unmask import masks
from unmask._arrays import Array
from unmask.engine.bound import Bound
from unmask.engine.container import metadata_of
from unmask.engine.level import Level
from unmask.engine.loading import bundled, check_network, check_variables, content_of
from unmask.engine.metadata import parse
from unmask.engine.session import open_session, run
from unmask.engine.settings import Settings
from unmask.engine.stream import Streamer, check_signal, frontend_at
from unmask.errors import ConfigError, ModelError, one_line
from unmask.frontends import FRONTENDS, STFT, Frames

__all__ = ["Model", "bundled", "load_model"]


class Model:
    """A network ready for use, with everything its file says about it.

    Made by :func:`load_model`. It holds no signal: one model may serve many streams and threads.

    Attributes
    ----------
    name, version, task : str
    stems : tuple of str
        Names of the sources that it estimates.
    residual : str
        Name of what the stems leave of the mixture.
    sample_rate : int
        Rate in Hz it was trained at; any other from 8000 to 192000 works too.
    channels : int
        Channels that it sees at once; 1 if each has its own mask.
    frontend : STFT or Frames
        Front-end at that rate.
    family : masks.Family
        Of its masks.
    masks_outside : bool
        Whether the network gives masks and the engine applies them; else frames come out of it.
    lookahead : int
        Frames it sees ahead.
    unit : int
        Its frames come in multiples of this many; 1 for networks that take any number.
    context : int
        Frames to either side that a mask depends on; 0 for networks that remember.
    segment : int
        Frames that it hears by themselves: :attr:`unit` of a network that neither remembers nor has
        a context. Such segments overlap, and are joined; 0 for all others.
    is_in_no_order : bool
        Whether nothing says which source is which, as of talkers.
    level : Level or None
        What the running level of all that the network hears is brought to.
    n_slow : int
        Terms of the polynomial that is taken out of every frame, which stems do not get: 1 an
        offset, 2 a slope too.
    slow_stem : str
        The stem that gets it instead of a residual; None if there is none.
    residual_is_source : bool
        Whether the residual is a source like the stems, as "other" beside vocals and drums; then it
        is among the outputs unless told otherwise.
    latency_s : float
        Longest time that a stream holds samples back.
    metadata : dict
        All that the file says, also what is not used here: licence, training data, scores.
    sha256 : str
        Hash of the file.

    Raises
    ------
    ConfigError
        If it hears recordings at one level and its masks depend on the level.
    """

    def __init__(
        self, session: Any, metadata: dict[str, Any], sha256: str, source: tuple[Any, ...]
    ) -> None:
        """Take over a session with checked metadata; `source` is what makes it again."""
        self._session = session
        self._source = source
        self.metadata = metadata
        self.sha256 = sha256
        self.name: str = metadata["name"]
        self.version: str = metadata["version"]
        self.task: str = metadata["task"]
        self.stems: tuple[str, ...] = tuple(metadata["stems"])
        self.residual: str = metadata["residual"] or "residual"
        self.sample_rate: int = metadata["sample_rate"]
        self.channels: int = metadata["channels"]
        self.unit: int = metadata["unit_frames"]
        self.context: int = metadata["context_frames"]
        self.lookahead: int = metadata["lookahead_frames"] or self.context
        self.level = Level(**metadata["level"]) if metadata["level"] else None
        self.n_slow: int = metadata["slow_terms"]
        self.slow_stem: str | None = metadata["slow_stem"]
        self.residual_is_source = self.task == "separate" and metadata["residual"] is not None
        front = dict(metadata["frontend"])
        self.frontend: STFT | Frames = FRONTENDS[front.pop("kind")](**front)
        self.masks_outside = isinstance(self.frontend, STFT)
        mask = metadata["mask"]
        self.family = masks.get(mask["family"], sample_rate=self.sample_rate, **mask["options"])
        self.family.describe()  # finds options of a wrong kind
        if self.level and not self.family.is_linear:
            raise ConfigError(
                f"level is {metadata['level']}, expected null: what masks of {self.family.name} "
                "add is of one level"
            )
        self._states = {state["name"]: tuple(state["shape"]) for state in metadata["state"]}
        given, made = ("spectrum", "mask") if self.masks_outside else ("frames", "sources")
        is_alone = self.unit > 1 and not (self.lookahead or self._states)
        self.segment: int = self.unit if is_alone else 0
        self.is_in_no_order: bool = metadata["permutation"] == "free"
        self._inputs = [given, *self._states]
        self._outputs = [made, *(f"next_{name}" for name in self._states)]
        self._made = self._made_sizes

    def __repr__(self) -> str:
        return f"<Model {self.name} {self.version}: {', '.join(self.stems)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to other processes as the bytes that were loaded; the file may change."""
        return _reload, self._source

    @property
    def latency_s(self) -> float:
        """Longest time in seconds that a stream holds samples back."""
        return Streamer(self).latency / self.sample_rate

    def stft_at(self, sample_rate: int) -> STFT:
        """Return the transform whose bins its masks are for, scaled to a sample rate in Hz.

        Raises
        ------
        ConfigError
            If its front-end is learned.
        """
        frontend = frontend_at(self, sample_rate)
        if isinstance(frontend, STFT):
            return frontend
        raise ConfigError(
            f"model {self.name} has a learned front-end: there is no spectrum to look at masks on"
        )

    def family_at(self, sample_rate: float) -> masks.Family:
        """Return the family of its masks on spectra of another sample rate in Hz.

        A crossover stays where it is in Hz. Above the model's band, where the engine extends
        masks, the family goes on as it ends: what an oracle of it says of a file is what masks of
        this family could do in all of the file's band, whoever finds them.
        """
        return self.family.at(sample_rate)

    def separate(
        self,
        mixture: Array,
        sample_rate: int,
        *,
        residual: bool | None = None,
        settings: Settings | None = None,
    ) -> dict[str, Array]:
        """Return the stems of a whole recording.

        Parameters
        ----------
        mixture : array [shape=(channel, sample)], real floating point
            Any number of channels and samples; each channel has its own mask unless they are
            linked.
        sample_rate : int, 8000 to 192000
            In Hz. Nothing is resampled; the band above the model's own is kept.
        residual : bool
            Also return what the stems leave of the mixture; then all outputs add up to it. When
            left out, :attr:`residual_is_source` decides.
        settings : Settings
            How masks are used.

        Returns
        -------
        dict of stem to float32 array [shape of `mixture`]

        Raises
        ------
        ShapeError
            If `mixture` has other axes, a number of channels that the model does not take, or is
            not real floating point.
        SampleRateError
            If the rate is outside 8000 to 192000 Hz, or not that of a learned front-end.
        SignalError
            If a sample is NaN or infinite.
        ConfigError
            If the model cannot be given these settings.
        """
        mixture = check_signal(mixture)
        streamer = Streamer(
            self,
            sample_rate=sample_rate,
            n_channels=mixture.shape[0],
            residual=residual,
            settings=settings,
        )
        ready, rest = streamer.process(mixture), streamer.flush()
        return {stem: np.concatenate([ready[stem], rest[stem]], axis=-1) for stem in ready}

    def start(self, n_signals: int) -> list[Array]:
        """Return the state of streams that begin: zeros, or silence before the first frame."""
        if self.context:
            return [np.zeros((n_signals, *self._sizes, self.context), np.float32)]
        return [np.zeros((n_signals, *shape), np.float32) for shape in self._states.values()]

    def step(self, x: Array, state: list[Array]) -> tuple[Array, list[Array]]:
        """Run the network over some frames.

        A network without memory gets what its context needs from the steps before: it then is as
        one with memory whose masks come :attr:`context` frames late.

        Parameters
        ----------
        x : float32 array [shape=(signal, part, channel, freq, frame) or (signal, channel, sample,
                frame)]
            Real and imaginary part of the spectrum, where a full-scale sine is 1; or, with a
            learned front-end, frames. A multiple of :attr:`unit` frames.
        state : list of float32 arrays
            From :meth:`start` or the step before.

        Returns
        -------
        float32 array [shape=(signal, source, part, channel, freq, frame) or (signal, source,
                channel, sample, frame)]
            Masks in real parts, see :meth:`unmask.masks.Family.of_parts`, or frames of the sources;
            of the frames up to :attr:`lookahead` before the last; none before the first when there
            is a context.
        state : list of float32 arrays

        Raises
        ------
        ModelError
            If the network fails, or gives other frames than it was given or another state.
        """
        if not self.context:
            return self._run(x, state)
        x = np.concatenate([state[0], x], axis=-1)
        first = max(0, x.shape[-1] - 2 * self.context)
        # One by one: a chunk is work enough, and the memory is that of one signal.
        whole = (self._run(one, [])[0] for one in np.split(x, len(x)))
        inner = [output[..., self.context : -self.context] for output in whole]
        return np.concatenate(inner), [x[..., first:].copy()]

    def bound(self, n_signals: int) -> Bound | None:
        """Return the network with buffers for one frame of signals, None where that cannot be."""
        on_cpu = self._session.get_providers() == ["CPUExecutionProvider"]
        if self.context or self.unit > 1 or not (on_cpu and self.masks_outside):
            return None
        return Bound(
            self._session,
            (self._inputs[0], (n_signals, *self._sizes, 1)),
            (self._outputs[0], (n_signals, *self._made, 1)),
            {name: (n_signals, *shape) for name, shape in self._states.items()},
            self,
        )

    @property
    def _sizes(self) -> tuple[int, ...]:
        """What the network is given, without signals and frames."""
        if isinstance(self.frontend, STFT):
            return (2, self.channels, self.frontend.n_freq)
        return (self.channels, self.frontend.length)

    @property
    def _made_sizes(self) -> tuple[int, ...]:
        """What it gives, likewise."""
        if isinstance(self.frontend, STFT):
            return (len(self.stems), self.family.n_parts, self.channels, self.frontend.n_freq)
        return (len(self.stems), self.channels, self.frontend.length)

    def _run(self, x: Array, state: list[Array]) -> tuple[Array, list[Array]]:
        """Call the network: what it gives for exactly these frames, and the state after them."""
        inputs = dict(zip(self._inputs, [x, *state], strict=True))
        output, *after = run(self._session, self._outputs, inputs, self)
        fits = output.shape == (len(x), *self._made, x.shape[-1])
        if not fits or [array.shape for array in after] != [array.shape for array in state]:
            found = [array.shape for array in (output, *after)]
            made = (len(x), *self._made, x.shape[-1])
            raise ModelError(
                f"model {self.name}: its network gave shapes {found}, "
                f"expected {[made, *(array.shape for array in state)]}; export it again"
            )
        return output, after


def load_model(
    name_or_path: str | os.PathLike[str],
    *,
    threads: int = 1,
    providers: Sequence[str] | None = None,
) -> Model:
    """Load a model by the name of a bundled one, from an ``.onnx`` file, or one that was pulled.

    Nothing is fetched: a model of a hub (``hf://ORGANISATION/NAME@REVISION``) is loaded if it was
    pulled before, and if its bytes are those that were.

    Parameters
    ----------
    name_or_path : str or path
        What begins with ``hf://`` is the address of a model of a hub, what ends in ``.onnx`` or
        holds a path separator a file, anything else a name.
    threads : int >= 1
        Threads of one call of the network.
    providers : sequence of str
        ONNX Runtime execution providers, best first: ``"cpu"``, ``"cuda"``, ``"coreml"``,
        ``"openvino"``, … or their full names; the CPU's when left out.

    Raises
    ------
    ModelError
        If there is no such model or file, or the file is not an ONNX file with valid metadata whose
        network does what the metadata says.
    ConfigError
        If `threads` or `providers` cannot be had on this machine, or an address is none.
    """
    content, path = content_of(name_or_path)
    return _of(content, path, threads, tuple(providers or ()))


def load_bytes(content: bytes, path: Path) -> Model:
    """Return the model that a file holds; `path` is what errors name.

    Raises
    ------
    ModelError
        If the bytes are not an ONNX file with valid metadata whose network does what they say.
    """
    return _of(content, path, 1, ())


@lru_cache(maxsize=1)
def _reload(content: bytes, path: Path, threads: int, providers: tuple[str, ...]) -> Model:
    """Return a model that came from another process, once for all its tasks."""
    return _of(content, path, threads, providers)


def _of(content: bytes, path: Path, threads: int, providers: tuple[str, ...]) -> Model:
    """Return the model of a file's bytes; `path` is what errors name."""
    metadata = parse(metadata_of(content, path), path)
    session = open_session(content, path, threads, providers or ("cpu",))
    try:
        source = (content, path, threads, providers)
        model = Model(session, metadata, hashlib.sha256(content).hexdigest(), source)
    except (ConfigError, TypeError) as error:  # front-end or mask family
        raise ModelError(f"{path}: metadata: {one_line(error)}") from error
    check_variables(model, path)
    check_network(model, path)
    return model
