"""The larger and the smaller of two numbers."""

from __future__ import annotations

from typing import Any

from devtensor.core.rules import promoted
from devtensor.ops.compare import eq, logical_not, where
from devtensor.ops.elementwise import derived, elementwise
from devtensor.ops.examples import pairs


def _share(g: Any, winner: Any, tie: Any) -> Any:
    """The whole gradient where this input won, half of it where both are equal."""
    return where(tie, g / 2, where(winner, g, 0.0))


@elementwise(dtype=promoted)
def maximum(input, other):
    """The larger of `input` and `other`; NaN if either is.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Source: equal values share the gradient evenly, as in PyTorch.
    """


maximum.vjp(
    input=lambda g, input, other: _share(g, logical_not(input < other), eq(input, other)),
    other=lambda g, input, other: _share(g, logical_not(input > other), eq(input, other)),
)
maximum.examples(pairs())


@derived(dtype=promoted)
def minimum(input, other):
    """The smaller of `input` and `other`; NaN if either is.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Source: equal values share the gradient evenly, as in PyTorch.
    """
    # The sum is for NaN alone, which no comparison finds.
    return where(input < other, input, where(other <= input, other, input + other))


minimum.vjp(
    input=lambda g, input, other: _share(g, logical_not(input > other), eq(input, other)),
    other=lambda g, input, other: _share(g, logical_not(input < other), eq(input, other)),
)
minimum.examples(pairs())
