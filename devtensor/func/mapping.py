"""vmap: a function of one example as a function of many."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from devtensor.core.dispatch import call
from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.op import OPS, Op
from devtensor.core.state import Layer
from devtensor.core.tensor import Tensor
from devtensor.func.nests import Nested, stacked
from devtensor.random import fork_rng

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

    The examples are taken one after the other: this is the meaning of vmap, not its speed. `in_dims` tells
    for every argument, nested as they are or one for all, which dim counts the examples; None passes an
    argument whole. `out_dims` tells where results get it. Random ops are refused unless `randomness` says
    whether examples draw "different" numbers or the "same". `chunk_size` is taken and changes nothing.

    Shapes: arguments with N examples along in_dims -> results with N along out_dims
    Errors: ArgumentError for dims that do not fit, different numbers of examples, and results that are no
        tensors; AutogradError for a random op under "error".
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
        outs: list[Nested] = []
        for k in range(max(count, 1)):
            last = k + 1 >= count
            with _drawing(randomness, last), nullcontext() if last else KeepsGraphs():
                values = [_example(v, d, k, count) for v, d in zip(given.leaves, dims, strict=True)]
                outs.append(Nested(func(*given.like(values), **kwargs)))
        return _gathered(outs, out_dims, count)

    return mapped


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


def _example(value: Any, dim: int | None, k: int, count: int) -> Any:
    """The k-th example; of none at all, zeros in the shape of one."""
    if dim is None:
        return value
    if count:
        return call(OPS["getitem"], (value,), ((*(slice(None),) * dim, k),))
    kind, shape = value.kind, value.array.shape
    return call(OPS["full"], (), ((*shape[:dim], *shape[dim + 1 :]), 0, kind.dtype, kind.device))


def _gathered(outs: list[Nested], out_dims: Any, count: int) -> Any:
    """The results of all examples, stacked."""
    first = outs[0]
    for leaf in first.leaves:
        if not isinstance(leaf, Tensor):
            raise ArgumentError(
                f"[vmap] vmap(f): `f` must only return Tensors, got type {type(leaf).__name__}"
            )
    dims = _spread(out_dims, first.like(first.leaves))
    found = []
    for place, dim in enumerate(dims):
        column = [one.leaves[place] for one in outs]
        if dim is None:
            found.append(column[0])
            continue
        ndim = column[0].array.ndim + 1
        if not -ndim <= dim < ndim:
            raise IndexError(
                f"[vmap] Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got "
                f"{dim})"
            )
        made = stacked(column, dim)
        found.append(
            made if count else call(OPS["getitem"], (made,), ((*(slice(None),) * (dim % ndim), slice(0, 0)),))
        )
    return first.like(found)


class KeepsGraphs(Layer):
    """Lets every backward pass keep its graph, which the examples to come share."""

    rank = 27
    keeps_graphs = True


class NoRandom(Layer):
    """Refuses random ops."""

    rank = 28

    def call(self, op: Op, inputs: tuple, params: tuple, below: Any) -> Any:
        if op.name.startswith("random_"):
            raise AutogradError(
                "[vmap] called random operation while in randomness error mode. Please either use the 'same' "
                "or "
                "'different' randomness flags on vmap or perform the randomness operation out of vmap"
            )
        return below(op, inputs, params)


@contextmanager
def _drawing(randomness: str, last: bool) -> Iterator[None]:
    """Within it random numbers are drawn as asked; "same" winds back after every example but the last."""
    how = {"error": NoRandom, "different": nullcontext, "same": nullcontext if last else fork_rng}[randomness]
    with how():
        yield
