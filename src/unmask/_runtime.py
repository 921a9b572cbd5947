"""The only file that imports ONNX Runtime: it sends nothing home unless it is told to.

It allocates from one arena for all networks of a process, which has an end: what a model of others
asks for beyond it fails in a line, where the machine would run out of memory.

Version 1.31 reports every session to its maker, and writes a device number below the home folder to
do so, as soon as it is imported; to turn that off afterwards is too late. Whoever wants it sets
``ORT_DISABLE_TELEMETRY=0``.
"""

import os

if not os.environ.get("ORT_DISABLE_TELEMETRY"):
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _errors

_MOST_BYTES = 8 << 30


def _half_of_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # Windows
        return _MOST_BYTES


#: Most bytes that networks may hold at a time.
MOST_BYTES = min(_MOST_BYTES, _half_of_memory())
# -1: as without a limit.
_UNCHANGED = ("arena_extend_strategy", "initial_chunk_size_bytes", "max_dead_bytes_per_chunk")
onnxruntime.create_and_register_allocator(
    onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    ),
    onnxruntime.OrtArenaCfg({"max_mem": MOST_BYTES, **dict.fromkeys(_UNCHANGED, -1)}),
)
#: Session options entry that makes a session allocate there.
LIMITED = ("session.use_env_allocators", "1")

#: What it raises: none of them has a base of its own.
ERRORS: tuple[type[Exception], ...] = (
    _errors.EPFail,
    _errors.Fail,
    _errors.InvalidArgument,
    _errors.InvalidGraph,
    _errors.InvalidProtobuf,
    _errors.NotImplemented,
    _errors.RuntimeException,
)

__all__ = ["ERRORS", "LIMITED", "MOST_BYTES", "onnxruntime"]
