"""The largest and the smallest in PyTorch's spellings: values, places, and the overloads of max and min."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import BOOL
from devtensor.core.errors import ArgumentTypeError, DTypeError, IndexingError
from devtensor.core.naming import named
from devtensor.core.spec import normalize_dim
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.out import into, into_exactly
from devtensor.functions.reducing import either, not_of_nothing, without_dim
from devtensor.functions.results import aminmax as aminmax_result
from devtensor.functions.results import max as max_result
from devtensor.functions.results import min as min_result
from devtensor.ops import extremes
from devtensor.ops import reduce as ops
from devtensor.ops.gathering import gather
from devtensor.ops.shape import as_shape
from devtensor.ops.sort import one_of_all

__all__ = ["aminmax", "argmax", "argmin", "max", "min"]


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
            not_of_nothing(name, input, None)
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


max = _extreme("max", ops.amax, ops.argmax, extremes.maximum, max_result)
min = _extreme("min", ops.amin, ops.argmin, extremes.minimum, min_result)


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """Smallest and largest value, of all or along a dim."""
    not_of_nothing("aminmax", input, dim)
    return aminmax_result(ops.amin(input, dim, keepdim), ops.amax(input, dim, keepdim))


METHODS: dict[str, Callable] = {f.__name__: f for f in (aminmax, argmax, argmin, max, min)}
