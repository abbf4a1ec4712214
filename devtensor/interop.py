"""Between tensors and other libraries' arrays: tensor(), from_numpy(), numpy(), buffers and DLPack."""

from __future__ import annotations

import struct
from typing import Any

from devtensor.core.device import Device, resolve
from devtensor.core.dtype import BOOL, DTYPES, FLOAT, DType, as_dtype, default_dtype, float32, int64, promote
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.host import FORMATS, hear_host_read
from devtensor.core.tensor import Tensor, describe, share, storage_of, wrap
from devtensor.core.transfer import HostData
from devtensor.ops.create import cast, constant

__all__ = ["as_tensor", "asarray", "from_dlpack", "from_numpy", "frombuffer", "tensor"]


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A tensor with a copy of `data`: a number, nested lists of numbers or tensors, or an array.

    Errors: ArgumentTypeError for anything else, or lists of unequal length.
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(data, Tensor):
        place = data.device if device is None else resolve(device)
        made = share(data).to(place, wanted or data.dtype, copy=True)  # type: ignore[attr-defined]
    elif hasattr(data, "__array_interface__"):
        made = _from_array(data, wanted, resolve(device))
    elif hasattr(data, "__dlpack__"):
        made = from_dlpack(data).to(resolve(device), wanted, copy=True)  # type: ignore[attr-defined]
    else:
        made = _from_lists(data, wanted, resolve(device))
    return made.requires_grad_() if requires_grad else made  # type: ignore[attr-defined]


def _from_array(data: Any, dtype: DType | None, device: Device) -> Tensor:
    """A copy of a NumPy array or scalar."""
    import numpy

    array = numpy.array(data, order="C")
    if array.dtype.name not in DTYPES:
        raise ArgumentTypeError(
            f"[tensor] can't convert an array of dtype {array.dtype}; the supported types are {', '.join(DTYPES)}"
        )
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    given = DTYPES[array.dtype.name]
    made = constant(HostData(array.tobytes(), array.shape), given, device)
    return made if dtype is None or dtype is given else cast(made, dtype)


class Leaves:
    """The numbers of nested lists in C order, their shape, and the dtypes that arrays among them have."""

    def __init__(self, data: Any) -> None:
        self.shape = self._shape_of(data)
        self.numbers: list[Any] = []
        self.dtypes: set[DType] = set()
        self._gather(data, 0)

    def _shape_of(self, data: Any) -> tuple[int, ...]:
        sizes: list[int] = []
        while isinstance(data, (list, tuple)) or _is_sequence(data):
            sizes.append(len(data))
            if not len(data):
                break
            data = data[0]
        if getattr(data, "shape", None) is not None and not isinstance(data, (list, tuple)):
            sizes += data.shape
        return tuple(sizes)

    def _gather(self, data: Any, depth: int) -> None:
        if hasattr(data, "shape") and hasattr(data, "tolist"):
            self._check_size(tuple(data.shape), depth)
            self._note(data)
            data = data.tolist()
            if depth == len(self.shape):
                self.numbers.append(data)
                return
        if isinstance(data, (list, tuple)) or _is_sequence(data):
            if depth == len(self.shape) or len(data) != self.shape[depth]:
                expected = self.shape[depth] if depth < len(self.shape) else "a number"
                raise ArgumentError(
                    f"[tensor] expected sequence of length {expected} at dim {depth} (got {len(data)}); "
                    "give lists of equal length"
                )
            for item in data:
                self._gather(item, depth + 1)
        elif depth == len(self.shape) and isinstance(data, (bool, int, float)):
            self.numbers.append(data)
        elif isinstance(data, (bool, int, float)):
            raise ArgumentError(f"[tensor] expected a sequence at dim {depth}, got {data!r}; give lists of equal length")
        elif hasattr(data, "__float__"):
            self.numbers.append(float(data))
        else:
            raise ArgumentTypeError(
                f"[tensor] data holds {type(data).__name__}; it needs bools, ints, floats, tensors or arrays of them"
            )

    def _check_size(self, shape: tuple[int, ...], depth: int) -> None:
        if shape != self.shape[depth:]:
            raise ArgumentError(
                f"[tensor] expected a part of shape {self.shape[depth:]} at dim {depth} (got {shape}); "
                "give parts of equal shape"
            )

    def _note(self, data: Any) -> None:
        name = data.dtype.name if hasattr(data.dtype, "name") else str(data.dtype)
        if name in DTYPES:
            self.dtypes.add(DTYPES[name])

    def inferred(self) -> DType:
        """What PyTorch makes of these numbers: arrays keep their dtype, floats become the default."""
        found = list(self.dtypes)
        kinds = set(map(type, self.numbers))
        if float in kinds:
            found = [d for d in found if d.category == FLOAT] or [default_dtype()]
        if not found:
            return default_dtype() if not self.numbers else DTYPES["bool"] if kinds == {bool} else int64
        result = found[0]
        for dtype in found[1:]:
            result = promote(result, dtype)
        return result


