"""Pooling undone, and pooling over windows drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.core.errors import ArgumentError, DTypeError, ShapeError
from devtensor.core.naming import named
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor
from devtensor.functions.formats import channels_like
from devtensor.functions.sampling import rand
from devtensor.nn.functional.geometry import Sizes, floats_only, may_look, numbers, with_batch, without_batch
from devtensor.ops.adaptive_pool import largest_of_windows
from devtensor.ops.create import arange, cast, full
from devtensor.ops.elementwise import floor
from devtensor.ops.gathering import scatter
from devtensor.ops.join import cat
from devtensor.ops.reduce import amax, amin
from devtensor.ops.shape import as_shape

__all__ = [
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def _undone(count: int) -> Callable[..., Tensor]:
    name = f"max_unpool{count}d"

    def max_unpool(
        input: Tensor,
        indices: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Any = None,
    ) -> Tensor:
        size = numbers(name, "kernel_size", kernel_size, count)
        steps = size if stride is None else numbers(name, "stride", stride, count)
        around = numbers(name, "padding", padding, count)
        sizes = _unpooled(input, size, steps, around, output_size)
        _check(name, input, indices, sizes, count)
        values, added = with_batch(name, input, count)
        places, _ = with_batch(name, indices, count)
        samples, channels = values.array.shape[:2]
        planes, per_plane = samples * channels, prod(values.array.shape[2:])
        zeros = full((planes, prod(sizes)), 0, values.kind.dtype, values.kind.device)
        flat = as_shape(places, (planes, per_plane))
        made = scatter(zeros, flat, as_shape(values, (planes, per_plane)), 1)
        made = as_shape(made, (samples, channels, *sizes))
        return without_batch(channels_like(made, values) if count == 2 else made, added)

    doc = (
        f"Elements put back to where max_pool{count}d took them from, zeros elsewhere.\n\n"
        "Shapes: input (N, C, *P) or (C, *P), indices as input -> (N, C, *S) or (C, *S)\n"
        "Errors: ShapeError if indices do not fit; ArgumentError for an output_size that no pooling gives."
    )
    return one_op()(named(max_unpool, name, doc))


def _check(op: str, input: Tensor, indices: Tensor, sizes: Sizes, count: int) -> None:
    floats_only(op, input)
    if indices.kind.dtype.name != "int64":
        raise DTypeError(
            f"[{op}] elements in indices should be type int64 but got: {indices.kind.dtype.name}"
        )
    shape = tuple(input.array.shape)
    if len(shape) not in (count + 1, count + 2):
        raise ShapeError(
            f"[{op}] Input to {op} should be a {count + 1}d or {count + 2}d Tensor, got {len(shape)}"
        )
    if tuple(indices.array.shape) != shape:
        raise ShapeError(
            f"[{op}] Expected shape of indices to be same as that of the input tensor ({list(shape)}) but "
            f"got indices tensor with shape: {list(indices.array.shape)}"
        )
    if 0 in shape[-count:]:
        raise ShapeError(f"[{op}] Expected input to have non-zero size for non-batch dimensions, got {shape}")
    if may_look(indices):
        low, high = int(amin(indices).item()), int(amax(indices).item())
        if low < 0 or high >= prod(sizes):
            raise ShapeError(
                f"[{op}] Found an invalid max index: {low if low < 0 else high} (output volumes are of size "
                f"{'x'.join(map(str, sizes))})"
            )


def _unpooled(input: Tensor, size: Sizes, stride: Sizes, padding: Sizes, output_size: Any) -> Sizes:
    """The sizes before pooling: the smallest, or those asked for if they lead to such an input."""
    count = len(size)
    rows = zip(input.array.shape[-count:], size, stride, padding, strict=True)
    usual = tuple((n - 1) * s + k - 2 * p for n, k, s, p in rows)
    if output_size is None:
        return usual
    wanted = tuple(output_size)
    wanted = wanted[2:] if len(wanted) == count + 2 else wanted
    if len(wanted) != count:
        raise ArgumentError(
            f"[max_unpool] output_size should be a sequence containing {count} or {count + 2} elements, but "
            f"it has a length of '{len(wanted)}'"
        )
    if any(not n - s < w < n + s for w, n, s in zip(wanted, usual, stride, strict=True)):
        raise ArgumentError(
            f"[max_unpool] invalid output_size {wanted} (each must be nearer to {usual} than stride {stride})"
        )
    return wanted


max_unpool1d, max_unpool2d, max_unpool3d = map(_undone, (1, 2, 3))


FRACTIONAL = """Largest element of windows over {count} spatial dims that are drawn at random.

