"""Densities, chances, quantiles, entropies, moments and draws of numbers, against SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import integrate, stats

import devtensor as torch
from devtensor import distributions as D


class Case(NamedTuple):
    """A distribution of single numbers, the same in SciPy, and whether it is discrete."""

    own: Callable[[], Any]
    scipy: Any
    discrete: bool = False


def wide(*values: float) -> list[torch.Tensor]:
    return [torch.tensor(value, dtype=torch.float64) for value in values]


def case(name: str, arguments: tuple, scipy: Any, discrete: bool = False, **named: float) -> tuple[str, Case]:
    def made() -> Any:
        given = {key: wide(value)[0] for key, value in named.items()}
        return getattr(D, name)(*wide(*arguments), **given)

    return f"{name}{arguments}{named or ''}", Case(made, scipy, discrete)


def continuous_bernoulli(p: float) -> Any:
    class Tilted(stats.rv_continuous):
        def _pdf(self, x: Any) -> Any:
            return rate * np.exp(rate * x) / math.expm1(rate)

        def _cdf(self, x: Any) -> Any:
            return np.expm1(rate * x) / math.expm1(rate)

        def _ppf(self, u: Any) -> Any:
            return np.log1p(u * math.expm1(rate)) / rate

        def _entropy(self) -> Any:
            mean = 1 + 1 / math.expm1(rate) - 1 / rate
            return math.log(math.expm1(rate) / rate) - rate * mean

    rate = math.log(p / (1 - p))

    return Tilted(a=0, b=1)()


def kumaraswamy(a: float, b: float) -> Any:
    class Powers(stats.rv_continuous):
        def _cdf(self, x: Any) -> Any:
            return 1 - (1 - x**a) ** b

        def _pdf(self, x: Any) -> Any:
            return a * b * x ** (a - 1) * (1 - x**a) ** (b - 1)

        def _ppf(self, u: Any) -> Any:
            return (1 - (1 - u) ** (1 / b)) ** (1 / a)

        def _entropy(self) -> Any:
            return integrate.quad(lambda x: -self._pdf(x) * math.log(self._pdf(x)), 1e-12, 1 - 1e-12)[0]

    return Powers(a=0, b=1)()


CASES = dict([
    case("Bernoulli", (0.3,), stats.bernoulli(0.3), discrete=True),
    case("Bernoulli", (), stats.bernoulli(1 / (1 + math.exp(-0.7))), discrete=True, logits=0.7),
    case("Beta", (0.6, 2.5), stats.beta(0.6, 2.5)),
    case("Beta", (8.0, 3.0), stats.beta(8.0, 3.0)),
    case("Binomial", (6.0, 0.3), stats.binom(6, 0.3), discrete=True),
    case("Binomial", (60.0, 0.7), stats.binom(60, 0.7), discrete=True),
    case("Cauchy", (0.5, 2.0), stats.cauchy(0.5, 2.0)),
    case("Chi2", (3.5,), stats.chi2(3.5)),
    case("ContinuousBernoulli", (0.2,), continuous_bernoulli(0.2)),
    case("Exponential", (2.5,), stats.expon(scale=1 / 2.5)),
    case("FisherSnedecor", (5.0, 9.0), stats.f(5.0, 9.0)),
    case("Gamma", (0.4, 2.0), stats.gamma(0.4, scale=0.5)),
    case("Gamma", (7.0, 0.5), stats.gamma(7.0, scale=2.0)),
    case("GeneralizedPareto", (1.0, 2.0, 0.2), stats.genpareto(0.2, 1.0, 2.0)),
    case("GeneralizedPareto", (1.0, 2.0, 0.0), stats.genpareto(0.0, 1.0, 2.0)),
    case("GeneralizedPareto", (1.0, 2.0, -0.4), stats.genpareto(-0.4, 1.0, 2.0)),
    case("Geometric", (0.3,), stats.geom(0.3, -1), discrete=True),
    case("Gumbel", (0.5, 2.0), stats.gumbel_r(0.5, 2.0)),
    case("HalfCauchy", (2.0,), stats.halfcauchy(scale=2.0)),
    case("HalfNormal", (2.0,), stats.halfnorm(scale=2.0)),
    case("InverseGamma", (3.5, 2.0), stats.invgamma(3.5, scale=2.0)),
    case("Kumaraswamy", (2.0, 3.0), kumaraswamy(2.0, 3.0)),
    case("Laplace", (0.5, 2.0), stats.laplace(0.5, 2.0)),
    case("LogNormal", (0.5, 0.4), stats.lognorm(0.4, scale=math.exp(0.5))),
    case("NegativeBinomial", (3.0, 0.4), stats.nbinom(3, 0.6), discrete=True),
    case("Normal", (0.5, 2.0), stats.norm(0.5, 2.0)),
    case("Pareto", (1.5, 4.5), stats.pareto(4.5, scale=1.5)),
    case("Poisson", (2.5,), stats.poisson(2.5), discrete=True),
    case("Poisson", (40.0,), stats.poisson(40.0), discrete=True),
    case("StudentT", (5.0, 0.5, 2.0), stats.t(5.0, 0.5, 2.0)),
    case("Uniform", (-1.0, 2.5), stats.uniform(-1.0, 3.5)),
    case("VonMises", (0.4, 3.0), stats.vonmises(3.0, 0.4)),
    case("Weibull", (2.0, 1.5), stats.weibull_min(1.5, scale=2.0)),
])  # fmt: skip
EACH = pytest.mark.parametrize("one", CASES.values(), ids=CASES)
CHANCES = np.linspace(0.03, 0.97, 11)
# SciPy's kind of variance is that on the line.
CIRCULAR = (D.VonMises,)


def asked(call: Callable[[], Any]) -> np.ndarray | None:
    """What a call gives; nothing where the distribution does not offer it."""
    try:
        return call().numpy()
    except NotImplementedError:
        return None


@EACH
def test_densities_and_chances(one: Case) -> None:
    own = one.own()
    x = one.scipy.ppf(CHANCES)
    values = torch.tensor(x)
    expected = one.scipy.logpmf(x) if one.discrete else one.scipy.logpdf(x)
    np.testing.assert_allclose(own.log_prob(values).numpy(), expected, rtol=1e-6, atol=1e-9)
    found = asked(lambda: own.cdf(values))
    if found is not None:
        np.testing.assert_allclose(found, one.scipy.cdf(x), rtol=1e-7)
    found = asked(lambda: own.icdf(torch.tensor(CHANCES)))
    if found is not None:
        np.testing.assert_allclose(found, x, rtol=1e-6)


@EACH
def test_entropies_and_moments(one: Case) -> None:
    own = one.own()
    found = asked(own.entropy)
    if found is not None:
        expected = one.scipy.entropy()
        np.testing.assert_allclose(found, expected, rtol=2e-6)
        np.testing.assert_allclose(own.perplexity().numpy(), np.exp(expected), rtol=5e-6)
    np.testing.assert_allclose(own.mean.numpy(), one.scipy.mean(), rtol=1e-6)
    if not isinstance(own, CIRCULAR) and math.isfinite(one.scipy.var()):
        np.testing.assert_allclose(own.variance.numpy(), one.scipy.var(), rtol=1e-6)
        np.testing.assert_allclose(own.stddev.numpy(), one.scipy.std(), rtol=1e-6)


@EACH
def test_modes_are_where_densities_are_highest(one: Case) -> None:
    own = one.own()
    found = asked(lambda: own.mode)
    if found is None or not np.isfinite(found):
        return
    own._validate_args = False
    top = own.log_prob(torch.tensor(found)).item()
    others = own.log_prob(torch.tensor(one.scipy.ppf(np.linspace(0.001, 0.999, 200)))).numpy()
    assert top >= others.max() - 1e-9


@EACH
def test_draws_follow_the_distribution(one: Case) -> None:
    torch.manual_seed(7)
    count = 20_000
    drawn = one.own().sample((count,)).numpy()
    if not one.discrete:
        assert stats.kstest(drawn, one.scipy.cdf).pvalue > 1e-3
        return
    edges = np.unique(one.scipy.ppf(np.linspace(0.02, 0.98, 15)))
    below = one.scipy.cdf(edges)
    shares = np.diff(np.concatenate([[0], below, [1]]))
    met = np.diff(np.concatenate([[0], [(drawn <= edge).sum() for edge in edges], [count]]))
    keep = shares > 1e-9
    assert met[~keep].sum() == 0
    assert stats.chisquare(met[keep], shares[keep] / shares[keep].sum() * count).pvalue > 1e-3


# Made of several draws, so that gradients are not the quantile's; and at the joint of two formulas.
NOT_BY_QUANTILES = ("FisherSnedecor", "StudentT", "GeneralizedPareto(1.0, 2.0, 0.0)")
REPARAMETRISED = {
    name: one
    for name, one in CASES.items()
    if one.own().has_rsample and not name.startswith(NOT_BY_QUANTILES)
}


@pytest.mark.parametrize("name", REPARAMETRISED)
def test_gradients_of_draws_are_those_of_quantiles(name: str) -> None:
    """At a draw x and its chance u, dx/dparameter = -(dF/dparameter) / density, by SciPy's F."""
    own = REPARAMETRISED[name].own()
    names = [key for key in own.arg_constraints if key != "logits"]
    torch.manual_seed(3)
    for _ in range(5):
        leaves = {key: getattr(own, key).detach().requires_grad_() for key in names}
        made = type(own)(**leaves)
        x = made.rsample()
        slopes = torch.autograd.grad(x, list(leaves.values()))
        density = made.log_prob(x.detach()).exp().item()
        for (key, value), slope in zip(leaves.items(), slopes, strict=True):
            places = (value.item() - 1e-5, value.item() + 1e-5)
            below, above = (chance(type(own), leaves, key, place, x.item()) for place in places)
            expected = -(above - below) / 2e-5 / density
            np.testing.assert_allclose(slope.item(), expected, rtol=2e-4, atol=1e-7)


