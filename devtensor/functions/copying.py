"""Copies of tensor objects: pickling, deepcopy, and the handle `data`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import as_dtype
from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.host import host_read
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor, share
from devtensor.core.transfer import HostData
from devtensor.ops.create import constant, copy


def rebuild(
    cls: type, data: bytes, shape: tuple, dtype: str, device: str, requires_grad: bool, held: dict
) -> Tensor:
    """A tensor from what `reduce` wrote."""
    source = constant(HostData(data, shape), as_dtype(dtype), resolve(device))
    return _handle(cls, source, requires_grad, held)


def _handle(cls: type, source: Tensor, requires_grad: bool, held: dict) -> Tensor:
    made = Tensor.__new__(cls)
    made.array, made.kind, made.alias, made.node = source.array, source.kind, source.alias, None
    made.requires_grad = requires_grad
    made.__dict__.update(held)
    return made


def _attributes(self: Tensor) -> dict[str, Any]:
    """What the user hung on the tensor; hooks stay behind."""
    return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}


def reduce(self: Tensor, protocol: Any) -> tuple:
    """What pickling writes: the numbers, on the host; the gradient is left behind.

    Errors: AutogradError for a tensor inside a graph.
    """
    if self.node is not None:
        raise AutogradError("[pickle] cannot pickle a tensor inside a graph; use detach() first")
    read = host_read(self, "pickle")
    facts = (type(self), bytes(read.data), read.shape, self.dtype.name, str(self.device), self.requires_grad)
    return rebuild, (*facts, _attributes(self))


def deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """A leaf with memory of its own, and a copy of the gradient.

    Errors: AutogradError for a tensor inside a graph.
    """
    if id(self) in memo:
        return memo[id(self)]
    if self.node is not None:
        raise AutogradError(
            "[deepcopy] Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment; use detach() or clone()"
        )
    with no_grad():
        made = _handle(type(self), copy(self), self.requires_grad, _attributes(self))
        memo[id(self)] = made
        if self.grad is not None:
            made.grad = copy(self.grad)
    return made


def shallow(self: Tensor) -> Tensor:
    """Another handle on the same memory: what `copy.copy` gives."""
    return _handle(type(self), share(self), self.requires_grad, _attributes(self))


def get_data(self: Tensor) -> Tensor:
    """The same memory without history."""
    return share(self)


def set_data(self: Tensor, value: Tensor) -> None:
    """Make this object hold another tensor's memory; its history and gradient stay.

    Errors: ArgumentTypeError for what is no tensor.
    """
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(f"[data] Variable data has to be a tensor, but got {type(value).__name__}")
    if self.requires_grad and not value.kind.dtype.is_floating_point:
        raise AutogradError(
            "[data] data set to a tensor that requires gradients must be floating point, got "
            f"{value.kind.dtype.name}"
        )
    source = share(value)
    self.array, self.kind, self.alias = source.array, source.kind, source.alias


METHODS: dict[str, Callable] = {"__reduce_ex__": reduce, "__deepcopy__": deepcopy, "__copy__": shallow}
PROPERTIES = {"data": property(get_data, set_data)}
__all__: list[str] = []
