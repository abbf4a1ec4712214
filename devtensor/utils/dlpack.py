"""PyTorch's path to the exchange of arrays with other libraries."""

from __future__ import annotations

import enum
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.interop import from_dlpack

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]


class DLDeviceType(enum.IntEnum):
    """Kinds of memory by DLPack's numbers."""

    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLOpenCL = 4
    kDLVulkan = 7
    kDLMetal = 8
    kDLVPI = 9
    kDLROCM = 10
    kDLROCMHost = 11
    kDLExtDev = 12
    kDLCUDAManaged = 13
    kDLOneAPI = 14


def to_dlpack(tensor: Tensor) -> Any:
    """The tensor's memory as a DLPack capsule, for one taker.

    Errors: AutogradError for a tensor that requires grad.
    """
    exported: Any = tensor
    return exported.__dlpack__()