def _is_sequence(data: Any) -> bool:
    return hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (str, bytes, dict)) and (
        not hasattr(data, "shape")
    )


def _from_lists(data: Any, dtype: DType | None, device: Device) -> Tensor:
    leaves = Leaves(data)
    wanted = dtype or leaves.inferred()
    # Half types round from float32 on the device, as every other conversion does; float64 goes in exactly.
    stored = wanted if wanted.category != FLOAT or wanted.bits > 16 else float32
    made = constant(HostData(_packed(leaves.numbers, stored, wanted), leaves.shape), stored, device)
    return made if stored is wanted else cast(made, wanted)


def _packed(numbers: list[Any], dtype: DType, wanted: DType) -> bytes:
    """Numbers as little-endian bytes.

    Errors: ArgumentError for a number that the dtype cannot hold.
    """
    form = f"<{len(numbers)}{FORMATS[dtype.name]}"
    if dtype.category == BOOL:
        return struct.pack(form, *map(bool, numbers))
    if dtype.category == FLOAT:
        try:
            return struct.pack(form, *numbers)
        except OverflowError:
            return struct.pack(form, *(_as_float32(float(number)) for number in numbers))
    try:
        return struct.pack(form, *(number if number.__class__ is int else int(number) for number in numbers))
    except (struct.error, OverflowError, ValueError):
        limits = f"[{-(2 ** (wanted.bits - 1)) if wanted.signed else 0}, {2 ** (wanted.bits - wanted.signed) - 1}]"
        raise ArgumentError(
            f"[tensor] value cannot be converted to type {wanted.name} without overflow; it holds integers in {limits}"
        ) from None


