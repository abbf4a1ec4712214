"""Grids and combinations of tensors' elements."""

from __future__ import annotations

from itertools import combinations as _combinations
from itertools import combinations_with_replacement as _with_replacement
from typing import Any

from devtensor.core.callers import warn
from devtensor.core.device import resolve
from devtensor.core.dtype import default_dtype, int64
from devtensor.core.errors import DeviceError, DTypeError, OptionError, ShapeError
from devtensor.core.precision import dtypes_kept
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.comparing import common_dtype
from devtensor.functions.joining import atleast_2d, cat, stack
from devtensor.interop import tensor
from devtensor.ops.create import cast, full
from devtensor.ops.index import index_select
from devtensor.ops.shape import as_shape, expand
from devtensor.ops.windows import pad

__all__ = ["block_diag", "cartesian_prod", "combinations", "meshgrid"]


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """One-dimensional tensors stretched to a grid, one dim each; "xy" exchanges the first two."""
    lines = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    if indexing not in (None, "ij", "xy"):
        raise OptionError(f'[meshgrid] indexing must be one of "xy" or "ij", but received: {indexing}')
    if not lines:
        raise ShapeError("[meshgrid] meshgrid expects a non-empty TensorList")
    if len({line.dtype for line in lines}) > 1:
        raise DTypeError("[meshgrid] meshgrid expects all tensors to have the same dtype; convert with .to()")
    if len({line.kind.device for line in lines}) > 1:
        raise DeviceError("[meshgrid] meshgrid expects all tensors to have the same device; move with .to()")
    if any(line.array.ndim > 1 for line in lines):
        raise ShapeError(f"[meshgrid] expected 0D or 1D tensors, got {', '.join(describe(t) for t in lines)}")
    if indexing is None:
        warn('[meshgrid] got no indexing, and took "ij"; it will have to be given')
    swap = indexing == "xy" and len(lines) > 1
    if swap:
        lines[:2] = lines[1::-1]
    shape = tuple(line.shape.numel() for line in lines)
    grids = [
        expand(as_shape(line, (*(1,) * d, shape[d], *(1,) * (len(shape) - d - 1))), shape)
        for d, line in enumerate(lines)
    ]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each tensor, one a row."""
    for line in tensors:
        if line.array.ndim != 1:
            raise ShapeError(f"[cartesian_prod] Expect a 1D vector, but got shape {list(line.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([as_shape(g, (g.shape.numel(),)) for g in meshgrid(*tensors, indexing="ij")], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements, in order, one a row."""
    if input.array.ndim != 1:
        raise ShapeError(f"[combinations] Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise OptionError(f"[combinations] Expect a non-negative number, but got {r}")
    if r == 0:
        return full((0,), 0, input.dtype, input.device)
    choose = _with_replacement if with_replacement else _combinations
    rows = list(choose(range(input.array.shape[0]), r))
    places = tensor([place for row in rows for place in row], dtype=int64, device=input.device)
    return as_shape(index_select(input, places, 0), (len(rows), r))


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the tensors, as matrices, along its diagonal."""
    for place, part in enumerate(tensors):
        if part.array.ndim > 2:
            raise ShapeError(
                f"[block_diag] Input tensors must have 2 or fewer dimensions. Input {place} has "
                f"{part.array.ndim} dimensions"
            )
    if not tensors:
        return full((1, 0), 0, default_dtype(), resolve(None))
    dtype = common_dtype(tensors)
    blocks = [atleast_2d(cast(t, dtype)) for t in tensors]
    width = sum(block.array.shape[1] for block in blocks)
    rows, before = [], 0
    for block in blocks:
        after = width - before - block.array.shape[1]
        rows.append(pad(block, ((0, 0), (before, after))))
        before += block.array.shape[1]
    with dtypes_kept():
        return cat(rows, 0)
