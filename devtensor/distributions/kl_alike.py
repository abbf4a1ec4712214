"""Divergences of two distributions of one kind."""

from __future__ import annotations

import math
from typing import Any

from devtensor.autograd import grad
from devtensor.core.errors import ArgumentError, Unsupported
from devtensor.core.tensor import Tensor
from devtensor.distributions.bernoulli import Bernoulli
from devtensor.distributions.beta import Beta
from devtensor.distributions.binomial import Binomial
from devtensor.distributions.categorical import Categorical
from devtensor.distributions.cauchy import Cauchy
from devtensor.distributions.continuous_bernoulli import ContinuousBernoulli
from devtensor.distributions.dirichlet import Dirichlet
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.distributions.exponential import Exponential
from devtensor.distributions.gamma import Gamma
from devtensor.distributions.geometric import Geometric
from devtensor.distributions.gumbel import Gumbel
from devtensor.distributions.half_normal import HalfNormal
from devtensor.distributions.independent import Independent
from devtensor.distributions.kl import kl_divergence, register_kl
from devtensor.distributions.laplace import Laplace
from devtensor.distributions.lowrank_multivariate_normal import (
    LowRankMultivariateNormal,
    _batch_lowrank_logdet,
    _batch_lowrank_mahalanobis,
)
from devtensor.distributions.matrices import _batch_mahalanobis, log_diagonal, trace_of_square
from devtensor.distributions.multivariate_normal import MultivariateNormal
from devtensor.distributions.normal import Normal
from devtensor.distributions.one_hot_categorical import OneHotCategorical
from devtensor.distributions.pareto import Pareto
from devtensor.distributions.poisson import Poisson
from devtensor.distributions.transformed_distribution import TransformedDistribution
from devtensor.distributions.uniform import Uniform
from devtensor.distributions.utils import _sum_rightmost, euler_constant
from devtensor.functions.masking import where
from devtensor.linalg import solve_triangular
from devtensor.ops.activation import softplus


def _weighted(chance: Tensor, other: Tensor, ratio: Tensor) -> Tensor:
    """chance * ratio of logarithms: infinite where only the other chance is 0, nothing where this one is."""
    return where(chance == 0, 0.0, where(other == 0, math.inf, chance * ratio))


@register_kl(Bernoulli, Bernoulli)
def _(p: Any, q: Any) -> Tensor:
    ones = _weighted(p.probs, q.probs, softplus(-q.logits) - softplus(-p.logits))
    zeros = _weighted(1 - p.probs, 1 - q.probs, softplus(q.logits) - softplus(p.logits))
    return ones + zeros


@register_kl(Beta, Beta)
def _(p: Any, q: Any) -> Tensor:
    return kl_divergence(p._dirichlet, q._dirichlet)


