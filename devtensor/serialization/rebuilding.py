"""Tensors from storages: what PyTorch's rebuild functions mean, every number checked before its use."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.core.device import Device
from devtensor.core.dtype import DType
from devtensor.core.spec import contiguous_strides
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor, share, storage_of, wrap
from devtensor.functions.creation import empty
from devtensor.functions.striding import as_strided
from devtensor.nn.parameter import Parameter
from devtensor.ops.strided import reach
from devtensor.serialization.errors import UnpicklingError
from devtensor.serialization.names import is_internal
from devtensor.storage import Memory, TypedStorage

# What array libraries can count dims to, and bytes.
MOST_DIMS = 64
MOST_BYTES = 1 << 62


class Allowed:
    """A function of PyTorch's that a pickle may name: a word, looked up when it is called."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class StorageType:
    """A class of storages as a pickle names it; None if the numbers' dtype stands elsewhere."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: DType | None) -> None:
        self.dtype = dtype


def sizes(values: Any, what: str) -> tuple[int, ...]:
    """A tuple of counts.

    Errors: UnpicklingError for anything else.
    """
    if not isinstance(values, (tuple, list)) or not all(
        type(n) is int and 0 <= n < MOST_BYTES for n in values
    ):
        raise UnpicklingError(f"{what} is no tuple of ints that are not negative")
    if len(values) > MOST_DIMS:
        raise UnpicklingError(f"{what} has {len(values)} dims; at most {MOST_DIMS} are supported")
    return tuple(values)


def geometry(size: Any, stride: Any, offset: Any, itemsize: int, room: int) -> tuple[tuple, tuple, int]:
    """Size, stride and offset of a view, in elements of which the storage has `room`.

    Errors: UnpicklingError for what does not lie inside.
    """
    size, stride = sizes(size, "size"), sizes(stride, "stride")
    if type(offset) is not int or offset < 0:
        raise UnpicklingError("a storage's offset is no int that is not negative")
    if len(size) != len(stride):
        raise UnpicklingError(f"size {size} and stride {stride} are of different lengths")
    count = prod(size)
    if count * itemsize >= MOST_BYTES or prod(n for n in size if n) * itemsize >= MOST_BYTES:
        raise UnpicklingError(f"size {size} is too large")
    end = offset + reach(size, stride)
    if count and end > room:
        raise UnpicklingError(
            f"size {size}, stride {stride} and offset {offset} reach element {end} of a storage of {room}"
        )
    return size, stride, offset if count else 0


def tensor_of(storage: Any, offset: Any, size: Any, stride: Any, dtype: DType) -> Tensor:
    """The part of a storage that a tensor sees, as numbers of `dtype`."""
    if not isinstance(storage, Memory):
        raise UnpicklingError(f"a tensor needs a storage, not a {type(storage).__name__}")
    room = storage.nbytes() // dtype.itemsize
    size, stride, offset = geometry(size, stride, offset, dtype.itemsize, room)
    covers = offset == 0 and prod(size) == room and (stride == contiguous_strides(size) or not room)
    with no_grad():
        root = _rooted(storage, dtype, size if covers else (room,))
        if tuple(root.array.shape) == size and covers:
            return share(root)
        return share(as_strided(root, size, stride if prod(size) else contiguous_strides(size), offset))


def _rooted(storage: Memory, dtype: DType, shape: tuple[int, ...]) -> Tensor:
    """A storage's memory as a tensor of `dtype`.

    The first to see a storage that was just read decides in which dtype and shape it is held.
    """
    held = storage.held
    if held.alias is None and (held.device.type == "meta" or not held.numel()):
        storage.held = held = empty(shape, dtype=dtype, device=held.device)
        storage_of(held)
    elif held.alias is None:
        seen = (
            held
            if dtype is held.dtype
            else held[: held.numel() // dtype.itemsize * dtype.itemsize].view(dtype)
        )
        seen = seen.view(shape)
        storage.held = held = wrap(seen.array, seen.kind)
        storage_of(held)
    if held.dtype is dtype:
        return held
    return (
        held.view(held.numel()).view(dtype) if held.numel() else empty(shape, dtype=dtype, device=held.device)
    )


def checked_hooks(hooks: Any) -> None:
    """Hooks are code: a file may hold no more than an empty dict of them."""
    if hooks is not None and (not isinstance(hooks, dict) or hooks):
        raise UnpicklingError("a tensor in the file has hooks, which are never loaded")


def tensor_v1(storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    """A tensor as the oldest files hold it."""
    return tensor_of(storage, offset, size, stride, _dtype_of(storage))


def _dtype_of(storage: Any) -> DType:
    if not isinstance(storage, TypedStorage):
        raise UnpicklingError("a tensor needs a storage that tells its dtype")
    return storage.dtype


def tensor_v2(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Any = None
) -> Tensor:
    """A tensor of the dtype that its storage tells."""
    return _finished(tensor_v1(storage, offset, size, stride), requires_grad, hooks, metadata)


def tensor_v3(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Tensor:
    """A tensor whose storage is bytes."""
    if not isinstance(dtype, DType):
        raise UnpicklingError("a tensor's dtype is none")
    return _finished(tensor_of(storage, offset, size, stride, dtype), requires_grad, hooks, metadata)


def _finished(made: Tensor, requires_grad: Any, hooks: Any, metadata: Any) -> Tensor:
    checked_hooks(hooks)
    if metadata:
        if type(metadata) is not dict or not all(
            value is True or value is False for value in metadata.values()
        ):
            raise UnpicklingError("a tensor's metadata is no dict of bools")
        made = _resolved(made, metadata)
    return _marked(made, requires_grad)


def _resolved(made: Tensor, metadata: dict[Any, bool]) -> Tensor:
    """PyTorch stores lazy views as what they are views of; here they become tensors of their own."""
    if made.shape.numel() > prod(storage_of(made).root.shape):
        raise UnpicklingError("a lazy view repeats elements of its storage")
    with no_grad():
        if metadata.get("conj"):
            made = made.conj().clone()
        return -made if metadata.get("neg") else made


def _marked(made: Tensor, requires_grad: Any) -> Tensor:
    if type(requires_grad) is not bool:
        raise UnpicklingError("requires_grad is no bool")
    if requires_grad:
        if not made.dtype.differentiable:
            raise UnpicklingError(f"a tensor of {made.dtype.name} cannot require a gradient")
        made.requires_grad = True
    return made


def meta_tensor(dtype: Any, size: Any, stride: Any, requires_grad: Any) -> Tensor:
    """A tensor without numbers."""
    if not isinstance(dtype, DType):
        raise UnpicklingError("a tensor's dtype is none")
    size, _, _ = geometry(size, stride, 0, dtype.itemsize, MOST_BYTES)
    return _marked(empty(size, dtype=dtype, device=Device("meta")), requires_grad)


def parameter(data: Any, requires_grad: Any, hooks: Any) -> Parameter:
    """A parameter around a tensor."""
    checked_hooks(hooks)
    if not isinstance(data, Tensor) or type(requires_grad) is not bool:
        raise UnpicklingError("a Parameter is made of a tensor and a bool")
    if requires_grad and not data.dtype.differentiable:
        raise UnpicklingError(f"a Parameter of {data.dtype.name} cannot require a gradient")
    return Parameter(data, requires_grad)


def parameter_with_state(data: Any, requires_grad: Any, hooks: Any, state: Any) -> Parameter:
    """A parameter, with what the user hung on it."""
    made = parameter(data, requires_grad, hooks)
    set_attributes(made, state, Parameter)
    return made


def set_attributes(target: Any, state: Any, kind: type) -> None:
    """Give an object attributes of its own; none may hide what its class has.

    Errors: UnpicklingError for such, and for names that are no text.
    """
    parts: tuple[Any, ...] = state if type(state) is tuple and len(state) == 2 else (state,)
    for part in parts:
        for name, value in (part or {}).items():
            if type(name) is not str or hasattr(kind, name) or is_internal(name):
                raise UnpicklingError(f"an attribute {name!r:.60} of a {kind.__name__} is its class's own")
            target.__dict__[name] = value


def as_class(made: Tensor, kind: type[Tensor]) -> Tensor:
    """The same tensor as an object of a subclass."""
    fresh = Tensor.__new__(kind)
    fresh.array, fresh.kind, fresh.alias, fresh.node = made.array, made.kind, made.alias, None
    fresh.requires_grad = made.requires_grad
    return fresh


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "_rebuild_tensor": tensor_v1,
    "_rebuild_tensor_v2": tensor_v2,
    "_rebuild_tensor_v3": tensor_v3,
    "_rebuild_meta_tensor_no_storage": meta_tensor,
    "_rebuild_parameter": parameter,
    "_rebuild_parameter_with_state": parameter_with_state,
}
