"""How a network is asked for frames: each is handed out once, however late the network is."""

from typing import Protocol

import numpy as np

from unmask._arrays import Array
from unmask.engine.level import Level
from unmask.engine.settings import Configurable
from unmask.errors import ModelError
from unmask.frontends import STFT, Frames


class Network(Configurable, Protocol):
    """What the engine needs to know of a model: :class:`unmask.Model` is one."""

    sample_rate: int
    """Rate in Hz that the network was trained at."""
    frontend: STFT | Frames
    """Front-end at that rate."""
    residual_is_source: bool
    """Whether the residual is a source like the stems."""
    lookahead: int
    """Frames that the network sees ahead."""
    context: int
    """Frames to either side that a mask depends on; 0 for networks that remember."""
    unit: int
    """Frames of a step are a multiple of this."""
    segment: int
    """Frames that it hears by themselves, whose masks know nothing of others; 0 if there are no
    segments."""
    is_in_no_order: bool
    """Whether it may give its sources in another order in every segment."""
    masks_outside: bool
    """Whether it gives masks of a spectrum, rather than frames."""
    level: Level | None
    """What the level of all that the network is given is brought to; None for what it comes at."""
    n_slow: int
    """Terms of the polynomial that is taken out of every frame, see :func:`framing.slow`."""
    slow_stem: str | None
    """The stem that it is given to, where masks sum to one and nothing else is left."""

    def start(self, n_signals: int) -> list[Array]:
        """Return the state of streams that begin."""

    def step(self, x: Array, state: list[Array]) -> tuple[Array, list[Array]]:
        """Return what the network gives for the next frames, and the state after them.

        Frames are the last axis of `x` and of what is returned; those are the next that are not out
        yet, up to `lookahead` before the last of `x`.
        """


class Pace:
    """Asks a network for frames and hands out each once: how late it is, is dealt with here.

    Parameters
    ----------
    model : Network
    n_signals : int
        Signals that it hears side by side.
    """

    def __init__(self, model: Network, n_signals: int) -> None:
        self._model = model
        self._state = model.start(n_signals)
        self._n_in = self._n_out = 0

    @property
    def n_held(self) -> int:
        """Frames that came in and are not out."""
        return self._n_in - self._n_out

    def ask(self, x: Array, *, last: bool) -> Array:
        """Return the network's output for the frames that are due, after `x` (..., frame).

        Raises
        ------
        ModelError
            If it gives fewer.
        """
        model, n_spare = self._model, 0
        self._n_in += x.shape[-1]
        if last:
            n_spare = -(x.shape[-1] + model.lookahead) % model.unit
            silence = np.zeros((*x.shape[:-1], model.lookahead + n_spare), np.float32)
            x = np.concatenate([x, silence], axis=-1)
        output, self._state = model.step(x, self._state)
        n_made = output.shape[-1] - n_spare
        n_due = max(0, self._n_in - self._n_out - (0 if last else model.lookahead))
        self._n_out += n_due
        if n_due > n_made:
            raise ModelError(
                f"model {model.name}: its network gave {n_made} frames where {n_due} are due; "
                "export it again"
            )
        if n_due == output.shape[-1]:
            return output
        due: Array = output[..., n_made - n_due : n_made]
        return due
