"""Parameter and Buffer: tensors that a module knows as its own."""

from __future__ import annotations

from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import as_dtype, default_dtype
from devtensor.core.errors import ArgumentTypeError, AutogradError, DevtensorError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor, share
from devtensor.ops.create import copy, full


def handle(cls: type, data: Tensor | None) -> Any:
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


class SizeMissing(DevtensorError, RuntimeError):
    """A parameter that has no size yet was asked for it."""


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
        made = handle(cls, data)
        if requires_grad and not made.kind.dtype.differentiable:
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
        made = handle(cls, data)
        made.persistent = persistent
        return made

    def _facts(self) -> dict[str, Any]:
        return {"persistent": self.persistent}


class Uninitialized:
    """What parameters and buffers without a size share."""

    becomes: type

    @property
    def shape(self) -> Any:
        raise SizeMissing(
            f"[{type(self).__name__}] Can't access the shape of an uninitialized parameter or buffer; call "
            "forward once, or materialize(shape)"
        )

    def materialize(self: Any, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give it a size, and memory whose values mean nothing yet."""
        kind = self.kind
        found = kind.dtype if dtype is None else as_dtype(dtype)
        rebind(self, full(tuple(shape), 0, found, kind.device if device is None else resolve(device)))
        self.__class__ = self.becomes

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.kind.device, self.kind.dtype)
        return memo[id(self)]

    def __reduce_ex__(self: Any, protocol: Any) -> tuple:
        return type(self), (self.requires_grad, str(self.kind.device), self.kind.dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _nothing(cls: type, requires_grad: bool, device: Any, dtype: Any) -> Any:
    found = default_dtype() if dtype is None else as_dtype(dtype)
    made = handle(cls, full((0,), 0, found, resolve(device)))
    made.requires_grad = requires_grad
    return made


class UninitializedParameter(Uninitialized, Parameter):
    """A parameter whose size is not known yet."""

    becomes = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return _nothing(cls, requires_grad, device, dtype)


class UninitializedBuffer(Uninitialized, Buffer):
    """A buffer whose size is not known yet."""

    becomes = Buffer

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> Any:
        made = _nothing(cls, requires_grad, device, dtype)
        made.persistent = persistent
        return made


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer has no size yet."""
    return isinstance(param, Uninitialized)
