"""Gradients: backward(), grad(), functions of users' own, and checks of derivatives."""

import importlib

from devtensor.autograd import anomaly_mode, forward_ad, functional, grad_mode, graph
from devtensor.autograd.anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from devtensor.autograd.engine import backward, grad
from devtensor.autograd.function import Function, FunctionCtx, once_differentiable
from devtensor.autograd.gradcheck import gradcheck, gradgradcheck
from devtensor.autograd.variable import Variable, variable
from devtensor.core.state import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "FunctionCtx",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "once_differentiable",
    "set_detect_anomaly",
    "set_grad_enabled",
    "variable",
]


def __getattr__(name: str) -> object:
    """Load the profiler when it is first asked for."""
    if name == "profiler":
        return importlib.import_module("devtensor.autograd.profiler")
    raise AttributeError(f"module 'devtensor.autograd' has no attribute {name!r}")