SCIPY: dict[str, Callable[..., Any]] = {
    "Beta": lambda concentration1, concentration0: stats.beta(concentration1, concentration0),
    "Cauchy": stats.cauchy,
    "Chi2": stats.chi2,
    "ContinuousBernoulli": lambda probs: continuous_bernoulli(probs),
    "Exponential": lambda rate: stats.expon(scale=1 / rate),
    "Gamma": lambda concentration, rate: stats.gamma(concentration, scale=1 / rate),
    "GeneralizedPareto": lambda loc, scale, concentration: stats.genpareto(concentration, loc, scale),
    "Gumbel": stats.gumbel_r,
    "HalfCauchy": lambda scale: stats.halfcauchy(scale=scale),
    "HalfNormal": lambda scale: stats.halfnorm(scale=scale),
    "InverseGamma": lambda concentration, rate: stats.invgamma(concentration, scale=rate),
    "Kumaraswamy": lambda concentration1, concentration0: kumaraswamy(concentration1, concentration0),
    "Laplace": stats.laplace,
    "LogNormal": lambda loc, scale: stats.lognorm(scale, scale=math.exp(loc)),
    "Normal": stats.norm,
    "Pareto": lambda alpha, scale: stats.pareto(alpha, scale=scale),
    "Uniform": lambda low, high: stats.uniform(low, high - low),
    "Weibull": lambda scale, concentration: stats.weibull_min(concentration, scale=scale),
}


