"""The one way from a tensor's memory to numbers on the host."""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple

from devtensor.core.dtype import DType
from devtensor.core.state import current, hear
from devtensor.core.tensor import Tensor

FORMATS = {
    "bool": "?", "uint8": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q",
    "uint16": "H", "uint32": "I", "uint64": "Q", "float16": "e", "float32": "f", "float64": "d",
}  # fmt: skip

# Dtypes whose numbers array libraries do not turn into Python's.
UNKNOWN_TO_PYTHON = frozenset({"bfloat16", "float8_e4m3fn", "float8_e5m2"})


class HostCopy(NamedTuple):
    """The bytes of a tensor on the host, in C order."""

    data: memoryview
    shape: tuple[int, ...]
    dtype: DType

    def numbers(self) -> list:
        """All elements as Python numbers, in C order."""
        if self.dtype.is_complex:
            parts = unpacked(self.data, self.dtype.to_real())
            return list(map(complex, parts[::2], parts[1::2]))
        return unpacked(self.data, self.dtype)

    def nested(self) -> Any:
        """The elements as lists nested by dimension, or one number."""
        return nest(self.numbers(), self.shape)


def unpacked(data: memoryview, dtype: DType) -> list:
    """Little-endian bytes as Python numbers, of any dtype but complex ones."""
    if dtype.name == "bfloat16":
        # The upper half of a float32's bits.
        halves = struct.unpack(f"<{len(data) // 2}H", data)
        widened = struct.pack(f"<{len(halves)}I", *(half << 16 for half in halves))
        return list(struct.unpack(f"<{len(halves)}f", widened))
    if dtype.storage_only:
        table = [_float8(byte, dtype.name) for byte in range(256)]
        return [table[byte] for byte in data]
    return list(struct.unpack(f"<{len(data) // dtype.itemsize}{FORMATS[dtype.name]}", data))


def _float8(byte: int, name: str) -> float:
    """The number that a byte means as float8_e5m2 (a float16's upper half) or float8_e4m3fn.

    Source: Micikevicius et al. 2022, "FP8 formats for deep learning", table 1.
    """
    if name == "float8_e5m2":
        return struct.unpack("<e", bytes((0, byte)))[0]
    sign, exponent, fraction = -1.0 if byte >> 7 else 1.0, byte >> 3 & 15, byte & 7
    if exponent == 15 and fraction == 7:
        return math.nan
    return sign * (fraction * 2.0**-9 if exponent == 0 else (8 + fraction) * 2.0 ** (exponent - 10))


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


def read_nested(tensor: Tensor, asked: str) -> Any:
    """A tensor's elements as lists nested by dimension, or one number.

    Errors: as `host_read`.
    """
    as_list = getattr(tensor.kind.device.backend, "as_list", None)
    if as_list is None or tensor.kind.dtype.name in UNKNOWN_TO_PYTHON:
        return host_read(tensor, asked).nested()
    hear_host_read(tensor, asked)
    return as_list(tensor.array)


def read_one(tensor: Tensor, asked: str) -> Any:
    """The number that a tensor of one element holds.

    Errors: as `host_read`.
    """
    found = read_nested(tensor, asked)
    while isinstance(found, list):
        found = found[0]
    return found


def hear_host_read(tensor: Tensor, asked: str) -> None:
    """Let the layers refuse that a tensor's numbers leave the device."""
    if current().layers:
        hear("host_read", tensor, asked)
