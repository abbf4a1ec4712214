"""PyTorch's older spellings: `Tensor(2, 3)`, `FloatTensor([1, 2])`, layouts and memory formats."""

from __future__ import annotations

from typing import Any

from devtensor.core.dtype import DTYPES, DType, default_dtype, set_default_dtype
from devtensor.core.errors import ArgumentTypeError
from devtensor.core.tensor import Tensor, share
from devtensor.functions.creation import zeros
from devtensor.interop import tensor

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
    "layout",
    "memory_format",
    "preserve_format",
    "set_default_tensor_type",
    "strided",
]


class Named:
    """A word that PyTorch has as an object, such as a memory format; it changes nothing here."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"devtensor.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class memory_format(Named):
    """In which order elements lie. All tensors made here are contiguous; the words are taken and ignored."""


class layout(Named):
    """How elements lie: always strided."""


strided = layout("strided")
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
NAMES = {dtype: name for name, dtype in LEGACY.items()}


def legacy_name(value: Tensor) -> str:
    """The name of a tensor's legacy type, such as `devtensor.cuda.FloatTensor`."""
    place = "" if value.device.type == "cpu" else f"{value.device.type}."
    return f"devtensor.{place}{NAMES[value.dtype]}"


def legacy(dtype: DType, args: tuple, device: Any = None) -> Tensor:
    """What `FloatTensor(...)` gives: sizes make zeros, a sequence its numbers."""
    if not args:
        return zeros(0, dtype=dtype, device=device)
    if len(args) == 1 and isinstance(args[0], Tensor):
        return share(args[0]).to(dtype)
    if len(args) == 1 and isinstance(args[0], tuple) and type(args[0]) is not tuple:
        return zeros(*args[0], dtype=dtype, device=device)
    if all(isinstance(a, int) for a in args):
        return zeros(*args, dtype=dtype, device=device)
    if len(args) != 1 or isinstance(args[0], float):
        raise ArgumentTypeError(
            f"[Tensor] got {args}; it takes sizes or one sequence; use devtensor.tensor() for numbers"
        )
    return tensor(args[0], dtype=dtype, device=device)


class LegacyType(type):
    """The class of FloatTensor and its kin: tensors of their dtype are their instances."""

    dtype: DType

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor) and value.dtype is cls.dtype and value.device.type == "cpu"

    def __call__(cls, *args: Any, device: Any = None) -> Tensor:
        return legacy(cls.dtype, args, device)


def _declare(name: str) -> LegacyType:
    return LegacyType(
        name, (), {"dtype": LEGACY[name], "__module__": "devtensor", "__doc__": f"Tensors of {LEGACY[name]}."}
    )


FloatTensor, DoubleTensor, HalfTensor = (
    _declare("FloatTensor"),
    _declare("DoubleTensor"),
    _declare("HalfTensor"),
)
BFloat16Tensor, ByteTensor, CharTensor = (
    _declare("BFloat16Tensor"),
    _declare("ByteTensor"),
    _declare("CharTensor"),
)
ShortTensor, IntTensor, LongTensor = _declare("ShortTensor"), _declare("IntTensor"), _declare("LongTensor")
BoolTensor = _declare("BoolTensor")


def set_default_tensor_type(t: Any) -> None:
    """Make the dtype of a legacy type the default."""
    set_default_dtype(LEGACY[t.split(".")[-1]] if isinstance(t, str) else getattr(t, "dtype", t))


def construct(self: Tensor, *args: Any, **facts: Any) -> None:
    """What `Tensor(...)` makes: zeros of the sizes given, or the numbers of a sequence, in the default
    dtype."""
    if type(self) is not Tensor:
        return
    made = legacy(default_dtype(), args, facts.get("device"))
    self.array, self.kind, self.alias = made.array, made.kind, made.alias
    self.node, self.requires_grad = None, False


METHODS = {"__init__": construct}
