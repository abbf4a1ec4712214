"""Writing and combining at places that index tensors name, in PyTorch's spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from devtensor.core.dispatch import call
from devtensor.core.dtype import BOOL, COMPLEX
from devtensor.core.errors import (
    ArgumentTypeError,
    DTypeError,
    NotATensor,
    OptionError,
)
from devtensor.core.holding import held
from devtensor.core.inplace import apply_inplace
from devtensor.core.op import Op
from devtensor.core.overlap import refuse_shared
from devtensor.core.precision import one_op
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor
from devtensor.functions.selecting import refuse_other_indices
from devtensor.ops import gathering as ops
from devtensor.ops.create import full
from devtensor.ops.refused import scatter_combined
from devtensor.ops.scatter import scatter_reduce as reduced
from devtensor.ops.shape import as_shape, expand

__all__ = [
    "scatter",
    "scatter_add",
    "scatter_reduce",
]

REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


class Step(NamedTuple):
    """What a function and its in-place form both do: an op, its inputs beside the tensor, its parameters."""

    op: Op
    others: tuple
    params: tuple


def lifted(input: Tensor) -> Tensor:
    """A 0-d tensor as one of one element, so that a dim can be named."""
    return input if input.array.ndim else as_shape(input, (1,))


def made_by(input: Tensor, step: Step) -> Tensor:
    made: Any = call(step.op, (lifted(input), *step.others), step.params)
    return made if input.array.ndim else as_shape(made, ())


def written_by(self: Tensor, step: Step) -> Tensor:
    refuse_shared(step.op.name + "_", self, *step.others)
    apply_inplace(step.op, lifted(self), step.others, step.params)
    return self


def same_dtype(op: str, input: Tensor, src: Tensor) -> None:
    if input.kind.dtype is not src.kind.dtype:
        raise DTypeError(
            f"[{op}] Expected self.dtype to be equal to src.dtype, got {input.dtype.name} and "
            f"{src.dtype.name}; convert one with .to(dtype)"
        )


def _summand(op: str, src: Any) -> Tensor:
    """What is added, which is a tensor."""
    if isinstance(src, Tensor):
        return src
    raise NotATensor(
        f"[{op}] argument 'src' must be a Tensor, not {type(src).__name__}; make one with devtensor.full_like"
    )


def _brought(op: str, input: Tensor, index: Tensor, src: Any, value: Any) -> Tensor:
    """What is scattered: a tensor as it is, a number as what fills every place that `index` names."""
    refuse_other_indices(op, index, empty_too=False)
    given = value if src is None else src
    if isinstance(given, Tensor):
        same_dtype(op, input, given)
        return lifted(given)
    if given is None:
        raise ArgumentTypeError(f"[{op}] got neither src nor value; it needs a tensor or a number")
    return expand(
        full((), held(op, given, input.dtype), input.dtype, input.device), tuple(lifted(index).array.shape)
    )


def _scatter(op: str, input: Tensor, dim: int, index: Tensor, src: Any, value: Any, reduce: Any) -> Step:
    place = normalize_dim(op, dim, input.array.ndim)
    others = lifted(index), _brought(op, input, index, src, value)
    if reduce is None:
        return Step(ops.scatter.op, others, (place,))
    if reduce not in ("add", "multiply"):
        raise OptionError(f"[{op}] reduce is {reduce!r}; reduce argument must be either add or multiply")
    return Step(scatter_combined.op, others, (place, reduce, "scatter"))


def _sum(op: str, input: Tensor, dim: int, index: Tensor, src: Tensor) -> Step:
    place = normalize_dim(op, dim, input.array.ndim)
    return Step(ops.scatter_add.op, (lifted(index), _brought(op, input, index, src, None)), (place,))


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """A copy of `input` with `src`, a tensor or a number, put, added or multiplied where `index` names
    places along `dim`.

    Shapes: input (*S), index (*T), src at least (*T) -> (*S)
    """
    return made_by(input, _scatter("scatter", input, dim, index, src, value, reduce))


def scatter_(
    self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """In-place form of `scatter`."""
    return written_by(self, _scatter("scatter_", self, dim, index, src, value, reduce))


@one_op("widest")
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of `input` with `src` added where `index` names places along `dim`."""
    summand = _summand("scatter_add", src)
    return made_by(input, _sum("scatter_add", input, dim, index, summand))


def scatter_add_(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """In-place form of `scatter_add`."""
    summand = _summand("scatter_add_", src)
    return written_by(self, _sum("scatter_add_", self, dim, index, summand))


def _reduce(op: str, input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, whole: bool) -> Step:
    if not isinstance(src, Tensor):
        raise ArgumentTypeError(f"[{op}] src must be Tensor, not {type(src).__name__}")
    reduce = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    if reduce not in REDUCTIONS:
        raise OptionError(f"[{op}] reduce is {reduce!r}; it needs one of {', '.join(REDUCTIONS)}")
    place = normalize_dim(op, dim, input.array.ndim)
    others = lifted(index), _brought(op, input, index, src, None)
    if reduce == "sum" and whole:
        return Step(ops.scatter_add.op, others, (place,))
    if (reduce == "mean" and input.dtype.category == BOOL) or input.dtype.category == COMPLEX:
        raise DTypeError(f"[{op}] {reduce} is not implemented for {input.dtype.name}")
    return Step(reduced.op, others, (place, reduce, bool(whole)))


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy of `input` whose elements, where `index` names them along `dim`, are combined with those of
    `src` by `reduce`: "sum", "prod", "mean", "amax" or "amin".

    Shapes: input (*S), index (*T), src at least (*T) -> (*S)
    """
    return made_by(input, _reduce("scatter_reduce", input, dim, index, src, reduce, include_self))


def scatter_reduce_(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place form of `scatter_reduce`."""
    return written_by(self, _reduce("scatter_reduce_", self, dim, index, src, reduce, include_self))


METHODS: dict[str, Callable] = {
    f.__name__: f for f in (scatter, scatter_, scatter_add, scatter_add_, scatter_reduce, scatter_reduce_)
}
