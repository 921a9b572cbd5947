"""ONNX Runtime: bytes become sessions, or one line that says why not."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from unmask._arrays import Array
from unmask.errors import ConfigError, ModelError, printable

# More than that do not make a network faster, and some numbers end the process.
_MOST_THREADS = 256


class Named(Protocol):
    """What errors name."""

    name: str


def available_providers() -> dict[str, str]:
    """Return the execution providers of this ONNX Runtime: short name -> full name."""
    from unmask._runtime import onnxruntime

    names = onnxruntime.get_available_providers()
    return {name.removesuffix("ExecutionProvider").lower(): name for name in names}


def open_session(content: bytes, path: Path, threads: int, providers: Sequence[str]) -> Any:
    """Return a session of a model's bytes, which :mod:`unmask.engine.container` found sound.

    Raises
    ------
    ModelError
        If this ONNX Runtime cannot run them; names `path`.
    ConfigError
        If `threads` or `providers` cannot be had on this machine.
    """
    from unmask._runtime import LIMITED, onnxruntime

    if not 1 <= threads <= _MOST_THREADS:
        raise ConfigError(f"threads: {threads}, expected 1 to {_MOST_THREADS}")
    available = available_providers()
    wanted = [name.removesuffix("ExecutionProvider").lower() for name in providers]
    if missing := [name for name in wanted if name not in available]:
        raise ConfigError(
            f"providers: {', '.join(missing)} not in this ONNX Runtime; "
            f"there are {', '.join(available)}"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # it is said here, on one line
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry(*LIMITED)
    try:
        session = onnxruntime.InferenceSession(
            content,
            options,
            providers=[available[name] for name in wanted],
            enable_fallback=0,  # it would print on standard output, and go on with another
        )
    except failures() as error:
        if wanted != ["cpu"]:
            open_session(content, path, threads, ["cpu"])  # or it is the model
            raise ConfigError(
                f"providers: {', '.join(wanted)} did not start: {one_line_of(error)}; "
                "are its device and libraries there?"
            ) from error
        raise ModelError(
            f"{path}: ONNX Runtime {onnxruntime.__version__} cannot run it: {one_line_of(error)}; "
            "export it again or update onnxruntime"
        ) from error
    # One whose libraries or device are missing is passed over in silence.
    if idle := [name for name in wanted if available[name] not in session.get_providers()]:
        raise ConfigError(
            f"providers: {', '.join(idle)} did not start; are its device and libraries there?"
        )
    return session


def run(
    session: Any, outputs: Sequence[str], inputs: Mapping[str, Array], model: Named
) -> list[Array]:
    """Return what a network gives.

    Raises
    ------
    ModelError
        If it fails; names the model.
    """
    # Its own `run` checks again what was checked on loading, which takes as long as two transforms,
    # and after a provider's failure prints on standard output and goes on with another.
    compiled = getattr(session, "_sess", session)
    with network_errors(model):
        found: list[Array] = compiled.run(outputs, inputs, None)
    return found


class network_errors:  # noqa: N801
    """Turns what ONNX Runtime raises while a network runs into a ModelError that names it.

    A class, since a generator costs as much as a small node of a network.

    Raises
    ------
    ModelError
        If the network fails.
    """

    __slots__ = ("_model",)

    def __init__(self, model: Named) -> None:
        self._model = model

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, failures()):
            raise ModelError(
                f"model {self._model.name}: its network failed: {one_line_of(error)}; "
                "export it again"
            ) from error


def failures() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises about a model, in its own words and in Python's."""
    from unmask._runtime import ERRORS

    return (*ERRORS, ValueError, RuntimeError, MemoryError)


def one_line_of(error: Exception) -> str:
    """Return the message of an error of others on one line."""
    from unmask._runtime import MOST_BYTES

    if "bfc_arena" in str(error):
        return f"it asks for more than the {MOST_BYTES / 1e9:.0f} GB of memory that it may have"
    return printable(" ".join(str(error).split()))[:200]
