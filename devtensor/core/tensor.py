"""Tensor: the handle on an array. Operators and methods are attached by devtensor.methods."""

from __future__ import annotations

import warnings
import weakref
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from devtensor.core.device import Device, Kind
from devtensor.core.dtype import DType
from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.spec import Spec, is_contiguous
from devtensor.core.state import current, hear

if TYPE_CHECKING:
    from devtensor.core._methods import TensorMethods
else:
    TensorMethods = object

NO_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed: backward() does not fill "
    "it; call .retain_grad() on the tensor first, or ask the leaf it was made from"
)


class Size(tuple):
    """A tensor's shape: a tuple of ints that also answers `numel()`."""

    __slots__ = ()

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
        return Size(tuple.__add__(self, tuple(other)))

    def __repr__(self) -> str:
        return f"devtensor.Size({list(self)})"


class Storage:
    """The memory that a tensor and its views share: its root array and how often it was written.

    A tensor that nobody aliases has none; one is made when a view is taken, a value is saved or written.
    A storage is itself the alias of the tensor that holds the whole of it: no chain, no base.
    """

    __slots__ = ("__weakref__", "limit", "root", "version", "views")
    chain: tuple = ()
    base = None
    inference = False

    def __init__(self, root: Any) -> None:
        self.root = root
        self.version = 0
        self.views: list[weakref.ref[Tensor]] = []
        self.limit = 16

    @property
    def storage(self) -> Storage:
        return self

    def watch(self, view: Tensor) -> None:
        """Remember a view, so that an in-place op under autograd can give it its new history."""
        views = self.views
        views.append(weakref.ref(view))
        if len(views) > self.limit:
            self.views = [ref for ref in views if ref() is not None]
            self.limit = 16 + 2 * len(self.views)


class InferenceStorage(Storage):
    """The memory of tensors made in inference mode: no graph may keep it, as nobody would see it written."""

    __slots__ = ()
    inference = True


class View:
    """How a tensor sees a storage: the chain of view ops from its root, and its base under autograd."""

    __slots__ = ("base", "chain", "storage")

    def __init__(self, storage: Storage, chain: tuple, base: Tensor | None) -> None:
        self.storage = storage
        self.chain = chain
        self.base = base


class Tensor(TensorMethods):
    """A multi-dimensional array of one dtype on one device, with autograd.

    `kind` holds dtype and device; `array` is the backend's raw array; `node` is the tape's edge (None for
    a leaf); `alias` says what memory it shares (None: nobody asked yet).
    """

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
    device: Device = property(attrgetter("kind.device"))  # type: ignore[assignment]

    def __hash__(self) -> int:
        return id(self)

    @property
    def shape(self) -> Size:
        """The sizes of all dimensions."""
        return Size(self.array.shape)

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
        return self.node is None

    @property
    def _version(self) -> int:
        """How often the memory was written in place."""
        alias = self.alias
        if alias is not None and alias.storage.inference:
            raise AutogradError("[_version] Inference tensors do not track version counter; clone() it first")
        return alias.storage.version if alias is not None else 0


def _set_requires_grad(self: Tensor, value: bool) -> None:
    if not isinstance(value, bool):
        raise AutogradError(f"[requires_grad] requires_grad must be a bool, got {type(value).__name__}")
    if value and not self.kind.dtype.is_floating_point:
        raise AutogradError(
            "[requires_grad] only Tensors of floating point dtype can require gradients, got "
            f"{describe(self)}"
        )
    if not value and self.node is not None:
        raise AutogradError(
            "[requires_grad] you can only change requires_grad flags of leaf variables; use detach()"
        )
    if value and is_inference(self) and not current().inference:
        raise AutogradError(
            "[requires_grad] Setting requires_grad=True on inference tensor outside InferenceMode is not "
            "allowed; clone() it first"
        )
    self._requires_grad = value


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
    storage_of(tensor)
    made = wrap(tensor.array, tensor.kind)
    alias = tensor.alias
    made.alias = alias if alias.base is None else View(alias.storage, alias.chain, None)
    return made


def strides_of(tensor: Tensor) -> tuple[int, ...]:
    """Strides in elements."""
    return tensor.kind.device.backend.strides_of(tensor.array)


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
