"""Resampling along a dim: each element a weighted sum of a few others, and the adjoint of that map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.op import Dim, Plain, primitive
from devtensor.core.placement import PLANES
from devtensor.core.rules import same
from devtensor.ops.examples import case, fails


def _resampled(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    shape, (dim, sampling, adjoint, _) = inputs[0].shape, params
    kind, source, target = sampling[:3]
    if kind not in ("nearest", "nearest-exact", "linear", "cubic"):
        raise ArgumentError(f"[{op}] filter {kind!r}; it takes nearest, nearest-exact, linear or cubic")
    given, wanted = (target, source) if adjoint else (source, target)
    if shape[dim] != given or min(source, target) < 1:
        raise ShapeError(f"[{op}] input {shape} at dim {dim}; {sampling} needs {given} elements, not none")
    return (*shape[:dim], wanted, *shape[dim + 1 :])


@primitive(dtype=same, shape=_resampled, amp="float32", eager=True, placement=PLANES)
def resample(input, dim: Dim, sampling: Plain, adjoint: Plain = False, fixed: Plain = False):
    """The elements along `dim` at other, evenly spaced places, each a weighted sum of its neighbours.

    `sampling` is (filter, size before, size after, align_corners, scale or None, antialias); filters are
    nearest, nearest-exact, linear and cubic. The map is linear; `adjoint` is its transpose. `fixed` rounds
    the weights to 16 bits.

    Shapes: input (*A, S, *B) -> (*A, T, *B)
    Errors: ShapeError if the sizes are not the input's, or one is 0.
    """


resample.vjp(input=lambda g, dim, sampling, adjoint, fixed: resample(g, dim, sampling, not adjoint, fixed))


def _samplings() -> Sequence[tuple]:
    return (
        ("nearest", 4, 7, False, None, False),
        ("nearest-exact", 7, 3, False, None, False),
        ("linear", 4, 8, False, None, False),
        ("linear", 5, 3, True, None, False),
        ("linear", 4, 9, False, 2.3, False),
        ("linear", 7, 3, False, None, True),
        ("cubic", 5, 7, False, None, False),
        ("cubic", 5, 7, True, None, False),
        ("cubic", 9, 4, False, None, True),
    )


@resample.examples
def _(make):
    for sampling in _samplings():
        before, after = sampling[1:3]
        if sampling[0].startswith("nearest"):
            yield case(make(2, before), dim=1, sampling=sampling)
        else:
            yield case(make(2, before, dtype="float64"), dim=1, sampling=sampling)
            yield case(make(after, 3, dtype="float32"), dim=0, sampling=sampling, adjoint=True)
    yield fails(make(2, 3), dim=1, sampling=_samplings()[0], error="needs 4 elements")
