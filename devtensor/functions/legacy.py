"""PyTorch's older spellings: `Tensor(2, 3)`, `FloatTensor([1, 2])`, layouts and memory formats."""

from __future__ import annotations

from operator import index
from typing import Any

from devtensor.backend import registry
from devtensor.core.device import Device, default_device, resolve, set_legacy_device
from devtensor.core.dtype import DTYPES, DType, default_dtype, set_default_dtype
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DeviceError, DTypeError, ShapeError
from devtensor.core.naming import spoken
from devtensor.core.tensor import Size, Tensor, describe, share
from devtensor.functions.creation import zeros
from devtensor.interop import tensor
from devtensor.storage import TypedStorage, UntypedStorage

__all__ = [
    "BFloat16Tensor",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "jagged",
    "layout",
    "memory_format",
    "preserve_format",
    "set_default_tensor_type",
    "sparse_bsc",
    "sparse_bsr",
    "sparse_coo",
    "sparse_csc",
    "sparse_csr",
    "strided",
]


class Named:
    """A word that PyTorch has as an object, such as a memory format; it changes nothing here."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return spoken(self.name)

    def __reduce__(self) -> str:
        return self.name


class memory_format(Named):
    """In which order elements lie. All tensors made here are contiguous; the words are taken and ignored."""


class layout(Named):
    """How elements lie: strided, all of them; names of sparse layouts are there to be compared with."""


memory_format.__module__ = layout.__module__ = "devtensor"

strided = layout("strided")
sparse_coo, sparse_csr, sparse_csc = layout("sparse_coo"), layout("sparse_csr"), layout("sparse_csc")
sparse_bsr, sparse_bsc = layout("sparse_bsr"), layout("sparse_bsc")
jagged = layout("jagged")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")

# Legacy name -> dtype.
LEGACY: dict[str, DType] = {
    name: DTYPES[dtype]
    for name, dtype in {
        "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "BFloat16Tensor":
        "bfloat16", "ByteTensor": "uint8", "CharTensor": "int8", "ShortTensor": "int16", "IntTensor": "int32",
        "LongTensor": "int64", "BoolTensor": "bool",
    }.items()
}  # fmt: skip
# Complex tensors have such a name, too, but there is no class of it.
NAMES = {dtype: name for name, dtype in LEGACY.items()} | {
    DTYPES["complex64"]: "ComplexFloatTensor",
    DTYPES["complex128"]: "ComplexDoubleTensor",
}


def legacy_name(value: Tensor) -> str:
    """The name of a tensor's legacy type, such as `devtensor.cuda.FloatTensor`."""
    place = "" if value.device.type == "cpu" else f"{value.device.type}."
    return spoken(f"{place}{NAMES.get(value.dtype, 'Tensor')}")


def legacy(dtype: DType, args: tuple, facts: dict[str, Any], type: str | None = None) -> Tensor:
    """What `FloatTensor(...)` gives: sizes make zeros, a sequence its numbers, a tensor of the dtype itself.

    Errors: ArgumentTypeError for anything else, and for tensors of another dtype.
    """
    device = _place(facts.pop("device", None), type)
    if facts:
        if args or len(facts) > 1 or not {*facts} <= {"size", "data", "other"}:
            raise ArgumentTypeError(f"[Tensor] got the keywords {', '.join(facts)}; it takes device alone")
        (args,) = [(Size(value),) if name == "size" else (value,) for name, value in facts.items()]
    if not args:
        return zeros(0, dtype=dtype, device=device)
    sizes = args[0] if len(args) == 1 and isinstance(args[0], Size) else args
    if all(_is_size(size) for size in sizes) and not (sizes is args and _is_data(args)):
        return _of_sizes(dtype, [index(size) for size in sizes], device)
    if len(args) != 1:
        raise ArgumentTypeError(f"[Tensor] got {args}; it takes sizes, or one sequence of numbers")
    return _from_data(dtype, args[0], device)


def _place(device: Any, type: str | None) -> Device:
    """The device asked for, which must be of the legacy type's own device type."""
    place = resolve(type if device is None else device)
    expected = default_device().type if type is None else type
    if device is not None and place.type != expected:
        raise DeviceError(
            f"[Tensor] legacy constructor expects device type: {expected} but {place} was passed"
        )
    return place


def _is_size(value: Any) -> bool:
    return not isinstance(value, bool) and hasattr(value, "__index__") and getattr(value, "ndim", 0) == 0


def _is_data(args: tuple) -> bool:
    """Whether the one argument is a tensor: even one with a single integer is data then, not a size."""
    return len(args) == 1 and isinstance(args[0], Tensor)


def _of_sizes(dtype: DType, sizes: list[int], device: Device) -> Tensor:
    if any(size < 0 for size in sizes):
        raise ShapeError(f"[Tensor] Trying to create tensor with negative dimension: {sizes}")
    return zeros(*sizes, dtype=dtype, device=device)


