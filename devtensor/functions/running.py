"""Running sums and products, in PyTorch's spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import as_dtype
from devtensor.core.errors import DTypeError
from devtensor.core.inplace import copy_into
from devtensor.core.naming import named
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import in_order
from devtensor.functions.out import into
from devtensor.functions.reducing import as_type, either, in_asked
from devtensor.ops import reduce as ops
from devtensor.ops import scans
from devtensor.ops.create import cast, copy
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
    """Running sum along `dim`, in `dtype` or that of `out`."""
    dtype = out.dtype if dtype is None and isinstance(out, Tensor) else dtype
    return into(out, as_type(in_asked(scans.cumsum, input, either(dim, axis), dtype), dtype))


def cumprod(
    input: Tensor, dim: Any = None, *, dtype: Any = None, axis: Any = None, out: Tensor | None = None
) -> Tensor:
    """Running product along `dim`, in `dtype` or that of `out`."""
    dtype = out.dtype if dtype is None and isinstance(out, Tensor) else dtype
    return into(out, as_type(in_asked(scans.cumprod, input, either(dim, axis), dtype), dtype))


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """log of the running sum of exp(input) along `dim`, without overflow.

    Source: doubling stretches of sums (Hillis and Steele, 1986); of complex numbers one by one, since the
    imaginary part goes on from turn to turn.
    """
    at = normalize_dim("logcumsumexp", dim, input.array.ndim)
    if not input.dtype.is_floating_point and not input.dtype.is_complex:
        raise DTypeError(f"[logcumsumexp] not implemented for {describe(input)}; convert with .float() first")
    size = input.array.shape[at] if input.array.ndim else 1
    lead = (slice(None),) * at
    if input.dtype.is_complex:
        return _one_by_one(input, at, size) if size > 1 else copy(input)
    made, step = ops.widened(input), 1
    while step < size:
        early, late = getitem(made, (*lead, slice(0, size - step))), getitem(made, (*lead, slice(step, None)))
        made = cat(getitem(made, (*lead, slice(0, step))), logaddexp(late, early), dim=at)
        step *= 2
    return in_order(made if made is not input and made.dtype is input.dtype else cast(made, input.dtype))


def _one_by_one(input: Tensor, dim: int, size: int) -> Tensor:
    lead = (slice(None),) * dim
    sums = [getitem(input, (*lead, slice(0, 1)))]
    for place in range(1, size):
        sums.append(logaddexp(sums[-1], getitem(input, (*lead, slice(place, place + 1)))))
    return cat(*sums, dim=dim)


def _running(function: Callable, name: str) -> Callable:
    def running(self: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
        if dtype is not None and as_dtype(dtype) is not self.dtype:
            raise DTypeError(f"[{name}] {describe(self)} holds no {dtype}; write out of place")
        return copy_into(self, function(self, dim, dtype=dtype))

    return named(running, name, f"In-place form of `{function.__name__}`.")


METHODS: dict[str, Callable] = {
    "cumprod": cumprod,
    "cumprod_": _running(cumprod, "cumprod_"),
    "cumsum": cumsum,
    "cumsum_": _running(cumsum, "cumsum_"),
    "logcumsumexp": logcumsumexp,
}
