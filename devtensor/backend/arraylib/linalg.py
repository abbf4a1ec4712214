"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend.arraylib.library import HALF_TYPES, Library, dtype_name
from devtensor.backend.protocol import Array, Kernel


def kernels(lib: Library) -> dict[str, Kernel]:
    """The linear algebra part of the table."""
    return lib.bind(FUNCTIONS)


def matmul(lib: Library, a: Array, b: Array) -> Array:
    """Matrix product over the last two dimensions, half types accumulated in float32."""
    if dtype_name(a) in HALF_TYPES:
        float32 = lib.dtypes["float32"]
        return product(lib, a.astype(float32), b.astype(float32)).astype(a.dtype)
    return product(lib, a, b)


def product(lib: Library, a: Array, b: Array) -> Array:
    """`a @ b`; a stack of matrices times one matrix is a single product of the stacked rows."""
    if a.ndim > 2 and b.ndim == 2 and a.size:
        rows = lib.xp.matmul(a.reshape(-1, a.shape[-1]), b)
        return rows.reshape(*a.shape[:-1], b.shape[-1])
    return lib.xp.asarray(lib.xp.matmul(a, b))


FUNCTIONS: dict[str, Callable[..., Any]] = {"matmul": matmul}