@register_kl(Dirichlet, Dirichlet)
def _(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    scale = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return scale + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Binomial, Binomial)
def _(p: Any, q: Any) -> Tensor:
    if bool((p.total_count < q.total_count).any()):
        raise Unsupported(
            "[kl_divergence] KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    each = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return where(p.total_count > q.total_count, math.inf, p.total_count * each)


@register_kl(Categorical, Categorical)
def _(p: Any, q: Any) -> Tensor:
    return _weighted(p.probs, q.probs, p.logits - q.logits).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _(p: Any, q: Any) -> Tensor:
    return kl_divergence(p._categorical, q._categorical)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _(p: Any, q: Any) -> Tensor:
    own, other = (d._cont_bern_log_norm() + (-d.probs).log1p() for d in (p, q))
    return p.mean * (p.logits - q.logits) + own - other


@register_kl(Exponential, Exponential)
def _(p: Any, q: Any) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(ExponentialFamily, ExponentialFamily)
def _(p: Any, q: Any) -> Tensor:
    """The Bregman divergence of the log normaliser."""
    if type(p) is not type(q):
        raise Unsupported(
            "[kl_divergence] The cross KL-divergence between different exponential families cannot be "
            "computed using Bregman divergences"
        )
    own = [value.detach().requires_grad_() for value in p._natural_params]
    normaliser = p._log_normalizer(*own)
    slopes = grad(normaliser.sum(), own, create_graph=True)
    result = q._log_normalizer(*q._natural_params) - normaliser
    for mine, other, slope in zip(own, q._natural_params, slopes, strict=True):
        result = result - _sum_rightmost((other - mine) * slope, len(q.event_shape))
    return result


@register_kl(Gamma, Gamma)
def _(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    rates = b * (p.rate / q.rate).log() + (q.rate - p.rate) * (a / p.rate)
    return rates + b.lgamma() - a.lgamma() + (a - b) * a.digamma()


@register_kl(Gumbel, Gumbel)
def _(p: Any, q: Any) -> Tensor:
    ratio, away = p.scale / q.scale, (p.loc - q.loc) / q.scale
    tail = ((1 + ratio).lgamma() - away).exp()
    return away - ratio.log() + ratio * euler_constant + tail - (1 + euler_constant)


@register_kl(Geometric, Geometric)
def _(p: Any, q: Any) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _(p: Any, q: Any) -> Tensor:
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _(p: Any, q: Any) -> Tensor:
    ratio, away = p.scale / q.scale, (p.loc - q.loc).abs()
    return away / q.scale - ratio.log() + ratio * (-away / p.scale).exp() - 1


@register_kl(Normal, Normal)
def _(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    away = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (ratio + away - 1 - ratio.log())


@register_kl(Pareto, Pareto)
def _(p: Any, q: Any) -> Tensor:
    ratio = q.alpha / p.alpha
    result = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return where(p.scale < q.scale, math.inf, result)


@register_kl(Poisson, Poisson)
def _(p: Any, q: Any) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _(p: Any, q: Any) -> Tensor:
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return where((q.low > p.low) | (q.high < p.high), math.inf, result)


@register_kl(Cauchy, Cauchy)
def _(p: Any, q: Any) -> Tensor:
    """Source: F. Chyzak and F. Nielsen, "A closed-form formula for the Kullback-Leibler divergence between
    Cauchy distributions", 2019."""
    spread = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return spread.log() - (4 * p.scale * q.scale).log()


@register_kl(Independent, Independent)
def _(p: Any, q: Any) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise Unsupported("[kl_divergence] KL between Independents of different reinterpreted_batch_ndims")
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _(p: Any, q: Any) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise Unsupported("[kl_divergence] KL between distributions that different transforms made")
    return kl_divergence(p.base_dist, q.base_dist)


def _log_det(d: Any) -> Tensor:
    """log det of a normal distribution's covariance."""
    if isinstance(d, MultivariateNormal):
        return 2 * log_diagonal(d._unbroadcasted_scale_tril)
    factor, diagonal = d._parts()
    return _batch_lowrank_logdet(factor, diagonal, d._capacitance_tril)


def _distance(q: Any, x: Tensor) -> Tensor:
    """x' C^-1 x by the covariance C of q."""
    if isinstance(q, MultivariateNormal):
        return _batch_mahalanobis(q._unbroadcasted_scale_tril, x)
    factor, diagonal = q._parts()
    return _batch_lowrank_mahalanobis(factor, diagonal, x, q._capacitance_tril)


def _roots(p: Any) -> tuple[Tensor, ...]:
    """Matrices R whose R R' sum up to the covariance of p."""
    if isinstance(p, MultivariateNormal):
        return (p._unbroadcasted_scale_tril,)
    factor, diagonal = p._parts()
    return factor, diagonal.sqrt().diag_embed()


def _trace(q: Any, root: Tensor) -> Tensor:
    """The trace of C^-1 R R' by the covariance C of q; of low rank, by Woodbury's identity."""
    if isinstance(q, MultivariateNormal):
        return trace_of_square(solve_triangular(q._unbroadcasted_scale_tril, root, upper=False))
    factor, diagonal = q._parts()
    inner = solve_triangular(q._capacitance_tril, factor.mT / diagonal.unsqueeze(-2), upper=False)
    return trace_of_square(root * diagonal.rsqrt().unsqueeze(-1)) - trace_of_square(inner @ root)


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _(p: Any, q: Any) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ArgumentError(
            "[kl_divergence] KL-divergence between two (Low Rank) Multivariate Normals with different event "
            f"shapes cannot be computed: {p.event_shape}, {q.event_shape}"
        )
    traces = sum(_trace(q, root) for root in _roots(p))
    return 0.5 * (_log_det(q) - _log_det(p) + traces + _distance(q, q.loc - p.loc) - p.event_shape[0])
