"""What a tensor can be asked, and what turns it into something else: sizes, autograd, devices, the host."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from math import prod
from typing import Any

from devtensor.autograd import engine
from devtensor.core import inplace
from devtensor.core.arguments import is_scalar
from devtensor.core.device import Device, resolve
from devtensor.core.dtype import FLOAT, DType, as_dtype
from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError, ShapeError
from devtensor.core.holding import held
from devtensor.core.layout import is_in_format, suggested_format
from devtensor.core.spec import normalize_dim
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, describe, in_rows, share, strides_of
from devtensor.core.transfer import NotWaiting
from devtensor.functions.formats import brought, copied, format_name
from devtensor.interop.pinning import is_pinned
from devtensor.ops.create import cast, full, to_device

__all__ = ["clone", "detach", "is_floating_point", "is_tensor", "numel"]


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def numel(input: Tensor) -> int:
    """The number of elements."""
    return prod(input.array.shape)


def dim(self: Tensor) -> int:
    """The number of dimensions."""
    return self.array.ndim


def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of one dim."""
    return self.shape if dim is None else self.array.shape[normalize_dim("size", dim, self.array.ndim)]


def stride(self: Tensor, dim: int | None = None) -> Any:
    """The strides in elements, or that of one dim."""
    strides = strides_of(self)
    return strides if dim is None else strides[normalize_dim("stride", dim, self.array.ndim)]


def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether the elements lie without gaps in row-major order, or in that of a memory format."""
    name = "contiguous_format" if memory_format is None else format_name("is_contiguous", memory_format)
    return is_in_format(self.array.shape, strides_of(self), name)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a floating-point one."""
    return input.kind.dtype.category == FLOAT


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with its own memory, through which gradients flow; it lies as `input` does if nothing else is
    asked."""
    return copied("clone", input, format_name("clone", memory_format))


def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its elements lie in row-major order, or in the format asked for, else a copy in
    which they do.

    Errors: ShapeError for `preserve_format`, unless the elements lie in row-major order already.
    """
    if memory_format is None and in_rows(self):
        return self
    name = format_name("contiguous", memory_format, "contiguous_format")
    if name == "preserve_format":
        if self.array.flags.c_contiguous:
            return self
        raise ShapeError("[contiguous] preserve memory format is unsupported by the contiguous operator")
    return brought("contiguous", self, name)


def detach(input: Tensor) -> Tensor:
    """The same memory without history."""
    device = input.kind.device
    return device.backend.detached(input) if device.under else share(input)


def detach_(self: Tensor) -> Tensor:
    """Forget this tensor's history; it becomes a leaf."""
    if self.alias is not None and self.alias.base is not None:
        raise AutogradError("[detach_] cannot detach a view in place; use detach() instead")
    self.node, self.requires_grad = None, False
    return self


def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Make this leaf one whose gradient is wanted, or not.

    Errors: ArgumentTypeError unless it is a bool, AutogradError for integers, or to switch off history.
    """
    if requires_grad.__class__ is not bool:
        raise ArgumentTypeError(
            f"[requires_grad_] argument 'requires_grad' must be a bool, not {type(requires_grad).__name__}"
        )
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
    engine.backward(self, gradient, retain_graph, create_graph, inputs=inputs)


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor with another dtype, on another device, or like another tensor; itself if nothing changes."""
    device, dtype, fresh, hasty = _target(args, kwargs)
    memory_format = kwargs.get("memory_format")
    if memory_format is not None:
        return _in_format(to(self, device=device, dtype=dtype), self, format_name("to", memory_format), fresh)
    result = self
    if dtype is not None and dtype is not self.kind.dtype and (device is None or device is self.kind.device):
        return cast(result, dtype)
    if device is not None and device is not self.kind.device:
        # What follows on the host would read numbers that are not there yet.
        hasty = hasty and (device.index is not None or dtype is None or dtype is self.kind.dtype)
        with NotWaiting() if hasty else nullcontext():
            result = to_device(result, device)
    if dtype is not None and dtype is not self.kind.dtype:
        result = cast(result, dtype)
    return copied("to", result, "preserve_format") if fresh and result is self else result


def _in_format(made: Tensor, source: Tensor, name: str, fresh: bool) -> Tensor:
    if made is not source:
        return brought("to", made, name)
    if fresh:
        return copied("to", made, name)
    # A tensor that stays as it is may have its dims in any order but those of the other formats.
    unnamed = name == "contiguous_format" and suggested_format(made.array.shape, strides_of(made)) is None
    return made if unnamed else brought("to", made, name)


