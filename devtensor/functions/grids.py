"""Grids and combinations of tensors' elements."""

from __future__ import annotations

from itertools import combinations as _combinations
from itertools import combinations_with_replacement as _with_replacement
from typing import Any

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.joining import atleast_2d, cat, stack
from devtensor.interop import tensor
from devtensor.ops.create import full
from devtensor.ops.index import index_select
from devtensor.ops.shape import as_shape, expand, pad

__all__ = ["block_diag", "cartesian_prod", "combinations", "meshgrid"]


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """One-dimensional tensors stretched to a grid, one dim each; "xy" exchanges the first two."""
    lines = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f'[meshgrid] indexing must be one of "xy" or "ij", but received: {indexing}')
    if any(line.array.ndim > 1 for line in lines):
        raise ShapeError(f"[meshgrid] expected 0D or 1D tensors, got {', '.join(describe(t) for t in lines)}")
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
    if len(tensors) == 1:
        return tensors[0]
    return stack([as_shape(g, (g.shape.numel(),)) for g in meshgrid(*tensors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements, in order, one a row."""
    choose = _with_replacement if with_replacement else _combinations
    rows = list(choose(range(input.array.shape[0]), r))
    if not rows:
        return full((0, r), 0, input.dtype, input.device)
    return index_select(input, tensor([k for row in rows for k in row], device=input.device), 0).reshape(
        len(rows), r
    )


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the tensors, as matrices, along its diagonal."""
    blocks = [atleast_2d(t) for t in tensors]
    width = sum(block.array.shape[1] for block in blocks)
    rows, before = [], 0
    for block in blocks:
        after = width - before - block.array.shape[1]
        rows.append(pad(block, ((0, 0), (before, after))))
        before += block.array.shape[1]
    return cat(rows, 0)
