"""The NumPy protocol: what NumPy asks of a tensor, and what it makes of its own results."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError
from devtensor.core.host import hear_host_read
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, describe, storage_of
from devtensor.interop.making import from_numpy


def numpy_(self: Tensor, *, force: bool = False) -> Any:
    """The CPU tensor's memory as a NumPy array, shared.

    Errors: AutogradError if it requires grad where history is recorded, ArgumentTypeError if it lives
    elsewhere, unless `force`.
    """
    hear_host_read(self, "numpy")
    if force:
        self = self.detach().cpu()
    if self.device.type != "cpu":
        raise ArgumentTypeError(
            f"[numpy] can't convert {describe(self)} to numpy; use Tensor.cpu() to copy the tensor to host "
            "memory first"
        )
    if self.requires_grad and current().grad:
        raise AutogradError(
            "[numpy] Can't call numpy() on Tensor that requires grad; use tensor.detach().numpy()"
        )
    # NumPy may write this memory: known as shared, no gradient takes it for its own.
    storage_of(self)
    # An array object of the caller's own: assigning its shape or dtype leaves the tensor alone.
    return self.array.view()


def array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    """What `numpy.asarray(tensor)` gives.

    Errors: ArgumentError if `copy` is False and the dtype must be converted.
    """
    found = numpy_(self)
    if dtype is not None and found.dtype != dtype:
        if copy is False:
            raise ArgumentError(f"[__array__] copy=False, but {describe(self)} must be converted to {dtype}")
        return found.astype(dtype)
    return found.copy() if copy else found


def array_wrap(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    """What NumPy's functions of tensors give: their result as a tensor.

    Source: PyTorch, where truths come back as uint8.
    """
    return from_numpy(array.astype("uint8") if array.dtype.name == "bool" else array)


def cuda_array_interface(self: Tensor) -> dict[str, Any]:
    """What CUDA libraries without DLPack ask for.

    Errors: AttributeError elsewhere than on CUDA, AutogradError if the tensor requires grad.
    """
    if self.device.type != "cuda":
        raise AttributeError(
            f"Can't get __cuda_array_interface__ on non-CUDA tensor: {describe(self)}; use tensor.cuda()"
        )
    if self.requires_grad:
        raise AutogradError(
            "[__cuda_array_interface__] Can't get it of a Tensor that requires grad; use tensor.detach()"
        )
    hear_host_read(self, "__cuda_array_interface__")
    storage_of(self)
    return self.array.__cuda_array_interface__


PROPERTIES = {"__cuda_array_interface__": property(cuda_array_interface)}
METHODS = {"numpy": numpy_, "__array__": array, "__array_wrap__": array_wrap}
