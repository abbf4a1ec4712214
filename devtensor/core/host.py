"""The one way from a tensor's memory to numbers on the host."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from devtensor.core.dtype import DType
from devtensor.core.state import current, hear
from devtensor.core.tensor import Tensor

FORMATS = {
    "bool": "?", "uint8": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q",
    "float16": "e", "float32": "f", "float64": "d",
}  # fmt: skip


class HostCopy(NamedTuple):
    """The bytes of a tensor on the host, in C order."""

    data: memoryview
    shape: tuple[int, ...]
    dtype: DType

    def numbers(self) -> list:
        """All elements as Python numbers, in C order."""
        if self.dtype.name == "bfloat16":
            halves = struct.unpack(f"<{len(self.data) // 2}H", self.data)
            return list(
                struct.unpack(f"<{len(halves)}f", struct.pack(f"<{len(halves)}I", *(h << 16 for h in halves)))
            )
        return list(
            struct.unpack(f"<{len(self.data) // self.dtype.itemsize}{FORMATS[self.dtype.name]}", self.data)
        )

    def nested(self) -> Any:
        """The elements as lists nested by dimension, or one number."""
        return nest(self.numbers(), self.shape)


def nest(numbers: list, shape: tuple[int, ...]) -> Any:
    """A flat list cut into lists nested by dimension."""
    if not shape:
        return numbers[0]
    for size in reversed(shape[1:]):
        numbers = [numbers[i : i + size] for i in range(0, len(numbers), size)] if size else []
    if 0 in shape[1:]:
        return _empty(shape)
    return numbers


def _empty(shape: tuple[int, ...]) -> list:
    return [] if not shape or shape[0] == 0 else [_empty(shape[1:]) for _ in range(shape[0])]


def host_read(tensor: Tensor, asked: str) -> HostCopy:
    """Wait for a tensor and copy its bytes to the host.

    Errors: TraceError while a graph is captured: its numbers do not exist yet.
    """
    hear_host_read(tensor, asked)
    data = tensor.kind.device.backend.download(tensor.array)
    return HostCopy(data, tuple(tensor.array.shape), tensor.kind.dtype)


def hear_host_read(tensor: Tensor, asked: str) -> None:
    """Let the layers refuse that a tensor's numbers leave the device."""
    if current().layers:
        hear("host_read", tensor, asked)
