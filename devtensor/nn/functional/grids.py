"""Sampling at places that a tensor names, and the grids of such places."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from math import prod
from typing import Any

from devtensor.core.callers import warn
from devtensor.core.errors import ArgumentError, DTypeError, ShapeError, Unsupported
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor
from devtensor.ops.combine import clamp
from devtensor.ops.compare import le, logical_and, where
from devtensor.ops.create import arange, cast, full
from devtensor.ops.elementwise import floor, remainder
from devtensor.ops.elementwise import round as _round
from devtensor.ops.index import embedding
from devtensor.ops.join import cat
from devtensor.ops.linalg import matmul
from devtensor.ops.parts import abs as _abs
from devtensor.ops.shape import as_shape, expand, permute

__all__ = ["affine_grid", "grid_sample"]


GRID_SAMPLE_INTERPOLATION_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
GRID_SAMPLE_PADDING_MODES = {"zeros": 0, "border": 1, "reflection": 2}

NO_CORNERS = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False; give it to be sure."
)


@one_op("widest", name="grid_sampler")
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """`input` read at the places that `grid` names, -1 and 1 being the edges of each spatial dim.

    Shapes: input (N, C, *S), grid (N, *P, d), coordinates with the last dim of S first -> (N, C, *P)
    Units: with align_corners the edges are the outermost elements' centres, else their outer borders.
    Errors: ArgumentError for an unknown mode; ShapeError if sizes do not fit; DTypeError if dtypes differ.
    """
    _check_sampling(input, grid, mode, padding_mode)
    if align_corners is None:
        warn(NO_CORNERS)
    samples, channels, *spatial = input.array.shape
    places = tuple(grid.array.shape[1:-1])
    coordinates = grid.unbind(-1)[::-1]  # type: ignore[attr-defined]
    axes = [
        _taps(c, size, mode, padding_mode, bool(align_corners))
        for c, size in zip(coordinates, spatial, strict=True)
    ]
    rows = _rows(input, samples, channels, prod(spatial))
    total: Any = None
    for taps in itertools.product(*axes):
        part = _read(rows, taps, (samples, *places), spatial)
        total = part if total is None else total + part
    order = (0, len(places) + 1, *range(1, len(places) + 1))
    return permute(total, order).contiguous()  # type: ignore[attr-defined]


def _check_sampling(input: Tensor, grid: Tensor, mode: str, padding_mode: str) -> None:
    if mode not in GRID_SAMPLE_INTERPOLATION_MODES:
        raise ArgumentError(
            "[grid_sample] expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: " + repr(mode)
        )
    if padding_mode not in GRID_SAMPLE_PADDING_MODES:
        raise ArgumentError(
            "[grid_sample] expected padding_mode to be 'zeros', 'border' or 'reflection', but got: "
            + repr(padding_mode)
        )
    source, places = tuple(input.array.shape), tuple(grid.array.shape)
    count = len(source) - 2
    if count not in (2, 3) or len(places) != len(source) or places[-1] != count or places[0] != source[0]:
        raise ShapeError(
            f"[grid_sample] input {source}, grid {places}; expected 4D or 5D input (N, C, *S) and a grid "
            "(N, *P, d) with as many dims, the same batch size, and a coordinate for each of the d dims of S"
        )
    if 0 in source[2:]:
        raise ShapeError(
            f"[grid_sample] expected input to have non-empty spatial dimensions, but input is {source}"
        )
    if mode == "bicubic" and count != 2:
        raise ShapeError(f"[grid_sample] bicubic interpolation only supports 4D input, got {source}")
    if input.kind.dtype is not grid.kind.dtype or not input.kind.dtype.is_floating_point:
        raise DTypeError(
            f"[grid_sample] expected input and grid to have the same floating-point dtype, but input has "
            f"{input.kind.dtype} and grid has {grid.kind.dtype}"
        )


def _rows(input: Any, samples: int, channels: int, plane: int) -> Any:
    """The channels at each place as a row, and a row of zeros for what lies outside."""
    planes = as_shape(input, (samples, channels, plane))
    rows = as_shape(permute(planes, (0, 2, 1)), (samples * plane, channels))
    return cat(rows, full((1, channels), 0, input.kind.dtype, input.kind.device), dim=0)


def _taps(coordinate: Any, size: int, mode: str, padding: str, align: bool) -> list[tuple[Any, Any]]:
    """Pairs of whole places along one dim and their weights (None: 1)."""
    place = (coordinate + 1) * ((size - 1) / 2) if align else ((coordinate + 1) * size - 1) / 2
    if mode == "bicubic":
        first = floor(place).detach()
        return list(_cubic_taps(place - first, first, size, padding, align))
    place = _brought_in(place, size, padding, align)
    if mode == "nearest":
        # A weight of 1 with the gradient 0, which is the grid's.
        weight = (place - place.detach()) * 0 + 1 if place.requires_grad else None
        return [(_round(place).detach(), weight)]
    first = floor(place).detach()
    share = place - first
    return [(first, 1 - share), (first + 1, share)]


def _cubic_taps(t: Any, first: Any, size: int, padding: str, align: bool) -> Iterator[tuple[Any, Any]]:
    for offset in (-1, 0, 1, 2):
        x = t - offset if offset <= 0 else offset - t
        yield _brought_in(first + offset, size, padding, align), _cubic_weight(x, offset in (0, 1))


def _cubic_weight(x: Any, near: bool) -> Any:
    """The weight of an element at distance `x`, which is within 1 if it is near, else within 2."""
    return (x * 1.25 - 2.25) * x * x + 1 if near else ((x * -0.75 + 3.75) * x - 6) * x + 3


def _brought_in(place: Any, size: int, padding: str, align: bool) -> Any:
    """Places outside, moved inside as the padding mode says."""
    if padding == "zeros":
        return place
    if padding == "reflection":
        low, span = (0.0, size - 1) if align else (-0.5, size)
        place = _reflected(place, low, span) if span else place * 0
    return clamp(where(le(place, size), place, size - 1.0), 0.0, size - 1.0)


def _reflected(place: Any, low: float, span: float) -> Any:
    distance = _abs(place - low)
    extra = remainder(distance, 2 * span)
    return where(le(extra, span), extra, 2 * span - extra) + low


def _read(rows: Any, taps: tuple, shape: tuple[int, ...], spatial: list[int]) -> Any:
    """Rows at one tap of each dim, times their weights; places outside give the row of zeros."""
    index, inside, weight = None, None, None
    device = rows.kind.device
    for (place, share), size in zip(taps, spatial, strict=True):
        here = logical_and(place >= 0, le(place, size - 1))
        whole = cast(where(here, place, 0.0), "int64")
        index = whole if index is None else index * size + whole
        inside = here if inside is None else logical_and(inside, here)
        weight = share if weight is None else weight * share
    plane = prod(spatial)
    starts = as_shape(arange(0, plane, shape[0], "int64", device), (shape[0], *(1,) * (len(shape) - 1)))
    found = embedding(rows, where(inside, index + starts, shape[0] * plane))
    if weight is None:
        return found
    return found * where(inside, weight, 0.0).unsqueeze(-1)  # type: ignore[attr-defined]


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The grid for `grid_sample` that maps each place of an output of `size` by the matrices `theta`.

    Shapes: theta (N, 2, 3), size (N, C, H, W) -> (N, H, W, 2); theta (N, 3, 4), size (N, C, D, H, W) -> (N,
    D, H, W, 3)
    Errors: ArgumentError if theta does not fit size, or is not floating point.
    """
    if align_corners is None:
        warn(NO_CORNERS)
    sizes = tuple(int(n) for n in size)
    _check_affine(theta, sizes)
    kind, (samples, _, *spatial) = theta.kind, sizes
    axes = [_axis(n, bool(align_corners), kind) for n in spatial]
    whole = (*spatial, 1)
    columns = [
        expand(as_shape(axes[d], tuple(n if d == k else 1 for k, n in enumerate(whole))), whole)
        for d in reversed(range(len(spatial)))
    ]
    base = cat(*columns, full(whole, 1, kind.dtype, kind.device), dim=-1)
    flat = as_shape(base, (1, prod(spatial), len(whole)))
    grid = matmul(flat, permute(theta, (0, 2, 1)))
    return as_shape(grid, (samples, *spatial, len(spatial)))


def _check_affine(theta: Tensor, sizes: tuple[int, ...]) -> None:
    if not theta.kind.dtype.is_floating_point:
        raise ArgumentError(
            f"[affine_grid] Expected theta to have floating point type, but got {theta.kind.dtype}"
        )
    if len(sizes) not in (4, 5):
        raise Unsupported(
            "[affine_grid] affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {sizes}"
        )
    wanted = (sizes[0], len(sizes) - 2, len(sizes) - 1)
    if tuple(theta.array.shape) != wanted:
        raise ArgumentError(
            f"[affine_grid] Expected a batch of affine matrices of shape {wanted} for size {sizes}. Got "
            f"{tuple(theta.array.shape)}."
        )
    if min(sizes) <= 0:
        raise ArgumentError(f"[affine_grid] Expected non-zero, positive output size. Got {sizes}")


def _axis(count: int, align: bool, kind: Any) -> Any:
    """The middles of `count` elements that fill -1 to 1, or with `align` the outermost ones at -1 and 1."""
    if count == 1:
        return full((1,), 0, kind.dtype, kind.device)
    span = 2.0 if align else 2.0 * (count - 1) / count
    return arange(-span / 2, span / (count - 1), count, kind.dtype, kind.device)
