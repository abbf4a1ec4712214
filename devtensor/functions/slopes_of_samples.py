"""How gamma and beta quantiles move with their concentrations: the gradients of draws.

At a fixed chance F(x; a) the quantile moves by dx/da = -(dF/da) / (dF/dx). Both distributions' dF/da is an
integral of the density times the score in a, taken from x to the nearer end: the terms of one sign then
prevail and nothing cancels.
Source: the integrals by the double exponential rule of H. Takahasi and M. Mori, 1974, for integrands that
fall off like exp(-z).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from devtensor.core.dtype import float64
from devtensor.core.tensor import Tensor
from devtensor.ops.combine import clamp, minimum
from devtensor.ops.compare import where
from devtensor.ops.create import cast
from devtensor.ops.elementwise import log
from devtensor.ops.functions import exp, expm1, log1p
from devtensor.ops.gamma import digamma
from devtensor.ops.parts import abs

STEP = 0.12
NODES = [
    (math.exp(t - math.exp(-t)), STEP * math.exp(t - math.exp(-t)) * (1 + math.exp(-t)))
    for t in (STEP * k - 3.6 for k in range(68))
]
"""Places and weights for integrals from 0 to infinity."""


def _integral(width: Tensor, integrand: Callable[[Tensor], Tensor]) -> Tensor:
    """The integral from 0 on of a function that falls off within a few widths."""
    total = None
    for place, weight in NODES:
        term = integrand(width * place) * weight
        total = term if total is None else total + term
    assert total is not None
    return total * width


def _rooted(spread: Tensor) -> Tensor:
    """A bell's inverse width: the root of its curvature, or the curvature itself where that is below 1."""
    return where(spread < 1, spread, where(spread < 1, 1.0, spread) ** 0.5)


def gamma_slope(input: Tensor, output: Tensor) -> Tensor:
    """d output / d input of numbers `output` of the standard gamma distribution of concentrations `input`.

    Shapes: input (*S), output (*S) -> (*S)
    """
    a = cast(input, float64)
    x = clamp(cast(output, float64), 1e-300, None)
    low = x <= a
    side = where(low, 1.0, -1.0)
    score = side * (digamma(a) - log(x))
    inner = 1 / (abs(a - x) + _rooted(x))
    outer = minimum(1 / (abs(a - x) + x**0.5), log1p(x**-0.5) * 2)

    def integrand(y: Tensor) -> Tensor:
        y = clamp(y, None, 1e6)
        reach = where(low, y, clamp(y, None, 700.0))
        return (score + reach) * exp(-side * a * reach - x * expm1(-side * reach))

    return cast(x * _integral(where(low, inner, outer), integrand), output.dtype)


def dirichlet_slope(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor:
    """dx / d alpha, over 1 - x, of a coordinate of Dirichlet points.

    Shapes: x (*S), alpha (*S), total (*S) -> (*S)
    """
    a, whole = cast(alpha, float64), cast(total, float64)
    dtype, x = x.dtype, clamp(cast(x, float64), 1e-300, 1 - 2.0**-53)
    low = x * whole <= a
    near, rate = where(low, x, 1 - x), where(low, a, whole - a)
    side = where(low, 1.0, -1.0)
    score = digamma(a) - digamma(whole) - log(x)
    width = 1 / (abs(a - whole * x) + _rooted(whole * x * (1 - x)))
    width = minimum(width, 1 / rate - log1p(-near))

    def integrand(y: Tensor) -> Tensor:
        bend = log1p(near * expm1(-y))
        moved = side * (score + bend) + where(low, y, 0.0)
        return moved * exp(-rate * y - whole * bend)

    return cast(x * _integral(width, integrand), dtype)