`output_size`, or `output_ratio` of each size, is what comes out.

Shapes: input (N, C, *S) or (C, *S), _random_samples (N, C, {count}) -> (N, C, *output_size) or without N
Source: Graham 2014.
Errors: ArgumentError unless one of output_size and output_ratio is given; ShapeError if they do not fit.
"""


def _fractional(count: int) -> tuple[Callable, Callable]:
    name = f"fractional_max_pool{count}d"

    def with_indices(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        size = numbers(name, "kernel_size", kernel_size, count)
        batch, added = with_batch(name, input, count)
        spatial = tuple(batch.array.shape[2:])
        sizes = _fractions(name, spatial, size, output_size, output_ratio)
        if added and _random_samples is not None and _random_samples.array.ndim == 3:
            # Of several rows the first serves an input without a batch.
            _random_samples = _random_samples[:1]
        samples = _samples(name, batch, _random_samples, count)
        starts = [
            _starts(samples[..., place], n, k, out)  # type: ignore[index]
            for place, (n, k, out) in zip(_order(count), zip(spatial, size, sizes, strict=True), strict=True)
        ]
        values, places = largest_of_windows(batch, starts, size)
        return without_batch(values, added), without_batch(places, added)

    def fractional_max_pool(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> Any:
        found = with_indices(input, kernel_size, output_size, output_ratio, False, _random_samples)
        return found if return_indices else found[0]

    doc = FRACTIONAL.format(count=count)
    return one_op()(named(fractional_max_pool, name, doc)), named(with_indices, f"{name}_with_indices", doc)


def _order(count: int) -> tuple[int, ...]:
    """Which random number serves which dim: in two dims the first is the width's, as in PyTorch."""
    return (1, 0) if count == 2 else tuple(range(count))


def _fractions(op: str, spatial: Sizes, size: Sizes, output_size: Any, output_ratio: Any) -> Sizes:
    count = len(spatial)
    if output_size is None and output_ratio is None:
        raise ArgumentError(f"[{op}] {op} requires specifying either an output_size or an output_ratio")
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * count
        if len(ratios) != count:
            raise ArgumentError(
                f"[{op}] {op} requires output_ratio to either be a single or {count} numbers."
            )
        output_size = tuple(int(n * r) for n, r in zip(spatial, ratios, strict=True))
    sizes = numbers(op, "output_size", output_size, count)
    if any(o + k - 1 > n or o < 1 or k < 1 for o, k, n in zip(sizes, size, spatial, strict=True)):
        raise ShapeError(f"[{op}] kernel {size} is too large for input {spatial} and output {sizes}")
    return sizes


def _samples(op: str, input: Tensor, given: Tensor | None, count: int) -> Tensor:
    shape = (*input.array.shape[:2], count)
    if given is None:
        return rand(shape, dtype=input.kind.dtype, device=input.kind.device)
    if given.kind.dtype is not input.kind.dtype:
        raise DTypeError(f"[{op}] Expect _random_samples to have the same dtype as input")
    if tuple(given.array.shape) != shape:
        raise ShapeError(f"[{op}] _random_samples {tuple(given.array.shape)}; it needs {shape}")
    return given


def _starts(sample: Any, size: int, window: int, count: int) -> Any:
    """Where windows begin: pseudo-random, evenly spread, the last at the end.

    Shapes: sample (N, C) -> (N, C, count)
    """
    if count == 1:
        return full((*sample.array.shape, 1), size - window, "int64", sample.kind.device)
    alpha = (size - window) / (count - 1)
    places = arange(0, 1, count - 1, sample.kind.dtype, sample.kind.device)
    shares = sample.unsqueeze(-1)
    begun = cast(floor((places + shares) * alpha), "int64") - cast(floor(shares * alpha), "int64")
    last = full((*sample.array.shape, 1), size - window, "int64", sample.kind.device)
    return cat(begun, last, dim=-1)


fractional_max_pool2d, fractional_max_pool2d_with_indices = _fractional(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = _fractional(3)
