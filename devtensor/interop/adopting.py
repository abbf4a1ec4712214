"""Native arrays as tensors, uncopied, and what keeps them from being that."""

from __future__ import annotations

import warnings
from typing import Any

from devtensor.core.device import Device, resolve
from devtensor.core.dtype import DTYPES, DType
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.tensor import Tensor, wrap

READ_ONLY = (
    "[{name}] the given NumPy array is not writable, so writing to the tensor in place is an error; copy the "
    "array first to write to it"
)


def adopt(name: str, array: Any, device: Device) -> Tensor:
    """A tensor on the array's own memory.

    Errors: ArgumentTypeError for dtypes that devtensor does not have.
    """
    backend = device.backend
    try:
        adopted = backend.adopt(array)
    except TypeError as error:
        raise ArgumentTypeError(str(error).replace("[adopt]", f"[{name}]")) from None
    return wrap(adopted, device.kind(DTYPES[backend.dtype_of(adopted)]))


def adopt_numpy(name: str, array: Any) -> Tensor:
    """A CPU tensor on a NumPy array's memory.

    Errors: as `check_layout`, and ArgumentTypeError for dtypes that devtensor does not have.
    """
    check_layout(name, array)
    if not array.flags.writeable:
        warnings.warn(READ_ONLY.format(name=name), UserWarning, stacklevel=4)
    return adopt(name, array.view(), resolve("cpu"))


def check_layout(name: str, array: Any) -> None:
    """Refuse what a tensor cannot mean.

    Errors: ArgumentError for negative strides, strides that split elements, and a foreign byte order.
    """
    if any(stride < 0 for stride in array.strides):
        raise ArgumentError(
            f"[{name}] At least one stride of the NumPy array is negative ({array.strides}), and tensors "
            "with negative strides do not exist; use array.copy()"
        )
    if array.itemsize and any(stride % array.itemsize for stride in array.strides):
        raise ArgumentError(
            f"[{name}] strides {array.strides} of the NumPy array are not a multiple of the element byte "
            f"size ({array.itemsize}); use array.copy()"
        )
    if not array.dtype.isnative:
        raise ArgumentError(
            f"[{name}] the NumPy array has dtype {array.dtype}, in a byte order that is not this machine's; "
            "use array.astype(array.dtype.newbyteorder('='))"
        )


def numpy_dtype(dtype: DType) -> Any:
    """NumPy's dtype of the same name, or ml_dtypes' where NumPy has none."""
    import ml_dtypes
    import numpy

    return numpy.dtype(getattr(ml_dtypes, dtype.name, dtype.name))
