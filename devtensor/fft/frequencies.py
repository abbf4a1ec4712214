"""The frequencies that a transform's elements stand for, and their order."""

from __future__ import annotations

from math import inf
from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import as_dtype, default_dtype
from devtensor.core.errors import DimensionError, DTypeError, ShapeError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.creation import finish
from devtensor.ops.create import arange
from devtensor.ops.join import cat
from devtensor.ops.shape import roll


def fftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of `fft`: 0 and the positive ones, then the negative ones from the lowest.

    Shapes: -> (n,)
    Units: cycles per unit of `d`, the distance of two samples.
    """
    positive = (n + 1) // 2
    line = cat(_line(0, positive, dtype, device), _line(-(n // 2), n // 2, dtype, device))
    return finish(line * (1.0 / (n * d)) if n else line, requires_grad, out)


def rfftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of `rfft`: 0 and the positive ones.

    Shapes: -> (n // 2 + 1,)
    Units: cycles per unit of `d`, the distance of two samples.
    """
    line = _line(0, n // 2 + 1, dtype, device)
    return finish(line * (1.0 / (n * d)) if n else line * inf, requires_grad, out)


def _line(start: int, count: int, dtype: Any, device: Any) -> Tensor:
    kind = default_dtype() if dtype is None else as_dtype(dtype)
    if not kind.differentiable:
        raise DTypeError(f"[fft_fftfreq] dtype is {kind}; it requires a floating point or complex dtype")
    return arange(start, 1, count, kind, resolve(device))


def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The zero frequency moved to the middle of `dim`, of all dims by default.

    Shapes: input (*S) -> (*S)
    """
    return _shifted(input, dim, lambda size: size // 2)


def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """What `fftshift` moved to the middle, back at the beginning.

    Shapes: input (*S) -> (*S)
    """
    return _shifted(input, dim, lambda size: -(size // 2))


def _shifted(input: Tensor, dim: Any, shift: Any) -> Tensor:
    ndim = input.array.ndim
    dims = tuple(range(ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if not dims:
        raise ShapeError(f"[fft_fftshift] dim {dim} of {describe(input)}: it needs a dim to shift; name one")
    if not ndim:
        raise DimensionError(f"[fft_fftshift] dim {dim} of {describe(input)}: it has no dimensions")
    found = tuple(normalize_dim("fft_fftshift", d, ndim) for d in dims)
    return roll(input, tuple(shift(input.array.shape[d]) for d in found), found)
