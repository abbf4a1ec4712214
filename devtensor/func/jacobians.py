"""jacrev, jacfwd and hessian as transforms of functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from devtensor.autograd.evaluated import filled, pushed, turned, units
from devtensor.batching.levels import mapped
from devtensor.core.errors import ArgumentError
from devtensor.core.state import enable_grad
from devtensor.core.tensor import Tensor
from devtensor.func.nests import Level, Nested, chosen_arguments, split_aux
from devtensor.func.transforms import _gradients, _watched
from devtensor.ops.shape import reshape


def jacrev(
    func: Callable,
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable:
    """A function that gives the derivatives of every output by every element of an argument, by a backward
    pass for each element of the outputs. All passes are made at once, or so many as `chunk_size` says.

    Shapes: output (*O), argument (*I) -> (*O, *I), nested as the outputs, and in these as the arguments
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ArgumentError("[jacrev] `chunk_size` should be greater than 0.")
    return _transform(func, argnums, has_aux, partial(_rows_by_outputs, chunk_size=chunk_size))


def jacfwd(
    func: Callable,
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable:
    """The same as `jacrev`, a pass for each element of the arguments; better where they are few."""
    return _transform(func, argnums, has_aux, _rows_by_inputs)


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """A function that gives the second derivatives of `func`.

    Shapes: argument (*I) -> (*I, *I), behind the output's own dims
    """
    return jacfwd(jacrev(func, argnums), argnums)


def _transform(func: Callable, argnums: Any, has_aux: bool, rows_of: Callable) -> Callable:
    @functools.wraps(func)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        level = Level()
        places = chosen_arguments("jacobian", args, argnums)
        with enable_grad():
            given, nested = _watched(level, args, places)
            out, aux = split_aux("jacobian", func(*given, **kwargs), has_aux)
            outs = Nested(out)
            leaves = [leaf for one in nested for leaf in one.leaves]
            rows = rows_of(outs.tensors("jacobian", "outputs"), leaves)
            nests = [_as_arguments(iter(row), nested, argnums) for row in rows]
        made = level.release(outs.like(nests))
        return (made, level.release(aux)) if has_aux else made

    return transformed


def _as_arguments(row: Iterator[Tensor], nested: list[Nested], argnums: Any) -> Any:
    found = tuple(one.like([next(row) for _ in one.leaves]) for one in nested)
    return found if isinstance(argnums, tuple) else found[0]


def _rows_by_outputs(outs: list[Tensor], leaves: list[Tensor], chunk_size: int | None) -> list[list[Tensor]]:
    """For every output its derivatives by every leaf."""
    return [
        [
            reshape(column, (*out.array.shape, *leaf.array.shape))
            for column, leaf in zip(
                mapped(lambda unit, out=out: _gradients([out], leaves, [unit]), units(out), chunk_size),
                leaves,
                strict=True,
            )
        ]
        for out in outs
    ]


def _rows_by_inputs(outs: list[Tensor], leaves: list[Tensor]) -> list[list[Tensor]]:
    """The same, from the derivatives of all outputs by the elements of one leaf at a time."""
    rows: list[list[Tensor]] = [[] for _ in outs]
    for place, leaf in enumerate(leaves):
        still = [filled(other, 0) for other in leaves]

        def along(unit: Tensor, place: int = place, still: list[Tensor] = still) -> tuple:
            return pushed(outs, leaves, [*still[:place], unit, *still[place + 1 :]], True)

        for row, column, out in zip(rows, mapped(along, units(leaf)), outs, strict=True):
            row.append(turned(column, leaf, out))
    return rows
