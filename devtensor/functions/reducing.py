"""Reductions in PyTorch's spellings: `dim`, `keepdim`, `dtype`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import FLOAT, as_dtype, bool_, uint8
from devtensor.core.errors import ArgumentTypeError, AutogradError, DTypeError, IndexingError, ShapeError
from devtensor.core.misfits import flag
from devtensor.core.naming import named
from devtensor.core.precision import dtypes_kept
from devtensor.core.spec import normalize_dim
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.out import into, into_exactly
from devtensor.ops import reduce as ops
from devtensor.ops.compare import isnan, ne, where
from devtensor.ops.create import cast

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "count_nonzero",
    "logsumexp",
    "mean",
    "nanmean",
    "nansum",
    "prod",
    "sum",
]


def either(dim: Any, axis: Any) -> Any:
    """`axis` is NumPy's name of `dim`, which PyTorch takes too."""
    return dim if axis is None else axis


def as_type(input: Tensor, dtype: Any) -> Tensor:
    """`input` in the dtype that was asked for, if one was.

    Errors: AutogradError for a dtype without gradients where one is wanted.
    """
    if dtype is None:
        return input
    asked = as_dtype(dtype)
    if input.requires_grad and not asked.differentiable and current().grad:
        raise AutogradError(
            f"[as_type] Autograd does not support dtype {asked.name}, and {describe(input)} requires grad; "
            "detach() it first"
        )
    return cast(input, asked)


def in_asked(op: Callable, input: Tensor, dim: Any, dtype: Any) -> Any:
    """An op along `dim`: in the dtype that was asked for, whatever autocast would choose, or in its own."""
    if dtype is None:
        return op(input, dim)
    with dtypes_kept():
        return op(as_type(input, dtype), dim)


class Unnamed:
    """The default of `dim` where PyTorch tells apart whether all dims were named, by None, or none at all."""

    def __repr__(self) -> str:
        return "None"


UNNAMED: Any = Unnamed()
# The default of `keepdim` there: False, but no bool, so that one that was given shows.
NOT_KEPT: Any = 0


def without_dim(name: str, axis: Any, keepdim: bool) -> None:
    """What stands for a dim that was not named.

    Errors: ArgumentTypeError for keepdim without one.
    """
    if keepdim and axis is None:
        raise ArgumentTypeError(f"[{name}] got keepdim without dim; name the dim, or dim=None for all")


