"""Reductions in PyTorch's spellings: `dim`, `keepdim`, `dtype`, and the overloads of max and min."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import BOOL, FLOAT, as_dtype, bool_, uint8
from devtensor.core.errors import ArgumentTypeError, AutogradError, DTypeError, IndexingError, ShapeError
from devtensor.core.misfits import flag
from devtensor.core.naming import named
from devtensor.core.precision import dtypes_kept
from devtensor.core.spec import normalize_dim
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.out import into, into_exactly
from devtensor.functions.results import aminmax as aminmax_result
from devtensor.functions.results import max as max_result
from devtensor.functions.results import min as min_result
from devtensor.ops import elementwise
from devtensor.ops import reduce as ops
from devtensor.ops.compare import isnan, ne, where
from devtensor.ops.create import cast
from devtensor.ops.gathering import gather
from devtensor.ops.shape import as_shape
from devtensor.ops.sort import one_of_all

__all__ = [
    "all",
    "amax",
    "amin",
    "aminmax",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "logsumexp",
    "max",
    "mean",
    "min",
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
nansum = _reducer(
    lambda input, dim, keepdim: ops.sum(_without_nan(input), dim, keepdim),
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


def _some(name: str, input: Tensor, dim: Any) -> Any:
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
    lambda input, dim, keepdim: ops.amax(input, _some("amax", input, dim), keepdim),
    "amax",
    "Largest value over `dim`.",
    write=into_exactly,
)
amin = _reducer(
    lambda input, dim, keepdim: ops.amin(input, _some("amin", input, dim), keepdim),
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


def _place(choose: Callable, name: str) -> Callable:
    """argmax or argmin: along a dim, or of all elements seen in one dim."""

    def place(
        input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None
    ) -> Tensor:
        dim = either(dim, axis)
        if input.dtype.category == BOOL:
            raise DTypeError(f"[{name}] does not support bool input; got {describe(input)}; use .int()")
        if not input.shape.numel() and (dim is None or not input.shape[dim]):
            raise IndexingError(
                f"[{name}] Expected reduction dim to have non-zero size, got {describe(input)}"
            )
        if dim is not None:
            return choose(input, dim, keepdim)
        found = choose(as_shape(input, (input.shape.numel(),)), 0)
        return as_shape(found, (1,) * input.array.ndim) if keepdim else found

    return named(
        place,
        name,
        f"{ops.__dict__[name].__doc__.splitlines()[0]} Without `dim`, of all elements in C order.",
    )


argmax = _place(ops.argmax, "argmax")
argmin = _place(ops.argmin, "argmin")


def _extreme(name: str, whole: Callable, choose: Callable, pair: Callable, result: Any) -> Callable:
    """max or min in its three forms: of all, along a dim with the places, of two tensors."""

    def extreme(
        input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None, axis: int |
        None = None, keepdims: bool = False, out: Tensor | None = None,
    ) -> Any:  # fmt: skip
        other = dim if isinstance(dim, Tensor) else other
        if not isinstance(input, Tensor):
            raise ArgumentTypeError(f"[{name}] got {describe(input)} and {describe(dim)}; it takes tensors")
        if other is not None:
            return into(out, pair(input, other))
        dim = either(dim, axis)
        if dim is None:
            without_dim(name, None, keepdim or keepdims)
            _some(name, input, None)
            return into(out, one_of_all(input, name) if input._requires_grad else whole(input, None, False))
        place = normalize_dim(name, dim, input.array.ndim)
        _not_empty(name, input, input.shape[place] if input.array.ndim else 1)
        if not input._requires_grad and not current().layers and not input.kind.device.under:
            keepdim = keepdim or keepdims
            return into_exactly(out, result(whole(input, place, keepdim), choose(input, place, keepdim)))
        return into_exactly(out, _chosen(input, dim, keepdim or keepdims, choose, result))

    return named(
        extreme,
        name,
        f"{name}(input): of all elements; {name}(input, dim): values and places along dim; "
        f"{name}(input, other): element by element.",
    )


def _not_empty(name: str, input: Tensor, count: int) -> None:
    if not count:
        raise IndexingError(f"[{name}] Expected reduction dim to have non-zero size, got {describe(input)}")


def _chosen(input: Tensor, dim: int, keepdim: bool, choose: Callable, result: Any) -> Any:
    """Values taken at the places chosen, so that the gradient goes to one element only, as PyTorch's does."""
    places = choose(input, dim, True)
    values = gather(input, places, dim)
    if keepdim or not input.array.ndim:
        return result(values, places)
    at = normalize_dim("gather", dim, input.array.ndim)
    shape = (*input.array.shape[:at], *input.array.shape[at + 1 :])
    return result(as_shape(values, shape), as_shape(places, shape))


max = _extreme("max", ops.amax, ops.argmax, elementwise.maximum, max_result)
min = _extreme("min", ops.amin, ops.argmin, elementwise.minimum, min_result)


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """Smallest and largest value, of all or along a dim."""
    _some("aminmax", input, dim)
    return aminmax_result(ops.amin(input, dim, keepdim), ops.amax(input, dim, keepdim))


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        all, amax, amin, aminmax, any, argmax, argmin, count_nonzero,
        logsumexp, max, mean, min, nanmean, nansum, prod, sum,
    )
}  # fmt: skip