def _from_storage(dtype: DType, storage: Any, device: Device) -> Tensor:
    """A tensor of the whole of a memory, whose bytes it reads as its dtype."""
    if (isinstance(storage, TypedStorage) and storage.dtype is not dtype) or storage.device is not device:
        raise DTypeError(
            f"[Tensor] expected a storage of {dtype} on {device}, got one of {storage.dtype} on "
            f"{storage.device}"
        )
    held: Any = share(storage.held)
    return held.reshape(-1).view(dtype)


def _from_data(dtype: DType, data: Any, device: Device) -> Tensor:
    if isinstance(data, TypedStorage | UntypedStorage):
        return _from_storage(dtype, data, device)
    if isinstance(data, Tensor):
        if data.dtype is not dtype or data.device is not device:
            raise ArgumentTypeError(
                f"[Tensor] expected {NAMES.get(dtype, dtype)} on {device} (got {describe(data)}); "
                "convert it with .to()"
            )
        return share(data)
    if isinstance(data, str | bytes | dict) or not (
        hasattr(data, "__getitem__") and hasattr(data, "__len__")
    ):
        raise ArgumentTypeError(
            f"[Tensor] got a {type(data).__name__}; it takes sizes or one sequence; use devtensor.tensor() "
            "for numbers"
        )
    return tensor(data, dtype=dtype, device=device)


class LegacyType(type):
    """The class of FloatTensor and its kin: tensors of their dtype are their instances."""

    dtype: DType
    device_type: str
    is_sparse = False
    layout = strided

    @property
    def is_cuda(cls) -> bool:
        """Whether its tensors lie on CUDA devices."""
        return cls.device_type == "cuda"

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor) and value.dtype is cls.dtype and value.device.type == cls.device_type

    def __call__(cls, *args: Any, **facts: Any) -> Tensor:
        if cls.device_type != "cpu" and not registry.available(cls.device_type):
            raise ArgumentTypeError(
                f"[{cls.__name__}] type {cls.__module__}.{cls.__name__} not available; there is no "
                f"{cls.device_type} device"
            )
        return legacy(cls.dtype, args, facts, cls.device_type)


def declare(name: str, device_type: str = "cpu") -> LegacyType:
    """The legacy type `name` of a device type."""
    module = "devtensor" if device_type == "cpu" else f"devtensor.{device_type}"
    members = {"dtype": LEGACY[name], "device_type": device_type, "__module__": module}
    return LegacyType(name, (), members | {"__doc__": f"Tensors of {LEGACY[name]} on {device_type}."})


def cuda_types() -> dict[str, LegacyType]:
    """Every legacy type of CUDA by its name."""
    return {name: declare(name, "cuda") for name in LEGACY}


FloatTensor, DoubleTensor, HalfTensor = declare("FloatTensor"), declare("DoubleTensor"), declare("HalfTensor")
BFloat16Tensor, ByteTensor = declare("BFloat16Tensor"), declare("ByteTensor")
CharTensor, ShortTensor = declare("CharTensor"), declare("ShortTensor")
IntTensor, LongTensor, BoolTensor = declare("IntTensor"), declare("LongTensor"), declare("BoolTensor")


def legacy_type(name: Any) -> LegacyType:
    """The legacy type that a name such as "torch.cuda.FloatTensor" stands for.

    Errors: ArgumentError for anything else.
    """
    if not isinstance(name, (str, type)):
        raise ArgumentTypeError(f"[type] dtype must be a type, str, or dtype object, not {name!r}")
    module, _, last = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    if last not in LEGACY:
        raise ArgumentError(
            f"[type] invalid type: {name!r}; give a dtype, or 'torch.FloatTensor' and its like"
        )
    return declare(last, "cuda" if module.endswith("cuda") else "cpu")


def set_default_tensor_type(t: Any) -> None:
    """Make dtype and device type of a legacy type, or of its name, the defaults.

    Errors: ArgumentTypeError for anything else, and for a dtype or device that cannot be a default.
    """
    found = legacy_type(t) if isinstance(t, str) else t
    if not isinstance(found, LegacyType) or not found.dtype.is_floating_point:
        raise ArgumentTypeError(
            f"[set_default_tensor_type] got {t!r}; only floating-point types can be the default type"
        )
    if found.device_type != "cpu" and not registry.available(found.device_type):
        raise ArgumentTypeError(f"[set_default_tensor_type] type {t} not available; there is no such device")
    set_legacy_device(found.device_type)
    set_default_dtype(found.dtype)


def construct(self: Tensor, *args: Any, **facts: Any) -> None:
    """What `Tensor(...)` makes: zeros of the sizes given, or the numbers of a sequence, in the default
    dtype; a tensor gives another handle on it."""
    if hasattr(self, "array"):
        return
    given = args[0] if len(args) == 1 else None
    made = share(given) if isinstance(given, Tensor) else legacy(default_dtype(), args, facts)
    self.array, self.kind, self.alias = made.array, made.kind, made.alias
    self.node, self.requires_grad = None, False


METHODS = {"__init__": construct}