def _reducer(
    function: Callable, name: str, doc: str, typed: bool = False, default: Any = None, write: Callable = into,
    by_out: bool = False,
) -> Callable:  # fmt: skip
    """A reduction of one kind with all of PyTorch's keyword names; `by_out` reduces in the dtype of `out`."""

    def reduce(
        input: Tensor, dim: Any = default, keepdim: bool = NOT_KEPT, *, dtype: Any = None, axis: Any = None,
        keepdims: bool = False, out: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        if keepdim.__class__ is not bool and keepdim is not NOT_KEPT:
            flag("keepdim", keepdim)
        if dim is UNNAMED:
            dim = without_dim(name, axis, keepdim is not NOT_KEPT or keepdims)
        if by_out and dtype is None and isinstance(out, Tensor):
            dtype = out.dtype
        if dtype is not None and typed:
            input = as_type(input, dtype)
            return write(out, as_type(function(input, either(dim, axis), keepdim or keepdims), dtype))
        return write(out, function(input, either(dim, axis), keepdim or keepdims))

    return named(reduce, name, doc + "\n\nShapes: input (*S) -> S without dim; all dims if dim is None")


sum = _reducer(ops.sum, "sum", "Sum over `dim`.", typed=True, default=UNNAMED, by_out=True)
mean = _reducer(ops.mean, "mean", "Mean over `dim`.", typed=True, default=UNNAMED)


def _sum_without_nan(input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    """Autocast, which widens sums, leaves this one in its dtype."""
    with dtypes_kept():
        return ops.sum(_without_nan(input), dim, keepdim)


nansum = _reducer(
    _sum_without_nan,
    "nansum",
    "Sum over `dim` of what is not NaN.",
    typed=True,
)


def _only_floating(name: str, input: Tensor) -> None:
    if not input.dtype.differentiable:
        raise DTypeError(
            f"[{name}] expected input to have floating point or complex dtype but got {input.dtype.name}; "
            "convert it with .float()"
        )


_nanmean = _reducer(
    lambda input, dim, keepdim: nansum(input, dim, keepdim) / ops.sum(~isnan(input), dim, keepdim),
    "nanmean",
    "",
    typed=True,
)


def nanmean(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None,
    keepdims: bool = False, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Mean over `dim` of what is not NaN.

    Shapes: input (*S) -> S without dim; all dims if dim is None
    """
    _only_floating("nanmean", input)
    return _nanmean(input, dim, keepdim, dtype=dtype, axis=axis, keepdims=keepdims, out=out)


def not_of_nothing(name: str, input: Tensor, dim: Any) -> Any:
    """The dim, which must hold something.

    Errors: IndexingError naming it; ShapeError for nothing at all.
    """
    if input.shape.numel():
        return dim
    if dim is None or dim == ():
        raise ShapeError(
            f"[{name}] {describe(input)}: Expected reduction dim to be specified, and to have non-zero size"
        )
    for place in (dim,) if isinstance(dim, int) else dim:
        if input.array.ndim and not input.array.shape[normalize_dim(name, place, input.array.ndim)]:
            raise IndexingError(
                f"[{name}] {describe(input)}: Expected reduction dim {place} to have non-zero size."
            )
    return dim


amax = _reducer(
    lambda input, dim, keepdim: ops.amax(input, not_of_nothing("amax", input, dim), keepdim),
    "amax",
    "Largest value over `dim`.",
    write=into_exactly,
)
amin = _reducer(
    lambda input, dim, keepdim: ops.amin(input, not_of_nothing("amin", input, dim), keepdim),
    "amin",
    "Smallest value over `dim`.",
    write=into_exactly,
)


def _truth(function: Callable) -> Callable:
    """any or all, whose answer about uint8 is uint8, and which reduce nothing if `dim` is empty, as in
    PyTorch."""

    def truth(input: Tensor, dim: Any, keepdim: bool) -> Tensor:
        none = isinstance(dim, (tuple, list)) and not dim
        found: Any = ne(input, 0) if none else function(input, dim, keepdim)
        return cast(found, uint8) if input.kind.dtype is uint8 else found

    return truth


def _into_truth(out: Any, made: Tensor) -> Tensor:
    """`into` for truths, which bool and uint8 alone hold."""
    if isinstance(out, Tensor) and out.kind.dtype not in (bool_, uint8):
        raise DTypeError(f"[out] only bool and uint8 hold truths, got {out.kind.dtype.name}")
    return into(out, made)


any = _reducer(_truth(ops.any), "any", "Whether any value over `dim` is non-zero.", write=_into_truth)
all = _reducer(_truth(ops.all), "all", "Whether all values over `dim` are non-zero.", write=_into_truth)


def _named_dim(function: Callable, name: str) -> Callable:
    """The reduction, whose dim must be named.

    Errors: ArgumentTypeError if it is not.
    """

    def reduce(input: Tensor, dim: Any, keepdim: bool) -> Tensor:
        if dim is None:
            raise ArgumentTypeError(f"[{name}] missing 1 required positional argument: dim")
        return function(input, dim, keepdim)

    return reduce


logsumexp = _reducer(
    _named_dim(ops.logsumexp, "logsumexp"), "logsumexp", "log(sum(exp(input))) over `dim`, without overflow."
)
_product = _reducer(ops.prod, "prod", "Product over `dim`.", typed=True, default=UNNAMED, by_out=True)


def prod(
    input: Tensor, dim: Any = UNNAMED, keepdim: bool = NOT_KEPT, *, dtype: Any = None, axis: Any = None,
    keepdims: bool = False, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Product over `dim`, or of all elements.

    Shapes: input (*S) -> S without dim
    Errors: ArgumentTypeError for None as dim.
    """
    if dim is None:
        raise ArgumentTypeError("[prod] dim is None; name an int, or leave it out for the product of all")
    return _product(input, dim, keepdim, dtype=dtype, axis=axis, keepdims=keepdims, out=out)


count_nonzero = _reducer(
    lambda input, dim, keepdim: ops.sum(ne(input, 0), dim, keepdim),
    "count_nonzero", "How many values over `dim` are not 0.",
)  # fmt: skip


def _without_nan(input: Tensor) -> Tensor:
    return where(isnan(input), 0.0, input) if input.dtype.category == FLOAT else input


METHODS: dict[str, Callable] = {
    f.__name__: f for f in (all, amax, amin, any, count_nonzero, logsumexp, mean, nanmean, nansum, prod, sum)
}