def chance(kind: type, leaves: dict[str, Any], moved: str, value: float, x: float) -> float:
    numbers = {key: leaf.item() for key, leaf in leaves.items()} | {moved: value}
    return float(SCIPY[kind.__name__](**numbers).cdf(x))


CONTINUOUS = [
    lambda: D.Beta(*wide(2.0, 3.0)),
    lambda: D.ContinuousBernoulli(*wide(0.3)),
    lambda: D.Exponential(*wide(1.5)),
    lambda: D.Gamma(*wide(2.5, 1.5)),
    lambda: D.Gumbel(*wide(0.3, 1.2)),
    lambda: D.Laplace(*wide(0.3, 0.8)),
    lambda: D.Normal(*wide(0.2, 1.3)),
    lambda: D.Pareto(*wide(1.2, 3.5)),
    lambda: D.Uniform(*wide(0.2, 0.9)),
    lambda: D.Cauchy(*wide(0.2, 0.9)),
    lambda: D.HalfNormal(*wide(0.7)),
    lambda: D.LogNormal(*wide(0.1, 0.7)),
]
OTHERS = [
    lambda: D.Beta(*wide(1.5, 1.2)),
    lambda: D.ContinuousBernoulli(*wide(0.6)),
    lambda: D.Exponential(*wide(0.7)),
    lambda: D.Gamma(*wide(1.5, 0.8)),
    lambda: D.Gumbel(*wide(-0.3, 2.2)),
    lambda: D.Laplace(*wide(-0.3, 1.8)),
    lambda: D.Normal(*wide(-0.2, 2.3)),
    lambda: D.Pareto(*wide(0.8, 1.5)),
    lambda: D.Uniform(*wide(-0.2, 5.9)),
    lambda: D.Cauchy(*wide(-0.2, 2.9)),
    lambda: D.HalfNormal(*wide(1.7)),
    lambda: D.LogNormal(*wide(0.4, 0.7)),
]


