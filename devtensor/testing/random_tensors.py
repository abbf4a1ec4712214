"""Tensors of random numbers to test with."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import devtensor
from devtensor.core.dtype import BOOL, INTEGER, DType, finfo, float32, iinfo, int64
from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor


def make_tensor(
    *shape: Any,
    dtype: DType,
    device: Any,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Numbers drawn evenly from [low, high), by default from -9 to 9, or what of it the dtype holds.

    Errors: ArgumentError for an interval that is empty, NaN or outside the dtype's numbers, for a gradient of
    integers, and for a memory format of a non-contiguous tensor.
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
    if noncontiguous and memory_format is not None:
        raise ArgumentError(
            f"[make_tensor] noncontiguous={noncontiguous} and memory_format={memory_format}; give one of them"
        )
    if requires_grad and not dtype.differentiable:
        raise ArgumentError(
            f"[make_tensor] requires_grad=True, but {dtype} has no gradients; use a float dtype"
        )
    gaps = noncontiguous and math.prod(sizes) > 1
    # Twice as many numbers, of which every second one is seen.
    made = drawn((*sizes[:-1], 2 * sizes[-1]) if gaps else sizes, dtype, device, *_limits(dtype, low, high))
    if gaps:
        made = made[..., 1::2]
    if exclude_zero:
        least = finfo.of(dtype).tiny if dtype.differentiable else 1
        made[made == 0] = complex(least, least) if dtype.is_complex else least
    return made.requires_grad_() if requires_grad else made


def drawn(sizes: tuple[int, ...], dtype: DType, device: Any, low: Any, high: Any) -> Tensor:
    """A tensor of numbers from [low, high)."""
    if not dtype.differentiable:
        return devtensor.randint(low, high, sizes, dtype=dtype, device=device)
    if dtype.is_complex:
        parts = [drawn(sizes, dtype.to_real(), device, low, high) for _ in range(2)]
        return devtensor.complex(*parts)
    if dtype.storage_only:
        return drawn(sizes, float32, device, low, high).to(dtype)
    share = devtensor.rand(sizes, dtype=dtype, device=device)
    # Not high - low, which may be more than the dtype holds.
    return share * high + (1 - share) * low


def _limits(dtype: DType, low: float | None, high: float | None) -> tuple[Any, Any]:
    """The interval to draw from, cut to what the dtype holds."""
    least, beyond = _range(dtype)
    default_low, default_high = (0, 2) if dtype.category == BOOL else (-9, 9 if dtype.differentiable else 10)
    low, high = default_low if low is None else low, default_high if high is None else high
    if math.isnan(low) or math.isnan(high):
        raise ArgumentError(f"[make_tensor] low={low}, high={high}; neither may be NaN")
    if low == high and dtype.differentiable:
        warnings.warn("make_tensor with low == high is deprecated; use full", FutureWarning, stacklevel=4)
    elif low >= high:
        raise ArgumentError(f"[make_tensor] `low` must be less than `high`, but got {low} >= {high}")
    elif high < least or low >= beyond:
        raise ArgumentError(
            f"[make_tensor] got [{low}, {high}), but {dtype} only supports [{least}, {beyond})"
        )
    low, high = (min(max(limit, least), beyond) for limit in (low, high))
    return (low, high) if dtype.differentiable else (math.ceil(low), math.ceil(high))


def _range(dtype: DType) -> tuple[Any, Any]:
    if dtype.category == BOOL:
        return 0, 2
    if dtype.category == INTEGER:
        limits = iinfo.of(dtype)
        # The draws count in int64, so its greatest number cannot be drawn.
        return limits.min, min(limits.max + (dtype is not int64), iinfo.of(int64).max)
    return finfo.of(dtype).min, finfo.of(dtype).max
