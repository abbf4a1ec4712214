"""Types for annotations, by PyTorch's names."""

from __future__ import annotations

import builtins
import os
from collections.abc import Sequence
from typing import IO, Any

from devtensor.core.device import Device as _Device
from devtensor.core.dtype import DType
from devtensor.core.tensor import Size
from devtensor.storage import TypedStorage, UntypedStorage

__all__ = ["Device", "FileLike", "Number", "Storage"]

Storage = TypedStorage | UntypedStorage
Number = int | float | bool
Device = _Device | str | int | None
FileLike = str | os.PathLike[str] | IO[bytes]
BoolLikeType = bool
IntLikeType = int
FloatLikeType = float
py_sym_types: tuple = ()
PySymType = Any

_bool, _int, _float, _complex = builtins.bool, builtins.int, builtins.float, builtins.complex
_dtype, _device, _size = DType, _Device, Size | list[int] | tuple[int, ...]
_TensorOrTensors = Any
_int_or_size = int | Sequence[int]
