"""Tensors from data of all kinds: numbers, nested sequences, arrays, buffers, other tensors."""

from __future__ import annotations

from typing import Any

from devtensor.core.callers import warn
from devtensor.core.device import Device, resolve
from devtensor.core.dtype import FLOAT, DType, as_dtype, default_dtype, float32
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.layout import strides_like
from devtensor.core.tensor import Tensor, share
from devtensor.core.transfer import HostData
from devtensor.interop.adopting import adopt_numpy, check_layout, numpy_dtype
from devtensor.interop.dlpack import from_dlpack
from devtensor.interop.pinning import pin_memory as pinned
from devtensor.interop.sequences import Leaves, dtype_of_array, packed
from devtensor.ops.create import cast, constant, lay_out


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A tensor with a copy of `data`: a number, nested sequences of numbers, an array, or a tensor.

    Errors: ArgumentTypeError, ArgumentError or DTypeError for anything else, by what is wrong with it.
    """
    wanted = given_dtype(dtype)
    if isinstance(data, Tensor):
        warn("[tensor] got a Tensor, which it copies without its history; write source.detach().clone()")
        place = data.device if device is None else resolve(device)
        made = share(data).to(place, wanted or data.dtype, copy=True)
    elif hasattr(data, "__array_interface__"):
        made = _from_array(data, wanted, resolve(device))
    elif hasattr(data, "__dlpack__"):
        made = from_dlpack(data).to(resolve(device), wanted, copy=True)
    else:
        made = _from_sequences(data, wanted, resolve(device))
    if pin_memory:
        made = pinned(made)
    return made.requires_grad_() if requires_grad else made


def given_dtype(dtype: Any) -> DType | None:
    """The DType that a `dtype=` argument means, if any."""
    return None if dtype is None else as_dtype(dtype)


def _from_array(data: Any, dtype: DType | None, device: Device) -> Tensor:
    """A copy of a NumPy array or scalar, its dims in memory in the same order."""
    import numpy

    array = numpy.asarray(data)
    check_layout("tensor", array)
    given = dtype_of_array(array)
    made = constant(HostData(array.tobytes(), array.shape), given, device)
    if not array.flags.c_contiguous:
        strides = tuple(stride // array.itemsize for stride in array.strides)
        made = lay_out(made, strides_like(array.shape, strides))
    return made if dtype is None or dtype is given else cast(made, dtype)


def _from_sequences(data: Any, dtype: DType | None, device: Device) -> Tensor:
    leaves = Leaves(data)
    wanted = dtype or leaves.inferred()
    return from_numbers(leaves.numbers(), leaves.shape, wanted, device)


def from_numbers(numbers: list, shape: tuple[int, ...], dtype: DType, device: Device) -> Tensor:
    """A tensor from numbers in C order."""
    # Narrow types round from float32 on the device, as every other conversion does; float64 goes in exactly.
    stored = float32 if dtype.category == FLOAT and dtype.bits <= 16 else dtype
    made = constant(HostData(packed(numbers, stored, dtype), shape), stored, device)
    return made if stored is dtype else cast(made, dtype)


def from_numpy(ndarray: Any) -> Tensor:
    """A CPU tensor that shares the array's memory.

    Errors: ArgumentTypeError for what is no array and for dtypes that devtensor does not have,
    ArgumentError for negative strides and a foreign byte order.
    """
    if not hasattr(ndarray, "__array_interface__") or not hasattr(ndarray, "__setitem__"):
        raise ArgumentTypeError(
            f"[from_numpy] expected np.ndarray (got {type(ndarray).__name__}); use devtensor.tensor(...)"
        )
    return adopt_numpy("from_numpy", ndarray)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory where nothing must be converted."""
    return _shared_or_made(data, given_dtype(dtype), device)


