"""Gradients: backward(), grad(), functions of users' own, and checks of derivatives."""

import importlib
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from devtensor.autograd import anomaly_mode, forward_ad, functional, grad_mode, graph

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


# Submodules that are loaded when first asked for.
_SUBMODULES = frozenset({"anomaly_mode", "forward_ad", "functional", "grad_mode", "graph", "profiler"})


def __getattr__(name: str) -> object:
    """Load what few programs ask for when it is first asked for."""
    if name in _SUBMODULES:
        return importlib.import_module(f"devtensor.autograd.{name}")
    raise AttributeError(f"module 'devtensor.autograd' has no attribute {name!r}")
