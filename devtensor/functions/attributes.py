"""What a tensor is: where it lies, how large it is, of which legacy type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core import tensor
from devtensor.core.device import UNINDEXED, resolve
from devtensor.core.dtype import DType
from devtensor.core.errors import ArgumentTypeError, DTypeError, ShapeError, Unsupported
from devtensor.core.layout import is_in_format
from devtensor.core.overlap import address_of
from devtensor.core.tensor import Tensor, describe, strides_of
from devtensor.functions.legacy import LegacyType, legacy_name, legacy_type, memory_format, strided
from devtensor.functions.tensors import to
from devtensor.interop.pinning import is_pinned, pin_memory
from devtensor.sharing import is_shared, share_memory_
from devtensor.storage import is_storage, storage, untyped_storage

__all__ = [
    "is_complex",
    "is_conj",
    "is_distributed",
    "is_inference",
    "is_nonzero",
    "is_same_size",
    "is_storage",
    "is_vulkan_available",
]


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    return input.dtype.is_complex


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


def is_distributed(input: Tensor) -> bool:
    """Whether the tensor is spread over several processes: never."""
    return False


def is_vulkan_available() -> bool:
    """Whether Vulkan can be used: no."""
    return False


def element_size(self: Tensor) -> int:
    """Bytes of one element."""
    return self.dtype.itemsize


def nbytes(self: Tensor) -> int:
    """Bytes of all elements."""
    return self.shape.numel() * self.dtype.itemsize


def data_ptr(self: Tensor) -> int:
    """The address of the first element, or what stands for one where the library tells none."""
    found = address_of(self.array)
    return id(self.array) if found is None else found


def get_device(self: Tensor) -> int:
    """The device's number; -1 on the CPU."""
    return -1 if self.device.type == "cpu" else self.device.index or 0


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The legacy type's name, or the tensor as another dtype or legacy type.

    Errors: ArgumentError for a name that is none, DeviceMissing for a type of a device that is not there.
    """
    if dtype is None:
        return legacy_name(self)
    if isinstance(dtype, DType):
        return to(self, dtype)
    found = dtype if isinstance(dtype, LegacyType) else legacy_type(dtype)
    return to(self, resolve(found.device_type), found.dtype)


def dim_order(self: Tensor, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions from the one with the longest strides to the one with the shortest.

    Errors: ShapeError, if `ambiguity_check`, where sizes of 1 or equal strides leave more than one order,
    unless exactly one of the memory formats that it may name instead fits.
    """
    strides = strides_of(self)
    formats = ambiguity_check if isinstance(ambiguity_check, list) else []
    named = all(isinstance(each, memory_format) for each in formats)
    if not isinstance(ambiguity_check, (bool, list)) or not named:
        raise ArgumentTypeError(
            "[dim_order] The ambiguity_check argument must be a bool or a list of memory formats; got "
            f"{ambiguity_check!r}"
        )
    unclear = 1 in self.array.shape or len(set(strides)) < len(strides)
    if ambiguity_check and unclear:
        fitting = [f for f in formats if is_in_format(self.array.shape, strides, f.name)]
        if len(fitting) != 1:
            raise ShapeError(
                f"[dim_order] {describe(self)} with strides {strides}: The tensor does not have unique dim "
                "order, or cannot map to exact one of the given memory formats."
            )
    return tuple(sorted(range(self.ndim), key=lambda dim: (-strides[dim], dim)))


def dense_dim(self: Tensor) -> int:
    """How many dimensions hold all their elements: all of them."""
    return self.ndim


def sparse_dim(self: Tensor) -> int:
    """How many dimensions leave elements out: none."""
    return 0


def is_coalesced(self: Tensor) -> bool:
    """Refused: a question for sparse tensors.

    Errors: DTypeError always.
    """
    raise DTypeError("[is_coalesced] expected sparse coordinate tensor layout but got Strided")


def xpu(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """The tensor on an XPU device, which a plug-in may serve."""
    return to(self, resolve("xpu" if device is None else device))


def record_stream(self: Tensor, s: Any) -> None:
    """Keep the memory, once nobody holds it, until a stream that reads it has come so far.

    Errors: ArgumentTypeError unless it is a stream, Unsupported on the CPU, which has none.
    """
    if not hasattr(s, "native"):
        raise ArgumentTypeError(f"[record_stream] argument 's' must be a Stream, not {type(s).__name__}")
    device = self.kind.place
    if device.type in UNINDEXED:
        raise Unsupported(
            f"[record_stream] a tensor on {device} is used by no stream; move it to one's device"
        )
    record = getattr(self.kind.device.backend, "record_stream", None)
    if record is not None:
        record(self.array, s.native)


def get_property(name: str) -> property:
    """Whether the tensor lies on a device type."""
    return property(lambda self: self.device.type == name, doc=f"Whether it lies on a {name} device.")


def never(doc: str) -> property:
    """An attribute of kinds of tensors that there are none of."""
    return property(lambda self: False, doc=f"{doc}: never.")


def to_padded_tensor(self: Tensor, padding: float, output_size: Any = None) -> Tensor:
    """Not offered, as nested tensors are not.

    Errors: Unsupported, always.
    """
    raise Unsupported(
        "[to_padded_tensor] nested tensors are not offered; pad sequences with nn.utils.rnn.pad_sequence"
    )


# Device types that tensors are asked for.
DEVICE_TYPES = (
    "cpu", "cuda", "ipu", "maia", "meta", "mps", "mtia", "vulkan", "xla", "xpu",
)  # fmt: skip


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        data_ptr, dense_dim, dim_order, element_size, get_device, is_coalesced, is_complex, is_conj,
        is_distributed, is_inference, is_nonzero, is_pinned, is_same_size, is_shared, pin_memory,
        record_stream, share_memory_, sparse_dim, to_padded_tensor, xpu,
    )
} | {
    "type": type_, "storage": storage, "untyped_storage": untyped_storage,
    "is_signed": lambda self: self.dtype.is_signed,
}  # fmt: skip
PROPERTIES = {f"is_{name}": get_property(name) for name in DEVICE_TYPES} | {
    "nbytes": property(nbytes, doc="Bytes of all elements."),
    "itemsize": property(element_size, doc="Bytes of one element."),
    "layout": property(lambda self: strided, doc="How elements lie: always strided."),
    "name": property(lambda self: None, doc="A name for the tensor: it has none."),
    "is_sparse": never("Whether most elements are left out"),
    "is_sparse_csr": never("Whether most elements are left out, row by row"),
    "is_mkldnn": never("Whether its memory is in oneDNN's own layout"),
    "is_quantized": never("Whether it is quantised"),
    "is_nested": never("Whether it is nested"),
}
