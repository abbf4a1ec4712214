"""Places of extremes, and sorting, where there are NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import cupy

from devtensor.backend.protocol import Kernel


def kernels(generic: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """The kernels by their ops' names, over the generic ones."""
    places = {name: first_missing(generic[name]) for name in ("argmax", "argmin")}
    return places | {name: of_unsigned_nan(generic[name]) for name in ("sort", "unique")}


def first_missing(kernel: Kernel) -> Kernel:
    """The place of an extreme, and of several NaN the first one, which may be any to CuPy."""

    def placed(x: Any, dim: int, keepdim: bool) -> Any:
        found = kernel(x, dim, keepdim)
        if x.dtype.kind != "f" or not x.ndim:
            return found
        missing = cupy.isnan(x)
        first = cupy.argmax(missing, axis=dim, keepdims=keepdim)
        return cupy.where(cupy.any(missing, axis=dim, keepdims=keepdim), first, found)

    return placed


def of_unsigned_nan(kernel: Kernel) -> Kernel:
    """The kernel with every NaN alike: CuPy sorts one dimension by bits, and x86 makes NaN with a sign."""

    def ordered(x: Any, *parameters: Any) -> Any:
        return kernel(cupy.where(cupy.isnan(x), math.nan, x) if x.dtype.kind == "f" else x, *parameters)

    return ordered
