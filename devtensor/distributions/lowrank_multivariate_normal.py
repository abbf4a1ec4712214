"""The normal distribution of vectors whose covariance is of low rank plus a diagonal."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.tensor import Size, Tensor
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.families import AboutLoc, Expandable
from devtensor.distributions.matrices import _batch_mahalanobis, _batch_mv, log_diagonal
from devtensor.distributions.utils import _standard_normal, lazy_property
from devtensor.functions.comparing import broadcast_tensors
from devtensor.functions.creation import eye
from devtensor.linalg import cholesky, solve_triangular

__all__ = ["LowRankMultivariateNormal"]


def _plus_unit(matrix: Tensor) -> Tensor:
    return matrix + eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)


def _batch_capacitance_tril(W: Tensor, D: Tensor) -> Tensor:
    """The Cholesky factor of I + W' D^-1 W.

    Shapes: W (*B, N, M), D (*B, N) -> (*B, M, M)
    """
    return cholesky(_plus_unit((W.mT / D.unsqueeze(-2)) @ W))


def _batch_lowrank_logdet(W: Tensor, D: Tensor, capacitance_tril: Tensor) -> Tensor:
    """log det (W W' + D), by the matrix determinant lemma."""
    return 2 * log_diagonal(capacitance_tril) + D.log().sum(-1)


def _batch_lowrank_mahalanobis(W: Tensor, D: Tensor, x: Tensor, capacitance_tril: Tensor) -> Tensor:
    """x' (W W' + D)^-1 x, by Woodbury's identity."""
    inner = _batch_mv(W.mT / D.unsqueeze(-2), x)
    return (x.pow(2) / D).sum(-1) - _batch_mahalanobis(capacitance_tril, inner)


class LowRankMultivariateNormal(AboutLoc, Expandable):
    """Vectors about `loc` with covariance cov_factor cov_factor' + diag(cov_diag).

    Shapes: loc (*A, N), cov_factor (*B, N, M), cov_diag (*C, N)
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    _carried: ClassVar = {
        "loc": 1,
        "cov_factor": 2,
        "cov_diag": 1,
        "_unbroadcasted_cov_factor": None,
        "_unbroadcasted_cov_diag": None,
        "_capacitance_tril": None,
    }

    def __init__(
        self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None
    ) -> None:
        _require_fitting(loc, cov_factor, cov_diag)
        try:
            column, self.cov_factor, diagonal = broadcast_tensors(
                loc.unsqueeze(-1), cov_factor, cov_diag.unsqueeze(-1)
            )
        except ShapeError:
            raise ArgumentError(
                f"[LowRankMultivariateNormal] Incompatible batch shapes: loc {loc.shape}, cov_factor "
                f"{cov_factor.shape}, cov_diag {cov_diag.shape}"
            ) from None
        self.loc, self.cov_diag = column[..., 0], diagonal[..., 0]
        self._unbroadcasted_cov_factor = cov_factor
        self._unbroadcasted_cov_diag = cov_diag
        self._capacitance_tril = _batch_capacitance_tril(cov_factor, cov_diag)
        shape = self.loc.shape
        Distribution.__init__(self, shape[:-1], shape[-1:], validate_args=validate_args)

    @lazy_property
    def variance(self) -> Tensor:
        squares = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return squares.expand(self._batch_shape + self._event_shape)

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand(Size((*self._batch_shape, *self._event_shape, *self._event_shape)))

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The covariance's Cholesky factor."""
        root = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        scaled = self._unbroadcasted_cov_factor / root
        return self._whole(root * cholesky(_plus_unit(scaled @ scaled.mT)))

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        factor = self._unbroadcasted_cov_factor
        return self._whole(factor @ factor.mT + self._unbroadcasted_cov_diag.diag_embed())

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The covariance's inverse, by Woodbury's identity."""
        scaled = self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)
        half = solve_triangular(self._capacitance_tril, scaled, upper=False)
        return self._whole(self._unbroadcasted_cov_diag.reciprocal().diag_embed() - half.mT @ half)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        facts = self.loc.dtype, self.loc.device
        common = _standard_normal((*shape[:-1], self.cov_factor.shape[-1]), *facts)
        own = _standard_normal(shape, *facts)
        shared = _batch_mv(self._unbroadcasted_cov_factor, common)
        return self.loc + shared + self._unbroadcasted_cov_diag.sqrt() * own

    def _parts(self) -> tuple[Tensor, Tensor]:
        return self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        away = _batch_lowrank_mahalanobis(*self._parts(), value - self.loc, self._capacitance_tril)
        volume = _batch_lowrank_logdet(*self._parts(), self._capacitance_tril)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + volume + away)

    def entropy(self) -> Tensor:
        volume = _batch_lowrank_logdet(*self._parts(), self._capacitance_tril)
        each = self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        return (0.5 * (each + volume)).expand(self._batch_shape)


def _require_fitting(loc: Tensor, cov_factor: Tensor, cov_diag: Tensor) -> None:
    if loc.dim() < 1:
        raise ArgumentError("[LowRankMultivariateNormal] loc must be at least one-dimensional.")
    size = loc.shape[-1]
    if cov_factor.dim() < 2 or cov_factor.shape[-2] != size:
        raise ArgumentError(
            "[LowRankMultivariateNormal] cov_factor must be a batch of matrices, at least two-dimensional, "
            f"with shape {size} x m; got {tuple(cov_factor.shape)}"
        )
    if tuple(cov_diag.shape[-1:]) != (size,):
        raise ArgumentError(
            "[LowRankMultivariateNormal] cov_diag must be a batch of vectors with shape "
            f"({size},); got {tuple(cov_diag.shape)}"
        )
