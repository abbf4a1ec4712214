"""The standard's extension `fft`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor import fft as ours
from devtensor.core.dtype import DType
from devtensor.core.naming import named
from devtensor.core.tensor import Tensor

__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "rfft",
    "rfftfreq",
    "rfftn",
]


def _along_one(name: str) -> Callable[..., Tensor]:
    def transform(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
        return getattr(ours, name)(x, n, axis, norm)

    return named(transform, name, f"`devtensor.fft.{name}` along an axis.")


def _along_many(name: str) -> Callable[..., Tensor]:
    def transform(x: Tensor, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Tensor:
        return getattr(ours, name)(x, s, axes, norm)

    return named(transform, name, f"`devtensor.fft.{name}` along axes, or all.")


def _frequencies(name: str) -> Callable[..., Tensor]:
    def frequencies(n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Any = None) -> Tensor:
        return getattr(ours, name)(n, d, dtype=dtype, device=device)

    return named(frequencies, name, f"`devtensor.fft.{name}`: the frequencies of a transform's results.")


def _shift(name: str) -> Callable[..., Tensor]:
    def shift(x: Tensor, /, *, axes: Any = None) -> Tensor:
        return getattr(ours, name)(x, axes)

    return named(shift, name, f"`devtensor.fft.{name}` along axes, or all.")


fft, ifft, rfft, irfft, hfft, ihfft = map(_along_one, ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"))
fftn, ifftn, rfftn, irfftn = map(_along_many, ("fftn", "ifftn", "rfftn", "irfftn"))
fftfreq, rfftfreq = map(_frequencies, ("fftfreq", "rfftfreq"))
fftshift, ifftshift = map(_shift, ("fftshift", "ifftshift"))
