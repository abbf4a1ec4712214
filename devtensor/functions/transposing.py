"""Dimensions in another order: permutations, transposes, and diagonals, all of them views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.callers import warn
from devtensor.core.errors import ArgumentTypeError, ShapeError
from devtensor.core.naming import named
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.shaping import alias, in_place, sizes
from devtensor.ops import shape as ops
from devtensor.ops.parts import conjugate

__all__ = [
    "adjoint",
    "diagonal",
    "moveaxis",
    "movedim",
    "permute",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
]


def permute(input: Tensor, dims: Any) -> Tensor:
    """The dimensions in another order.

    Errors: ShapeError unless every dimension is named once.
    """
    if not isinstance(dims, (tuple, list)):
        raise ArgumentTypeError(
            f"[permute] argument 'dims' must be tuple of ints, not {type(dims).__name__}; only the "
            "method takes dims one by one"
        )
    return _permuted(input, dims)


def _permuted(input: Tensor, *order: Any, dims: Any = None) -> Tensor:
    """The dimensions in another order, given one by one or as one sequence."""
    ndim = input.array.ndim
    wanted = sizes(order or (() if dims is None else (dims,)))
    places = tuple([normalize_dim("permute", d, ndim) for d in wanted])
    if sorted(places) != list(range(ndim)):
        raise ShapeError(
            f"[permute] dims {places} of {describe(input)}; each of its {ndim} dimensions must be named once"
        )
    return ops.permute(input, places)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    ndim = input.array.ndim
    first, second = normalize_dim("transpose", dim0, ndim), normalize_dim("transpose", dim1, ndim)
    order = list(range(ndim))
    if ndim:
        order[first], order[second] = second, first
    return ops.permute(input, tuple(order))


def t(input: Tensor) -> Tensor:
    """A matrix's transpose; vectors and numbers stay."""
    if input.array.ndim > 2:
        raise ShapeError(
            f"[t] t() expects a tensor with <= 2 dimensions, but self is {input.array.ndim}D; use .mT"
        )
    return transpose(input, 0, 1) if input.array.ndim == 2 else alias(input)


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to new places; the others keep their order."""
    if isinstance(source, int) is not isinstance(destination, int):
        raise ArgumentTypeError(
            f"[movedim] source is {source!r} and destination {destination!r}; give two ints, or two tuples"
        )
    ndim = input.array.ndim
    old = [normalize_dim("movedim", d, ndim) for d in sizes((source,))]
    new = [normalize_dim("movedim", d, ndim) for d in sizes((destination,))]
    if len(old) != len(new) or len(set(old)) != len(old) or len(set(new)) != len(new):
        raise ShapeError(
            f"[movedim] source {source} and destination {destination} must name as many dims, each once"
        )
    placed = dict(zip(new, old, strict=True))
    rest = iter([d for d in range(ndim) if d not in old])
    return ops.permute(input, tuple([placed[d] if d in placed else next(rest) for d in range(ndim)]))


def adjoint(input: Tensor) -> Tensor:
    """The conjugate, with the last two dimensions exchanged.

    Errors: ShapeError for a tensor of one dim.
    """
    if input.array.ndim < 2:
        if input.array.ndim:
            raise ShapeError(
                f"[adjoint] tensor.adjoint() is only supported on matrices or batches of matrices, got "
                f"{describe(input)}"
            )
        return conjugate(input)
    return conjugate(transpose(input, -2, -1))


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of the matrices in two dims, as the last dim; a view.

    Errors: ShapeError if both dims are one.
    """
    ndim = input.array.ndim
    first, second = normalize_dim("diagonal", dim1, ndim), normalize_dim("diagonal", dim2, ndim)
    if first == second:
        raise ShapeError(f"[diagonal] diagonal dimensions cannot be identical {dim1}, {dim2}")
    return ops.diagonal(input, offset, first, second)


def _transposed(name: str, most: int, after: Callable = lambda turned: turned) -> property:
    def turned(self: Tensor) -> Tensor:
        ndim = self.array.ndim
        if not ndim:
            return after(self)
        if not 2 <= ndim <= most:
            raise ShapeError(f"[{name}] tensor.{name} is only supported on matrices; got a {ndim}-D tensor")
        return after(transpose(self, -2, -1))

    return property(turned, doc="The last two dimensions exchanged.")


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """Two dimensions exchanged."""
    return transpose(input, axis0, axis1)


def _reversed(self: Tensor) -> Tensor:
    """The dims in reverse: a matrix's transpose."""
    ndim = self.array.ndim
    if ndim not in (0, 2):
        warn(f"[T] got {ndim} dims, and reverses them; it will be for 2 dims only: use .mT, or permute")
    return ops.permute(self, tuple(range(ndim))[::-1]) if ndim else alias(self)


swapdims = transpose
moveaxis = movedim
METHODS: dict[str, Callable] = {
    f.__name__: f for f in (adjoint, diagonal, movedim, t, transpose)
} | {
    "permute": named(_permuted, "permute", permute.__doc__),
    "swapaxes": swapaxes, "swapdims": transpose, "moveaxis": movedim, "t_": in_place(t),
} | {
    "swapaxes_": in_place(swapaxes), "swapdims_": in_place(transpose), "transpose_": in_place(transpose),
}  # fmt: skip
PROPERTIES = {
    "T": property(_reversed),
    "mT": _transposed("mT", 64),
    "H": _transposed("H", 2, conjugate),
    "mH": _transposed("mH", 64, conjugate),
}
