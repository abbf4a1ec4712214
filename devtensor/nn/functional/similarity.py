"""How near tensors are to each other."""

from __future__ import annotations

from array import array
from typing import Any

from devtensor.core.errors import DTypeError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.rules import Operand, result_type
from devtensor.core.spec import broadcast_shapes
from devtensor.core.tensor import Tensor
from devtensor.core.transfer import HostData
from devtensor.ops.create import cast, constant
from devtensor.ops.extremes import maximum
from devtensor.ops.index import index_select
from devtensor.ops.lengths import vector_norm
from devtensor.ops.shape import expand

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]


@one_op("float32")
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Cosine of the angle between `x1` and `x2` along `dim`; each length is taken to be at least `eps`.

    Shapes: x1 (*A), x2 (*B) -> broadcast(*A, *B) without dim
    """
    common = result_type([Operand(x.kind.dtype, 2 if x.array.ndim else 1) for x in (x1, x2)])
    if not common.is_floating_point:
        raise DTypeError(f"[cosine_similarity] expected a floating-point dtype, yet common dtype is {common}")
    shape = broadcast_shapes("cosine_similarity", [tuple(x1.array.shape), tuple(x2.array.shape)])
    first, second = (_unit(expand(cast(x, common), shape), dim, eps) for x in (x1, x2))
    return (first * second).sum(dim)


def _unit(input: Any, dim: int, eps: float) -> Any:
    return input / maximum(vector_norm(input, dim, True, 2), eps)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps over the last dim.

    Shapes: x1 (*B, D), x2 (*B, D) -> (*B,), or (*B, 1) with keepdim
    """
    return vector_norm(x1 - x2 + eps, -1, keepdim, p)


@one_op("float32")
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norms of the differences of all pairs of rows, the first row's pairs first.

    Shapes: input (N, D) -> (N*(N-1)/2,)
    Errors: ShapeError unless input has two dims and p is not negative.
    """
    if input.array.ndim != 2:
        raise ShapeError(f"[pdist] pdist only supports 2D tensors, got: {input.array.ndim}D")
    if not input.kind.dtype.is_floating_point:
        raise ShapeError(f"[pdist] pdist only supports floating-point dtypes, got {input.kind.dtype}")
    if p < 0:
        raise ShapeError(f"[pdist] pdist only supports non-negative p values, got {p}")
    count, device = input.array.shape[0], input.kind.device
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    ends = []
    for side in (0, 1):
        places = array("q", (pair[side] for pair in pairs))
        ends.append(constant(HostData(places.tobytes(), (len(pairs),)), "int64", device))
    difference = index_select(input, ends[0], 0) - index_select(input, ends[1], 0)
    return vector_norm(difference, 1, False, p)
