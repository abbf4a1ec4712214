"""Tensor: the handle on an array. Operators and methods are attached by devtensor.methods."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from devtensor.core.device import Device, Kind
from devtensor.core.dtype import DType
from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.memory import Counter, Storage, View
from devtensor.core.naming import spoken
from devtensor.core.spec import Spec, contiguous_strides, is_contiguous
from devtensor.core.state import current, hear

if TYPE_CHECKING:
    from devtensor.core._methods import TensorMethods
else:
    TensorMethods = object

NO_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed: backward() does not fill "
    "it; call .retain_grad() on the tensor first, or ask the leaf it was made from"
)

new_tuple = tuple.__new__


class Size(tuple):
    """A tensor's shape: a tuple of ints that also answers `numel()`."""

    __slots__ = ()
    __module__ = "devtensor"

    def __new__(cls, sizes: Iterable = ()) -> Size:
        if isinstance(sizes, str):
            raise ArgumentTypeError(f"[Size] got {sizes!r}; Size() takes an iterable of ints")
        try:
            return new_tuple(cls, map(operator.index, sizes))
        except TypeError as error:
            raise ArgumentTypeError(
                f"[Size] got {sizes!r}; Size() takes an iterable of ints: {error}"
            ) from None

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        count = 1
        for size in self:
            count *= size
        return count

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: tuple) -> Size:
        return Size(tuple.__add__(self, other))

    def __radd__(self, other: Any) -> Any:
        # Asked before a list's own `+=`, which takes any sequence.
        return Size(tuple.__add__(other, self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, times: Any) -> Size:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return spoken(f"Size({list(self)})")


class Tensor(TensorMethods):
    """A multi-dimensional array of one dtype on one device, with autograd.

    `kind` holds dtype and device; `array` is the backend's raw array; `node` is the tape's edge (None for
    a leaf); `alias` says what memory it shares (None: nobody asked yet).
    """

    __module__ = "devtensor"
    __slots__ = ("__dict__", "__weakref__", "_grad", "_requires_grad", "alias", "array", "kind", "node")
    array: Any
    kind: Kind
    node: Any
    alias: Any
    _grad: Tensor | None
    _requires_grad: bool

    requires_grad: bool

    __array_priority__ = 1000

    dtype: DType = property(attrgetter("kind.dtype"))  # type: ignore[assignment]
    device: Device = property(attrgetter("kind.place"))  # type: ignore[assignment]

    def __hash__(self) -> int:
        return id(self)

    @property
    def shape(self) -> Size:
        """The sizes of all dimensions."""
        return new_tuple(Size, self.array.shape)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` summed here, or None."""
        if current().layers:
            hear("grad_read", self)
        try:
            return self._grad
        except AttributeError:
            if self.node is not None and not self.__dict__.get("_retains_grad"):
                warnings.warn(NO_LEAF, stacklevel=2)
            return None

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise ArgumentTypeError(
                    f"[grad] assigned grad expected to be a Tensor or None but got {type(value).__name__}"
                )
            if value is self:
                raise AutogradError("[grad] can't assign Variable as its own grad; assign a clone() of it")
            if value.array.shape != self.array.shape or value.kind is not self.kind:
                raise AutogradError(
                    f"[grad] got {describe(value)} for {describe(self)}; shape, dtype and device must be "
                    "equal"
                )
        if current().layers:
            hear("grad_read", self)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this tensor."""
        return self.node is None or self.node.seq == 0

    @property
    def _version(self) -> int:
        """How often the memory was written in place."""
        alias = self.alias
        if alias is not None and alias.storage.inference and alias.counter is alias.storage:
            raise AutogradError("[_version] Inference tensors do not track version counter; clone() it first")
        return alias.counter.version if alias is not None else 0


def _set_requires_grad(self: Tensor, value: bool) -> None:
    if not isinstance(value, bool):
        raise AutogradError(f"[requires_grad] requires_grad must be a bool, got {type(value).__name__}")
    if value and not self.kind.dtype.differentiable:
        raise AutogradError(
            "[requires_grad] only Tensors of floating point dtype can require gradients, got "
            f"{describe(self)}"
        )
    if not value and self.node is not None:
        if self.is_leaf:
            # A view made under no_grad requires a gradient as long as its base does.
            return
        raise AutogradError(
            "[requires_grad] you can only change requires_grad flags of leaf variables; use detach()"
        )
    if value and is_inference(self) and not current().inference:
        raise AutogradError(
            "[requires_grad] Setting requires_grad=True on inference tensor outside InferenceMode is not "
            "allowed; clone() it first"
        )
    self._requires_grad = value
    if self.alias is not None and self.alias.storage.views:
        for listener in requires_grad_listeners:
            listener(self)


# What is told of a tensor with views of which the user set requires_grad.
requires_grad_listeners: list[Any] = []
# Read by C code, for it is read often; ops, which set it most, set the slot itself.
Tensor.requires_grad = property(attrgetter("_requires_grad"), _set_requires_grad)  # type: ignore[assignment]


def is_inference(tensor: Tensor) -> bool:
    """Whether the tensor's memory was made in inference mode."""
    return tensor.alias is not None and tensor.alias.storage.inference


def wrap(array: Any, kind: Kind) -> Tensor:
    """A tensor without history around a backend's array."""
    made = Tensor.__new__(Tensor)
    made.array = array
    made.kind = kind
    made.node = None
    made.alias = None
    made._requires_grad = False
    return made


def storage_of(tensor: Tensor) -> Storage:
    """The tensor's storage, made now if nobody asked before."""
    if tensor.alias is None:
        tensor.alias = Storage(tensor.array)
    return tensor.alias.storage


def share(tensor: Tensor) -> Tensor:
    """Another handle on the same memory and the same view, without history: what `detach` gives."""
    alias = tensor.alias
    if alias is None:
        alias = tensor.alias = Storage(tensor.array)
    made = wrap(tensor.array, tensor.kind)
    if alias.storage.inference and not current().inference:
        # Outside inference mode it may be written to: writes are counted from now on.
        made.alias = View(alias.storage, alias.chain, None, Counter())
        return made
    made.alias = alias if alias.base is None else View(alias.storage, alias.chain, None, alias.counter)
    return made


def strides_of(tensor: Tensor) -> tuple[int, ...]:
    """Strides in elements; those of nothing are what a fresh tensor of the shape would have."""
    strides = tensor.kind.device.backend.strides_of(tensor.array)
    return strides if any(strides) or 0 not in tensor.array.shape else contiguous_strides(tensor.array.shape)


def in_rows(tensor: Tensor) -> bool:
    """Whether the elements lie in row-major order without gaps."""
    backend = tensor.kind.device.backend
    ask = getattr(backend, "is_contiguous", None)
    return (
        is_contiguous(tensor.array.shape, backend.strides_of(tensor.array))
        if ask is None
        else ask(tensor.array)
    )


def spec_of(tensor: Tensor) -> Spec:
    """What the tensor is, without its data."""
    kind = tensor.kind
    return Spec(tuple(tensor.array.shape), kind.dtype, kind.device, strides_of(tensor))


def describe(value: Any) -> str:
    """A short text for error messages: shape, dtype and device."""
    if isinstance(value, Tensor):
        return f"{tuple(value.array.shape)} {value.kind.dtype.name} on {value.kind.device}"
    return repr(value) if not isinstance(value, type) else value.__name__
