"""Products with triangles, and covariances given as a matrix, its inverse or its factor."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Size, Tensor
from devtensor.distributions.families import Expandable
from devtensor.distributions.utils import lazy_property
from devtensor.functions.creation import eye
from devtensor.linalg import cholesky, solve_triangular
from devtensor.linalg.spellings import cholesky_inverse

FORMS = ("covariance_matrix", "precision_matrix", "scale_tril")


def _batch_mv(bmat: Tensor, bvec: Tensor) -> Tensor:
    """Matrices times vectors.

    Shapes: bmat (*A, M, N), bvec (*B, N) -> broadcast(*A, *B) + (M,)
    """
    return (bmat @ bvec.unsqueeze(-1)).squeeze(-1)


def _batch_mahalanobis(bL: Tensor, bx: Tensor) -> Tensor:
    """x' (L L')^-1 x.

    Shapes: bL (*A, N, N), bx (*B, N) -> broadcast(*A, *B)
    """
    return solve_triangular(bL, bx.unsqueeze(-1), upper=False).pow(2).sum((-2, -1))


def _precision_to_scale_tril(P: Tensor) -> Tensor:
    """The Cholesky factor of the inverse of `P`.

    Source: of P turned round in both dims, the factor turned back is upper triangular, U U' = P.
    """
    upper = cholesky(P.flip((-2, -1))).flip((-2, -1)).mT
    unit = eye(P.shape[-1], dtype=P.dtype, device=P.device)
    return solve_triangular(upper, unit, upper=False)


def trace_of_square(matrix: Tensor) -> Tensor:
    """The trace of M M': the sum of the squares of all elements.

    Shapes: matrix (*B, N, M) -> (*B)
    """
    return matrix.pow(2).sum((-2, -1))


def log_diagonal(matrix: Tensor) -> Tensor:
    """The sum of the logarithms of the diagonal: log det of a triangle.

    Shapes: matrix (*B, N, N) -> (*B)
    """
    return matrix.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class FromCovariance(Expandable):
    """Distributions given by a covariance in one of three forms; the others are computed when asked for."""

    _unbroadcasted_scale_tril: Tensor

    def _one_form(self, error: type, **given: Any) -> tuple[str, Tensor]:
        """Which form was given, and its matrix.

        Errors: `error` unless exactly one was; ArgumentError unless it is a matrix.
        """
        held = {name: value for name, value in given.items() if value is not None}
        if len(held) != 1:
            raise error(
                f"[{type(self).__name__}] Exactly one of covariance_matrix or precision_matrix or scale_tril "
                f"may be specified; got {', '.join(held) or 'none'}"
            )
        ((name, matrix),) = held.items()
        if matrix.dim() < 2:
            raise ArgumentError(
                f"[{type(self).__name__}] {name} must be at least two-dimensional, with optional leading "
                f"batch dimensions; got shape {tuple(matrix.shape)}"
            )
        return name, matrix

    @staticmethod
    def _factor(name: str, matrix: Tensor) -> Tensor:
        if name == "scale_tril":
            return matrix
        return cholesky(matrix) if name == "covariance_matrix" else _precision_to_scale_tril(matrix)

    def _whole(self, matrix: Tensor) -> Tensor:
        size = matrix.shape[-1]
        return matrix.expand(Size((*self._batch_shape, size, size)))

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The covariance's Cholesky factor."""
        return self._whole(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        return self._whole(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The covariance's inverse."""
        return self._whole(cholesky_inverse(self._unbroadcasted_scale_tril))
