"""Elements several times in a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import int32, int64
from devtensor.core.errors import ArgumentTypeError, DTypeError, OptionError, ShapeError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.selecting import values_are_free
from devtensor.ops.create import arange, cast
from devtensor.ops.index import index_select
from devtensor.ops.reduce import amin
from devtensor.ops.scans import cumsum
from devtensor.ops.shape import as_shape, expand, fresh_shape
from devtensor.ops.sort import searchsorted

__all__ = ["repeat_interleave"]


def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Every slice along `dim` several times in a row, as often as `repeats`, one number or one per slice,
    says.

    Without `dim`, of all elements in C order. With the repeats alone, the places: 0 as often as the first
    says, ...
    """
    if repeats is None:
        return _repeated(input, input.shape.numel(), output_size)
    if dim is None:
        input, dim = as_shape(input, (input.shape.numel(),)), 0
    at = normalize_dim("repeat_interleave", dim, input.array.ndim)
    lifted = input if input.array.ndim else as_shape(input, (1,))
    if isinstance(repeats, int):
        return _stretched(lifted, repeats, at, output_size)
    if not isinstance(repeats, Tensor):
        raise ArgumentTypeError(f"[repeat_interleave] repeats is {repeats!r}; it needs an int or a Tensor")
    size = lifted.array.shape[at]
    if repeats.shape.numel() == 1 and repeats.array.ndim < 2:
        repeats = expand(as_shape(repeats, (1,)), (size,))
    return index_select(lifted, _repeated(repeats, size, output_size), at)


def _stretched(input: Tensor, count: int, at: int, total: int | None) -> Tensor:
    """Every slice along a dim `count` times in a row."""
    shape = tuple(input.array.shape)
    if count < 0:
        raise OptionError(f"[repeat_interleave] Repeats must be non-negative, got {count}")
    if total is not None and total != count * shape[at]:
        raise OptionError(
            f"[repeat_interleave] Invalid output_size, expected {count * shape[at]} but got {total}"
        )
    wide = as_shape(input, (*shape[: at + 1], 1, *shape[at + 1 :]))
    wide = expand(wide, (*shape[: at + 1], count, *shape[at + 1 :]))
    return fresh_shape(wide, (*shape[:at], shape[at] * count, *shape[at + 1 :]))


def _repeated(repeats: Tensor, size: int, total: int | None) -> Tensor:
    """Place k as often as repeats[k] says: where each place of the result falls among the running sums."""
    if tuple(repeats.array.shape) != (size,):
        raise ShapeError(
            f"[repeat_interleave] repeats must have the same size as input along dim, {size}; got "
            f"{describe(repeats)}"
        )
    if repeats.dtype not in (int64, int32):
        raise DTypeError(f"[repeat_interleave] repeats is {describe(repeats)}; it needs int64 or int32")
    ends = cumsum(cast(repeats, int64), 0)
    if total is None or values_are_free(repeats):
        _check_repeats(repeats, ends, total)
    count = total if total is not None else int(ends[-1]) if size else 0
    return cast(searchsorted(ends, arange(0, 1, count, int64, repeats.device), True), repeats.dtype)


def _check_repeats(repeats: Tensor, ends: Tensor, total: int | None) -> None:
    """Refuse negative repeats, and an output size that is not their sum."""
    if repeats.shape.numel() and int(amin(repeats)) < 0:
        raise OptionError("[repeat_interleave] repeats can not be negative")
    count = int(ends[-1]) if repeats.shape.numel() else 0
    if total is not None and total != count:
        raise OptionError(
            f"[repeat_interleave] allocated size does not match required size: output_size is {total}, the "
            f"repeats make {count}"
        )


METHODS: dict[str, Callable] = {"repeat_interleave": repeat_interleave}