def _as_float32(number: float) -> float:
    """What a conversion to float32 gives: beyond the largest, infinity."""
    try:
        struct.pack("<f", number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    return number


def from_numpy(ndarray: Any) -> Tensor:
    """A CPU tensor that shares the array's memory.

    Errors: ArgumentTypeError for dtypes that devtensor does not have.
    """
    return _adopted("from_numpy", ndarray, resolve("cpu"))


def _adopted(name: str, array: Any, device: Device) -> Tensor:
    backend = device.backend
    try:
        adopted = backend.adopt(array)
    except TypeError as error:
        raise ArgumentTypeError(str(error).replace("[adopt]", f"[{name}]")) from None
    return wrap(adopted, device.kind(DTYPES[backend.dtype_of(adopted)]))


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory where nothing must be converted."""
    if isinstance(data, Tensor):
        return data.to(data.device if device is None else device, dtype or data.dtype)  # type: ignore[attr-defined]
    if hasattr(data, "__array_interface__") and getattr(data, "ndim", 0) and resolve(device).type == "cpu":
        made = from_numpy(data)
        return made if dtype is None else made.to(as_dtype(dtype))  # type: ignore[attr-defined]
    return tensor(data, dtype=dtype, device=device)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """`obj` as a tensor: shared where possible, copied if `copy`, never copied if `copy` is False.

    Errors: ArgumentError if copy is False and sharing is impossible.
    """
    if copy:
        return tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    made = as_tensor(obj, dtype, device)
    shared = made is obj or (
        hasattr(obj, "__array_interface__") and getattr(made.array, "base", None) is not None or made.array is obj
    )
    if copy is False and not shared:
        raise ArgumentError("[asarray] copy=False, but this object can only become a tensor by a copy")
    return made.requires_grad_() if requires_grad else made  # type: ignore[attr-defined]


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A one-dimensional CPU tensor that shares a buffer's memory, read as `dtype` from byte `offset` on.

    Errors: ArgumentError if the buffer does not hold what is asked for.
    """
    import numpy

    kind, view = as_dtype(dtype), memoryview(buffer)
    room = view.nbytes - offset
    if not 0 <= offset < view.nbytes or room <= 0:
        raise ArgumentError(f"[frombuffer] offset ({offset} bytes) must be within the buffer ({view.nbytes} bytes)")
    size = room // kind.itemsize if count < 0 else count
    if size == 0 or size * kind.itemsize > room or (count < 0 and room % kind.itemsize):
        raise ArgumentError(
            f"[frombuffer] {room} bytes after offset {offset} do not hold {count if count >= 0 else 'whole'} elements of "
            f"{kind.itemsize} bytes"
        )
    raw = numpy.frombuffer(view, numpy.uint8, size * kind.itemsize, offset)
    made = _adopted("frombuffer", raw.view(_numpy_dtype(kind)), resolve("cpu"))
    return made.requires_grad_() if requires_grad else made  # type: ignore[attr-defined]


def _numpy_dtype(dtype: DType) -> Any:
    if dtype.name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return dtype.name


def numpy_(self: Tensor, *, force: bool = False) -> Any:
    """The CPU tensor's memory as a NumPy array, shared.

    Errors: ArgumentTypeError for a tensor that requires grad or lives elsewhere, unless `force`.
    """
    if force:
        self = self.detach().cpu()  # type: ignore[attr-defined]
    if self.requires_grad:
        raise ArgumentTypeError("[numpy] Can't call numpy() on Tensor that requires grad; use tensor.detach().numpy()")
    if self.device.type != "cpu":
        raise ArgumentTypeError(
            f"[numpy] can't convert {describe(self)} to numpy; use Tensor.cpu() to copy the tensor to host memory first"
        )
    hear_host_read(self, "numpy")
    # NumPy may write this memory: known as shared, no gradient takes it for its own.
    storage_of(self)
    return self.array


def array_(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    """What `numpy.asarray(tensor)` gives."""
    found = numpy_(self)
    if dtype is not None and found.dtype != dtype:
        if copy is False:
            raise ArgumentError(f"[__array__] copy=False, but {describe(self)} must be converted to {dtype}")
        return found.astype(dtype)
    return found.copy() if copy else found


def dlpack(self: Tensor, **arguments: Any) -> Any:
    """This tensor's memory for another library, by the array's own DLPack support.

    Errors: ArgumentTypeError for a tensor that requires grad.
    """
    if self.requires_grad:
        raise ArgumentTypeError("[__dlpack__] Can't export tensors that require gradient, use tensor.detach()")
    hear_host_read(self, "__dlpack__")
    return self.array.__dlpack__(**arguments)


def dlpack_device(self: Tensor) -> tuple:
    """Where the memory lies, as DLPack counts devices."""
    return self.array.__dlpack_device__()


# DLPack's device types that hold plain host memory and CUDA's: the device type here that takes them in.
DLPACK_DEVICES = {1: "cpu", 2: "cuda", 3: "cpu", 13: "cuda"}


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor that shares memory with another library's array.

    Errors: ArgumentTypeError if the object has no DLPack, or lies on a device no backend takes in.
    """
    if isinstance(ext_tensor, Tensor):
        return share(ext_tensor)
    if not hasattr(ext_tensor, "__dlpack_device__"):
        raise ArgumentTypeError(f"[from_dlpack] {type(ext_tensor).__name__} has no __dlpack__; give an array")
    number, index = ext_tensor.__dlpack_device__()
    name = DLPACK_DEVICES.get(int(number))
    if name is None:
        raise ArgumentTypeError(f"[from_dlpack] the array is on DLPack device type {int(number)}; copy it to the CPU first")
    if name == "cpu":
        import numpy as library
    else:
        import cupy as library  # type: ignore[import-not-found,no-redef]
    return _adopted("from_dlpack", library.from_dlpack(ext_tensor), resolve(name if name == "cpu" else f"{name}:{index}"))


METHODS = {"numpy": numpy_, "__array__": array_, "__dlpack__": dlpack, "__dlpack_device__": dlpack_device}
