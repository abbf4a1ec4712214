"""Divergences of distributions of different kinds: -H(p) - E_p[log q], by moments of p."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.distributions.bernoulli import Bernoulli
from devtensor.distributions.beta import Beta
from devtensor.distributions.binomial import Binomial
from devtensor.distributions.continuous_bernoulli import ContinuousBernoulli
from devtensor.distributions.exponential import Exponential
from devtensor.distributions.gamma import Gamma
from devtensor.distributions.gumbel import Gumbel
from devtensor.distributions.kl import register_kl
from devtensor.distributions.laplace import Laplace
from devtensor.distributions.normal import Normal
from devtensor.distributions.pareto import Pareto
from devtensor.distributions.poisson import Poisson
from devtensor.distributions.uniform import Uniform
from devtensor.distributions.utils import euler_constant
from devtensor.functions.creation import full_like
from devtensor.functions.masking import where
from devtensor.ops.probability import xlogy


def _square(p: Any, centre: Tensor) -> Tensor:
    """E[(x - centre)^2]."""
    return p.variance + (p.mean - centre).pow(2)


def _between(low: Tensor, high: Tensor) -> Tensor:
    """E[log x] where x is uniform over (low, high)."""
    return (xlogy(high, high) - xlogy(low, low)) / (high - low) - 1


MEAN_LOG: dict[type, Callable[[Any], Tensor]] = {
    Beta: lambda p: p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma(),
    Exponential: lambda p: -p.rate.log() - euler_constant,
    Gamma: lambda p: p.concentration.digamma() - p.rate.log(),
    Pareto: lambda p: p.scale.log() + p.alpha.reciprocal(),
    Uniform: lambda p: _between(p.low, p.high),
}
"""E[log x]."""

MEAN_EXP: dict[type, Callable[[Any, Tensor], Tensor]] = {
    Exponential: lambda p, t: p.rate / (p.rate - t),
    Gamma: lambda p, t: (1 - t / p.rate).pow(-p.concentration),
    Normal: lambda p, t: (t * p.loc + 0.5 * (t * p.scale).pow(2)).exp(),
    Uniform: lambda p, t: ((t * p.high).exp() - (t * p.low).exp()) / (t * (p.high - p.low)),
}
"""E[exp(t x)] for negative t."""


def _mean_log(p: Any) -> Tensor:
    return next(MEAN_LOG[kind] for kind in type(p).__mro__ if kind in MEAN_LOG)(p)


def _mean_exp(p: Any, t: Tensor) -> Tensor:
    return next(MEAN_EXP[kind] for kind in type(p).__mro__ if kind in MEAN_EXP)(p, t)


def _distance(p: Any, centre: Tensor) -> Tensor:
    """E|x - centre| of normal x."""
    away = (p.loc - centre) / p.scale
    folded = math.sqrt(2 / math.pi) * (-0.5 * away.pow(2)).exp()
    return p.scale * (folded + away * (math.sqrt(0.5) * away).erf())


def _under_beta(p: Any, q: Any) -> Tensor:
    a, b = q.concentration1, q.concentration0
    log_beta = a.lgamma() + b.lgamma() - (a + b).lgamma()
    return (a - 1) * _mean_log(p) + (b - 1) * _between(1 - p.high, 1 - p.low) - log_beta


def _under_gamma(p: Any, q: Any) -> Tensor:
    a = q.concentration
    return a * q.rate.log() - a.lgamma() + (a - 1) * _mean_log(p) - q.rate * p.mean


def _under_gumbel(p: Any, q: Any) -> Tensor:
    tail = (q.loc / q.scale).exp() * _mean_exp(p, -q.scale.reciprocal())
    return -q.scale.log() - (p.mean - q.loc) / q.scale - tail


def _under_normal(p: Any, q: Any) -> Tensor:
    return -q.scale.log() - 0.5 * math.log(2 * math.pi) - _square(p, q.loc) / (2 * q.scale.pow(2))


MEAN_LOG_DENSITY: dict[type, Callable[[Any, Any], Tensor]] = {
    Beta: _under_beta,
    ContinuousBernoulli: lambda p, q: p.mean * q.logits + (-q.probs).log1p() + q._cont_bern_log_norm(),
    Exponential: lambda p, q: q.rate.log() - q.rate * p.mean,
    Gamma: _under_gamma,
    Gumbel: _under_gumbel,
    Laplace: lambda p, q: -(2 * q.scale).log() - _distance(p, q.loc) / q.scale,
    Normal: _under_normal,
    Pareto: lambda p, q: q.alpha.log() + xlogy(q.alpha, q.scale) - (q.alpha + 1) * _mean_log(p),
    Poisson: lambda p, q: p.mean * q.rate.log() - q.rate,
    Uniform: lambda p, q: -(q.high - q.low).log(),
}
"""E_p[log q(x)], by the kind of q; the Poisson one for x of 0 and 1 alone."""

OUTSIDE: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {
    (Beta, Uniform): lambda p, q: (q.low > 0) | (q.high < 1),
    (ContinuousBernoulli, Uniform): lambda p, q: (q.low >= 0) | (q.high <= 1),
    (Uniform, Beta): lambda p, q: (p.high > 1) | (p.low < 0),
    (Uniform, ContinuousBernoulli): lambda p, q: (p.high >= 1) | (p.low <= 0),
    (Uniform, Exponential): lambda p, q: p.low < 0,
    (Uniform, Gamma): lambda p, q: p.low < 0,
    (Uniform, Pareto): lambda p, q: p.low < q.scale,
}
"""Where p draws what q never does: the divergence is infinite there.

