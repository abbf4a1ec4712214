"""ONNX by PyTorch's names: models are not exported."""

from __future__ import annotations

import enum

from devtensor.core.errors import DevtensorError
from devtensor.core.refusal import refused, refused_class

__all__ = [
    "ExportOptions",
    "ONNXProgram",
    "OnnxExporterError",
    "OperatorExportTypes",
    "TrainingMode",
    "dynamo_export",
    "export",
    "is_in_onnx_export",
    "is_onnxrt_backend_supported",
    "register_custom_op_symbolic",
    "unregister_custom_op_symbolic",
]

REASON = "devtensor writes no ONNX files; load the model's state into PyTorch and export it there"


class OnnxExporterError(DevtensorError, RuntimeError):
    """An error of the exporter: none is raised."""


class OperatorExportTypes(enum.IntEnum):
    """Which operators an export may use."""

    ONNX = 0
    ONNX_ATEN = 1
    ONNX_ATEN_FALLBACK = 2
    ONNX_FALLTHROUGH = 3


class TrainingMode(enum.IntEnum):
    """In which mode a model is exported."""

    EVAL = 0
    PRESERVE = 1
    TRAINING = 2


def is_in_onnx_export() -> bool:
    """Whether a model is being exported: never."""
    return False


def is_onnxrt_backend_supported() -> bool:
    """Whether ONNX Runtime serves as a compiler: no."""
    return False


export = refused("onnx.export", REASON)
dynamo_export = refused("onnx.dynamo_export", REASON)
register_custom_op_symbolic = refused("onnx.register_custom_op_symbolic", REASON)
unregister_custom_op_symbolic = refused("onnx.unregister_custom_op_symbolic", REASON)
ExportOptions = refused_class("onnx.ExportOptions", REASON)
ONNXProgram = refused_class("onnx.ONNXProgram", REASON)
