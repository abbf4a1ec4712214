"""Pooling of one to three spatial dims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import FLOAT, int64
from devtensor.core.errors import ArgumentError, DTypeError, ShapeError
from devtensor.core.naming import named
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor
from devtensor.functions.formats import in_order
from devtensor.nn.functional.geometry import Sizes, numbers, with_batch, without_batch
from devtensor.ops import adaptive_pool
from devtensor.ops import pool as ops
from devtensor.ops.activation import relu
from devtensor.ops.create import cast
from devtensor.ops.elementwise import sign, trunc
from devtensor.ops.parts import abs as _abs

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
]


def _geometry(op: str, kernel_size: Any, stride: Any, padding: Any, count: int) -> tuple[Sizes, Sizes, Sizes]:
    size = numbers(op, "kernel_size", kernel_size, count)
    given = stride is not None and stride != () and stride != []
    steps = numbers(op, "stride", stride, count) if given else size
    return size, steps, numbers(op, "padding", padding, count)


def _filled(op: str, input: Tensor, count: int) -> tuple[Tensor, bool]:
    """`input` as (N, C, *S), of which only N may be 0."""
    batch, added = with_batch(op, input, count)
    if 0 in batch.array.shape[1:]:
        raise ShapeError(
            f"[{op}] Expected input's non-batch dimensions to have positive length, but got "
            f"{tuple(input.array.shape)}"
        )
    return batch, added


LARGEST = (
    "Largest element of each window over %d spatial dim(s)%s its flat place in the plane.\n\n"
    "Shapes: input (N, C, *S) or (C, *S) -> (N, C, *P) or (C, *P)\n"
    "Errors: ShapeError if no window fits, or padding exceeds half a window."
)


def _largest(count: int) -> tuple[Callable, Callable]:
    name = f"max_pool{count}d"

    def with_indices(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Tensor, Tensor]:
        input, added = _filled(name, input, count)
        size, steps, around = _geometry(name, kernel_size, stride, padding, count)
        apart = numbers(name, "dilation", dilation, count)
        values, places = ops.max_pool(input, size, steps, around, apart, bool(ceil_mode))
        return without_batch(values, added), without_batch(places, added)

    def max_pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        values, places = with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
        if return_indices:
            return values, places
        return in_order(values) if count == 1 and not values.requires_grad else values

    return (
        one_op()(named(max_pool, name, LARGEST % (count, "; with `return_indices` also"))),
        named(with_indices, f"{name}_with_indices", LARGEST % (count, ", and")),
    )


def _mean(count: int) -> Callable[..., Tensor]:
    name = f"avg_pool{count}d"

    def avg_pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        input, added = _filled(name, input, count)
        geometry = _geometry(name, kernel_size, stride, padding, count)
        settings = bool(ceil_mode), bool(count_include_pad), divisor_override
        if input.kind.dtype is int64:
            means = cast(trunc(ops.avg_pool(cast(input, "float64"), *geometry, *settings)), int64)
        else:
            means = ops.avg_pool(input, *geometry, *settings)
        return without_batch(means, added)

    return named(
        avg_pool,
        name,
        f"Mean of each window over {count} spatial dim(s).\n\n"
        "Shapes: input (N, C, *S) or (C, *S) -> (N, C, *P) or (C, *P)\n"
        "Errors: ShapeError if no window fits, or padding exceeds half a window.",
    )


def _adapted(op: str, input: Tensor, output_size: Any, count: int) -> Sizes:
    """The sizes asked for; None keeps a size."""
    ndim = input.array.ndim
    if ndim < count + 1:
        raise ArgumentError(f"[{op}] Input dimension should be at least {count + 1}, got {ndim}")
    if not isinstance(output_size, (tuple, list)):
        output_size = (output_size,) * count
    if len(output_size) != count:
        raise ShapeError(f"[{op}] output_size must be {count} number(s), got {tuple(output_size)}")
    spatial = input.array.shape[-count:]
    kept = tuple(spatial[d] if n is None else n for d, n in enumerate(output_size))
    sizes = numbers(op, "output_size", kept, count)
    if min(sizes) < 0 or 0 in spatial:
        raise ShapeError(
            f"[{op}] Expected input to have non-zero size for non-batch dimensions and output_size not to be "
            f"negative, but got input {tuple(input.array.shape)}, output_size {sizes}"
        )
    return sizes


def _adaptive_mean(count: int) -> Callable[..., Tensor]:
    name = f"adaptive_avg_pool{count}d"

    def adaptive_avg_pool(input: Tensor, output_size: Any) -> Tensor:
        sizes = _adapted(name, input, output_size, count)
        input, added = with_batch(name, input, count)
        return without_batch(adaptive_pool.adaptive_avg_pool(input, sizes), added)

    return named(
        adaptive_avg_pool,
        name,
        f"Means of windows that tile {count} spatial dim(s) so that `output_size` of them come out; None "
        "keeps a size.\n\nShapes: input (N, C, *S) or (C, *S) -> (N, C, *output_size) or (C, *output_size)",
    )


def _adaptive_largest(count: int) -> tuple[Callable, Callable]:
    name = f"adaptive_max_pool{count}d"

    def with_indices(input: Tensor, output_size: Any, return_indices: bool = False) -> tuple[Tensor, Tensor]:
        sizes = _adapted(name, input, output_size, count)
        input, added = _filled(name, input, count)
        if input.kind.dtype.category != FLOAT:
            raise DTypeError(f"[{name}] is not implemented for {input.kind.dtype.name}; use .float()")
        values, places = adaptive_pool.adaptive_max_pool(input, sizes)
        return without_batch(values, added), without_batch(places, added)

    def adaptive_max_pool(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        found = with_indices(input, output_size)
        return found if return_indices else found[0]

    doc = (
        f"Largest elements of windows that tile {count} spatial dim(s) so that `output_size` of them come "
        "out%s their flat places in the plane.\n\n"
        "Shapes: input (N, C, *S) or (C, *S) -> (N, C, *output_size) or (C, *output_size)"
    )
    return (
        one_op()(named(adaptive_max_pool, name, doc % "; with `return_indices` also")),
        named(with_indices, f"{name}_with_indices", doc % ", and"),
    )


max_pool1d, max_pool1d_with_indices = _largest(1)
max_pool2d, max_pool2d_with_indices = _largest(2)
max_pool3d, max_pool3d_with_indices = _largest(3)
avg_pool1d, avg_pool2d, avg_pool3d = map(_mean, (1, 2, 3))
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = map(_adaptive_mean, (1, 2, 3))
adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _adaptive_largest(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _adaptive_largest(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _adaptive_largest(3)


def _powered(count: int) -> Callable[..., Tensor]:
    name = f"lp_pool{count}d"
    average = (avg_pool1d, avg_pool2d, avg_pool3d)[count - 1]

    def lp_pool(
        input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> Any:
        size = numbers(name, "kernel_size", kernel_size, count)
        means = average(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
        area = 1
        for n in size:
            area *= n
        return (sign(means) * relu(_abs(means)) * area).pow(1.0 / norm_type)  # type: ignore[attr-defined]

    return named(
        lp_pool,
        name,
        f"The p-norm of each window over {count} spatial dim(s), p being `norm_type`.\n\n"
        "Shapes: input (N, C, *S) or (C, *S) -> (N, C, *P) or (C, *P)\n"
        "Source: of a window that hangs over under `ceil_mode` the norm is that of its mean, as in PyTorch.\n"
        "Errors: ShapeError if no window fits.",
    )


lp_pool1d, lp_pool2d, lp_pool3d = map(_powered, (1, 2, 3))
