"""Systems of linear equations: cuSOLVER's and cuBLAS's take no batches that broadcast, nor empty sides."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from devtensor.backend import arraylib
from devtensor.backend.protocol import Kernel


def kernels(library: arraylib.Library) -> dict[str, Kernel]:
    """The kernels by their ops' names."""
    return library.bind({"linalg_solve_ex": solve, "linalg_solve_triangular": solve_triangular})


def with_batches(a: Any, b: Any) -> tuple[Any, Any]:
    """Matrices and right-hand sides in the same batches; CuPy broadcasts none."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return (
        cupy.broadcast_to(a, (*batch, *a.shape[-2:])),
        cupy.broadcast_to(b, (*batch, *b.shape[-2:])),
    )


def solve(library: arraylib.Library, a: Any, b: Any) -> tuple[Any, Any]:
    """x with a x = b; CuPy cannot solve for no right-hand side."""
    if b.ndim < 2:
        return arraylib.decompositions.solve(library, a, b)
    wide, sides = with_batches(a, b)
    found = cupy.ascontiguousarray(cupy.linalg.solve(wide, sides)) if sides.size else sides.copy()
    return found, arraylib.decompositions.lu(library, a)[2]


def solve_triangular(library: arraylib.Library, a: Any, b: Any, upper: bool, unit: bool) -> Any:
    """x with a x = b for a triangle of `a`."""
    wide, sides = with_batches(a, b)
    if not sides.size:
        return sides.copy()
    return arraylib.decompositions.solve_triangular(library, wide, sides, upper, unit)
