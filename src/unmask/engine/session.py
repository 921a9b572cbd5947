"""ONNX Runtime: files become sessions, or one line that says why not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unmask.errors import ConfigError, ModelError


def available_providers() -> dict[str, str]:
    """Return the execution providers of this ONNX Runtime: short name -> full name."""
    import onnxruntime

    names = onnxruntime.get_available_providers()
    return {name.removesuffix("ExecutionProvider").lower(): name for name in names}


def open_session(content: bytes, path: Path, threads: int, providers: Sequence[str]) -> Any:
    """Return a session of a model's bytes.

    Raises
    ------
    ModelError
        If they are no ONNX file, or this ONNX Runtime cannot run it; names `path`.
    ConfigError
        If `threads` or `providers` cannot be had on this machine.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    if threads < 1:
        raise ConfigError(f"threads: {threads}, expected 1 or more")
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
    options.log_severity_level = 3
    try:
        # From memory: a file that refers to others cannot reach them.
        session = onnxruntime.InferenceSession(
            content, options, providers=[available[name] for name in wanted]
        )
    except errors.InvalidProtobuf:
        raise ModelError(
            f"{path}: is not an ONNX file; make one of a training run with `unmask export`"
        ) from None
    except (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.NotImplemented,
    ) as error:
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


def one_line_of(error: Exception) -> str:
    """Return the message of an error on one line."""
    return " ".join(str(error).split())[:200]
