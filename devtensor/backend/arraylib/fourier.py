"""Fourier transforms over several dims: complex to complex, real to half a spectrum, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend.arraylib.library import Library
from devtensor.backend.protocol import Array, Kernel

Dims = tuple[int, ...]


def kernels(lib: Library) -> dict[str, Kernel]:
    """The Fourier part of the table."""
    return lib.bind(FUNCTIONS)


def complex_to_complex(lib: Library, x: Array, dims: Dims, norm: str, forward: bool) -> Array:
    transform = lib.xp.fft.fftn if forward else lib.xp.fft.ifftn
    return lib.xp.ascontiguousarray(transform(x, axes=dims, norm=norm))


def real_to_complex(lib: Library, x: Array, dims: Dims, norm: str) -> Array:
    """The spectrum of real numbers, of the last of `dims` the half that says all."""
    return lib.xp.ascontiguousarray(lib.xp.fft.rfftn(x, axes=dims, norm=norm))


def complex_to_real(lib: Library, x: Array, dims: Dims, norm: str, size: int) -> Array:
    """Real numbers from half a spectrum along the last of `dims`, where they are `size`."""
    sizes = (*(x.shape[d] for d in dims[:-1]), size)
    return lib.xp.ascontiguousarray(lib.xp.fft.irfftn(x, s=sizes, axes=dims, norm=norm))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "fft_c2c": complex_to_complex,
    "fft_r2c": real_to_complex,
    "fft_c2r": complex_to_real,
}
