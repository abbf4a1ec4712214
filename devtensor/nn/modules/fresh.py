"""New parameters and buffers on the device and in the dtype that a layer was asked for."""

from __future__ import annotations

from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import as_dtype, default_dtype
from devtensor.core.tensor import Tensor
from devtensor.nn.parameter import Parameter
from devtensor.ops.create import full


def filled(shape: tuple[int, ...], value: Any, device: Any = None, dtype: Any = None) -> Tensor:
    """A tensor of one number."""
    return full(tuple(shape), value, default_dtype() if dtype is None else as_dtype(dtype), resolve(device))


def parameter(*shape: int, device: Any = None, dtype: Any = None) -> Parameter:
    """A parameter of zeros, whose values a layer's `reset_parameters` sets."""
    return Parameter(filled(shape, 0, device, dtype))
