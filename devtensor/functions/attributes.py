"""What a tensor is: where it lies, how large it is, of which legacy type."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.core import tensor
from devtensor.core.dtype import DType
from devtensor.core.errors import ArgumentTypeError
from devtensor.core.tensor import Tensor, storage_of
from devtensor.functions.legacy import LEGACY, legacy_name, strided
from devtensor.functions.tensors import to

__all__ = ["is_complex", "is_conj", "is_inference", "is_nonzero", "is_same_size", "is_storage"]


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex: never."""
    return False


def is_conj(input: Tensor) -> bool:
    """Whether the tensor is a lazily conjugated view: never."""
    return False


def is_inference(input: Tensor) -> bool:
    """Whether the tensor's memory was made in inference mode."""
    return tensor.is_inference(input)


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not zero."""
    return bool(input)


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape."""
    return tuple(input.array.shape) == tuple(other.array.shape)


def is_storage(obj: Any) -> bool:
    """Whether an object is a tensor's memory."""
    return isinstance(obj, Memory)


def element_size(self: Tensor) -> int:
    """Bytes of one element."""
    return self.dtype.itemsize


def nbytes(self: Tensor) -> int:
    """Bytes of all elements."""
    return self.shape.numel() * self.dtype.itemsize


def data_ptr(self: Tensor) -> int:
    """The address of the first element, or what stands for one where the library tells none."""
    array = self.array
    interface = getattr(array, "__array_interface__", None) or getattr(
        array, "__cuda_array_interface__", None
    )
    return interface["data"][0] if interface else id(array)


def get_device(self: Tensor) -> int:
    """The device's number; -1 on the CPU."""
    return -1 if self.device.type == "cpu" else self.device.index or 0


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The legacy type's name, or the tensor as another dtype or legacy type."""
    if dtype is None:
        return legacy_name(self)
    if isinstance(dtype, str):
        named = LEGACY.get(dtype.split(".")[-1])
        if named is None:
            raise ArgumentTypeError(
                f"[type] invalid type: {dtype!r}; use a dtype or a name such as 'FloatTensor'"
            )
        dtype = named
    return to(self, dtype if isinstance(dtype, DType) else getattr(dtype, "dtype", dtype))


class Memory:
    """A tensor's memory as an object: its address, size, and identity."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def data_ptr(self) -> int:
        """The address of the first byte."""
        root = storage_of(self.tensor).root
        interface = getattr(root, "__array_interface__", None) or getattr(
            root, "__cuda_array_interface__", None
        )
        return interface["data"][0] if interface else id(root)

    def nbytes(self) -> int:
        """Bytes of the whole memory, of which the tensor may see a part."""
        return prod(storage_of(self.tensor).root.shape) * self.tensor.dtype.itemsize

    size = __len__ = nbytes

    @property
    def device(self) -> Any:
        """Where it lies."""
        return self.tensor.device

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Memory) and storage_of(self.tensor) is storage_of(other.tensor)

    def __hash__(self) -> int:
        return id(storage_of(self.tensor))


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor itself: host memory is taken as it is."""
    return self


def share_memory_(self: Tensor) -> Tensor:
    """The tensor itself: workers get copies."""
    return self


def get_property(name: str) -> property:
    """Whether the tensor lies on a device type."""
    return property(lambda self: self.device.type == name, doc=f"Whether it lies on a {name} device.")


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        data_ptr, element_size, get_device, is_complex, is_conj, is_inference, is_nonzero, is_same_size,
        pin_memory, share_memory_,
    )
} | {
    "type": type_, "untyped_storage": Memory, "storage": Memory, "is_pinned": is_conj, "is_shared": is_conj,
    "is_signed": lambda self: self.dtype.signed,
}  # fmt: skip
PROPERTIES = {f"is_{name}": get_property(name) for name in ("cpu", "cuda", "meta", "mps", "xpu")} | {
    "nbytes": property(nbytes, doc="Bytes of all elements."),
    "itemsize": property(element_size, doc="Bytes of one element."),
    "layout": property(lambda self: strided, doc="How elements lie: always strided."),
    "is_sparse": property(is_conj, doc="Whether most elements are left out: never."),
    "is_quantized": property(is_conj, doc="Whether it is quantised: never."),
    "is_nested": property(is_conj, doc="Whether it is nested: never."),
    "real": property(lambda self: self, doc="The real part: the tensor itself."),
}
