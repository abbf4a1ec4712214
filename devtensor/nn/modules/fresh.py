"""New parameters and buffers on the device and in the dtype that a layer was asked for."""

from __future__ import annotations

from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import as_dtype, default_dtype
from devtensor.core.errors import ArgumentTypeError
from devtensor.core.tensor import Tensor
from devtensor.nn.parameter import Parameter
from devtensor.ops.create import full


def filled(shape: tuple[int, ...], value: Any, device: Any = None, dtype: Any = None) -> Tensor:
    """A tensor of one number."""
    return full(tuple(shape), value, default_dtype() if dtype is None else as_dtype(dtype), resolve(device))


def parameter(*shape: int, device: Any = None, dtype: Any = None) -> Parameter:
    """A parameter of zeros, whose values a layer's `reset_parameters` sets."""
    return Parameter(filled(shape, 0, device, dtype))


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """What a layer was told of the tensors it makes, by itself or in a dict `factory_kwargs`.

    That is `device`, `dtype` and `memory_format`.

    Errors: ArgumentTypeError for anything else, or what is given in both ways.
    """
    plain = dict(kwargs or {})
    found = dict(plain.pop("factory_kwargs", {}))
    unknown = plain.keys() - {"device", "dtype", "memory_format"}
    if unknown:
        raise ArgumentTypeError(f"[factory_kwargs] unexpected kwargs {unknown}")
    twice = sorted(found.keys() & plain.keys())
    if twice:
        raise ArgumentTypeError(
            f"[factory_kwargs] {twice[0]} specified twice, in **kwargs and in factory_kwargs"
        )
    return found | plain
