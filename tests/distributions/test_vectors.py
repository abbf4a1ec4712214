"""Distributions of vectors and matrices, against SciPy and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import devtensor as torch
from devtensor import distributions as D

RNG = np.random.default_rng(0)
COVARIANCE = np.array([[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.7]])
MEAN = np.array([0.5, -1.0, 2.0])
FACTOR = np.array([[0.9, 0.1], [-0.4, 0.6], [0.2, 0.8]])
DIAGONAL = np.array([0.5, 0.8, 0.3])


def wide(array: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(array), dtype=torch.float64)


NORMALS: dict[str, tuple[Callable[[], Any], np.ndarray]] = {
    "covariance": (lambda: D.MultivariateNormal(wide(MEAN), wide(COVARIANCE)), COVARIANCE),
    "precision": (
        lambda: D.MultivariateNormal(wide(MEAN), precision_matrix=wide(np.linalg.inv(COVARIANCE))),
        COVARIANCE,
    ),
    "factor": (
        lambda: D.MultivariateNormal(wide(MEAN), scale_tril=wide(np.linalg.cholesky(COVARIANCE))),
        COVARIANCE,
    ),
    "low rank": (
        lambda: D.LowRankMultivariateNormal(wide(MEAN), wide(FACTOR), wide(DIAGONAL)),
        FACTOR @ FACTOR.T + np.diag(DIAGONAL),
    ),
}


@pytest.mark.parametrize("name", NORMALS)
def test_normal_vectors(name: str) -> None:
    make, covariance = NORMALS[name]
    own, other = make(), stats.multivariate_normal(MEAN, covariance)
    x = RNG.normal(size=(5, 3))
    np.testing.assert_allclose(own.log_prob(wide(x)).numpy(), other.logpdf(x))
    np.testing.assert_allclose(own.entropy().item(), other.entropy())
    np.testing.assert_allclose(own.covariance_matrix.numpy(), covariance, atol=1e-12)
    np.testing.assert_allclose(own.precision_matrix.numpy(), np.linalg.inv(covariance), atol=1e-12)
    np.testing.assert_allclose(own.scale_tril.numpy(), np.linalg.cholesky(covariance), atol=1e-12)
    np.testing.assert_allclose(own.variance.numpy(), np.diag(covariance))
    torch.manual_seed(0)
    drawn = own.sample((20_000,)).numpy()
    np.testing.assert_allclose(drawn.mean(0), MEAN, atol=0.04)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.06)


@pytest.mark.parametrize("of_p", NORMALS)
@pytest.mark.parametrize("of_q", NORMALS)
def test_divergences_of_normal_vectors(of_p: str, of_q: str) -> None:
    (make_p, cov_p), (make_q, cov_q) = NORMALS[of_p], NORMALS[of_q]
    p, q = make_p(), make_q()
    q.loc = q.loc + 0.5
    inverse, away = np.linalg.inv(cov_q), np.full(3, 0.5)
    expected = np.trace(inverse @ cov_p) + away @ inverse @ away - 3
    expected += np.linalg.slogdet(cov_q)[1] - np.linalg.slogdet(cov_p)[1]
    np.testing.assert_allclose(D.kl_divergence(p, q).item(), expected / 2, atol=1e-12)


def test_rsample_of_normal_vectors_moves_with_its_parameters() -> None:
    loc, factor = wide(MEAN).requires_grad_(), wide(np.linalg.cholesky(COVARIANCE)).requires_grad_()
    torch.manual_seed(0)
    drawn = D.MultivariateNormal(loc, scale_tril=factor).rsample()
    noise = np.linalg.solve(factor.detach().numpy(), drawn.detach().numpy() - MEAN)
    weights = wide([1.0, -2.0, 0.5])
    g_loc, g_factor = torch.autograd.grad((drawn * weights).sum(), [loc, factor])
    np.testing.assert_allclose(g_loc.numpy(), weights.numpy())
    np.testing.assert_allclose(g_factor.numpy(), np.outer(weights.numpy(), noise), atol=1e-12)


def test_dirichlet() -> None:
    concentration = np.array([0.7, 2.0, 3.5])
    own, other = D.Dirichlet(wide(concentration)), stats.dirichlet(concentration)
    x = RNG.dirichlet(concentration, 5)
    np.testing.assert_allclose(own.log_prob(wide(x)).numpy(), [other.logpdf(row / row.sum()) for row in x])
    np.testing.assert_allclose(own.entropy().item(), other.entropy())
    np.testing.assert_allclose(own.mean.numpy(), other.mean())
    np.testing.assert_allclose(own.variance.numpy(), other.var())
    torch.manual_seed(0)
    drawn = own.sample((20_000,)).numpy()
    np.testing.assert_allclose(drawn.sum(-1), 1)
    for place in range(3):
        marginal = stats.beta(concentration[place], concentration.sum() - concentration[place])
        assert stats.kstest(drawn[:, place], marginal.cdf).pvalue > 1e-3


def test_dirichlet_gradients_have_the_right_mean() -> None:
    """d E[f] / d concentration, where f is the square of one coordinate, is known in closed form."""
    concentration = wide([0.7, 2.0, 3.5]).requires_grad_()

    def second_moment(a: torch.Tensor) -> torch.Tensor:
        total = a.sum()
        return a[0] * (a[0] + 1) / (total * (total + 1))

    torch.manual_seed(0)
    drawn = D.Dirichlet(concentration).rsample((20_000,))
    (found,) = torch.autograd.grad(drawn[:, 0].square().mean(), concentration)
    (expected,) = torch.autograd.grad(second_moment(concentration), concentration)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=3e-3)


def test_multinomial() -> None:
    chances = np.array([0.2, 0.5, 0.3])
    own, other = D.Multinomial(6, wide(chances)), stats.multinomial(6, chances)
    counts = RNG.multinomial(6, chances, 5)
    np.testing.assert_allclose(own.log_prob(wide(counts)).numpy(), other.logpmf(counts))
    np.testing.assert_allclose(own.entropy().item(), other.entropy())
    torch.manual_seed(0)
    drawn = own.sample((20_000,)).numpy()
    assert (drawn.sum(-1) == 6).all()
    np.testing.assert_allclose(drawn.mean(0), 6 * chances, atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), other.cov(), atol=0.05)


def test_categories() -> None:
    chances = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
    torch.manual_seed(0)
    for make in (
        lambda: D.Categorical(probs=wide(chances * 4)),
        lambda: D.Categorical(logits=wide(np.log(chances) + 3)),
    ):
        own = make()
        np.testing.assert_allclose(own.probs.numpy(), chances)
        np.testing.assert_allclose(own.entropy().numpy(), stats.entropy(chances, axis=-1))
        drawn = own.sample((20_000,)).numpy()
        shares = (drawn[..., None] == np.arange(3)).mean(0)
        np.testing.assert_allclose(shares, chances, atol=0.015)
        np.testing.assert_allclose(own.log_prob(torch.tensor([2, 0])).numpy(), np.log([0.3, 0.6]))
        assert own.enumerate_support().tolist() == [[0, 0], [1, 1], [2, 2]]
    hot = D.OneHotCategorical(wide(chances))
    drawn = hot.sample((20_000,))
    assert bool((drawn.sum(-1) == 1).all())
    np.testing.assert_allclose(drawn.mean(0).numpy(), chances, atol=0.015)
    np.testing.assert_allclose(hot.log_prob(drawn[:3]).numpy(), np.log((drawn[:3].numpy() * chances).sum(-1)))


def test_straight_through_passes_gradients_to_the_chances() -> None:
    chances = wide([0.2, 0.5, 0.3]).requires_grad_()
    drawn = D.OneHotCategoricalStraightThrough(probs=chances).rsample((4,))
    assert sorted(set(drawn.detach().reshape(-1).tolist())) == [0.0, 1.0]
    (found,) = torch.autograd.grad((drawn * wide([1.0, 2.0, 4.0])).sum(), chances)
    weights = np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(found.numpy(), 4 * (weights - (weights * [0.2, 0.5, 0.3]).sum()))


def test_wishart() -> None:
    own, other = D.Wishart(6.5, wide(COVARIANCE)), stats.wishart(6.5, COVARIANCE)
    x = other.rvs(3, random_state=0)
    np.testing.assert_allclose(own.log_prob(wide(x)).numpy(), other.logpdf(np.moveaxis(x, 0, -1)))
    np.testing.assert_allclose(own.entropy().item(), other.entropy())
    np.testing.assert_allclose(own.mean.numpy(), other.mean())
    np.testing.assert_allclose(own.variance.numpy(), other.var())
    torch.manual_seed(0)
    drawn = own.sample((20_000,)).numpy()
    np.testing.assert_allclose(drawn.mean(0), other.mean(), atol=0.15)
    np.testing.assert_allclose(drawn.var(0), other.var(), rtol=0.08)


def test_lkj_factors() -> None:
    """Correlations of n x n matrices under LKJ(c) are beta numbers over (-1, 1), of c - 1 + n / 2 twice."""
    own = D.LKJCholesky(4, wide(1.5))
    torch.manual_seed(0)
    factors = own.sample((5_000,))
    assert bool(D.constraints.corr_cholesky.check(factors).all())
    matrices = (factors @ factors.mT).numpy()
    marginal = stats.beta(2.5, 2.5, -1, 2)
    for row, column in ((1, 0), (3, 1), (3, 2)):
        assert stats.kstest(matrices[:, row, column], marginal.cdf).pvalue > 1e-3
    # For size 2 the density of the one free number is that of the correlation.
    small = D.LKJCholesky(2, wide(1.5))
    r = 0.3
    factor = wide([[1.0, 0.0], [r, math.sqrt(1 - r * r)]])
    np.testing.assert_allclose(small.log_prob(factor).item(), stats.beta(1.5, 1.5, -1, 2).logpdf(r))


def test_mixture() -> None:
    chances, loc, scale = np.array([0.3, 0.7]), np.array([-1.0, 2.0]), np.array([0.5, 1.5])
    own = D.MixtureSameFamily(D.Categorical(wide(chances)), D.Normal(wide(loc), wide(scale)))

    def cdf(x: np.ndarray) -> np.ndarray:
        return (chances * stats.norm(loc, scale).cdf(np.asarray(x)[..., None])).sum(-1)

    x = np.linspace(-2, 4, 7)
    densities = (chances * stats.norm(loc, scale).pdf(x[:, None])).sum(-1)
    np.testing.assert_allclose(own.log_prob(wide(x)).numpy(), np.log(densities))
    np.testing.assert_allclose(own.cdf(wide(x)).numpy(), cdf(x))
    mean = (chances * loc).sum()
    np.testing.assert_allclose(own.mean.item(), mean)
    np.testing.assert_allclose(own.variance.item(), (chances * (scale**2 + loc**2)).sum() - mean**2)
    torch.manual_seed(0)
    assert stats.kstest(own.sample((5_000,)).numpy(), cdf).pvalue > 1e-3


def test_relaxed_ones_near_their_limits() -> None:
    torch.manual_seed(0)
    cold = D.RelaxedBernoulli(wide(0.01), probs=wide(0.3)).sample((5_000,)).numpy()
    np.testing.assert_allclose((cold > 0.5).mean(), 0.3, atol=0.02)
    assert (np.minimum(cold, 1 - cold) < 0.02).mean() > 0.95
    chances = np.array([0.2, 0.5, 0.3])
    cold = D.RelaxedOneHotCategorical(wide(0.1), probs=wide(chances)).sample((5_000,)).numpy()
    np.testing.assert_allclose(cold.sum(-1), 1)
    np.testing.assert_allclose((cold.argmax(-1)[:, None] == np.arange(3)).mean(0), chances, atol=0.03)


def test_logistic_normal_has_a_density() -> None:
    """Over the simplex of two, the density in the first coordinate integrates to 1."""
    own = D.LogisticNormal(wide([0.3]), wide([0.8]))
    x = np.linspace(1e-4, 1 - 1e-4, 20_001)
    density = own.log_prob(wide(np.stack([x, 1 - x], -1))).exp().numpy()
    np.testing.assert_allclose(np.trapezoid(density, x), 1, rtol=1e-4)
