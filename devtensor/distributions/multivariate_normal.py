"""The normal distribution of vectors."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.families import AboutLoc
from devtensor.distributions.matrices import (
    FORMS,
    FromCovariance,
    _batch_mahalanobis,
    _batch_mv,
    _precision_to_scale_tril,  # noqa: F401 - libraries on PyTorch look for it here
    log_diagonal,
)
from devtensor.distributions.utils import _standard_normal
from devtensor.functions.comparing import broadcast_shapes

__all__ = ["MultivariateNormal"]


class MultivariateNormal(AboutLoc, FromCovariance):
    """Vectors about `loc` with a covariance, given as it is, as its inverse or as its Cholesky factor.

    Shapes: loc (*A, N); covariance_matrix, precision_matrix or scale_tril (*B, N, N)
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _carried: ClassVar = {"loc": 1, "_unbroadcasted_scale_tril": None, **dict.fromkeys(FORMS, 2)}

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ArgumentError("[MultivariateNormal] loc must be at least one-dimensional.")
        name, matrix = self._one_form(
            ArgumentError,
            covariance_matrix=covariance_matrix,
            precision_matrix=precision_matrix,
            scale_tril=scale_tril,
        )
        batch = broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        self.__dict__[name] = matrix.expand((*batch, -1, -1))
        self.loc = loc.expand((*batch, -1))
        Distribution.__init__(self, batch, self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = self._factor(name, matrix)

    @property
    def variance(self) -> Tensor:
        squares = self._unbroadcasted_scale_tril.pow(2).sum(-1)
        return squares.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        noise = _standard_normal(shape, self.loc.dtype, self.loc.device)
        return self.loc + _batch_mv(self._unbroadcasted_scale_tril, noise)

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        away = _batch_mahalanobis(self._unbroadcasted_scale_tril, value - self.loc)
        volume = log_diagonal(self._unbroadcasted_scale_tril)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + away) - volume

    def entropy(self) -> Tensor:
        volume = log_diagonal(self._unbroadcasted_scale_tril)
        each = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        return (each + volume).expand(self._batch_shape)
