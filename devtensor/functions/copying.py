"""Copies of tensor objects: pickling, deepcopy, and the handle `data`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import as_dtype
from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.host import host_read
from devtensor.core.layout import strides_like
from devtensor.core.memory import Counter
from devtensor.core.overlap import offset_of
from devtensor.core.state import no_grad
from devtensor.core.tensor import Storage, Tensor, View, in_rows, share, storage_of, strides_of, wrap
from devtensor.core.transfer import HostData
from devtensor.core.views import RETYPING
from devtensor.functions.formats import copied
from devtensor.ops.create import constant, lay_out


def rebuild(
    cls: type, data: bytes, shape: tuple, dtype: str, device: str, requires_grad: bool, held: dict,
    strides: tuple | None = None,
) -> Tensor:  # fmt: skip
    """A tensor from what `reduce` wrote."""
    source = constant(HostData(data, shape), as_dtype(dtype), resolve(device))
    source = source if strides is None else lay_out(source, strides)
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
    """What pickling writes: the numbers, on the host; gradient and history are left behind."""
    read = host_read(self, "pickle")
    facts = (type(self), bytes(read.data), read.shape, self.dtype.name, str(self.device), self.requires_grad)
    strides = None if in_rows(self) else strides_like(read.shape, strides_of(self))
    return rebuild, (*facts, _attributes(self), strides)


def deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """A leaf with memory of its own, and a copy of the gradient; tensors that share memory go on sharing.

    Errors: AutogradError for a tensor inside a graph.
    """
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise AutogradError(
            "[deepcopy] Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment; use detach() or clone()"
        )
    with no_grad():
        made = _handle(type(self), _in_copied_memory(self, memo), self.requires_grad, _attributes(self))
        memo[id(self)] = made
        if self.grad is not None:
            made.grad = deepcopy(self.grad, memo)
    return made


def _in_copied_memory(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """The same view of a copy of the tensor's storage, one copy for all that share it."""
    storage, kind = storage_of(self), self.kind
    if any(name in RETYPING for name, _ in self.alias.chain):
        return copied("deepcopy", self, "preserve_format")
    root: Any = storage.root
    layout = kind.device.backend.strides_of(root)
    if id(storage) not in memo:
        lay_out: Any = kind.device.kernel("lay_out", kind.dtype)
        memo[id(storage)] = Storage(lay_out(root, layout))
    fresh = memo[id(storage)]
    if not self.alias.chain:
        made = wrap(fresh.root, kind)
        made.alias = fresh
        return made
    as_strided: Any = kind.device.kernel("as_strided", kind.dtype)
    where = tuple(self.array.shape), strides_of(self), offset_of(self), layout
    made = wrap(as_strided(fresh.root, *where), kind)
    made.alias = View(fresh, (("as_strided", where),), None)
    return made


def shallow(self: Tensor) -> Tensor:
    """Another handle on the same memory: what `copy.copy` gives."""
    return _handle(type(self), share(self), self.requires_grad, _attributes(self))


def get_data(self: Tensor) -> Tensor:
    """The same memory without history, with a count of versions of its own."""
    made = share(self)
    made.alias = View(made.alias.storage, made.alias.chain, None, Counter())
    return made


def set_data(self: Tensor, value: Tensor) -> None:
    """Make this object hold another tensor's memory; its history and gradient stay.

    Errors: ArgumentTypeError for what is no tensor.
    """
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(f"[data] Variable data has to be a tensor, but got {type(value).__name__}")
    if self.requires_grad and not value.kind.dtype.differentiable:
        raise AutogradError(
            "[data] data set to a tensor that requires gradients must be floating point or complex, got "
            f"{value.kind.dtype.name}"
        )
    alias = share(value).alias
    counter = Counter(0 if self.alias is None else self.alias.counter.version)
    self.array, self.kind = value.array, value.kind
    self.alias = View(alias.storage, alias.chain, None, counter)


def as_subclass(self: Tensor, cls: type) -> Tensor:
    """The same memory and history under a class derived from Tensor.

    Errors: ArgumentTypeError for a class that is not.
    """
    if not issubclass(cls, Tensor):
        raise ArgumentTypeError(
            f"[as_subclass] Creating a Tensor subclass from a class that does not inherit from Tensor is not "
            f"possible; {cls.__name__} must derive from devtensor.Tensor"
        )
    made = self.view_as(self)
    made.__class__ = cls
    return made


METHODS: dict[str, Callable] = {
    "as_subclass": as_subclass,
    "__reduce_ex__": reduce,
    "__deepcopy__": deepcopy,
    "__copy__": shallow,
}
PROPERTIES = {"data": property(get_data, set_data)}
__all__: list[str] = []
