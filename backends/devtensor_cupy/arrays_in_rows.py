"""Arrays as the kernels over rows read them, and how these are launched."""

from __future__ import annotations

import math
from typing import Any

import cupy

from devtensor_cupy.compile.rows import LONGEST_WARP_ROW
from devtensor_cupy.launching import entry_for, launcher


def launch(name: str, work: int, dtype: Any, *values: Any) -> None:
    """Run a kernel on arrays, of which it gets the addresses, and numbers."""
    if not work:
        return
    given = [value.data.ptr if isinstance(value, cupy.ndarray) else value for value in values]
    launcher.launch(entry_for(name, dtype), work, given)


def by_length(columns: int) -> str:
    """Which kernels take rows of this length: a warp's or a block's."""
    return "warp" if columns <= LONGEST_WARP_ROW else "block"


def in_rows(array: Any) -> Any:
    """The array as the kernels read it; CuPy would give an array without dims one."""
    return cupy.ascontiguousarray(array) if array is not None and array.ndim else array


def extents(shape: tuple[int, ...], dim: int) -> tuple[int, int, int]:
    """Rows along a dim, their length, and how far apart the numbers of one lie; 0-d is one row of one."""
    columns, inner = shape[dim] if shape else 1, math.prod(shape[dim + 1 :])
    return math.prod(shape[:dim]) * inner, columns, inner


def table_of(x: Any, count: int) -> tuple[int, int]:
    """How many rows the last `count` dims make, and how long these are."""
    batch = x.ndim - count
    return math.prod(x.shape[:batch]), math.prod(x.shape[batch:])


def common_dtype(x: Any, *others: Any) -> Any:
    """The dtype of all that are there, or one as wide as the widest in which they meet."""
    dtypes = {x.dtype, *(other.dtype for other in others if other is not None)}
    if len(dtypes) == 1:
        return x.dtype
    return cupy.dtype(cupy.float64 if cupy.dtype(cupy.float64) in dtypes else cupy.float32)


def wide_dtype(x: Any) -> Any:
    """The dtype in which kernels compute, and give what they summed up."""
    return x.dtype if x.dtype == cupy.float64 else cupy.dtype(cupy.float32)


def converted(dtype: Any, *arrays: Any) -> list[Any]:
    """Those that are there in one dtype."""
    return [array if array is None else array.astype(dtype, copy=False) for array in arrays]
