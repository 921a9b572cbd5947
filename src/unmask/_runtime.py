"""The only file that imports ONNX Runtime: it sends nothing home unless it is told to.

Version 1.31 reports every session to its maker, and writes a device number below the home folder to
do so, as soon as it is imported; to turn that off afterwards is too late. Whoever wants it sets
``ORT_DISABLE_TELEMETRY=0``.
"""

import os

if not os.environ.get("ORT_DISABLE_TELEMETRY"):
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _errors

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

__all__ = ["ERRORS", "onnxruntime"]
