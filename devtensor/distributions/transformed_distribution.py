"""TransformedDistribution: draws of another distribution, taken through transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Size, Tensor
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.families import Expandable
from devtensor.distributions.independent import Independent
from devtensor.distributions.transforms import ComposeTransform, Transform
from devtensor.distributions.utils import _sum_rightmost

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Expandable):
    """What `transforms`, one after the other, make of the draws of `base_distribution`.

    Source: the density at y = f(x) is that of x over |det df/dx|.
    """

    arg_constraints: ClassVar = {}
    _carried: ClassVar = {"transforms": None}
    base_dist: Any
    has_rsample: Any = property(lambda self: self.base_dist.has_rsample)

    def __init__(self, base_distribution: Any, transforms: Any, validate_args: bool | None = None) -> None:
        self.transforms = _listed(transforms)
        transform = ComposeTransform(self.transforms)
        base_dims, needed = len(base_distribution.event_shape), transform.domain.event_dim
        shape = base_distribution.batch_shape + base_distribution.event_shape
        if len(shape) < needed:
            raise ArgumentError(
                f"[TransformedDistribution] base_distribution needs to have shape with size at least "
                f"{needed}, but got {shape}."
            )
        forward = Size(transform.forward_shape(shape))
        wanted = Size(transform.inverse_shape(forward))
        if shape != wanted:
            base_distribution = base_distribution.expand(wanted[: len(wanted) - base_dims])
        if needed > base_dims:
            base_distribution = Independent(base_distribution, needed - base_dims)
        self.base_dist = base_distribution
        made = transform.codomain.event_dim
        cut = len(forward) - max(made, base_dims + made - needed)
        Distribution.__init__(self, forward[:cut], forward[cut:], validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        shape = Size((*batch_shape, *self.event_shape))
        for transform in reversed(self.transforms):
            shape = transform.inverse_shape(shape)
        new.transforms = self.transforms
        new.base_dist = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        return new

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        region = self.transforms[-1].codomain
        missing = len(self.event_shape) - region.event_dim
        return constraints.independent(region, missing) if missing > 0 else region

    def _through(self, value: Tensor) -> Tensor:
        for transform in self.transforms:
            value = transform(value)
        return value

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return self._through(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self._through(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        dims, total = len(self.event_shape), 0.0
        for transform in reversed(self.transforms):
            before = transform.inv(value)
            dims += transform.domain.event_dim - transform.codomain.event_dim
            change = transform.log_abs_det_jacobian(before, value)
            total = total - _sum_rightmost(change, dims - transform.domain.event_dim)
            value = before
        inner = self.base_dist.log_prob(value)
        return total + _sum_rightmost(inner, dims - len(self.base_dist.event_shape))

    def _monotonize_cdf(self, value: Any) -> Any:
        """Chances turned round where the transforms together fall."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        return value if isinstance(sign, int) and sign == 1 else sign * (value - 0.5) + 0.5

    def cdf(self, value: Any) -> Tensor:
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._monotonize_cdf(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Tensor:
        return self._through(self.base_dist.icdf(self._monotonize_cdf(value)))


def _listed(transforms: Any) -> list[Transform]:
    if isinstance(transforms, Transform):
        return [transforms]
    if not isinstance(transforms, list) or not all(isinstance(t, Transform) for t in transforms):
        raise ArgumentError(
            "[TransformedDistribution] transforms must be a Transform or a list of Transforms; got "
            f"{transforms}"
        )
    return transforms
