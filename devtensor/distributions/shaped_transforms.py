"""Transforms of vectors and matrices, and of parts of tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from devtensor.core.errors import ArgumentError, ContractError
from devtensor.core.tensor import Size, Tensor
from devtensor.distributions import constraints
from devtensor.distributions.elementwise_transforms import _Plain, clipped
from devtensor.distributions.transform import Transform, require_dims
from devtensor.distributions.utils import (
    _sum_rightmost,
    lazy_property,
    tril_matrix_to_vec,
    vec_to_tril_matrix,
)
from devtensor.functions.creation import eye
from devtensor.functions.joining import cat, stack
from devtensor.functions.settings import finfo
from devtensor.linalg import cholesky
from devtensor.ops.activation import logsigmoid, softplus


class ReshapeTransform(Transform):
    """The last dims in another shape."""

    bijective = True

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0) -> None:
        self.in_shape = Size(in_shape)
        self.out_shape = Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ArgumentError(
                f"[ReshapeTransform] in_shape, out_shape have different numbers of elements: "
                f"{self.in_shape}, {self.out_shape}"
            )
        super().__init__(cache_size=cache_size)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.independent(constraints.real, len(self.in_shape))

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.independent(constraints.real, len(self.out_shape))

    def _with(self, cache_size: int) -> Transform:
        return ReshapeTransform(self.in_shape, self.out_shape, cache_size=cache_size)

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape((*x.shape[: x.dim() - len(self.in_shape)], *self.out_shape))

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape((*y.shape[: y.dim() - len(self.out_shape)], *self.in_shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x.new_zeros(x.shape[: x.dim() - len(self.in_shape)])

    def _exchanged(self, shape: Any, given: Size, wanted: Size) -> Any:
        require_dims(self, len(shape), len(given))
        cut = len(shape) - len(given)
        if tuple(shape[cut:]) != tuple(given):
            raise ArgumentError(
                f"[ReshapeTransform] Shape mismatch: expected {tuple(given)} but got {tuple(shape[cut:])}"
            )
        return shape[:cut] + wanted

    def forward_shape(self, shape: Any) -> Any:
        return self._exchanged(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._exchanged(shape, self.out_shape, self.in_shape)


def _after_one(values: Tensor) -> Tensor:
    """The last dim moved on by one place, with a 1 in front; what was last falls off."""
    return cat([values.new_ones((*values.shape[:-1], 1)), values[..., :-1]], -1)


class CorrCholeskyTransform(Transform):
    """A vector of K(K-1)/2 numbers as the Cholesky factor of a correlation matrix.

    Source: Stan's reference manual, "Cholesky factors of correlation matrices": tanh gives partial
    correlations, and each row breaks a stick of length 1.
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        eps = finfo(x.dtype).eps
        partial = vec_to_tril_matrix(x.tanh().clamp(min=-1 + eps, max=1 - eps), diag=-1)
        left = (1 - partial**2).sqrt().cumprod(-1)
        unit = eye(partial.shape[-1], dtype=partial.dtype, device=partial.device)
        return (partial + unit) * _after_one(left)

    def _inverse(self, y: Tensor) -> Tensor:
        left = _after_one(1 - (y * y).cumsum(-1))
        partial = tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(left, diag=-1).sqrt()
        return (partial.log1p() - (-partial).log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any, intermediates: Any = None) -> Any:
        left = tril_matrix_to_vec(1 - (y * y).cumsum(-1), diag=-2)
        of_tanh = -2 * (x + softplus(-2 * x) - math.log(2)).sum(-1)
        return left.log().sum(-1) / 2 + of_tanh

    def forward_shape(self, shape: Any) -> Any:
        require_dims(self, len(shape), 1)
        count = shape[-1]
        size = round(math.sqrt(0.25 + 2 * count) + 0.5)
        if size * (size - 1) // 2 != count:
            raise ArgumentError(
                f"[CorrCholeskyTransform] Input is not a flattened lower-diagonal number: {count} elements"
            )
        return shape[:-1] + Size((size, size))

    def inverse_shape(self, shape: Any) -> Any:
        require_dims(self, len(shape), 2)
        if shape[-2] != shape[-1]:
            raise ArgumentError(f"[CorrCholeskyTransform] Input is not square: {tuple(shape)}")
        return shape[:-2] + Size((shape[-1] * (shape[-1] - 1) // 2,))


class SoftmaxTransform(_Plain):
    """Vectors to the simplex by exp and normalising, which is not one to one."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return x.softmax(-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        require_dims(self, len(shape), 1)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        return self.forward_shape(shape)


class StickBreakingTransform(_Plain):
    """Vectors of K - 1 numbers to the simplex of K, by breaking parts off a stick.

    Source: Stan's reference manual, "Unit simplex": with offsets that take the zero vector to the middle.
    """

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    @staticmethod
    def _offset(values: Tensor, count: int) -> Tensor:
        """log of how many parts are still to come, for each of `count` places."""
        return (count + 1 - values.new_ones(count).cumsum(-1)).log()

    def _call(self, x: Tensor) -> Tensor:
        broken = clipped((x - self._offset(x, x.shape[-1])).sigmoid())
        one = x.new_ones((*x.shape[:-1], 1))
        return cat([broken, one], -1) * cat([one, (1 - broken).cumprod(-1)], -1)

    def _inverse(self, y: Tensor) -> Tensor:
        parts = y[..., :-1]
        left = (1 - parts.cumsum(-1)).clamp(min=finfo(y.dtype).tiny)
        return parts.log() - left.log() + self._offset(y, parts.shape[-1])

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        moved = x - self._offset(x, x.shape[-1])
        return (logsigmoid(moved) - moved + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        require_dims(self, len(shape), 1)
        return shape[:-1] + Size((shape[-1] + 1,))

    def inverse_shape(self, shape: Any) -> Any:
        require_dims(self, len(shape), 1)
        return shape[:-1] + Size((shape[-1] - 1,))


class LowerCholeskyTransform(_Plain):
    """Square matrices to lower triangles with a positive diagonal."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(_Plain):
    """Square matrices to positive definite ones."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(cholesky(y))


class _Joined(Transform):
    """Several transforms, each for its part of the values along one dim."""

    def __init__(self, tseq: Sequence[Transform], dim: int, cache_size: int) -> None:
        if not all(isinstance(part, Transform) for part in tseq):
            raise ContractError(f"[{type(self).__name__}] all elements of tseq must be Transform; got {tseq}")
        super().__init__(cache_size=cache_size)
        self.transforms = [part.with_cache(cache_size) for part in tseq] if cache_size else list(tseq)
        self.dim = dim

    @property
    def bijective(self) -> Any:
        return all(part.bijective for part in self.transforms)

    def _require(self, value: Tensor, length: int) -> None:
        name = type(self).__name__
        if not -value.dim() <= self.dim < value.dim():
            raise ContractError(f"[{name}] dim {self.dim} out of range for {value.dim()} dimensions")
        if value.size(self.dim) != length:
            raise ContractError(f"[{name}] size {value.size(self.dim)} in dim {self.dim} must equal {length}")


class CatTransform(_Joined):
    """Transforms of neighbouring slices along `dim`, each of its length."""

    def __init__(
        self,
        tseq: Sequence[Transform],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise ContractError(
                f"[CatTransform] lengths ({len(self.lengths)}) must match transforms ({len(self.transforms)})"
            )

    @lazy_property
    def event_dim(self) -> Any:
        return max(part.event_dim for part in self.transforms)

    @lazy_property
    def length(self) -> Any:
        return sum(self.lengths)

    def _with(self, cache_size: int) -> Transform:
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _slices(self, value: Tensor) -> list[Tensor]:
        self._require(value, self.length)
        starts = [sum(self.lengths[:at]) for at in range(len(self.lengths))]
        return [value.narrow(self.dim, *place) for place in zip(starts, self.lengths, strict=True)]

    def _call(self, x: Tensor) -> Tensor:
        pairs = zip(self.transforms, self._slices(x), strict=True)
        return cat([part(value) for part, value in pairs], self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        pairs = zip(self.transforms, self._slices(y), strict=True)
        return cat([part.inv(value) for part, value in pairs], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        triples = zip(self.transforms, self._slices(x), self._slices(y), strict=True)
        terms = [
            _sum_rightmost(part.log_abs_det_jacobian(before, after), self.event_dim - part.event_dim)
            for part, before, after in triples
        ]
        dim = self.dim - x.dim() if self.dim >= 0 else self.dim
        dim += self.event_dim
        return cat(terms, dim) if dim < 0 else sum(terms)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.cat([part.domain for part in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.cat([part.codomain for part in self.transforms], self.dim, self.lengths)


class StackTransform(_Joined):
    """Transforms of the places along `dim`, one each."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)

    def _with(self, cache_size: int) -> Transform:
        return StackTransform(self.transforms, self.dim, cache_size)

    def _slices(self, value: Tensor) -> Any:
        self._require(value, len(self.transforms))
        return value.unbind(self.dim)

    def _call(self, x: Tensor) -> Tensor:
        pairs = zip(self.transforms, self._slices(x), strict=True)
        return stack([part(value) for part, value in pairs], self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        pairs = zip(self.transforms, self._slices(y), strict=True)
        return stack([part.inv(value) for part, value in pairs], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        triples = zip(self.transforms, self._slices(x), self._slices(y), strict=True)
        return stack([part.log_abs_det_jacobian(*values) for part, *values in triples], self.dim)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.stack([part.domain for part in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.stack([part.codomain for part in self.transforms], self.dim)
