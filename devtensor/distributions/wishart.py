"""The Wishart distribution."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError
from devtensor.core.state import current
from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.chi2 import Chi2
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.distributions.matrices import FORMS, FromCovariance, log_diagonal
from devtensor.distributions.utils import Number, _standard_normal
from devtensor.functions.comparing import broadcast_shapes
from devtensor.functions.masking import where
from devtensor.functions.ranges import arange
from devtensor.functions.settings import finfo
from devtensor.interop.making import tensor
from devtensor.linalg import slogdet
from devtensor.ops.solvers import cholesky_solve

__all__ = ["Wishart"]

TRIES = 10
"""How often singular draws are replaced."""


def _mvdigamma(x: Tensor, p: int) -> Tensor:
    """Derivative of the logarithm of the multivariate gamma function of dimension `p`."""
    return (x.unsqueeze(-1) - arange(p, dtype=x.dtype, device=x.device) / 2).digamma().sum(-1)


class Wishart(FromCovariance, ExponentialFamily):
    """Sums of the outer squares of `df` normal vectors of mean 0, given by their covariance.

    Shapes: df (*A); covariance_matrix, precision_matrix or scale_tril (*B, N, N)
    Source: draws by Bartlett's decomposition.
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    _carried: ClassVar = {"df": 0, "_unbroadcasted_scale_tril": 2, **dict.fromkeys(FORMS, 2)}
    df: Tensor

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        name, matrix = self._one_form(
            AssertionError,
            covariance_matrix=covariance_matrix,
            precision_matrix=precision_matrix,
            scale_tril=scale_tril,
        )
        if isinstance(df, Number):
            batch = matrix.shape[:-2]
            self.df = tensor(df, dtype=matrix.dtype, device=matrix.device)
        else:
            batch = broadcast_shapes(matrix.shape[:-2], df.shape)
            self.df = df.expand(batch)
        self._require_degrees(matrix.shape[-1])
        self.__dict__[name] = matrix.expand((*batch, -1, -1))
        Distribution.__init__(self, batch, matrix.shape[-2:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = self._factor(name, matrix)
        self._dist_chi2 = self._bartlett_diagonal()

    def _require_degrees(self, size: int) -> None:
        if bool((self.df <= size - 1).any()):
            raise ArgumentError(
                f"[Wishart] Value of df={self.df} expected to be greater than ndim - 1 = {size - 1}."
            )
        if bool((self.df < size).any()):
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for "
                "ndim - 1 < df < ndim.",
                stacklevel=3,
            )

    def _bartlett_diagonal(self) -> Chi2:
        size = self._event_shape[-1]
        fewer = arange(size, dtype=self.df.dtype, device=self.df.device)
        return Chi2((self.df.unsqueeze(-1) - fewer).expand((*self._batch_shape, -1)))

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._dist_chi2 = new._bartlett_diagonal()
        return new

    @property
    def arg_constraints(self) -> Any:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def _per_matrix(self, value: Tensor) -> Tensor:
        return value.expand(self._batch_shape).unsqueeze(-1).unsqueeze(-1)

    @property
    def mean(self) -> Tensor:
        return self._per_matrix(self.df) * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self._event_shape[-1] - 1
        return self._per_matrix(where(factor > 0, factor, math.nan)) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        diagonal = self.covariance_matrix.diagonal(dim1=-2, dim2=-1)
        products = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self._per_matrix(self.df) * (self.covariance_matrix.pow(2) + products)

    def _bartlett_sampling(self, sample_shape: Any = ()) -> Tensor:
        roots = self._dist_chi2.rsample(sample_shape).sqrt()
        roots = roots.clamp(min=finfo(roots.dtype).eps)
        normal = _standard_normal((*roots.shape, roots.shape[-1]), roots.dtype, roots.device)
        factor = self._unbroadcasted_scale_tril @ (normal.tril(-1) + roots.diag_embed())
        return factor @ factor.mT

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Tensor:
        drawn = self._bartlett_sampling(sample_shape)
        if any(hasattr(layer, "host_read") for layer in current().layers):
            return drawn
        tries = TRIES if max_try_correction is None else max_try_correction
        for attempt in range(tries):
            fine = self.support.check(drawn)
            if bool(fine.all()):
                break
            if not attempt:
                warnings.warn("Singular sample detected.", stacklevel=2)
            drawn = where(fine.unsqueeze(-1).unsqueeze(-1), drawn, self._bartlett_sampling(sample_shape))
        return drawn

    def _log_volume(self) -> Tensor:
        return self._event_shape[-1] * math.log(2) / 2 + log_diagonal(self._unbroadcasted_scale_tril)

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        size = self._event_shape[-1]
        trace = cholesky_solve(value, self._unbroadcasted_scale_tril).diagonal(dim1=-2, dim2=-1).sum(-1)
        scale = self.df * self._log_volume() + (self.df / 2).mvlgamma(p=size)
        return (self.df - size - 1) / 2 * slogdet(value)[1] - trace / 2 - scale

    def entropy(self) -> Tensor:
        size, half = self._event_shape[-1], self.df / 2
        scale = (size + 1) * self._log_volume() + half.mvlgamma(p=size)
        return scale - (self.df - size - 1) / 2 * _mvdigamma(half, size) + half * size

    @property
    def _natural_params(self) -> Any:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x: Any, y: Any) -> Tensor:
        size = self._event_shape[-1]
        more = y + (size + 1) / 2
        return more * (size * math.log(2) - slogdet(-2 * x)[1]) + more.mvlgamma(p=size)
