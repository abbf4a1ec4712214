"""Shapes, `expand`, refusals, transforms, registries and the dispatch of divergences."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import devtensor as torch
from devtensor import distributions as D
from devtensor.core.errors import DevtensorError


def test_shapes() -> None:
    normal = D.Normal(torch.zeros(3, 1), torch.ones(2))
    assert (normal.batch_shape, normal.event_shape) == ((3, 2), ())
    assert normal.sample((5,)).shape == (5, 3, 2)
    assert normal.log_prob(torch.zeros(4, 1, 2)).shape == (4, 3, 2)
    assert D.Normal(0, 1).sample().shape == ()
    vectors = D.Independent(normal, 1)
    assert (vectors.batch_shape, vectors.event_shape) == ((3,), (2,))
    assert vectors.log_prob(torch.zeros(3, 2)).shape == (3,)
    assert vectors.entropy().shape == (3,)
    mixture = D.MixtureSameFamily(D.Categorical(torch.ones(3)), vectors)
    assert mixture.sample((7, 2)).shape == (7, 2, 2)
    assert mixture.log_prob(torch.zeros(7, 2)).shape == (7,)


def test_expand_shares_memory_and_keeps_validation() -> None:
    loc = torch.zeros(3)
    small = D.Normal(loc, 1.0, validate_args=False)
    large = small.expand((4, 3))
    assert large.loc.stride() == (0, 1)
    assert large.loc.data_ptr() == loc.data_ptr()
    assert large._validate_args is False
    assert type(D.LogNormal(0.0, 1.0).expand([2])) is D.LogNormal
    assert D.StudentT(torch.ones(2)).expand((3, 2)).rsample().shape == (3, 2)
    wishart = D.Wishart(5.0, torch.eye(2)).expand((4,))
    assert wishart.sample().shape == (4, 2, 2)
    assert wishart.log_prob(torch.eye(2)).shape == (4,)


def test_subclasses_with_an_init_need_an_expand() -> None:
    class Shifted(D.Normal):
        def __init__(self, shift: float) -> None:
            super().__init__(shift, 1.0)

    class Plain(D.Normal):
        pass

    assert type(Plain(0.0, 1.0).expand((2,))) is Plain
    with pytest.raises(NotImplementedError, match="must also define a custom"):
        Shifted(1.0).expand((2,))


def test_validation_can_be_switched() -> None:
    with pytest.raises(ValueError, match=r"scale .*Normal\(loc.*GreaterThan\(lower_bound=0.0\)"):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="within the support"):
        D.Exponential(1.0).log_prob(torch.tensor(-1.0))
    with pytest.raises(ValueError, match="right-most size"):
        D.MultivariateNormal(torch.zeros(2), torch.eye(2)).log_prob(torch.zeros(3))
    with pytest.raises(ValueError, match="not broadcastable"):
        D.Normal(torch.zeros(3), 1.0).log_prob(torch.zeros(2))
    with pytest.raises(ValueError, match="must be a Tensor"):
        D.Normal(0.0, 1.0).cdf(1.0)
    assert D.Exponential(-1.0, validate_args=False).log_prob(torch.tensor(1.0)).isnan()
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(DevtensorError, match="True or False"):
        D.Distribution.set_default_validate_args("yes")  # type: ignore[arg-type]


def test_probs_and_logits_follow_from_each_other() -> None:
    for kind in (D.Bernoulli, D.Geometric, D.ContinuousBernoulli):
        given = kind(logits=torch.tensor([0.5, -1.0]))
        np.testing.assert_allclose(given.probs.numpy(), torch.sigmoid(given.logits).numpy(), rtol=1e-6)
        assert "probs" in given.__dict__
        np.testing.assert_allclose(kind(probs=given.probs).logits.numpy(), given.logits.numpy(), rtol=1e-5)
        with pytest.raises(ValueError, match="but not both; got both"):
            kind(probs=0.5, logits=0.0)
        with pytest.raises(ValueError, match="got neither"):
            kind()


def test_gradients_flow_through_log_prob_twice() -> None:
    loc = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    value = D.Normal(loc, scale).log_prob(torch.tensor(1.0, dtype=torch.float64))
    (slope,) = torch.autograd.grad(value, scale, create_graph=True)
    np.testing.assert_allclose(slope.item(), 0.25 / 8 - 0.5)
    (bend,) = torch.autograd.grad(slope, scale)
    np.testing.assert_allclose(bend.item(), -3 * 0.25 / 16 + 0.25)


@pytest.mark.parametrize(("kind", "given"), [
    (D.Bernoulli, {"probs": 0.3}),
    (D.Exponential, {"rate": 2.0}),
    (D.Gamma, {"concentration": 2.5, "rate": 2.0}),
    (D.Normal, {"loc": 0.5, "scale": 2.0}),
    (D.ContinuousBernoulli, {"probs": 0.3}),
    (D.Wishart, {"df": 5.5, "covariance_matrix": torch.eye(2) + 0.5}),
])  # fmt: skip
def test_entropy_by_the_log_normaliser(kind: Any, given: dict[str, Any]) -> None:
    """The general rule of exponential families gives what the formulas of each give."""
    own = kind(**given)
    general = D.ExponentialFamily.entropy(own)
    np.testing.assert_allclose(general.detach().numpy(), own.entropy().numpy(), rtol=1e-5)


def test_transforms_invert_and_know_their_jacobians() -> None:
    x = torch.tensor([0.3, -0.7, 1.2], dtype=torch.float64)
    cases = [
        D.ExpTransform(), D.SigmoidTransform(), D.SoftplusTransform(), D.TanhTransform(),
        D.AffineTransform(1.0, -2.0), D.StickBreakingTransform(), D.CorrCholeskyTransform(),
        D.ComposeTransform([D.ExpTransform(), D.PowerTransform(torch.tensor(2.0)), D.AffineTransform(1, 3)]),
        D.StackTransform([D.ExpTransform(), D.TanhTransform(), D.identity_transform], -1),
        D.CatTransform([D.ExpTransform(), D.TanhTransform()], -1, [1, 2]),
    ]  # fmt: skip
    for transform in cases:
        y = transform(x)
        np.testing.assert_allclose(transform.inv(y).numpy(), x.numpy(), atol=1e-9)
        assert bool(transform.codomain.check(y).all()), transform
        found = transform.log_abs_det_jacobian(x, y).sum().item()
        np.testing.assert_allclose(found, _log_volume(transform, x), atol=1e-9, err_msg=repr(transform))


def _log_volume(transform: Any, x: torch.Tensor) -> float:
    """log |det| of the Jacobian in the coordinates that are free, by autograd."""

    def free(values: torch.Tensor) -> torch.Tensor:
        made = transform(values)
        if isinstance(transform, D.StickBreakingTransform):
            return made[:-1]
        if isinstance(transform, D.CorrCholeskyTransform):
            return D.utils.tril_matrix_to_vec(made, -1)
        return made

    matrix = torch.autograd.functional.jacobian(free, x)
    return torch.linalg.slogdet(matrix)[1].item()


def test_caches_return_the_very_tensors() -> None:
    transform = D.SigmoidTransform(cache_size=1)
    x = torch.tensor([100.0, -200.0])
    y = transform(x)
    assert transform.inv(y) is x
    assert transform(x) is y
    assert D.SigmoidTransform()(x) is not y
    assert transform.with_cache(0)._cache_size == 0
    assert copy.deepcopy(transform)(x).tolist() == y.tolist()
    assert pickle.loads(pickle.dumps(D.AffineTransform(1.0, 2.0))) == D.AffineTransform(1.0, 2.0)


def test_registries_reach_every_constraint() -> None:
    square = torch.randn(4, 3, 3)
    c = D.constraints
    regions = [
        c.real, c.positive, c.nonnegative, c.greater_than(2.0), c.less_than(-1.0), c.unit_interval,
        c.interval(-3.0, 5.0), c.half_open_interval(0.0, 2.0), c.simplex, c.corr_cholesky,
        c.independent(c.positive, 1), c.stack([c.real, c.positive, c.unit_interval], -1),
    ]  # fmt: skip
    for region in regions:
        for registry in (D.biject_to, D.transform_to):
            assert bool(region.check(registry(region)(square[:, 0])).all()), region
    for region in (c.lower_cholesky, c.positive_definite):
        assert bool(region.check(D.transform_to(region)(square)).all())
    with pytest.raises(NotImplementedError, match="Cannot transform _Boolean"):
        D.biject_to(c.boolean)
    with pytest.raises(TypeError, match="Expected constraint"):
        D.biject_to.register("positive", lambda _: None)


def test_divergences_are_dispatched_to_the_nearest_pair() -> None:
    class Left(D.Normal):
        pass

    class Right(D.Normal):
        pass

    one = Left(0.0, 1.0)
    assert D.kl_divergence(one, Right(1.0, 1.0)).item() == 0.5
    try:
        D.register_kl(Left, D.Normal)(lambda p, q: torch.tensor(1.0))
        assert D.kl_divergence(one, Right(1.0, 1.0)).item() == 1.0
        D.register_kl(D.Normal, Right)(lambda p, q: torch.tensor(2.0))
        with pytest.warns(RuntimeWarning, match=r"register_kl\(Left, Right\)"):
            D.kl_divergence(one, Right(1.0, 1.0))
        D.register_kl(Left, Right)(lambda p, q: torch.tensor(3.0))
        assert D.kl_divergence(one, Right(1.0, 1.0)).item() == 3.0
    finally:
        registry = sys.modules["devtensor.distributions.kl"].__dict__
        for pair in ((Left, D.Normal), (D.Normal, Right), (Left, Right)):
            registry["_KL_REGISTRY"].pop(pair, None)
        registry["_KL_MEMOIZE"].clear()
    with pytest.raises(NotImplementedError, match="p type Normal and q type Categorical"):
        D.kl_divergence(D.Normal(0.0, 1.0), D.Categorical(torch.ones(2)))
    with pytest.raises(TypeError, match="type_p"):
        D.register_kl(int, D.Normal)


def test_triangles_as_vectors() -> None:
    vector = torch.arange(12.0).reshape(2, 6)
    matrix = D.utils.vec_to_tril_matrix(vector)
    assert matrix[0].tolist() == [[0, 0, 0], [1, 2, 0], [3, 4, 5]]
    assert D.utils.tril_matrix_to_vec(matrix).tolist() == vector.tolist()
    below = D.utils.vec_to_tril_matrix(torch.tensor([7.0, 8.0, 9.0]), diag=-1)
    assert below.tolist() == [[0, 0, 0], [7, 0, 0], [8, 9, 0]]
    with pytest.raises(ValueError, match="size of last dimension is 5"):
        D.utils.vec_to_tril_matrix(torch.zeros(5))


def test_draws_repeat_with_their_seed_and_go_to_the_parameters_dtype() -> None:
    for make in (
        lambda: D.Gamma(torch.ones(3), 1.0),
        lambda: D.Poisson(torch.ones(3)),
        lambda: D.Beta(0.5, 0.5),
    ):
        torch.manual_seed(5)
        first, second = make().sample(), make().sample()
        torch.manual_seed(5)
        assert make().sample().tolist() == first.tolist() != second.tolist()
        assert first.dtype is torch.float32
    assert D.VonMises(torch.zeros(2, dtype=torch.float64), 1.0).sample().dtype is torch.float64


def test_no_draw_reads_from_the_device() -> None:
    """Drawing and scoring can be captured as a graph, if arguments are not checked."""
    rate = torch.tensor([0.5, 3.0, 40.0])

    def drawn(rate: torch.Tensor) -> torch.Tensor:
        off: dict[str, Any] = {"validate_args": False}
        made = [
            D.Gamma(rate, rate, **off).rsample(), D.Poisson(rate, **off).sample(),
            D.Binomial(40, rate / 100, **off).sample(), D.Dirichlet(rate, **off).rsample(),
            D.StudentT(rate, **off).rsample(), D.VonMises(rate, rate, **off).sample(),
            D.Normal(rate, rate, **off).log_prob(rate), D.Categorical(rate, **off).entropy().expand(3),
        ]  # fmt: skip
        return torch.stack(made)

    compiled = torch.compile(drawn)
    torch.manual_seed(1)
    eager = [drawn(rate) for _ in range(4)]
    torch.manual_seed(1)
    for expected in eager:
        np.testing.assert_allclose(compiled(rate).numpy(), expected.numpy(), rtol=1e-5)


def test_singular_wishart_draws_are_told() -> None:
    with pytest.warns(UserWarning, match="Low df"):
        D.Wishart(1.5, torch.eye(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        D.Wishart(5.0, torch.eye(2)).sample((10,))


def test_perplexity_of_a_fair_die_is_six() -> None:
    assert math.isclose(D.Categorical(torch.ones(6)).perplexity().item(), 6, rel_tol=1e-6)


def test_devtensor_starts_without_distributions() -> None:
    code = "import sys, devtensor; print('devtensor.distributions' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