Source: with bounds that touch, as PyTorch has it for the continuous Bernoulli distribution.
"""

CROSSED: dict[type, tuple[type, ...]] = {
    Bernoulli: (Poisson,),
    Beta: (ContinuousBernoulli, Exponential, Gamma, Normal, Uniform),
    ContinuousBernoulli: (Exponential, Normal, Uniform),
    Exponential: (Gamma, Gumbel, Normal),
    Gamma: (Exponential, Gumbel, Normal),
    Gumbel: (Normal,),
    Laplace: (Normal,),
    Normal: (Gumbel, Laplace),
    Pareto: (Exponential, Gamma, Normal),
    Uniform: (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Normal, Pareto),
}
"""Which pairs have finite divergences."""

BOUNDED = (Beta, ContinuousBernoulli, Pareto, Uniform)
NOT_THE_WHOLE_LINE = (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)
INFINITE: dict[type, tuple[str, tuple[type, ...]]] = {
    Beta: ("concentration1", (Pareto,)),
    ContinuousBernoulli: ("probs", (Pareto,)),
    Exponential: ("rate", BOUNDED),
    Gamma: ("concentration", BOUNDED),
    Gumbel: ("loc", NOT_THE_WHOLE_LINE),
    Laplace: ("loc", NOT_THE_WHOLE_LINE),
    Normal: ("loc", NOT_THE_WHOLE_LINE),
    Pareto: ("scale", (Beta, ContinuousBernoulli, Uniform)),
    Poisson: ("rate", (Bernoulli, Binomial)),
}
"""Pairs whose divergence is infinite whatever the parameters are, and a parameter of p that has its shape."""


def _finite(kind_p: type, kind_q: type) -> Callable[[Any, Any], Tensor]:
    outside = OUTSIDE.get((kind_p, kind_q))

    def formula(p: Any, q: Any) -> Tensor:
        result = -p.entropy() - MEAN_LOG_DENSITY[kind_q](p, q)
        return result if outside is None else where(outside(p, q), math.inf, result)

    return formula


def _infinite(name: str) -> Callable[[Any, Any], Tensor]:
    return lambda p, q: full_like(getattr(p, name), math.inf)


for _p, _others in CROSSED.items():
    for _q in _others:
        register_kl(_p, _q)(_finite(_p, _q))
for _p, (_name, _others) in INFINITE.items():
    for _q in _others:
        register_kl(_p, _q)(_infinite(_name))
