"""Parameter and Buffer: tensors that a module knows as its own."""

from __future__ import annotations

from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import default_dtype
from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor, share
from devtensor.ops.create import copy, full


def _handle(cls: type, data: Tensor | None) -> Any:
    """A new leaf of class `cls` on the memory of `data`."""
    if data is None:
        data = full((0,), 0, default_dtype(), resolve(None))
    if not isinstance(data, Tensor):
        raise ArgumentTypeError(
            f"[{cls.__name__}] data is a {type(data).__name__}; it needs a Tensor or None"
        )
    source = share(data)
    made = Tensor.__new__(cls)
    made.array, made.kind, made.alias = source.array, source.kind, source.alias
    made.node = None
    made.requires_grad = False
    return made


def rebind(target: Tensor, value: Tensor) -> None:
    """Make the object `target` hold the memory of `value`, so that all who hold the object see it move."""
    source = share(value)
    target.array, target.kind, target.alias = source.array, source.kind, source.alias


def _rebuild(cls: type, data: Tensor, facts: dict[str, Any], attributes: dict[str, Any]) -> Any:
    made = cls(data, **facts)
    made.__dict__.update(attributes)
    return made


class Owned(Tensor):
    """What parameters and buffers share: copying and pickling keep the class."""

    def _facts(self) -> dict[str, Any]:
        raise NotImplementedError

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            with no_grad():
                memo[id(self)] = _rebuild(type(self), copy(share(self)), self._facts(), {})
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple:
        attributes = {name: value for name, value in self.__dict__.items() if not name.endswith("_hooks")}
        return _rebuild, (type(self), share(self), self._facts(), attributes)


class Parameter(Owned):
    """A tensor to be trained: a module that it is assigned to lists it among its parameters.

    Shapes: data (*S) -> (*S); without data, empty
    Errors: AutogradError if a gradient is wanted of a dtype that has none.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        made = _handle(cls, data)
        if requires_grad and not made.kind.dtype.is_floating_point:
            raise AutogradError(
                f"[Parameter] Only Tensors of floating point and complex dtype can require gradients, got "
                f"{made.kind.dtype.name}; pass requires_grad=False"
            )
        made.requires_grad = bool(requires_grad)
        return made

    def _facts(self) -> dict[str, Any]:
        return {"requires_grad": self.requires_grad}

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Owned):
    """A tensor that belongs to a module's state but is not trained.

    A module that it is assigned to lists it among its buffers, and saves it if it is `persistent`.
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        made = _handle(cls, data)
        made.persistent = persistent
        return made

    def _facts(self) -> dict[str, Any]:
        return {"persistent": self.persistent}
