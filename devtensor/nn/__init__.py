"""Layers, models and what they are made of: PyTorch's `torch.nn`."""

# ruff: noqa: F403 - the layers' names stand in `modules.__all__`

from devtensor.nn import functional, init, modules, parallel, parameter, utils
from devtensor.nn.modules import *
from devtensor.nn.parallel import DataParallel
from devtensor.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "Buffer",
    "DataParallel",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "functional",
    "init",
    "modules",
    "parallel",
    "parameter",
    "utils",
]
__all__ += modules.__all__
