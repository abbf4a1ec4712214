"""Gradients: backward(), grad(), functions of users' own, and checks of derivatives."""

from devtensor.autograd.engine import backward, grad
from devtensor.autograd.function import Function, FunctionCtx, once_differentiable
from devtensor.autograd.gradcheck import gradcheck, gradgradcheck
from devtensor.autograd.variable import Variable
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
    "backward",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "once_differentiable",
    "set_grad_enabled",
]
