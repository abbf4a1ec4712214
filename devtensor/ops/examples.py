"""Examples as data: what a declaration says about inputs to try, without any array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Draw(NamedTuple):
    """A tensor to be drawn: its shape, range and layout.

    `dtype` None means the dtype under test; `layout` is contiguous, transposed, sliced or expanded;
    `distinct` values have no ties; `apart` keeps values at least so far from zero.
    """

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    dtype: str | None = None
    layout: str = "contiguous"
    distinct: bool = False
    apart: float = 0.0


class Case(NamedTuple):
    """One call of an op: its inputs (Draws, numbers or None), its parameters, and the error it must raise."""

    inputs: tuple
    params: dict[str, Any]
    error: str | None = None


def make(*shape: int, **facts: Any) -> Draw:
    """A tensor to be drawn."""
    return Draw(shape, **facts)


def index(*shape: int, size: int) -> Draw:
    """An index tensor whose values lie in [0, size)."""
    return Draw(shape, 0, size, "int64")


def mask(*shape: int) -> Draw:
    """A bool tensor."""
    return Draw(shape, 0, 1, "bool")


def case(*inputs: Any, **params: Any) -> Case:
    """A call that must work."""
    return Case(inputs, params)


def fails(*inputs: Any, error: str, **params: Any) -> Case:
    """A call that must raise a DevtensorError whose text matches the pattern `error`."""
    return Case(inputs, params, error)


Examples = Callable[[Callable[..., Draw]], Iterator[Case]]
SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (5,), (3, 4), (2, 0, 3), (2, 3, 4))
LAYOUTS = ("transposed", "sliced", "expanded")


def singles(**facts: Any) -> Examples:
    """One tensor: 0-d, empty, several dimensions, every layout."""

    def examples(make: Callable[..., Draw]) -> Iterator[Case]:
        for shape in SHAPES:
            yield case(make(*shape, **facts))
        for layout in LAYOUTS:
            yield case(make(3, 4, layout=layout, **facts))

    return examples


def pairs(**facts: Any) -> Examples:
    """Two tensors: equal shapes, broadcast both ways, 0-d, empty, layouts, a Python number, sizes that
    differ.

    Facts named `left_*` or `right_*` belong to one of the two alone.
    """
    left = {k.removeprefix("left_"): v for k, v in facts.items() if not k.startswith("right_")}
    right = {k.removeprefix("right_"): v for k, v in facts.items() if not k.startswith("left_")}

    def examples(make: Callable[..., Draw]) -> Iterator[Case]:
        for a, b in (
            ((), ()),
            ((3, 4), (3, 4)),
            ((2, 3, 4), (3, 1)),
            ((4,), (3, 1)),
            ((3, 4), ()),
            ((2, 0), (1, 0)),
        ):
            yield case(make(*a, **left), make(*b, **right))
        for layout in LAYOUTS:
            yield case(make(3, 4, layout=layout, **left), make(3, 4, **right))
        yield case(make(3, 4, **left), 2)
        yield fails(make(3, 4, **left), make(3, 5, **right), error=r"\(3, 4\).*\(3, 5\).*broadcast")

    return examples


def reductions(**facts: Any) -> Examples:
    """One tensor reduced over every kind of dims, kept or not."""

    def examples(make: Callable[..., Draw]) -> Iterator[Case]:
        yield case(make(**facts))
        yield case(make(5, **facts))
        for dim in (None, 0, -1, (0, 2), (-1, 0)):
            yield case(make(2, 3, 4, **facts), dim=dim)
            yield case(make(2, 3, 4, **facts), dim=dim, keepdim=True)
        yield case(make(4, 3, layout="transposed", **facts), dim=0)
        yield case(make(4, 3, layout="expanded", **facts), dim=1)
        yield fails(make(2, 3, **facts), dim=2, error="dim 2 is out of range")
        yield fails(make(2, 3, **facts), dim=(0, 0), error="twice")

    return examples


def along_a_dim(**facts: Any) -> Examples:
    """One tensor and one dim."""

    def examples(make: Callable[..., Draw]) -> Iterator[Case]:
        yield case(make(**facts), dim=0)
        yield case(make(5, **facts), dim=0)
        for dim in (0, 1, -1):
            yield case(make(2, 3, 4, **facts), dim=dim)
        yield case(make(4, 3, layout="transposed", **facts), dim=0)
        yield case(make(2, 0, 3, **facts), dim=0)
        yield fails(make(2, 3, **facts), dim=-3, error="dim -3 is out of range")

    return examples
