"""Fourier transforms over several dims: complex to complex, real to half a spectrum, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend.arraylib.decompositions import COMPLEX_OF
from devtensor.backend.arraylib.library import Library, dtype_name
from devtensor.backend.protocol import Array, Kernel

Dims = tuple[int, ...]
REAL_OF = {name: real for real, name in COMPLEX_OF.items()}


def kernels(lib: Library) -> dict[str, Kernel]:
    """The Fourier part of the table."""
    return lib.bind(FUNCTIONS)


def nothing(lib: Library, x: Array, dim: int, size: int, dtype: str) -> Array:
    """The transform of an empty array, which some libraries refuse."""
    return lib.xp.empty((*x.shape[:dim], size, *x.shape[dim + 1 :]), lib.dtypes[dtype])


def complex_to_complex(lib: Library, x: Array, dims: Dims, norm: str, forward: bool) -> Array:
    if not x.size:
        return x.copy()
    transform = lib.xp.fft.fftn if forward else lib.xp.fft.ifftn
    return lib.xp.ascontiguousarray(transform(x, axes=dims, norm=norm))


def real_to_complex(lib: Library, x: Array, dims: Dims, norm: str) -> Array:
    """The spectrum of real numbers, of the last of `dims` the half that says all."""
    if not x.size:
        return nothing(lib, x, dims[-1], x.shape[dims[-1]] // 2 + 1, COMPLEX_OF[dtype_name(x)])
    return lib.xp.ascontiguousarray(lib.xp.fft.rfftn(x, axes=dims, norm=norm))


def complex_to_real(lib: Library, x: Array, dims: Dims, norm: str, size: int) -> Array:
    """Real numbers from half a spectrum along the last of `dims`, where they are `size`."""
    if not x.size:
        return nothing(lib, x, dims[-1], size, REAL_OF[dtype_name(x)])
    sizes = (*(x.shape[d] for d in dims[:-1]), size)
    return lib.xp.ascontiguousarray(lib.xp.fft.irfftn(x, s=sizes, axes=dims, norm=norm))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "fft_c2c": complex_to_complex,
    "fft_r2c": real_to_complex,
    "fft_c2r": complex_to_real,
}
