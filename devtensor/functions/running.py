"""Running sums and products, in PyTorch's spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import DTypeError
from devtensor.core.inplace import copy_into
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.out import into
from devtensor.functions.reducing import as_type, either
from devtensor.ops import reduce as ops
from devtensor.ops.create import cast
from devtensor.ops.functions import exp, log
from devtensor.ops.join import cat
from devtensor.ops.numbers import logaddexp
from devtensor.ops.shape import getitem

__all__ = [
    "cumprod",
    "cumsum",
    "logcumsumexp",
]


def cumsum(
    input: Tensor, dim: Any = None, *, dtype: Any = None, axis: Any = None, out: Tensor | None = None
) -> Tensor:
    """Running sum along `dim`."""
    return into(out, as_type(ops.cumsum(as_type(input, dtype), either(dim, axis)), dtype))


def cumprod(
    input: Tensor, dim: Any = None, *, dtype: Any = None, axis: Any = None, out: Tensor | None = None
) -> Tensor:
    """Running product along `dim`."""
    return into(out, as_type(ops.cumprod(as_type(input, dtype), either(dim, axis)), dtype))


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log of the running sum of exp(input) along `dim`, without overflow.

    Source: doubling stretches of sums (Hillis and Steele, 1986); of complex numbers, the running sum less the
    largest real part.
    """
    at = normalize_dim("logcumsumexp", dim, input.array.ndim)
    if not input.dtype.is_floating_point and not input.dtype.is_complex:
        raise DTypeError(f"[logcumsumexp] not implemented for {describe(input)}; convert with .float() first")
    if input.dtype.is_complex:
        top = ops.amax(input.real.detach(), at, True)
        return log(ops.cumsum(exp(input - top), at)) + top
    made, step = ops.widened(input), 1
    size = input.array.shape[at] if input.array.ndim else 1
    lead = (slice(None),) * at
    while step < size:
        early, late = getitem(made, (*lead, slice(0, size - step))), getitem(made, (*lead, slice(step, None)))
        made = cat(getitem(made, (*lead, slice(0, step))), logaddexp(late, early), dim=at)
        step *= 2
    return made if made is not input and made.dtype is input.dtype else cast(made, input.dtype)


def _running(function: Callable, name: str) -> Callable:
    def running(self: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
        return copy_into(self, function(self, dim, dtype=dtype))

    running.__name__ = running.__qualname__ = name
    running.__doc__ = f"In-place form of `{function.__name__}`."
    return running


METHODS: dict[str, Callable] = {
    "cumprod": cumprod,
    "cumprod_": _running(cumprod, "cumprod_"),
    "cumsum": cumsum,
    "cumsum_": _running(cumsum, "cumsum_"),
    "logcumsumexp": logcumsumexp,
}
