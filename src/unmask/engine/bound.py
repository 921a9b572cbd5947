"""A network whose arrays stay where they are: for streams, which call it for one frame at a time.

ONNX Runtime's call by names makes an array of each output and hands it to Python, which hands the
states back. For a small network that takes as long as a transform.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unmask._arrays import Array
from unmask.engine.session import Named, network_errors

Shape = tuple[int, ...]


class Bound:
    """Calls a network with the same buffers again and again.

    The states lie in two sets of buffers: a call reads one and writes the other.

    Parameters
    ----------
    session : InferenceSession
        On the CPU.
    given, made : mapping
        Name of what the network is given and of what it makes -> shape, float32.
    states : mapping
        Name of a state -> shape; what it becomes is called ``next_NAME``.
    model : Named
        What errors name.
    """

    def __init__(
        self,
        session: Any,
        given: tuple[str, Shape],
        made: tuple[str, Shape],
        states: Mapping[str, Shape],
        model: Named,
    ) -> None:
        self._model, self._run = model, session.run_with_iobinding
        #: What the network is given, to be filled; and what it makes, until the next call.
        self.given, self._made = (np.zeros(shape, np.float32) for _, shape in (given, made))
        here, there = ([np.zeros(s, np.float32) for s in states.values()] for _ in range(2))
        after = [f"next_{name}" for name in states]
        self._calls = [
            _binding(
                session,
                [(given[0], self.given), *zip(states, read, strict=True)],
                [(made[0], self._made), *zip(after, written, strict=True)],
            )
            for read, written in ((here, there), (there, here))
        ]
        self._states, self._turn = (here, there), 0

    def __call__(self, state: list[Array]) -> tuple[Array, list[Array]]:
        """Return what the network makes of :attr:`given`, and the state after it.

        Both are overwritten by the calls that follow.

        Raises
        ------
        ModelError
            If it fails.
        """
        own = self._states[self._turn]
        if state is not own:
            for mine, theirs in zip(own, state, strict=True):
                mine[...] = theirs
        with network_errors(self._model):
            self._run(self._calls[self._turn])
        self._turn = 1 - self._turn
        return self._made, self._states[self._turn]


def _binding(
    session: Any, inputs: Sequence[tuple[str, Array]], outputs: Sequence[tuple[str, Array]]
) -> Any:
    """Return names bound to arrays, which must be kept."""
    binding = session.io_binding()
    for bind, pairs in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
        for name, array in pairs:
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    return binding
