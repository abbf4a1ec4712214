"""What a tensor can be asked, and what turns it into something else: sizes, autograd, devices, the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.autograd import engine
from devtensor.core import inplace
from devtensor.core.device import Device, resolve
from devtensor.core.dtype import FLOAT, DType, as_dtype
from devtensor.core.errors import ArgumentTypeError, AutogradError, ShapeError
from devtensor.core.host import host_read
from devtensor.core.spec import is_contiguous as _rows_in_order
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe, share, strides_of
from devtensor.ops.compare import eq
from devtensor.ops.create import cast, copy, full, to_device
from devtensor.ops.reduce import any as any_of

__all__ = ["clone", "detach", "is_floating_point", "is_tensor", "numel"]


def is_tensor(value: Any) -> bool:
    """Whether `value` is a Tensor."""
    return isinstance(value, Tensor)


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.shape.numel()


def dim(self: Tensor) -> int:
    """The number of dimensions."""
    return self.array.ndim


def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of one dim."""
    return self.shape if dim is None else self.shape[normalize_dim("size", dim, self.array.ndim)]


def stride(self: Tensor, dim: int | None = None) -> Any:
    """The strides in elements, or that of one dim."""
    strides = strides_of(self)
    return strides if dim is None else strides[normalize_dim("stride", dim, self.array.ndim)]


def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether the elements lie in row-major order without gaps."""
    return _rows_in_order(self.array.shape, strides_of(self))


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a floating-point one."""
    return input.kind.dtype.category == FLOAT


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with its own memory, through which gradients flow."""
    return copy(input)


def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its elements lie in row-major order, else a copy in which they do."""
    return self if is_contiguous(self) else copy(self)


def detach(input: Tensor) -> Tensor:
    """The same memory without history."""
    return share(input)


def detach_(self: Tensor) -> Tensor:
    """Forget this tensor's history; it becomes a leaf."""
    if self.alias is not None and self.alias.base is not None:
        raise AutogradError("[detach_] cannot detach a view in place; use detach() instead")
    self.node, self.requires_grad = None, False
    return self


def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Make this leaf one whose gradient is wanted, or not.

    Errors: AutogradError for integers, or to switch off what has history.
    """
    self.requires_grad = requires_grad
    return self


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Sum gradients into the leaves this tensor was computed from; see `devtensor.autograd.backward`."""
    engine.backward(self, gradient, retain_graph, create_graph, inputs)


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor with another dtype, on another device, or like another tensor; itself if nothing changes."""
    device, dtype, copied = _target(args, kwargs)
    result = self
    if dtype is not None and dtype is not self.kind.dtype and (device is None or device is self.kind.device):
        return cast(result, dtype)
    if device is not None and device is not self.kind.device:
        result = to_device(result, device)
    if dtype is not None and dtype is not self.kind.dtype:
        result = cast(result, dtype)
    return copy(result) if copied and result is self else result


def _target(args: tuple, kwargs: dict[str, Any]) -> tuple[Device | None, DType | None, bool]:
    """Read the forms of `to`: (dtype), (device, dtype), (other), each with non_blocking and copy behind."""
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
        device, dtype = other.kind.device, other.kind.dtype
    if (rest and isinstance(rest[0], (str, Device))) or (rest and type(rest[0]) is int):
        device = rest.pop(0)
    elif rest and rest[0] is None:
        rest.pop(0)
    if rest and isinstance(rest[0], DType):
        dtype = rest.pop(0)
    copied = bool(kwargs.get("copy", rest[1] if len(rest) > 1 else False))
    if any(not isinstance(left, (bool, type(None))) for left in rest):
        raise ArgumentTypeError(f"[to] got {args}; it takes a dtype, a device, both, or a tensor to be like")
    return None if device is None else resolve(device), None if dtype is None else as_dtype(dtype), copied


def cpu(self: Tensor) -> Tensor:
    """The tensor on the CPU."""
    return to(self, "cpu")


def cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """The tensor on a CUDA device, the current one if none is named."""
    return to(self, resolve("cuda" if device is None else device))


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor with another's dtype and device."""
    return to(self, other)


def _converter(name: str) -> Callable[..., Tensor]:
    def convert(self: Tensor, memory_format: Any = None) -> Tensor:
        return to(self, as_dtype(name))

    convert.__doc__ = f"The tensor as {name}."
    return convert


def item(self: Tensor) -> Any:
    """The Python number that a tensor of one element holds.

    Errors: ShapeError if there are more, or none.
    """
    if numel(self) != 1:
        raise ShapeError(f"[item] a Tensor with {numel(self)} elements cannot be converted to Scalar")
    return host_read(self, "item").numbers()[0]


def tolist(self: Tensor) -> Any:
    """The numbers as nested lists, or one number."""
    return host_read(self, "tolist").nested()


def copy_(self: Tensor, src: Any, non_blocking: Any = False) -> Tensor:
    """Put the values of `src`, broadcast and converted, into this tensor's memory."""
    return inplace.copy_into(self, src if isinstance(src, Tensor) else _like_number(self, src))


def _like_number(self: Tensor, value: Any) -> Tensor:
    if not hasattr(value, "__float__"):
        raise ArgumentTypeError(f"[copy_] src is {describe(value)}; it needs a Tensor or a number")
    return full((), value, self.kind.dtype, self.kind.device)


def fill_(self: Tensor, value: Any) -> Tensor:
    """Make every element `value`."""
    return copy_(self, value)


def zero_(self: Tensor) -> Tensor:
    """Make every element zero."""
    return copy_(self, 0)


def truth(self: Tensor) -> bool:
    """What `if tensor:` asks: whether its one element is non-zero."""
    if numel(self) != 1:
        raise ShapeError(
            f"[bool] Boolean value of Tensor with {numel(self)} values is ambiguous; use .any() or .all()"
        )
    return host_read(self, "bool").numbers()[0] != 0


def as_int(self: Tensor) -> int:
    """What `int(tensor)` gives."""
    return int(item(self))


def as_float(self: Tensor) -> float:
    """What `float(tensor)` gives."""
    return float(item(self))


def as_index(self: Tensor) -> int:
    """What Python asks of a tensor that stands where an int must be."""
    if self.kind.dtype.category == FLOAT:
        raise ArgumentTypeError(
            "[index] only integer tensors of a single element can be converted to an index"
        )
    return int(item(self))


def length(self: Tensor) -> int:
    """The size of the first dim."""
    if not self.array.ndim:
        raise ArgumentTypeError("[len] len() of a 0-d tensor")
    return self.array.shape[0]


def contains(self: Tensor, value: Any) -> bool:
    """Whether any element equals `value`."""
    return truth(any_of(eq(self, value)))


METHODS: dict[str, Callable] = {
    name: value
    for name, value in (
        (f.__name__, f)
        for f in (
            backward, clone, contiguous, copy_, cpu, cuda, detach, detach_, dim, fill_, is_contiguous,
            is_floating_point, item, numel, requires_grad_, size, stride, to, tolist, type_as, zero_,
        )
    )
} | {
    "__bool__": truth, "__int__": as_int, "__float__": as_float, "__index__": as_index, "__len__": length,
    "__contains__": contains, "nelement": numel, "ndimension": dim,
} | {
    name: _converter(dtype)
    for name, dtype in {
        "double": "float64", "float": "float32", "half": "float16", "bfloat16": "bfloat16", "long": "int64",
        "int": "int32", "short": "int16", "char": "int8", "byte": "uint8", "bool": "bool",
    }.items()
}  # fmt: skip
