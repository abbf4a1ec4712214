"""Pooling of one to three spatial dims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.nn.functional.convolution import per_dim, with_batch, without_batch
from devtensor.ops import pool as ops

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]

Sizes = tuple[int, ...]


def _geometry(kernel_size: Any, stride: Any, padding: Any, count: int) -> tuple[Sizes, Sizes, Sizes]:
    size = per_dim("kernel_size", kernel_size, count)
    steps = size if stride is None or stride == () else per_dim("stride", stride, count)
    return size, steps, per_dim("padding", padding, count)


def _largest(count: int) -> Callable[..., Any]:
    name = f"max_pool{count}d"

    def max_pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        input, added = with_batch(name, input, count)
        size, steps, around = _geometry(kernel_size, stride, padding, count)
        apart = per_dim("dilation", dilation, count)
        values, places = ops.max_pool(input, size, steps, around, apart, bool(ceil_mode))
        values = without_batch(values, added)
        return (values, without_batch(places, added)) if return_indices else values

    max_pool.__name__ = max_pool.__qualname__ = name
    max_pool.__doc__ = (
        f"Largest element of each window over {count} spatial dim(s); with `return_indices` also its flat "
        "place in the plane.\n\nShapes: input (N, C, *S) or (C, *S) -> (N, C, *P) or (C, *P)\nErrors: "
        "ShapeError if no window fits, or padding exceeds half a window."
    )
    return max_pool


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
        input, added = with_batch(name, input, count)
        size, steps, around = _geometry(kernel_size, stride, padding, count)
        means = ops.avg_pool(
            input, size, steps, around, bool(ceil_mode), bool(count_include_pad), divisor_override
        )
        return without_batch(means, added)

    avg_pool.__name__ = avg_pool.__qualname__ = name
    avg_pool.__doc__ = (
        f"Mean of each window over {count} spatial dim(s).\n\n"
        "Shapes: input (N, C, *S) or (C, *S) -> (N, C, *P) or (C, *P)\n"
        "Errors: ShapeError if no window fits, or padding exceeds half a window."
    )
    return avg_pool


def _adaptive(count: int) -> Callable[..., Tensor]:
    name = f"adaptive_avg_pool{count}d"

    def adaptive_avg_pool(input: Tensor, output_size: Any) -> Tensor:
        input, added = with_batch(name, input, count)
        sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * count
        spatial = input.array.shape[2:]
        kept = tuple(spatial[d] if n is None else n for d, n in enumerate(sizes))
        return without_batch(ops.adaptive_avg_pool(input, per_dim("output_size", kept, count)), added)

    adaptive_avg_pool.__name__ = adaptive_avg_pool.__qualname__ = name
    adaptive_avg_pool.__doc__ = (
        f"Means of windows that tile {count} spatial dim(s) so that `output_size` of them come out; None "
        "keeps a size.\n\nShapes: input (N, C, *S) or (C, *S) -> (N, C, *output_size) or (C, *output_size)"
    )
    return adaptive_avg_pool


max_pool1d, max_pool2d, max_pool3d = map(_largest, (1, 2, 3))
avg_pool1d, avg_pool2d, avg_pool3d = map(_mean, (1, 2, 3))
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = map(_adaptive, (1, 2, 3))
