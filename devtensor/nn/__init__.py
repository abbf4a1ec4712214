"""Layers, models and what they are made of: PyTorch's `torch.nn`."""

# ruff: noqa: F403 - the layers' names stand in `modules.__all__`

from devtensor.nn import attention, functional, grad, init, modules, parallel, parameter, utils
from devtensor.nn.modules import *
from devtensor.nn.modules.fresh import factory_kwargs
from devtensor.nn.parallel import DataParallel
from devtensor.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "Buffer",
    "DataParallel",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "attention",
    "factory_kwargs",
    "functional",
    "grad",
    "init",
    "modules",
    "parallel",
    "parameter",
    "utils",
]
__all__ += modules.__all__
