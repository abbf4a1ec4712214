"""vmap: a function of one example as a function of many."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from devtensor.batching.levels import Examples
from devtensor.core.dispatch import call
from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.op import OPS
from devtensor.core.tensor import Tensor
from devtensor.func.nests import Nested

RANDOMNESS = ("error", "different", "same")


def vmap(
    func: Callable,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable:
    """A function that applies `func` to every example along a dim of its arguments, and stacks the results.

    Every op is run once, on all examples. `in_dims` tells for every argument, nested as they are or one for
    all, which dim counts the examples; None passes an argument whole. `out_dims` tells where results get it.
    Random ops are refused unless `randomness` says whether examples draw "different" numbers or the "same".
    `chunk_size` is how many examples go at once, all of them if None.

    Shapes: arguments with N examples along in_dims -> results with N along out_dims
    Errors: ArgumentError for dims that do not fit, different numbers of examples, and results that are no
        tensors; AutogradError for a random op under "error", and where Python asks for the numbers of an
        example, as in `if x.sum() > 0`.
    """
    if randomness not in RANDOMNESS:
        raise AutogradError(
            f"[vmap] Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ArgumentError(f"[vmap] chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        given = Nested(args)
        dims = _dims_of(in_dims, args, given)
        count = _count(dims, given.leaves)
        size = max(count if chunk_size is None else chunk_size, 1)
        lots = []
        for first in range(0, max(count, 1), size):
            part = given.leaves if size >= count else _lot(given.leaves, dims, slice(first, first + size))
            lots.append(_on_examples(func, given.like(part), kwargs, dims, out_dims, randomness))
        return lots[0] if len(lots) == 1 else _together(lots, out_dims)

    return mapped


def _on_examples(
    func: Callable, args: Any, kwargs: dict, dims: list[int | None], out_dims: Any, randomness: str
) -> Any:
    """What the function gives for all examples at once."""
    given = Nested(args)
    with Examples(_count(dims, given.leaves), randomness) as level:
        values = [v if d is None else level.seen(v, d) for v, d in zip(given.leaves, dims, strict=True)]
        outs = Nested(func(*given.like(values), **kwargs))
        places = _spread(out_dims, outs.like(outs.tensors("vmap", "what the function gives")))
        return outs.like([level.gathered(v, _place(d, v)) for v, d in zip(outs.leaves, places, strict=True)])


def _place(dim: int | None, value: Tensor) -> int | None:
    """Where a result gets the dim that counts examples, non-negative."""
    if dim is None:
        return None
    ndim = value.array.ndim + 1
    if not -ndim <= dim < ndim:
        raise IndexError(
            f"[vmap] Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {dim})"
        )
    return dim % ndim


def _lot(leaves: list, dims: list[int | None], part: slice) -> list:
    """Some of the examples."""
    return [
        v if d is None else call(OPS["getitem"], (v,), ((*(slice(None),) * d, part),))
        for v, d in zip(leaves, dims, strict=True)
    ]


def _together(lots: list, out_dims: Any) -> Any:
    """The results of several lots of examples, joined."""
    nested = [Nested(lot) for lot in lots]
    columns = zip(*[one.leaves for one in nested], strict=True)
    places = _spread(out_dims, lots[0])
    return nested[0].like(
        [
            column[0] if dim is None else call(OPS["cat"], column, (dim % column[0].array.ndim,))
            for column, dim in zip(columns, places, strict=True)
        ]
    )


def _dims_of(in_dims: Any, args: tuple, given: Nested) -> list[int | None]:
    """For every leaf of the arguments the dim that counts examples, non-negative, or None."""
    if not isinstance(in_dims, (int, tuple, list)) or (isinstance(in_dims, (tuple, list)) and not args):
        raise ArgumentError(
            f"[vmap] in_dims is {in_dims!r}; expected an int, or a (potentially nested) tuple matching the "
            "structure of the inputs"
        )
    if not args:
        raise ArgumentError("[vmap] got no inputs; there must be a tensor to map over")
    if not isinstance(in_dims, int) and len(in_dims) != len(args):
        raise ArgumentError(
            f"[vmap] in_dims {in_dims!r} is not compatible with the structure of the {len(args)} inputs"
        )
    spread = _spread(tuple(in_dims) if isinstance(in_dims, list) else in_dims, args)
    return [_checked_dim(d, v) for d, v in zip(spread, given.leaves, strict=True)]


def _spread(dims: Any, value: Any) -> list:
    """The dims for the leaves of a nested value, of which dims may stand for a whole nest."""
    if isinstance(value, dict):
        if isinstance(dims, dict):
            if dims.keys() != value.keys():
                raise ArgumentError(f"[vmap] dims {dims!r} do not match the keys {sorted(value)}")
            return [d for key in value for d in _spread(dims[key], value[key])]
        return [d for one in value.values() for d in _spread(dims, one)]
    if isinstance(value, (list, tuple)):
        if isinstance(dims, (list, tuple)):
            if len(dims) != len(value):
                raise ArgumentError(f"[vmap] dims {dims!r} do not match a structure of {len(value)}")
            return [d for one, each in zip(value, dims, strict=True) for d in _spread(each, one)]
        return [d for one in value for d in _spread(dims, one)]
    if isinstance(dims, (list, tuple, dict)):
        raise ArgumentError(f"[vmap] dims {dims!r} stand for a single value")
    return [dims]


def _checked_dim(dim: Any, value: Any) -> int | None:
    if dim is None:
        return None
    if not isinstance(dim, int):
        raise ArgumentError(f"[vmap] Got in_dim={dim!r} for an input; expected in_dim to be an int or None")
    if not isinstance(value, Tensor):
        raise ArgumentError(
            f"[vmap] Got in_dim={dim} for an input but the input is of type {type(value).__name__}. We "
            "cannot "
            "vmap over non-Tensor arguments, please use None as the respective in_dim"
        )
    ndim = value.array.ndim
    if not -ndim <= dim < ndim:
        raise ArgumentError(
            f"[vmap] Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {ndim} so "
            f"expected in_dim to satisfy -{ndim} <= in_dim < {ndim}."
        )
    return dim % ndim


def _count(dims: list[int | None], leaves: list) -> int:
    sizes = {v.array.shape[d] for v, d in zip(leaves, dims, strict=True) if d is not None}
    if not sizes:
        raise ArgumentError("[vmap] in_dims has no mapped input dimensions; map over at least one")
    if len(sizes) > 1:
        raise ArgumentError(
            "[vmap] Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sorted(sizes)}"
        )
    return sizes.pop()
