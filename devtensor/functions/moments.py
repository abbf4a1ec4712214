"""Variances and standard deviations, alone and beside their means, in PyTorch's spellings."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from devtensor.core.arguments import many_dims
from devtensor.core.errors import ArgumentError, DTypeError
from devtensor.core.tensor import Tensor
from devtensor.functions.out import into
from devtensor.functions.reducing import either
from devtensor.ops import lengths
from devtensor.ops import reduce as ops
from devtensor.ops.compare import isfinite, isinf, logical_and, where
from devtensor.ops.shape import getitem

__all__ = ["std", "std_mean", "var", "var_mean"]


def _spread(op: str, input: Tensor, dim: Any, unbiased: Any, correction: Any) -> tuple[Any, Any]:
    """The forms of var and std: (unbiased), (dim, unbiased), (dim, correction=).

    Errors: DTypeError for bools and integers, ArgumentError for a correction that is complex.
    """
    if not input.dtype.differentiable:
        raise DTypeError(
            f"[{op}] {op} only supports floating point and complex dtypes, got {input.dtype.name}; convert "
            "it with .float()"
        )
    if isinstance(correction, complex):
        raise ArgumentError(f"[{op}] correction is {correction}; it needs a real number")
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    return dim, correction


def var(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None,
    axis: Any = None, keepdims: bool = False, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Variance over `dim`; `correction` (or unbiased=True: 1, False: 0) is taken from the count it is divided
    by."""
    dim, correction = _spread("var", input, either(dim, axis), unbiased, correction)
    if (dim is None or dim in ((), [])) and input.shape.numel() <= correction:
        correction = inf
    return into(out, ops.var(input, dim, keepdim or keepdims, correction))


def std(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None,
    axis: Any = None, keepdims: bool = False, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Standard deviation over `dim`: the root of `var`."""
    dim, correction = _spread("std", input, either(dim, axis), unbiased, correction)
    return into(out, lengths.std(input, dim, keepdim or keepdims, correction))


def var_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> tuple:
    """Variance and mean over `dim`."""
    dim, correction = _spread("var_mean", input, dim, unbiased, correction)
    return ops.var(input, dim, keepdim, correction), _gathered_mean(input, dim, keepdim)


def std_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> tuple:
    """Standard deviation and mean over `dim`."""
    dim, correction = _spread("std_mean", input, dim, unbiased, correction)
    return lengths.std(input, dim, keepdim, correction), _gathered_mean(input, dim, keepdim)


def _gathered_mean(input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    """The mean, NaN where an infinity came before the last number.

    Source: PyTorch gathers it beside the variance, number by number (Welford 1962): what comes after an
    infinity takes another one from it.
    """
    mean, shape = ops.mean(input, dim, keepdim), input.array.shape
    if input.dtype.is_complex or 0 in shape:
        return mean
    dims, last = many_dims("mean", input, dim), slice(-1, None) if keepdim else -1
    ends = getitem(input, tuple(last if d in dims else slice(None) for d in range(len(shape))))
    return where(logical_and(isinf(mean), isfinite(ends)), float("nan"), mean)


METHODS: dict[str, Callable] = {"std": std, "var": var}
