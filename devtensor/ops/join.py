"""Tensors put side by side."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import MOVED, Dim, primitive
from devtensor.core.placement import JOINED
from devtensor.core.rules import promoted
from devtensor.ops.examples import case, fails
from devtensor.ops.shape import getitem


def _joined(op, inputs, params):
    (dim,) = params
    first = inputs[0].shape
    for spec in inputs[1:]:
        if len(spec.shape) != len(first) or any(
            a != b for d, (a, b) in enumerate(zip(spec.shape, first, strict=True)) if d != dim
        ):
            shapes = ", ".join(str(i.shape) for i in inputs)
            raise ShapeError(
                f"[{op}] shapes {shapes} differ outside dim {dim}; all other sizes must be equal"
            )
    return (*first[:dim], sum(i.shape[dim] for i in inputs), *first[dim + 1 :])


def _split_gradient(g: Any, like: Any, dim: int) -> tuple:
    parts, start = [], 0
    for spec in like.tensors:
        stop = start + spec.shape[dim]
        parts.append(getitem(g, (*(slice(None),) * dim, slice(start, stop))))
        start = stop
    return tuple(parts)


@primitive(dtype=promoted, shape=_joined, eager=True, complex=MOVED, placement=JOINED)
def cat(*tensors, dim: Dim = 0):
    """Tensors one after the other along `dim`.

    Shapes: tensors (..., S_i, ...) -> (..., sum of S_i, ...)
    Errors: ShapeError if other sizes differ.
    """


cat.joint_vjp(_split_gradient)


@cat.examples
def _(make):
    yield case(make(2, 3), make(4, 3))
    yield case(make(2, 3), make(2, 0), make(2, 1), dim=-1)
    yield case(make(3))
    yield case(make(2, 3, layout="transposed"), make(2, 3), dim=1)
    yield fails(make(2, 3), make(2, 4), error="differ outside dim 0")