def _target(args: tuple, kwargs: dict[str, Any]) -> tuple[Device | None, DType | None, bool, bool]:
    """Read the forms of `to`: (dtype), (device, dtype), (other), each with non_blocking and copy behind.

    The last two of the result say whether a copy is wanted in any case, and whether nobody waits for it.
    """
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
        device, dtype = other.kind.device, other.kind.dtype
    if (rest and isinstance(rest[0], (str, Device))) or (rest and type(rest[0]) is int):
        device = rest.pop(0)
        if rest and rest[0] is None:
            rest.pop(0)
    elif rest and rest[0] is None:
        rest.pop(0)
    if rest and isinstance(rest[0], DType):
        dtype = rest.pop(0)
    fresh = bool(kwargs.get("copy", rest[1] if len(rest) > 1 else False))
    hasty = bool(kwargs.get("non_blocking", rest[0] if rest else False))
    if any(not isinstance(left, (bool, type(None))) for left in rest):
        raise ArgumentTypeError(f"[to] got {args}; it takes a dtype, a device, both, or a tensor to be like")
    target = None if device is None else resolve(device)
    return target, None if dtype is None else as_dtype(dtype), fresh, hasty


def cpu(self: Tensor, *, memory_format: Any = None) -> Tensor:
    """The tensor on the CPU."""
    return to(self, "cpu") if memory_format is None else to(self, "cpu", memory_format=memory_format)


def cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """The tensor on a CUDA device, the current one if none is named.

    Errors: ArgumentError for a device of another type.
    """
    place = cuda_device("cuda", device)
    return to(self, place, non_blocking=non_blocking, memory_format=memory_format)


def cuda_device(name: str, device: Any) -> Device:
    """The CUDA device that a device, its text or its number names; None: the current one.

    Errors: ArgumentError for a device of another type.
    """
    place = resolve("cuda" if device is None else device)
    if place.type != "cuda":
        raise ArgumentError(
            f"[{name}] Invalid device, must be cuda device; got {place}, for which there is to()"
        )
    return place


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor with another's dtype and device."""
    if not isinstance(other, Tensor):
        raise ArgumentTypeError(f"[type_as] argument 'other' must be a Tensor, not {type(other).__name__}")
    return to(self, other)


def _converter(name: str) -> Callable[..., Tensor]:
    dtype = as_dtype(name)

    def convert(self: Tensor, *, memory_format: Any = None) -> Tensor:
        if memory_format is None:
            return self if self.kind.dtype is dtype else cast(self, dtype)
        return to(self, dtype, memory_format=memory_format)

    convert.__doc__ = f"The tensor as {name}."
    return convert


def copy_(self: Tensor, other: Any, non_blocking: Any = False) -> Tensor:
    """Put the values of `other`, broadcast and converted, into this tensor's memory."""
    source = other if isinstance(other, Tensor) else _like_number(self, other)
    if non_blocking and _begun_to_host(self, source):
        return self
    hasty = non_blocking and self.kind.device.index is not None
    with NotWaiting() if hasty else nullcontext():
        return inplace.copy_into(self, source)


def _begun_to_host(target: Tensor, source: Tensor) -> bool:
    """Begin a copy from a device straight into pinned memory, where it can be one; whether it was."""
    backend: Any = source.kind.device.backend
    mode, kind = current(), target.kind
    plain = not mode.layers and not (mode.grad and (target.requires_grad or source.requires_grad))
    alike = kind.dtype is source.kind.dtype and target.array.shape == source.array.shape
    if not (plain and alike and kind.device.type == "cpu" and hasattr(backend, "download_into")):
        return False
    if not target.is_contiguous() or not is_pinned(target):
        return False
    counter = inplace.writable(target)
    backend.download_into(source.array, target.array)
    counter.version += 1
    return True


def _like_number(self: Tensor, value: Any) -> Tensor:
    if not isinstance(value, (bool, int, float, complex)) and not is_scalar(value):
        raise ArgumentTypeError(f"[copy_] other is {describe(value)}; it needs a Tensor or a number")
    return full((), held("fill_", value, self.kind.dtype), self.kind.dtype, self.kind.device)


def fill_(self: Tensor, value: Any) -> Tensor:
    """Make every element `value`, a number or a tensor without dimensions."""
    if not isinstance(value, Tensor):
        if inplace.fill_number(self, value):
            return self
        return inplace.fill(self, _like_number(self, value))
    if value.array.ndim:
        raise ShapeError(
            "[fill_] fill_ only supports 0-dimension value tensor but got tensor with "
            f"{value.array.ndim} dimensions."
        )
    return inplace.copy_into(self, value)


def zero_(self: Tensor) -> Tensor:
    """Make every element zero."""
    return fill_(self, 0)


METHODS: dict[str, Callable] = {
    name: value
    for name, value in (
        (f.__name__, f)
        for f in (
            backward, clone, contiguous, copy_, cpu, cuda, detach, detach_, dim, fill_, is_contiguous,
            is_floating_point, numel, requires_grad_, size, stride, to, type_as, zero_,
        )
    )
} | {
    "nelement": numel, "ndimension": dim,
} | {
    name: _converter(dtype)
    for name, dtype in {
        "double": "float64", "float": "float32", "half": "float16", "bfloat16": "bfloat16", "long": "int64",
        "int": "int32", "short": "int16", "char": "int8", "byte": "uint8", "bool": "bool",
        "cfloat": "complex64", "cdouble": "complex128",
    }.items()
}  # fmt: skip
