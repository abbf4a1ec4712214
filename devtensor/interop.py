"""Between tensors and other libraries' arrays: tensor(), from_numpy(), numpy(), buffers and DLPack."""

from __future__ import annotations

from typing import Any

from devtensor.core.device import Device, resolve
from devtensor.core.dtype import DTYPES, FLOAT, DType, as_dtype, float32
from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError
from devtensor.core.host import hear_host_read
from devtensor.core.tensor import Tensor, describe, share, storage_of, wrap
from devtensor.core.transfer import HostData
from devtensor.nested import Leaves, packed
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
        made = share(data).to(place, wanted or data.dtype, copy=True)
    elif hasattr(data, "__array_interface__"):
        made = _from_array(data, wanted, resolve(device))
    elif hasattr(data, "__dlpack__"):
        made = from_dlpack(data).to(resolve(device), wanted, copy=True)
    else:
        made = _from_lists(data, wanted, resolve(device))
    return made.requires_grad_() if requires_grad else made


def _from_array(data: Any, dtype: DType | None, device: Device) -> Tensor:
    """A copy of a NumPy array or scalar."""
    import numpy

    array = numpy.array(data, order="C")
    if array.dtype.name not in DTYPES:
        raise ArgumentTypeError(
            f"[tensor] can't convert an array of dtype {array.dtype}; the supported types are "
            f"{', '.join(DTYPES)}"
        )
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    given = DTYPES[array.dtype.name]
    made = constant(HostData(array.tobytes(), array.shape), given, device)
    return made if dtype is None or dtype is given else cast(made, dtype)


def _from_lists(data: Any, dtype: DType | None, device: Device) -> Tensor:
    leaves = Leaves(data)
    wanted = dtype or leaves.inferred()
    # Half types round from float32 on the device, as every other conversion does; float64 goes in exactly.
    stored = wanted if wanted.category != FLOAT or wanted.bits > 16 else float32
    made = constant(HostData(packed(leaves.numbers, stored, wanted), leaves.shape), stored, device)
    return made if stored is wanted else cast(made, wanted)


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
        return data.to(data.device if device is None else device, dtype or data.dtype)
    if hasattr(data, "__array_interface__") and getattr(data, "ndim", 0) and resolve(device).type == "cpu":
        made = from_numpy(data)
        return made if dtype is None else made.to(as_dtype(dtype))
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
        (hasattr(obj, "__array_interface__") and getattr(made.array, "base", None) is not None)
        or made.array is obj
    )
    if copy is False and not shared:
        raise ArgumentError("[asarray] copy=False, but this object can only become a tensor by a copy")
    return made.requires_grad_() if requires_grad else made


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
        raise ArgumentError(
            f"[frombuffer] offset ({offset} bytes) must be within the buffer ({view.nbytes} bytes)"
        )
    size = room // kind.itemsize if count < 0 else count
    if size == 0 or size * kind.itemsize > room or (count < 0 and room % kind.itemsize):
        raise ArgumentError(
            f"[frombuffer] {room} bytes after offset {offset} do not hold "
            f"{count if count >= 0 else 'whole'} elements of "
            f"{kind.itemsize} bytes"
        )
    raw = numpy.frombuffer(view, numpy.uint8, size * kind.itemsize, offset)
    made = _adopted("frombuffer", raw.view(_numpy_dtype(kind)), resolve("cpu"))
    return made.requires_grad_() if requires_grad else made


def _numpy_dtype(dtype: DType) -> Any:
    if dtype.name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return dtype.name


def numpy_(self: Tensor, *, force: bool = False) -> Any:
    """The CPU tensor's memory as a NumPy array, shared.

    Errors: AutogradError if it requires grad, ArgumentTypeError if it lives elsewhere, unless `force`.
    """
    hear_host_read(self, "numpy")
    if force:
        self = self.detach().cpu()
    if self.requires_grad:
        raise AutogradError(
            "[numpy] Can't call numpy() on Tensor that requires grad; use tensor.detach().numpy()"
        )
    if self.device.type != "cpu":
        raise ArgumentTypeError(
            f"[numpy] can't convert {describe(self)} to numpy; use Tensor.cpu() to copy the tensor to host "
            "memory first"
        )
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

    Errors: AutogradError for a tensor that requires grad.
    """
    if self.requires_grad:
        raise AutogradError("[__dlpack__] Can't export tensors that require gradient, use tensor.detach()")
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
        raise ArgumentTypeError(
            f"[from_dlpack] the array is on DLPack device type {int(number)}; copy it to the CPU first"
        )
    if name != "cpu":
        return _adopted("from_dlpack", ext_tensor, resolve(f"{name}:{index}"))
    import numpy

    return _adopted("from_dlpack", numpy.from_dlpack(ext_tensor), resolve("cpu"))


METHODS = {"numpy": numpy_, "__array__": array_, "__dlpack__": dlpack, "__dlpack_device__": dlpack_device}
