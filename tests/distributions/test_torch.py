"""Distributions against PyTorch itself: an optional run (--oracle torch)."""

from __future__ import annotations

import inspect
import warnings
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import devtensor
import devtensor.distributions as ours

RNG = np.random.default_rng(0)


def positive(*shape: int) -> np.ndarray:
    return RNG.uniform(0.3, 4, shape)


def real(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def unit(*shape: int) -> np.ndarray:
    return RNG.uniform(0.05, 0.95, shape)


def simplex(*shape: int) -> np.ndarray:
    return RNG.dirichlet(np.ones(shape[-1]) * 2, shape[:-1])


def triangle(*shape: int) -> np.ndarray:
    made = np.tril(RNG.normal(size=shape))
    made[..., range(shape[-1]), range(shape[-1])] = RNG.uniform(0.5, 2, shape[:-1])
    return made


def definite(*shape: int) -> np.ndarray:
    factor = triangle(*shape)
    return factor @ factor.swapaxes(-1, -2)


# Name: arguments by keyword. Each is drawn anew for each of the cases.
CASES: list[tuple[str, dict[str, Any]]] = [
    ("Bernoulli", {"probs": lambda: unit(3, 2)}),
    ("Bernoulli", {"logits": lambda: real(3)}),
    ("Bernoulli", {"probs": 0.3}),
    ("Beta", {"concentration1": lambda: positive(3, 1), "concentration0": lambda: positive(2)}),
    ("Beta", {"concentration1": 2.0, "concentration0": 0.5}),
    ("Binomial", {"total_count": 5, "probs": lambda: unit(3)}),
    ("Binomial", {"total_count": 7, "logits": lambda: real(3, 2)}),
    ("Categorical", {"probs": lambda: positive(2, 4)}),
    ("Categorical", {"logits": lambda: real(4)}),
    ("Cauchy", {"loc": lambda: real(3), "scale": lambda: positive(3)}),
    ("Chi2", {"df": lambda: positive(3)}),
    ("ContinuousBernoulli", {"probs": lambda: np.array([0.1, 0.4995, 0.5, 0.8])}),
    ("ContinuousBernoulli", {"logits": lambda: real(3)}),
    ("Dirichlet", {"concentration": lambda: positive(2, 3)}),
    ("Dirichlet", {"concentration": lambda: positive(3) / 5}),
    ("Exponential", {"rate": lambda: positive(3)}),
    ("FisherSnedecor", {"df1": lambda: positive(3) + 2, "df2": lambda: positive(3) * 2}),
    ("Gamma", {"concentration": lambda: positive(3), "rate": lambda: positive(2, 1)}),
    ("GeneralizedPareto", {"loc": 1.0, "scale": lambda: positive(3), "concentration": lambda: real(3) / 3}),
    ("Geometric", {"probs": lambda: unit(3)}),
    ("Geometric", {"logits": lambda: real(3)}),
    ("Gumbel", {"loc": lambda: real(3), "scale": lambda: positive(3)}),
    ("HalfCauchy", {"scale": lambda: positive(3)}),
    ("HalfNormal", {"scale": lambda: positive(2, 1)}),
    ("InverseGamma", {"concentration": lambda: positive(3), "rate": lambda: positive(3)}),
    ("Kumaraswamy", {"concentration1": lambda: positive(3), "concentration0": lambda: positive(3)}),
    ("LKJCholesky", {"dim": 3, "concentration": lambda: positive(2)}),
    ("Laplace", {"loc": lambda: real(3), "scale": lambda: positive(3)}),
    ("LogNormal", {"loc": lambda: real(3), "scale": lambda: positive(3)}),
    ("LogisticNormal", {"loc": lambda: real(2, 3), "scale": lambda: positive(2, 3)}),
    (
        "LowRankMultivariateNormal",
        {"loc": lambda: real(2, 3), "cov_factor": lambda: real(3, 2), "cov_diag": lambda: positive(3)},
    ),
    ("Multinomial", {"total_count": 4, "probs": lambda: positive(2, 3)}),
    ("Multinomial", {"total_count": 4, "logits": lambda: real(3)}),
    ("MultivariateNormal", {"loc": lambda: real(2, 3), "covariance_matrix": lambda: definite(3, 3)}),
    ("MultivariateNormal", {"loc": lambda: real(3), "scale_tril": lambda: triangle(2, 3, 3)}),
    ("MultivariateNormal", {"loc": lambda: real(2, 3), "precision_matrix": lambda: definite(2, 3, 3)}),
    ("NegativeBinomial", {"total_count": lambda: positive(3), "probs": lambda: unit(3)}),
    ("NegativeBinomial", {"total_count": 4, "logits": lambda: -positive(3)}),
    ("Normal", {"loc": lambda: real(3, 1), "scale": lambda: positive(2)}),
    ("Normal", {"loc": 0, "scale": 2.5}),
    ("OneHotCategorical", {"probs": lambda: positive(2, 3)}),
    ("OneHotCategoricalStraightThrough", {"logits": lambda: real(3)}),
    ("Pareto", {"scale": lambda: positive(3), "alpha": lambda: positive(3)}),
    ("Poisson", {"rate": lambda: positive(3)}),
    ("RelaxedBernoulli", {"temperature": lambda: positive(), "probs": lambda: unit(3)}),
    ("RelaxedBernoulli", {"temperature": lambda: positive(), "logits": lambda: real(3)}),
    ("RelaxedOneHotCategorical", {"temperature": lambda: positive(), "logits": lambda: real(2, 3)}),
    ("StudentT", {"df": lambda: positive(3), "loc": lambda: real(3), "scale": lambda: positive(3)}),
    ("Uniform", {"low": lambda: -positive(3), "high": lambda: positive(2, 1)}),
    ("VonMises", {"loc": lambda: real(3), "concentration": lambda: positive(3)}),
    ("Weibull", {"scale": lambda: positive(3), "concentration": lambda: positive(3)}),
    ("Wishart", {"df": lambda: positive(2) + 4, "covariance_matrix": lambda: definite(3, 3)}),
    ("Wishart", {"df": 5.0, "scale_tril": lambda: triangle(2, 3, 3)}),
]
# What fails in PyTorch and works here: (name, call, the kind of its error).
FAILS_THERE = {
    ("Wishart", "mean", "RuntimeError"),
    ("Wishart", "variance", "RuntimeError"),
    ("Wishart", "stddev", "RuntimeError"),
    ("Wishart", "mode", "RuntimeError"),
    ("GeneralizedPareto", "log_prob", "RuntimeError"),
    ("GeneralizedPareto", "cdf", "RuntimeError"),
    ("Multinomial", "entropy", "AttributeError"),
}
PROPERTIES = ("mean", "mode", "variance", "stddev")
PLAIN = ("has_rsample", "has_enumerate_support", "batch_shape", "event_shape", "support", "arg_constraints")


@pytest.fixture(scope="module")
def torch(request: pytest.FixtureRequest) -> Any:
    if request.config.getoption("--oracle") != "torch":
        pytest.skip("runs with --oracle torch")
    import torch

    return torch


def drawn(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value() if callable(value) else value for name, value in arguments.items()}


def tensors(library: Any, arguments: dict[str, Any], leaves: bool = False) -> dict[str, Any]:
    made = {}
    for name, value in arguments.items():
        made[name] = value
        if isinstance(value, (np.ndarray, np.floating)):
            made[name] = library.tensor(np.asarray(value), dtype=library.float64)
            made[name].requires_grad_(leaves)
    return made


def outcome(call: Any) -> Any:
    """What a call gives, or the error by which it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except (
        NotImplementedError,
        ValueError,
        RuntimeError,
        AssertionError,
        TypeError,
        AttributeError,
        IndexError,
    ) as error:
        return error


def alike(own: Any, other: Any, where: str, tolerance: float = 1e-6) -> None:
    if (*where.split("."), type(other).__name__) in FAILS_THERE and not isinstance(own, Exception):
        return
    if isinstance(other, Exception):
        kind = next(kind for kind in type(other).__mro__ if kind.__module__ == "builtins")
        assert isinstance(own, kind), f"{where}: {own!r} for {other!r}"
        return
    assert not isinstance(own, Exception), f"{where}: {own!r}"
    if type(other).__name__ in ("Tensor", "Parameter"):
        assert tuple(own.shape) == tuple(other.shape), where
        assert str(own.dtype).split(".")[-1] == str(other.dtype).split(".")[-1], where
        own, other = own.detach().numpy(), other.detach().numpy()
        np.testing.assert_allclose(own, other, rtol=tolerance, atol=tolerance, err_msg=where)
    else:
        assert own == other or repr(own).replace("devtensor", "torch") == repr(other), where


def same_case(torch: Any, name: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    numbers = drawn(arguments)
    theirs = torch.distributions
    return (
        getattr(ours, name)(**tensors(devtensor, numbers)),
        getattr(theirs, name)(**tensors(torch, numbers)),
    )


IDS = [f"{name}-{'-'.join(arguments)}" for name, arguments in CASES]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_facts_and_moments_agree(torch: Any, name: str, arguments: dict[str, Any]) -> None:
    own, other = same_case(torch, name, arguments)
    assert repr(own) == repr(other).replace("torch.", "devtensor.")
    for fact in (*PLAIN, *PROPERTIES):
        alike(*(outcome(lambda d=d, fact=fact: getattr(d, fact)) for d in (own, other)), f"{name}.{fact}")
    for call in ("entropy", "perplexity", "enumerate_support"):
        alike(*(outcome(lambda d=d, call=call: getattr(d, call)()) for d in (own, other)), f"{name}.{call}")


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_densities_of_draws_agree(torch: Any, name: str, arguments: dict[str, Any]) -> None:
    own, other = same_case(torch, name, arguments)
    torch.manual_seed(0)
    values = outcome(lambda: other.sample((4,)))
    assert own.sample((4,)).shape == tuple(values.shape)
    assert str(own.sample().dtype).split(".")[-1] == str(values.dtype).split(".")[-1]
    mine = devtensor.tensor(values.numpy())
    chances = RNG.uniform(0.05, 0.95, (4, *other.batch_shape, *other.event_shape))
    for call, given in (
        ("log_prob", (mine, values)),
        ("cdf", (mine, values)),
        ("icdf", (devtensor.tensor(chances), torch.tensor(chances))),
        ("log_prob", (mine[..., None] * 100 - 50.5, values[..., None] * 100 - 50.5)),
        ("log_prob", (3.0, 3.0)),
    ):
        pair = [
            outcome(lambda d=d, v=v, c=call: getattr(d, c)(v))
            for d, v in zip((own, other), given, strict=True)
        ]
        alike(*pair, f"{name}.{call}", 1e-5)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_gradients_agree(torch: Any, name: str, arguments: dict[str, Any]) -> None:
    numbers = drawn(arguments)
    torch.manual_seed(1)
    source = getattr(torch.distributions, name)(**tensors(torch, numbers))
    values = outcome(lambda: source.sample((3,))).numpy()
    for call in ("log_prob", "entropy", "mean", "variance"):
        pair = [
            gradients(library, kinds, name, numbers, call, values)
            for library, kinds in ((devtensor, ours), (torch, torch.distributions))
        ]
        for own, other in zip(*pair, strict=False):
            if other is not None and own is not None and bool(torch.isfinite(other).all()):
                alike(own, other, f"{name}.{call} gradient", 1e-5)


def gradients(library: Any, kinds: Any, name: str, numbers: dict, call: str, values: np.ndarray) -> tuple:
    """Those of what a call gives, for the parameters that are tensors; none where there are none."""
    given = tensors(library, numbers, leaves=True)
    distribution = getattr(kinds, name)(**given)
    got = outcome(lambda: _asked(distribution, call, library.tensor(values)))
    leaves = [value for value in given.values() if getattr(value, "requires_grad", False)]
    if isinstance(got, Exception) or not leaves or not got.requires_grad:
        return ()
    return library.autograd.grad(got.sum(), leaves, allow_unused=True)


def _asked(distribution: Any, call: str, value: Any) -> Any:
    if call == "log_prob":
        return distribution.log_prob(value)
    found = getattr(distribution, call)
    return found() if callable(found) else found


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_expanded_ones_agree(torch: Any, name: str, arguments: dict[str, Any]) -> None:
    own, other = same_case(torch, name, arguments)
    shape = (5, *other.batch_shape)
    own, other = own.expand(shape), other.expand(shape)
    assert repr(own) == repr(other).replace("torch.", "devtensor.")
    values = outcome(other.sample)
    assert own.sample((2, 1)).shape == tuple(outcome(lambda: other.sample((2, 1))).shape)
    pair = own.log_prob(devtensor.tensor(values.numpy())), outcome(lambda: other.log_prob(values))
    alike(*pair, f"{name}.log_prob", 1e-5)
    for fact in ("batch_shape", "event_shape", "mean", "variance"):
        alike(*(outcome(lambda d=d, fact=fact: getattr(d, fact)) for d in (own, other)), f"{name}.{fact}")
    alike(*(outcome(lambda d=d: d.entropy()) for d in (own, other)), f"{name}.entropy")


def test_divergences_agree(torch: Any) -> None:
    """Every pair of cases; what PyTorch has no formula for is refused here, too."""
    theirs = torch.distributions
    made = []
    for name, arguments in CASES:
        numbers = drawn(arguments)
        made.append(
            tuple(
                getattr(k, name)(**tensors(lib, numbers)) for lib, k in ((devtensor, ours), (torch, theirs))
            )
        )
    count = 0
    for own_p, other_p in made:
        for own_q, other_q in made:
            where = f"KL({type(own_p).__name__}, {type(own_q).__name__})"
            expected = outcome(lambda p=other_p, q=other_q: theirs.kl_divergence(p, q))
            found = outcome(lambda p=own_p, q=own_q: ours.kl_divergence(p, q))
            if isinstance(expected, IndexError):
                # PyTorch's masks must have the shape of the result already.
                assert not isinstance(found, Exception), where
                continue
            alike(found, expected, where)
            count += not isinstance(expected, Exception)
    assert count > 100


def test_registered_pairs_agree(torch: Any) -> None:
    from torch.distributions.kl import _KL_REGISTRY as THEIRS

    from devtensor.distributions.kl import _KL_REGISTRY as OURS

    names = [{(p.__name__, q.__name__) for p, q in table} for table in (OURS, THEIRS)]
    assert names[0] == names[1]


REFUSED = """
D.Normal(0.0, -1.0)
D.Normal(t.zeros(2), t.ones(3))
D.Normal('a', 1.0)
D.Normal(t.tensor(float('nan')), 1.0)
D.Bernoulli(1.5)
D.Bernoulli()
D.Bernoulli(0.5, 0.5)
D.Categorical(t.tensor(0.5))
D.Categorical(t.tensor([-0.5, 1.5]))
D.Categorical(t.tensor([0.5, 0.5])).log_prob(t.tensor(2))
D.Categorical(logits=t.tensor([0.5, float('nan')]))
D.Uniform(1.0, 0.0)
D.Uniform(0.0, 1.0).log_prob(t.tensor(1.5))
D.Exponential(1.0).log_prob(t.tensor(-1.0))
D.Poisson(1.0).log_prob(t.tensor(0.5))
D.Dirichlet(t.tensor(1.0))
D.Multinomial(2.5, t.tensor([0.5, 0.5]))
D.Binomial(t.tensor([2.0, 3.0]), t.tensor([0.5, 0.5])).entropy()
D.MultivariateNormal(t.zeros(2))
D.MultivariateNormal(t.zeros(2), t.eye(2), scale_tril=t.eye(2))
D.MultivariateNormal(t.tensor(0.0), t.eye(2))
D.MultivariateNormal(t.zeros(2), -t.eye(2))
D.MultivariateNormal(t.zeros(2), t.tensor([[1.0, 0.5], [0.0, 1.0]]))
D.LowRankMultivariateNormal(t.zeros(2), t.ones(3, 1), t.ones(2))
D.Wishart(0.5, t.eye(2))
D.Wishart(3.0)
D.LKJCholesky(1)
D.Independent(D.Normal(0.0, 1.0), 1)
D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(t.zeros(2), 1.0))
D.MixtureSameFamily(D.Categorical(t.ones(3)), D.Normal(t.zeros(2), 1.0))
D.TransformedDistribution(D.Normal(0.0, 1.0), 'exp')
D.TransformedDistribution(D.Normal(0.0, 1.0), D.StickBreakingTransform())
D.Normal(t.zeros(3), 1.0).log_prob(t.zeros(2))
D.MultivariateNormal(t.zeros(3), t.eye(3)).log_prob(t.zeros(2))
D.Normal(0.0, 1.0).expand((2,)).expand((3,))
D.Normal.set_default_validate_args(3)
D.AffineTransform(0, 1, cache_size=2)
D.ReshapeTransform((2, 3), (5,))
D.transform_to(D.constraints.dependent)
D.biject_to(D.constraints.positive_definite)
D.constraints.dependent.check(t.zeros(2))
D.constraints.dependent.event_dim
D.kl_divergence(D.Normal(0.0, 1.0), D.Poisson(1.0))
D.utils.vec_to_tril_matrix(t.zeros(4))
D.utils.tril_matrix_to_vec(t.zeros(2, 2), 3)
D.Geometric(0.0)
D.HalfNormal(-1.0)
t.binomial(t.tensor([1]), t.tensor([0.5]))
t.poisson(t.tensor([-1.0]))
""".strip().splitlines()


@pytest.mark.parametrize("text", REFUSED)
def test_refusals_agree(torch: Any, text: str) -> None:
    import torch.distributions.utils

    own, other = (
        outcome(lambda t=t, D=D: eval(text, {"t": t, "D": D}))
        for t, D in ((devtensor, ours), (torch, torch.distributions))
    )
    alike(own, other, text)
    assert isinstance(other, Exception), text


TRANSFORMS = """
D.ExpTransform()
D.SigmoidTransform()
D.SoftplusTransform()
D.TanhTransform()
D.PowerTransform(t.tensor([2.0, 0.5, -1.5], dtype=t.float64))
D.AffineTransform(t.tensor([1.0, 2.0, 3.0], dtype=t.float64), -2.0)
D.AffineTransform(0.5, t.tensor([1.0, -2.0, 3.0], dtype=t.float64), event_dim=1)
D.AbsTransform()
D.SoftmaxTransform()
D.StickBreakingTransform()
D.CorrCholeskyTransform()
D.LowerCholeskyTransform()
D.PositiveDefiniteTransform()
D.ReshapeTransform((3,), (3, 1))
D.IndependentTransform(D.ExpTransform(), 1)
D.ComposeTransform([D.AffineTransform(1.0, 2.0), D.TanhTransform()])
D.ComposeTransform([D.StickBreakingTransform(), D.AffineTransform(1.0, 2.0)])
D.CatTransform([D.ExpTransform(), D.AffineTransform(1, 2)], -1, [1, 2])
D.StackTransform([D.ExpTransform(), D.AffineTransform(1, 2), D.identity_transform], -1)
D.CumulativeDistributionTransform(D.Normal(0.0, 1.0))
D.ExpTransform().inv
D.identity_transform
D.biject_to(D.constraints.interval(-1.0, 2.0))
D.transform_to(D.constraints.less_than(2.0))
D.biject_to(D.constraints.independent(D.constraints.positive, 1))
D.transform_to(D.constraints.corr_cholesky)
D.biject_to(D.constraints.cat([D.constraints.real, D.constraints.positive], -1, [2, 1]))
D.transform_to(D.constraints.stack([D.constraints.real, D.constraints.positive, D.constraints.real], -1))
""".strip().splitlines()


@pytest.mark.parametrize("text", TRANSFORMS)
def test_transforms_agree(torch: Any, text: str) -> None:
    square = "LowerCholesky" in text or "PositiveDefinite" in text
    x = RNG.normal(size=(2, 3, 3) if square else (2, 3))
    x = np.abs(x) if "Power" in text or ".inv" in text else x
    found = []
    for t, D in ((devtensor, ours), (torch, torch.distributions)):
        transform = eval(text, {"t": t, "D": D})
        value = t.tensor(x)
        y = outcome(lambda f=transform, v=value: f(v))
        facts = ("domain", "codomain", "bijective", "sign", "event_dim")
        found.append([
            repr(transform),
            y,
            outcome(lambda f=transform, y=y: f.inv(y)),
            outcome(lambda f=transform, v=value, y=y: f.log_abs_det_jacobian(v, y)),
            *(outcome(lambda f=transform, n=name: getattr(f, n)) for name in facts),
            outcome(lambda f=transform, v=value: tuple(f.forward_shape(v.shape))),
            outcome(lambda f=transform, y=y: tuple(f.inverse_shape(y.shape))),
            transform == transform.with_cache(),
        ])  # fmt: skip
    for own, other in zip(*found, strict=True):
        alike(own, other, text)


CONSTRAINTS = """
boolean, one_hot, nonnegative_integer, positive_integer, real, real_vector, positive, nonnegative,
unit_interval, simplex, lower_triangular, lower_cholesky, corr_cholesky, square, symmetric,
positive_semidefinite, positive_definite, greater_than(0.5), greater_than_eq(1.0), less_than(1.0),
multinomial(2), interval(0.0, 1.0), half_open_interval(0.0, 1.0), integer_interval(0, 2),
independent(positive, 2), stack([real, positive, real], -1), cat([real, positive], -1, [1, 2]),
MixtureSameFamilyConstraint(positive)
""".strip().replace("\n", " ")


def test_constraints_agree(torch: Any) -> None:
    values = [np.eye(3), triangle(2, 3, 3), RNG.normal(size=(3, 3)), np.ones((2, 3, 3)), definite(3, 3)]
    lists = []
    for library, module in ((devtensor, ours.constraints), (torch, torch.distributions.constraints)):
        made = eval(f"[{CONSTRAINTS}]", dict(vars(module)))
        inputs = [library.tensor(value) for value in values]
        checks = [[outcome(lambda c=c, v=v: c.check(v)) for v in inputs] for c in made]
        lists.append([(repr(c), c.is_discrete, c.event_dim) for c in made])
        lists.append(checks)
    assert lists[0] == lists[2]
    for text, own, other in zip(lists[0], lists[1], lists[3], strict=True):
        for mine, theirs in zip(own, other, strict=True):
            alike(mine, theirs, str(text))


COMPOSED = """
D.Independent(D.Normal(x, y), 1)
D.Independent(D.Bernoulli(logits=x), 2)
D.MixtureSameFamily(D.Categorical(logits=x), D.Normal(x * 2, y))
D.MixtureSameFamily(D.Categorical(y[0]), D.Independent(D.Normal(z, z.abs()), 1))
D.MixtureSameFamily(D.Categorical(y), D.Independent(D.Normal(z.expand(2, 3, 4), z.abs()), 1))
D.TransformedDistribution(D.Uniform(y * 0, y), [D.AffineTransform(0.1, 0.2), D.SigmoidTransform().inv])
D.TransformedDistribution(D.Normal(x, y), D.StickBreakingTransform())
D.TransformedDistribution(D.Normal(x[0, 0], y[0, 0]), D.AffineTransform(x, -y))
D.TransformedDistribution(D.Independent(D.Normal(x, y), 1), [D.ReshapeTransform((3,), (3, 1))])
D.TransformedDistribution(D.Gamma(y, y), [])
""".strip().splitlines()


@pytest.mark.parametrize("text", COMPOSED)
def test_composed_ones_agree(torch: Any, text: str) -> None:
    numbers = {"x": real(2, 3), "y": positive(2, 3), "z": real(3, 4)}
    own, other = (
        eval(text, {"D": kinds, **tensors(library, numbers)})
        for library, kinds in ((devtensor, ours), (torch, torch.distributions))
    )
    for left, right in (
        (own, other),
        (own.expand((5, *own.batch_shape)), other.expand((5, *other.batch_shape))),
    ):
        value = right.sample((4,))
        assert left.sample((4,)).shape == tuple(value.shape)
        for name in (*PROPERTIES, "batch_shape", "event_shape", "has_rsample"):
            alike(*(outcome(lambda d=d, n=name: getattr(d, n)) for d in (left, right)), f"{text}.{name}")
        for name in ("log_prob", "cdf", "icdf"):
            given = (left, devtensor.tensor(value.numpy())), (right, value)
            alike(*(outcome(lambda d=d, v=v, n=name: getattr(d, n)(v)) for d, v in given), f"{text}.{name}")
        alike(*(outcome(lambda d=d: d.entropy()) for d in (left, right)), f"{text}.entropy")
        assert repr(left) == repr(right).replace("torch.", "devtensor.")
        assert repr(left.support) == repr(right.support).replace("torch.", "devtensor.")


def test_signatures_and_names_agree(torch: Any) -> None:
    theirs = torch.distributions
    assert set(theirs.__all__) == set(ours.__all__)
    for name in theirs.__all__:
        own, other = getattr(ours, name), getattr(theirs, name)
        if isinstance(other, type):
            left, right = (
                [(p.name, p.default, p.kind) for p in inspect.signature(kind).parameters.values()]
                for kind in (own, other)
            )
            assert left == right, name
            module = import_module(other.__module__.replace("torch", "devtensor", 1))
            assert getattr(module, name) is own, name


@pytest.mark.parametrize("name", ["Gamma", "Beta"])
def test_slopes_of_draws_agree(torch: Any, name: str) -> None:
    """PyTorch's slopes are approximations, right to about 1e-3."""
    concentration = np.exp(RNG.uniform(-2, 4, 200))
    if name == "Gamma":
        value = RNG.gamma(concentration)
        keep = value > 1e-8
        given, call = [concentration[keep], value[keep]], "_standard_gamma_grad"
    else:
        other = np.exp(RNG.uniform(-2, 4, 200))
        value = RNG.beta(concentration, other)
        keep = (value > 1e-6) & (value < 1 - 1e-6)
        given, call = [value[keep], concentration[keep], (concentration + other)[keep]], "_dirichlet_grad"
    pair = [np.asarray(getattr(lib, call)(*map(lib.tensor, given))) for lib in (devtensor, torch)]
    np.testing.assert_allclose(*pair, rtol=5e-3, atol=1e-5)
