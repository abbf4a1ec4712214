"""Layers, models and what they are made of: PyTorch's `torch.nn`."""

# ruff: noqa: F403 - the layers' names stand in `modules.__all__`

from devtensor.nn import functional, init, modules, parameter, utils
from devtensor.nn.modules import *
from devtensor.nn.parameter import Buffer, Parameter

__all__ = ["Buffer", "Parameter", "functional", "init", "modules", "parameter", "utils"]
__all__ += modules.__all__