def _shared_or_made(data: Any, dtype: DType | None, device: Any) -> Tensor:
    if isinstance(data, Tensor):
        return data.to(data.device if device is None else device, dtype or data.dtype)
    if _is_array(data):
        return adopt_numpy("as_tensor", data).to(resolve(device), dtype)
    if hasattr(data, "__dlpack__") and not hasattr(data, "__array_interface__"):
        shared = from_dlpack(data)
        return shared.to(shared.device if device is None else device, dtype)
    return tensor(data, dtype=dtype, device=device)


def _is_array(data: Any) -> bool:
    """Whether `data` is a NumPy array; a NumPy scalar has no memory to share."""
    return hasattr(data, "__array_interface__") and hasattr(data, "__setitem__")


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """`obj` as a tensor: shared where possible, copied if `copy`, never copied if `copy` is False.

    A buffer, such as a bytearray, is read as `dtype`. Without `requires_grad` a tensor keeps its history.

    Errors: ArgumentError if copy is False and sharing is impossible.
    """
    wanted = given_dtype(dtype)
    shared = _shared(obj, wanted)
    if shared is None:
        if copy is False:
            raise ArgumentError("[asarray] copy=False, but this object can only become a tensor by a copy")
        made = tensor(obj, dtype=wanted, device=device)
    else:
        made = _converted(shared, wanted, shared.device if device is None else resolve(device), copy)
    return _tracked(made, requires_grad)


def _shared(obj: Any, dtype: DType | None) -> Tensor | None:
    """The tensor on the object's own memory, or None where it has none to share."""
    if isinstance(obj, Tensor):
        return obj
    if _is_array(obj):
        return adopt_numpy("asarray", obj)
    if hasattr(obj, "__array_interface__"):
        return None
    if hasattr(obj, "__dlpack__"):
        return from_dlpack(obj)
    try:
        memoryview(obj)
    except TypeError:
        return None
    return frombuffer(obj, dtype=dtype or default_dtype())


def _converted(shared: Tensor, dtype: DType | None, device: Device, copy: bool | None) -> Tensor:
    made = shared.to(device, dtype or shared.dtype)
    if made is not shared and copy is False:
        raise ArgumentError(
            f"[asarray] copy=False, but can't alias {shared.dtype.name} on {shared.device} as "
            f"{made.dtype.name} on {made.device}; leave copy out"
        )
    return made.clone() if copy and made is shared else made


def _tracked(made: Tensor, requires_grad: bool | None) -> Tensor:
    if requires_grad is None or requires_grad == made.requires_grad:
        return made
    if requires_grad:
        return made.requires_grad_()
    return made.requires_grad_(False) if made.is_leaf else made.detach()


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A one-dimensional CPU tensor that shares a buffer's memory, read as `dtype` from byte `offset` on.

    Errors: ArgumentError if the object is no buffer, or does not hold what is asked for.
    """
    import numpy

    kind = as_dtype(dtype)
    try:
        view = memoryview(buffer)
    except TypeError:
        raise ArgumentError(
            f"[frombuffer] a {type(buffer).__name__} does not implement Python buffer protocol; give bytes, "
            "a bytearray or an array"
        ) from None
    size = _count_in(view.nbytes, kind.itemsize, count, offset)
    raw = numpy.frombuffer(view, numpy.uint8, size * kind.itemsize, offset)
    made = adopt_numpy("frombuffer", raw.view(numpy_dtype(kind)))
    return made.requires_grad_() if requires_grad else made


def _count_in(nbytes: int, itemsize: int, count: int, offset: int) -> int:
    room = nbytes - offset
    if not 0 <= offset < nbytes:
        raise ArgumentError(
            f"[frombuffer] offset ({offset} bytes) must be within the buffer ({nbytes} bytes)"
        )
    size = room // itemsize if count < 0 else count
    if size == 0 or size * itemsize > room or (count < 0 and room % itemsize):
        raise ArgumentError(
            f"[frombuffer] {room} bytes after offset {offset} do not hold "
            f"{count if count >= 0 else 'whole'} elements of {itemsize} bytes"
        )
    return size
