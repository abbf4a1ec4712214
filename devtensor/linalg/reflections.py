"""Products of Householder's reflections, under the names that are older than torch.linalg."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import DTypeError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import in_columns
from devtensor.functions.out import into
from devtensor.linalg import results
from devtensor.linalg.factors import householder_product, reflected
from devtensor.linalg.results import all_into
from devtensor.ops import decompositions
from devtensor.ops.matrices import adjoint

__all__ = [
    "geqrf",
    "orgqr",
    "ormqr",
]


def geqrf(input: Tensor, *, out: Any = None) -> Any:
    """R above the vectors of Householder's reflections, and the reflections' factors."""
    return all_into(out, decompositions.geqrf(input), results.geqrf)


@one_op()
def orgqr(input: Tensor, input2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Q of reflections: `linalg.householder_product`."""
    return householder_product(input, input2, out=out)


@one_op()
def ormqr(
    input: Tensor, input2: Tensor, input3: Tensor, left: bool = True, transpose: bool = False, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Q times `input3`, or `input3` times Q unless `left`; with Q^H if `transpose`.

    Q is that of the reflections in `input` with factors `input2`.

    Shapes: input (*B, M, K), input2 (*B, K), input3 (*B, M, N), or (*B, N, M) -> as input3
    """
    _check_reflections(input, input2, input3, left)
    if left:
        return into(out, in_columns(reflected(input, input2, input3, transpose)))
    return into(out, in_columns(adjoint(reflected(input, input2, adjoint(input3), not transpose))))


def _check_reflections(A: Tensor, tau: Tensor, other: Tensor, left: bool) -> None:
    given = f"[ormqr] {describe(A)}, tau {describe(tau)}, other {describe(other)}"
    if A.array.ndim < 2 or other.array.ndim < 2:
        raise ShapeError(f"{given}: input and other must have at least 2 dimensions; add one")
    if len({A.dtype, tau.dtype, other.dtype}) > 1:
        raise DTypeError(f"{given}: Expected all to have the same dtype; convert with .to(dtype)")
    batches = {tuple(A.array.shape[:-2]), tuple(tau.array.shape[:-1]), tuple(other.array.shape[:-2])}
    rows = other.array.shape[-2 if left else -1]
    if len(batches) > 1 or tau.array.shape[-1] > A.array.shape[-1] or rows != A.array.shape[-2]:
        raise ShapeError(
            f"{given}: batch dims must be equal, tau has at most one factor for each column, and "
            f"other.shape[{-2 if left else -1}] must be equal to input.shape[-2]"
        )


METHODS: dict[str, Callable] = {"geqrf": geqrf, "orgqr": orgqr, "ormqr": ormqr}
