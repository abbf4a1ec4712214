"""Ops that are recorded, and whose derivative backward refuses, as PyTorch's does.

Those with a parameter `function` stand in for functions that have a derivative otherwise, or are no ops; by
that name errors speak of them.
"""

from __future__ import annotations

from devtensor.core.op import HOLOMORPHIC, MOVED, Dim, Index, Plain, composite
from devtensor.core.rules import broadcast, floating, same, same_shape
from devtensor.ops.compare import eq, gt, where
from devtensor.ops.create import cast
from devtensor.ops.examples import case, fails, index, pairs
from devtensor.ops.gathering import scatter_add, scatter_shape
from devtensor.ops.hyperbolic import acosh, asinh, atanh
from devtensor.ops.index import index_select, selected_shape
from devtensor.ops.scatter import scatter_reduce
from devtensor.ops.shape import inverse, permute

INVERSES = {"acosh": acosh, "asinh": asinh, "atanh": atanh}


@composite(dtype=same, shape=broadcast, inplace=True)
def heaviside(input, values):
    """0 below zero, 1 above, `values` at zero.

    Shapes: input (*A), values (*B) -> broadcast(*A, *B)
    Errors: DTypeError if dtypes differ, AutogradError in backward.
    """
    step = where(eq(input, 0), values, cast(gt(input, 0), input.kind.dtype))
    return step if step.kind is input.kind else cast(step, input.kind.dtype)


heaviside.examples(pairs())


@composite(dtype=floating, shape=broadcast, complex=HOLOMORPHIC)
def inverse_hyperbolic(source, function: Plain):
    """What `acosh`, `asinh` and `atanh` write in place: the function of that name.

    Shapes: source (*S) -> (*S)
    Errors: AutogradError in backward.
    """
    return INVERSES[function](source)


@inverse_hyperbolic.examples
def _(make):
    for shape in ((), (2, 0), (3, 4)):
        yield case(make(*shape), function="asinh")
    yield case(make(3, 4, low=-0.8, high=0.8, layout="transposed"), function="atanh")
    yield case(make(3, low=1.3, high=3.0), function="acosh")


@composite(dtype=same, shape=scatter_shape, eager=True, complex=HOLOMORPHIC)
def scatter_combined(source, index: Index, src, dim: Dim, reduce: Plain, function: Plain = "scatter"):
    """A copy of `source` to whose elements those of `src` were added, or by them multiplied, where `index`
    names places along `dim`: `reduce` is "add" or "multiply".

    Shapes: source (*S), index (*T), src at least (*T) -> (*S)
    Errors: ShapeError if an index is not in [0, S[dim]), AutogradError in backward.
    """
    if reduce == "add":
        return scatter_add(source, index, src, dim)
    return scatter_reduce(source, index, src, dim, "prod", True)


@scatter_combined.examples
def _(make):
    for reduce in ("add", "multiply"):
        yield case(make(4, 3), index(2, 3, size=4), make(2, 3), dim=0, reduce=reduce)
    yield case(make(4, 3), index(0, 3, size=4), make(0, 3), dim=0, reduce="add")
    yield fails(make(4, 3), index(2, 3, size=4), make(1, 3), dim=0, reduce="add", error="smaller than index")


@composite(dtype=same, shape=selected_shape, complex=MOVED)
def slices_kept(source, places: Index, dim: Dim, function: Plain = "unique"):
    """The slices along `dim` that are left where others repeat them, each in one piece of memory.

    Shapes: source (*A, S, *B), places (K,) -> (*A, K, *B)
    Errors: AutogradError in backward.
    """
    order = (dim, *(d for d in range(source.array.ndim) if d != dim))
    return permute(index_select(permute(source, order), places, 0), inverse(order))


@slices_kept.examples
def _(make):
    yield case(make(4, 3), index(2, size=3), dim=1)
    yield case(make(4), index(3, size=4), dim=0)
    yield case(make(2, 3, 4), index(2, size=2), dim=0)


@composite(dtype=same, shape=same_shape, complex=MOVED)
def without_gradient(source, function: Plain = "detach"):
    """`source` itself, where PyTorch has no derivative for what was made of it.

    Shapes: source (*S) -> (*S)
    Errors: AutogradError in backward.
    """
    return source


without_gradient.examples(lambda make: iter([case(make(3, 4)), case(make())]))

for _op in (heaviside, inverse_hyperbolic, scatter_combined, slices_kept, without_gradient):
    _op.vjp()
