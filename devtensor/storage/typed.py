"""TypedStorage and the classes of each dtype: memory seen as elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import DTYPES, DType, as_dtype, default_dtype
from devtensor.core.errors import ArgumentTypeError, Unsupported
from devtensor.core.tensor import Tensor
from devtensor.interop import tensor
from devtensor.storage.memory import Memory
from devtensor.storage.untyped import UntypedStorage, held_by

# What PyTorch calls the storages of each dtype; dtypes without a name are saved as bytes.
STORAGE_NAMES = {
    "float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage", "uint8": "ByteStorage", "int8": "CharStorage", "int16": "ShortStorage",
    "int32": "IntStorage", "int64": "LongStorage", "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage", "complex128": "ComplexDoubleStorage",
}  # fmt: skip
STORAGE_DTYPES = {name: DTYPES[dtype] for dtype, name in STORAGE_NAMES.items() if dtype in DTYPES}


class TypedStorage(Memory):
    """Memory seen as elements of one dtype: what `tensor.storage()` gives.

    Example: `TypedStorage(4, dtype=devtensor.float64)`, `FloatStorage([1.0, 2.0])`.
    """

    __slots__ = ("dtype",)

    def __init__(self, *args: Any, wrap_storage: Any = None, dtype: Any = None, device: Any = None) -> None:
        self.dtype = default_dtype() if dtype is None else as_dtype(dtype)
        if wrap_storage is None:
            self.held = held_by(args, self.dtype, device)
        elif isinstance(wrap_storage, Memory) and not args and device is None:
            self.held = wrap_storage.held
        else:
            raise ArgumentTypeError(
                f"[TypedStorage] wrap_storage is {type(wrap_storage).__name__}; it needs an UntypedStorage, "
                "and no size or device beside it"
            )

    def _like(self, held: Tensor) -> TypedStorage:
        made = TypedStorage.__new__(TypedStorage)
        made.held, made.dtype = held, self.dtype
        return made

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage.of(self.held)

    _untyped_storage = property(untyped)

    def type(self, dtype: Any = None) -> Any:
        """The legacy type's name, or the storage as another dtype."""
        if dtype is None:
            place = "" if self.device.type == "cpu" else f"{self.device.type}."
            return f"devtensor.{place}{self.pickle_storage_type()}"
        return self.astype(as_dtype(getattr(dtype, "dtype", dtype)))

    def astype(self, dtype: DType) -> TypedStorage:
        """The numbers in another dtype; the storage itself if it has it."""
        if dtype is self.dtype:
            return self
        values = tensor(self.tolist(), dtype=self.dtype).to(dtype)
        return TypedStorage(wrap_storage=UntypedStorage.of(values.to(self.device)), dtype=dtype)

    def pickle_storage_type(self) -> str:
        """The name under which PyTorch's files know such storages.

        Errors: Unsupported for dtypes that have none.
        """
        if self.dtype.name not in STORAGE_NAMES:
            raise Unsupported(f"[storage] PyTorch names no storage of {self.dtype}; use untyped()")
        return STORAGE_NAMES[self.dtype.name]

    _pickle_storage_type = pickle_storage_type

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and isinstance(other, TypedStorage) and other.dtype is self.dtype

    __hash__ = Memory.__hash__

    def __reduce__(self) -> tuple:
        return _rebuild_typed, (self.tolist(), self.dtype)

    def _title(self) -> str:
        return f"[devtensor.storage.TypedStorage(dtype={self.dtype}, device={self.device})"


def _rebuild_typed(numbers: list, dtype: DType) -> TypedStorage:
    return TypedStorage(numbers, dtype=dtype)


def _converter(name: str) -> Callable[[TypedStorage], TypedStorage]:
    def convert(self: TypedStorage) -> TypedStorage:
        return self.astype(DTYPES[name])

    convert.__doc__ = f"The numbers as {name}."
    return convert


for _name, _dtype in {
    "double": "float64", "float": "float32", "half": "float16", "bfloat16": "bfloat16", "long": "int64",
    "int": "int32", "short": "int16", "char": "int8", "byte": "uint8", "bool": "bool",
}.items():  # fmt: skip
    setattr(TypedStorage, _name, _converter(_dtype))


class LegacyStorage(type):
    """The class of FloatStorage and its kin: typed storages of their dtype and place are their instances."""

    dtype: DType
    place: str

    def __instancecheck__(cls, value: Any) -> bool:
        held = isinstance(value, TypedStorage) and value.dtype is cls.dtype
        return held and value.device.type == cls.place

    def __call__(cls, *args: Any, **named: Any) -> TypedStorage:
        if cls.place != "cpu" and "wrap_storage" not in named:
            named.setdefault("device", cls.place)
        return TypedStorage(*args, dtype=cls.dtype, **named)


def legacy_storages(place: str = "cpu") -> dict[str, LegacyStorage]:
    """The storages' older classes on a device type, by name."""
    module = "devtensor" if place == "cpu" else f"devtensor.{place}"
    return {
        name: LegacyStorage(
            name, (), {"dtype": dtype, "place": place, "__module__": module, "__doc__": f"Memory of {dtype}."}
        )
        for name, dtype in STORAGE_DTYPES.items()
    }


LEGACY = legacy_storages()
