"""Where the elements of an op's results lie: the closed vocabulary of layout rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from devtensor.core.layout import (
    Strides,
    elementwise_strides,
    packed,
    strides_like,
    suggested_format,
)
from devtensor.core.spec import contiguous_strides

Shape = tuple[int, ...]
# The shape and strides of an input; None for one that is absent or a number.
Operand = tuple[Shape, Strides] | None
Rule = Callable[[Sequence[Shape], Sequence[Operand], tuple], Sequence[Strides]]


class Placement(NamedTuple):
    """The strides of an op's results from their shapes, its inputs and parameters.

    Where `always` is not set, inputs that lie in rows give results that do, and nobody asks the rule.
    """

    rule: Rule
    always: bool = False


def _elementwise(shapes: Sequence[Shape], operands: Sequence[Operand], params: tuple) -> list[Strides]:
    given = [((), ()) if operand is None else operand for operand in operands]
    return [elementwise_strides(shape, given) for shape in shapes]


def _in_rows(shapes: Sequence[Shape], operands: Sequence[Operand], params: tuple) -> list[Strides]:
    return [contiguous_strides(shape) for shape in shapes]


def _like_first(shapes: Sequence[Shape], operands: Sequence[Operand], params: tuple) -> list[Strides]:
    own, strides = operands[0] or ((), ())
    return [strides_like(shape, strides) if shape == own else contiguous_strides(shape) for shape in shapes]


def _in_columns(shapes: Sequence[Shape], operands: Sequence[Operand], params: tuple) -> list[Strides]:
    return [column_strides(shape) if len(shape) > 1 else contiguous_strides(shape) for shape in shapes]


def _matrices(shapes: Sequence[Shape], operands: Sequence[Operand], params: tuple) -> list[Strides]:
    ndim = max(len(operand[0]) for operand in operands if operand)
    return [
        column_strides(shape) if len(shape) == max(ndim, 2) else contiguous_strides(shape) for shape in shapes
    ]


def _channels(ndims: Sequence[int], places: Sequence[int] = (0,)) -> Rule:
    def rule(shapes: Sequence[Shape], operands: Sequence[Operand], params: tuple) -> list[Strides]:
        wanted = any(has_channels_inside(*operands[place], ndims) for place in places if operands[place])  # type: ignore[misc]
        return [in_format(shape, wanted) for shape in shapes]

    return rule


def _joined(shapes: Sequence[Shape], operands: Sequence[Operand], params: tuple) -> list[Strides]:
    found = {has_channels_inside(*operand, (4, 5)) for operand in operands if operand and operand[0] != (0,)}
    return [in_format(shape, found == {True}) for shape in shapes]


def has_channels_inside(shape: Shape, strides: Strides, ndims: Sequence[int]) -> bool:
    """Whether channels lie innermost, for shapes of so many dims; (N, C, L) is seen as (N, C, 1, L)."""
    if len(shape) not in ndims:
        return False
    if len(shape) == 3:
        shape = (*shape[:2], 1, shape[2])
        strides = (*strides[:2], strides[2] * shape[3], strides[2])
    return suggested_format(shape, strides) is not None


def in_format(shape: Shape, channels_inside: bool) -> Strides:
    """Strides with the channels innermost, or in rows."""
    if not channels_inside or len(shape) < 3:
        return contiguous_strides(shape)
    return packed(shape, (1, *range(len(shape) - 1, 1, -1), 0))


def column_strides(shape: Shape) -> Strides:
    """Matrices in the last two dims whose columns are in one piece."""
    return packed(shape, (len(shape) - 2, len(shape) - 1, *range(len(shape) - 3, -1, -1)))


ELEMENTWISE = Placement(_elementwise)
"""As the first input that tells an order."""
IN_ROWS = Placement(_in_rows)
"""In rows, whatever the inputs."""
LIKE_FIRST = Placement(_like_first)
"""As the first input, without its gaps."""
IN_COLUMNS = Placement(_in_columns, always=True)
"""Each matrix column by column."""
MATRICES = Placement(_matrices, always=True)
"""Column by column, as LAPACK has them, what has as many dims as the inputs; the rest in rows."""
CHANNELS = Placement(_channels((3, 4, 5)))
"""Channels innermost if the first input's are: (N, C, *S), S of one to three dims."""
PLANES = Placement(_channels((4, 5)))
"""The same, and in rows for S of one dim."""
PICTURES = Placement(_channels((3, 4)))
"""The same, and in rows for S of three dims."""
CONVOLVED = Placement(_channels((3, 4, 5), (0, 1)))
"""Channels innermost if those of the input or of the weight are."""
JOINED = Placement(_joined)
"""Channels innermost if those of all inputs are."""
