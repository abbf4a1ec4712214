"""Between tensors and other libraries' arrays: from data of all kinds, the NumPy protocol, DLPack."""

from __future__ import annotations

from devtensor.interop import dlpack, namespace, protocol
from devtensor.interop.dlpack import from_dlpack
from devtensor.interop.making import as_tensor, asarray, from_numpy, frombuffer, tensor

__all__ = ["as_tensor", "asarray", "from_dlpack", "from_numpy", "frombuffer", "tensor"]

PROPERTIES = protocol.PROPERTIES
METHODS = {**protocol.METHODS, **dlpack.METHODS, **namespace.METHODS}
