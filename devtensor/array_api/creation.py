"""Arrays from nothing, from data and from other arrays."""

from __future__ import annotations

from typing import Any

import devtensor
from devtensor.core.dtype import DType, default_dtype, int64
from devtensor.core.errors import ArgumentError
from devtensor.core.naming import named
from devtensor.core.tensor import Tensor

__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]

Shape = int | tuple[int, ...]


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    device: Any = None,
) -> Tensor:
    """Numbers from `start` to before `stop`, `step` apart; none if the step leads away."""
    start, stop = (0, start) if stop is None else (start, stop)
    if step and (stop - start) / step <= 0:
        whole = all(isinstance(number, int) for number in (start, stop, step))
        return devtensor.zeros((0,), dtype=dtype or (int64 if whole else default_dtype()), device=device)
    return devtensor.arange(start, stop, step, dtype=dtype, device=device)


def asarray(
    obj: Any, /, *, dtype: DType | None = None, device: Any = None, copy: bool | None = None
) -> Tensor:
    """`obj`, a number, nested sequence, array or buffer, as an array."""
    return devtensor.asarray(obj, dtype=dtype, device=device, copy=copy)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """An array that shares the memory of another library's."""
    return devtensor.from_dlpack(x, device=device, copy=copy)


def full(shape: Shape, fill_value: Any, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """An array of one number; without `dtype` that of the number decides."""
    return devtensor.full(sizes(shape), fill_value, dtype=dtype, device=device)


def full_like(x: Tensor, /, fill_value: Any, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """An array of one number in the shape of `x`."""
    return devtensor.full_like(x, fill_value, dtype=dtype, device=device)


def sizes(shape: Shape) -> tuple[int, ...]:
    """A shape given as a tuple, or as one size."""
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _filled(name: str) -> tuple[Any, Any]:
    def filled(shape: Shape, *, dtype: DType | None = None, device: Any = None) -> Tensor:
        return getattr(devtensor, name)(sizes(shape), dtype=dtype, device=device)

    def like(x: Tensor, /, *, dtype: DType | None = None, device: Any = None) -> Tensor:
        return getattr(devtensor, f"{name}_like")(x, dtype=dtype, device=device)

    return (
        named(filled, name, f"`devtensor.{name}` of one shape."),
        named(like, f"{name}_like", f"`devtensor.{name}` in the shape of `x`."),
    )


empty, empty_like = _filled("empty")
ones, ones_like = _filled("ones")
zeros, zeros_like = _filled("zeros")


def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: DType | None = None, device: Any = None
) -> Tensor:
    """Ones on the `k`-th diagonal, else zeros."""
    n_cols = n_rows if n_cols is None else n_cols
    rows, columns = devtensor.arange(n_rows, device=device), devtensor.arange(n_cols, device=device)
    return (columns - rows.unsqueeze(-1) == k).to(dtype or default_dtype())


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: DType | None = None,
    device: Any = None,
    endpoint: bool = True,
) -> Tensor:
    """`num` numbers evenly spaced from `start` to `stop`, the latter only as `endpoint` says."""
    if isinstance(start, complex) or isinstance(stop, complex) or (dtype is not None and dtype.is_complex):
        part = dtype and dtype.to_real()
        facts = {"dtype": part, "device": device, "endpoint": endpoint}
        start, stop = complex(start), complex(stop)
        return devtensor.complex(
            linspace(start.real, stop.real, num, **facts), linspace(start.imag, stop.imag, num, **facts)
        )
    made = devtensor.linspace(start, stop, num + (not endpoint), dtype=dtype, device=device)
    return made if endpoint else made[:num]


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Coordinates of a grid, one array for each axis.

    Errors: ArgumentError if the arrays have several dtypes.
    """
    if len({array.dtype for array in arrays}) > 1:
        raise ArgumentError("[meshgrid] all arrays must have one dtype; convert with astype first")
    if not arrays:
        return ()
    lines = [array.reshape(-1) for array in arrays]
    if len(lines) == 1:
        return (lines[0],)
    return tuple(devtensor.meshgrid(*lines, indexing=indexing))


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The part of matrices on and below the `k`-th diagonal, zeros above."""
    return devtensor.tril(x, k)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The part of matrices on and above the `k`-th diagonal, zeros below."""
    return devtensor.triu(x, k)
