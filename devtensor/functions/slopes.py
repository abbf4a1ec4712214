"""Derivatives of sampled functions by differences."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor
from devtensor.ops.join import cat
from devtensor.ops.shape import as_shape, getitem

__all__ = ["gradient"]


def gradient(
    input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """The slope of sampled values along each of `dim`: exact for parabolas inside, one-sided at the ends.

    Shapes: input (*S) -> (*S) for each dim
    Units: `spacing` is the distance of neighbours: one number for all dims, one for each, or a tensor of
    coordinates for each.
    Errors: ShapeError where a dim is too short for `edge_order`, ArgumentError for a spacing that does not
    fit.
    Source: B. Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids", Math. Comp.
    51 (1988).
    """
    if edge_order not in (1, 2):
        raise ArgumentError(f"[gradient] only edge_order=1 and edge_order=2 are supported, got {edge_order}")
    dims = range(input.array.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    places = [normalize_dim("gradient", d, input.array.ndim) for d in dims]
    if len(set(places)) != len(places):
        raise ShapeError(f"[gradient] dim {tuple(dims)} appears multiple times in the list of dims")
    spacing = 1 if spacing is None else spacing
    gaps = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(places)
    if len(gaps) != len(places):
        raise ArgumentError(
            f"[gradient] expected spacing to be unspecified, a scalar, or a list of length {len(places)}"
        )
    for place in places:
        if input.array.shape[place] < edge_order + 1:
            raise ShapeError(
                "[gradient] expected each dimension size to be at least edge_order+1, got "
                f"{tuple(input.array.shape)}"
            )
    return tuple(_along(input, place, gap, edge_order) for place, gap in zip(places, gaps, strict=True))


def _along(input: Tensor, dim: int, gap: Any, edge_order: int) -> Tensor:
    size = input.array.shape[dim]
    steps: Any = gap
    if isinstance(gap, Tensor):
        if tuple(gap.array.shape) != (size,):
            raise ArgumentError(
                f"[gradient] expected {size} coordinates for dim {dim}, got {tuple(gap.array.shape)}"
            )
        shape = (size - 1,) + (1,) * (input.array.ndim - dim - 1)
        steps = as_shape(getitem(gap, (slice(1, None),)) - getitem(gap, (slice(0, size - 1),)), shape)

    def part(start: int, stop: int) -> Tensor:
        return getitem(input, (*(slice(None),) * dim, slice(start, stop)))

    def step(start: int, stop: int) -> Any:
        return getitem(steps, (slice(start, stop),)) if isinstance(steps, Tensor) else steps

    rises = (part(1, size) - part(0, size - 1)) / steps

    def rise(start: int, stop: int) -> Tensor:
        return getitem(rises, (*(slice(None),) * dim, slice(start, stop)))

    first, last = rise(0, 1), rise(size - 2, size - 1)
    if size == 2:
        return cat(first, last, dim=dim)
    before, after = step(0, size - 2), step(1, size - 1)
    inside = (rise(0, size - 2) * after + rise(1, size - 1) * before) / (before + after)
    if edge_order == 2:
        bend = (rise(1, 2) - first) / (step(0, 1) + step(1, 2))
        first = first - bend * step(0, 1)
        bend = (last - rise(size - 3, size - 2)) / (step(size - 3, size - 2) + step(size - 2, size - 1))
        last = last + bend * step(size - 2, size - 1)
    return cat(first, inside, last, dim=dim)
