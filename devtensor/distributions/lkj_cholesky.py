"""The LKJ distribution of correlation matrices, as Cholesky factors."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.beta import Beta
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.families import Expandable
from devtensor.distributions.utils import _standard_normal, broadcast_all
from devtensor.functions.ranges import arange
from devtensor.functions.settings import finfo
from devtensor.linalg import vector_norm

__all__ = ["LKJCholesky"]


class LKJCholesky(Expandable):
    """Cholesky factors of correlation matrices of size `dim`, with density proportional to
    det^(concentration - 1) of the matrix.

    Source: D. Lewandowski, D. Kurowicka and H. Joe, "Generating random correlation matrices based on vines
    and extended onion method", 2009: the onion, whose row i is a beta
    number of i / 2; PyTorch's of i - 1/2 do not follow its density.
    """

    arg_constraints: ClassVar = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _carried: ClassVar = {"concentration": 0, "dim": None, "_beta": 1}
    concentration: Tensor

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ArgumentError(
                f"[LKJCholesky] Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        # The squared length of row i's part off the diagonal; row 0, which has none, gets row 1's.
        row = arange(dim, dtype=self.concentration.dtype, device=self.concentration.device)
        row = (row - 1).clamp(min=0)
        rest = self.concentration.unsqueeze(-1) + 0.5 * (dim - 2) - 0.5 * row
        self._beta = Beta(0.5 * row + 0.5, rest)
        Distribution.__init__(self, self.concentration.size(), (dim, dim), validate_args=validate_args)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            squares = self._beta.sample(sample_shape).unsqueeze(-1)
            shape = self._extended_shape(sample_shape)
            normal = _standard_normal(shape, squares.dtype, squares.device).tril(-1)
            tiny = finfo(squares.dtype).tiny
            # Row 0 has no direction, nor length.
            direction = normal / vector_norm(normal, dim=-1, keepdim=True).clamp(min=tiny)
            below = squares.sqrt() * direction
            diagonal = (1 - below.pow(2).sum(-1)).clamp(min=tiny).sqrt()
            return below + diagonal.diag_embed()

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = arange(2, self.dim + 1, device=self.concentration.device)
        power = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        rows = self.dim - 1
        alpha = self.concentration + 0.5 * rows
        volume = 0.5 * rows * math.log(math.pi) + (alpha - 0.5).mvlgamma(p=rows) - alpha.lgamma() * rows
        return (power * diagonal.log()).sum(-1) - volume