@pytest.mark.parametrize("of_p", CONTINUOUS, ids=lambda made: type(made()).__name__)
def test_divergences_are_integrals(of_p: Callable[[], Any]) -> None:
    p = of_p()
    tested = 0
    for of_q in OTHERS:
        q = of_q()
        try:
            found = D.kl_divergence(p, q).item()
        except NotImplementedError:
            continue
        for each in (p, q):
            each._validate_args = False
        ends, others = (SUPPORT[type(each).__name__](each) for each in (p, q))
        if not math.isfinite(found):
            # PyTorch has bounds that touch for outside here.
            touching = type(q) is D.Uniform and type(p) is D.ContinuousBernoulli
            assert others[0] > ends[0] or others[1] < ends[1] or touching, (type(p), type(q))
            continue
        np.testing.assert_allclose(found, integral(p, q, *ends), rtol=1e-5, err_msg=type(q).__name__)
        tested += 1
    assert tested


LINE, HALF, SEGMENT = (-math.inf, math.inf), (0.0, math.inf), (0.0, 1.0)
SUPPORT: dict[str, Callable[[Any], tuple[float, float]]] = {
    "Beta": lambda d: SEGMENT,
    "ContinuousBernoulli": lambda d: SEGMENT,
    **dict.fromkeys(("Exponential", "Gamma", "HalfNormal", "LogNormal"), lambda d: HALF),
    **dict.fromkeys(("Gumbel", "Laplace", "Normal", "Cauchy"), lambda d: LINE),
    "Pareto": lambda d: (d.scale.item(), math.inf),
    "Uniform": lambda d: (d.low.item(), d.high.item()),
}


def integral(p: Any, q: Any, low: float, high: float) -> float:
    """That of p (log p - log q): by trapezoids, on places that crowd towards both ends."""
    s = np.linspace(-36, 36, 20_001)
    if math.isinf(low):
        x, slope = np.sinh(s), np.cosh(s)
    elif math.isinf(high):
        x, slope = low + np.exp(s), np.exp(s)
    else:
        share = 1 / (1 + np.exp(-s))
        x, slope = low + (high - low) * share, (high - low) * share * (1 - share)
    values = torch.tensor(x)
    mine, other = p.log_prob(values).numpy(), q.log_prob(values).numpy()
    weight = np.exp(mine) * slope
    keep = weight > 1e-300
    mine[~keep] = other[~keep] = 0
    return float(np.trapezoid(weight * (mine - other), s))


DISCRETE = [
    (lambda: D.Bernoulli(*wide(0.3)), lambda: D.Bernoulli(*wide(0.6))),
    (lambda: D.Bernoulli(*wide(0.3)), lambda: D.Poisson(*wide(0.6))),
    (lambda: D.Binomial(*wide(5, 0.3)), lambda: D.Binomial(*wide(5, 0.6))),
    (
        lambda: D.Categorical(torch.tensor([0.2, 0.5, 0.3])),
        lambda: D.Categorical(torch.tensor([0.3, 0.1, 0.6])),
    ),
    (lambda: D.Geometric(*wide(0.3)), lambda: D.Geometric(*wide(0.6))),
    (lambda: D.Poisson(*wide(3.0)), lambda: D.Poisson(*wide(1.5))),
]


@pytest.mark.parametrize(("of_p", "of_q"), DISCRETE)
def test_divergences_are_sums(of_p: Callable[[], Any], of_q: Callable[[], Any]) -> None:
    p, q = of_p(), of_q()
    count = {D.Bernoulli: 2, D.Binomial: 6, D.Categorical: 3}.get(type(p), 120)
    values = torch.arange(count, dtype=torch.float64)
    mine, other = p.log_prob(values), q.log_prob(values)
    expected = (mine.exp() * (mine - other)).sum().item()
    np.testing.assert_allclose(D.kl_divergence(p, q).item(), expected, rtol=1e-5)
