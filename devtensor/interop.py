"""Between tensors and other libraries' arrays: tensor(), from_numpy(), numpy()."""

from __future__ import annotations

from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import BOOL, DTYPES, FLOAT, as_dtype, default_dtype, int64
from devtensor.core.errors import ArgumentTypeError
from devtensor.core.host import hear_host_read
from devtensor.core.tensor import Tensor, describe, share, wrap
from devtensor.core.transfer import HostData
from devtensor.ops.create import constant

__all__ = ["as_tensor", "from_numpy", "tensor"]


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`: a number, nested lists of numbers, or an array.

    Errors: ArgumentTypeError for anything else, or lists of unequal length.
    """
    if isinstance(data, Tensor):
        made = share(data).to(device or data.device, dtype or data.dtype, copy=True)  # type: ignore[attr-defined]
        return made.requires_grad_(requires_grad)
    import numpy

    try:
        array = numpy.asarray(_plain(data))
    except ValueError as error:
        raise ArgumentTypeError(f"[tensor] data is ragged or no numbers: {error}; give lists of equal length") from None
    if array.dtype.name not in DTYPES:
        if array.size:
            raise ArgumentTypeError(f"[tensor] data holds {array.dtype}; it needs bools, ints or floats")
    given = hasattr(data, "dtype")
    wanted = as_dtype(dtype) if dtype is not None else _inferred(array, given)
    array = numpy.ascontiguousarray(_as(array, wanted))
    host = HostData(array.reshape(-1).view(numpy.uint8).tobytes() if array.size else b"", numpy.shape(_shape_of(array, data)))
    return constant(host, wanted, resolve(device)).requires_grad_(requires_grad)


def _shape_of(array: Any, data: Any) -> Any:
    return array if getattr(data, "ndim", None) != 0 and not isinstance(data, (bool, int, float)) else array.reshape(())


def _plain(data: Any) -> Any:
    """Lists with tensors in them become lists of numbers."""
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    return data.tolist() if isinstance(data, Tensor) else data


def _inferred(array: Any, given: bool) -> Any:
    if given:
        return DTYPES[array.dtype.name]
    if array.dtype.kind == "f" or not array.size:
        return default_dtype()
    return DTYPES["bool"] if array.dtype.kind == "b" else int64


def _as(array: Any, dtype: Any) -> Any:
    import ml_dtypes
    import numpy

    return array.astype(ml_dtypes.bfloat16 if dtype.name == "bfloat16" else numpy.dtype(dtype.name))


def from_numpy(array: Any) -> Tensor:
    """A CPU tensor that shares the array's memory.

    Errors: ArgumentTypeError for dtypes that devtensor does not have.
    """
    device = resolve("cpu")
    try:
        adopted = device.backend.adopt(array)
    except TypeError as error:
        raise ArgumentTypeError(str(error).replace("[adopt]", "[from_numpy]")) from None
    return wrap(adopted, device.kind(DTYPES[adopted.dtype.name]))


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory where nothing must be converted."""
    if isinstance(data, Tensor):
        return data.to(device or data.device, dtype or data.dtype)  # type: ignore[attr-defined]
    if hasattr(data, "__array_interface__") and resolve(device).type == "cpu":
        made = from_numpy(data)
        return made if dtype is None else made.to(as_dtype(dtype))  # type: ignore[attr-defined]
    return tensor(data, dtype=dtype, device=device)


def numpy_(self: Tensor, *, force: bool = False) -> Any:
    """The CPU tensor's memory as a NumPy array, shared.

    Errors: ArgumentTypeError for a tensor that requires grad or lives elsewhere, unless `force`.
    """
    if force:
        self = self.detach().cpu()  # type: ignore[attr-defined]
    if self.requires_grad:
        raise ArgumentTypeError("[numpy] can't call numpy() on Tensor that requires grad; use tensor.detach().numpy()")
    if self.device.type != "cpu":
        raise ArgumentTypeError(f"[numpy] can't convert {describe(self)} to numpy; use .cpu() to copy it first")
    hear_host_read(self, "numpy")
    return self.array


METHODS = {"numpy": numpy_}
CATEGORIES = BOOL, FLOAT
