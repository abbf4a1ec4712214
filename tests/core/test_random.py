"""Random numbers: repeatable, equal on all devices, and of the distributions they claim."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy import stats

import devtensor as torch
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DeviceError, DTypeError, OptionError
from devtensor.graph import capture

COUNT = 20000

# Draws and the distribution each must have; a Kolmogorov-Smirnov test at one in ten thousand.
CONTINUOUS = {
    "rand": (lambda: torch.rand(COUNT, dtype=torch.float64), stats.uniform()),
    "randn": (lambda: torch.randn(COUNT, dtype=torch.float64), stats.norm()),
    "normal": (lambda: torch.normal(2.0, 3.0, (COUNT,)), stats.norm(2, 3)),
    "uniform_": (lambda: torch.empty(COUNT).uniform_(-1, 3), stats.uniform(-1, 4)),
    "normal_": (lambda: torch.empty(COUNT).normal_(1, 2), stats.norm(1, 2)),
    "exponential_": (lambda: torch.empty(COUNT).exponential_(2), stats.expon(scale=0.5)),
    "log_normal_": (lambda: torch.empty(COUNT).log_normal_(0, 0.5), stats.lognorm(0.5)),
    "cauchy_": (lambda: torch.empty(COUNT, dtype=torch.float64).cauchy_(1, 2), stats.cauchy(1, 2)),
}
# Draws of integers, and the chance of each from the lowest on.
DISCRETE = {
    "randint": (lambda: torch.randint(3, 7, (COUNT,)), 3, [0.25] * 4),
    "bernoulli": (lambda: torch.bernoulli(torch.full((COUNT,), 0.3)), 0, [0.7, 0.3]),
    "bernoulli_": (lambda: torch.empty(COUNT, dtype=torch.int64).bernoulli_(0.2), 0, [0.8, 0.2]),
    "random_": (lambda: torch.empty(COUNT, dtype=torch.int64).random_(0, 5), 0, [0.2] * 5),
    "random_ of bools": (lambda: torch.empty(COUNT, dtype=torch.bool).random_(), 0, [0.5] * 2),
    "multinomial": (
        lambda: torch.multinomial(torch.tensor([1.0, 0.0, 3.0]), COUNT, True),
        0,
        [0.25, 0, 0.75],
    ),
    "geometric_": (lambda: torch.empty(COUNT).geometric_(0.5), 1, [0.5**k for k in range(1, 12)]),
    "poisson": (
        lambda: torch.poisson(torch.full((COUNT,), 2.0)),
        0,
        [stats.poisson(2).pmf(k) for k in range(12)],
    ),
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_distributions(name):
    draw, expected = CONTINUOUS[name]
    assert stats.kstest(draw().double().numpy(), expected.cdf).pvalue > 1e-4


@pytest.mark.parametrize("name", DISCRETE)
def test_chances(name):
    draw, low, chances = DISCRETE[name]
    found = np.bincount(draw().long().numpy() - low, minlength=len(chances))[: len(chances)]
    for count, chance in zip(found, chances, strict=True):
        assert abs(count - COUNT * chance) <= 5 * math.sqrt(COUNT * chance * (1 - chance))


def test_the_same_seed_gives_the_same_numbers_on_every_device(device):
    def draws(place):
        torch.manual_seed(5)
        return [
            torch.rand(7, device=place),
            torch.randn(3, 4, device=place),
            torch.randint(0, 100, (5,), device=place),
            torch.randperm(9, device=place),
            torch.rand(3, dtype=torch.bfloat16, device=place),
        ]

    for here, there in zip(draws("cpu"), draws(device), strict=True):
        np.testing.assert_allclose(there.cpu().double().numpy(), here.double().numpy(), rtol=1e-6)


def test_draws_go_on_where_the_last_ended():
    whole = torch.rand(10)
    torch.manual_seed(0)
    parts = [torch.rand(3), torch.rand(0), torch.rand(2, 2), torch.rand(3)]
    assert torch.cat([p.flatten() for p in parts]).tolist() == whole.tolist()


def test_a_generator_of_ones_own_leaves_the_default_alone():
    generator = torch.Generator().manual_seed(3)
    first = torch.rand(4, generator=generator)
    here = torch.rand(4).tolist()
    torch.manual_seed(0)
    assert torch.rand(4).tolist() == here
    assert torch.rand(4, generator=torch.Generator().manual_seed(3)).tolist() == first.tolist()
    with pytest.raises(DeviceError, match="Expected a 'meta' device type for generator but found 'cpu'"):
        torch.rand(4, generator=generator, device="meta")


def test_states_are_kept_and_taken_up():
    torch.rand(3)
    state = torch.get_rng_state()
    assert state.dtype is torch.uint8
    expected = torch.rand(5).tolist()
    torch.set_rng_state(state)
    assert torch.rand(5).tolist() == expected
    generator = torch.Generator().manual_seed(9)
    torch.rand(2, generator=generator)
    twin = pickle.loads(pickle.dumps(generator))
    assert torch.rand(4, generator=twin).tolist() == torch.rand(4, generator=generator).tolist()
    assert generator.initial_seed() == 9
    with pytest.raises(ArgumentTypeError, match="ByteTensor of 16 elements"):
        torch.set_rng_state(torch.zeros(3))


def test_fork_rng_puts_everything_back():
    expected = torch.rand(4).tolist()
    torch.manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(77)
        torch.rand(100)
    assert torch.initial_seed() == 0
    assert torch.rand(4).tolist() == expected


@pytest.mark.parametrize("mean", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("std", ["float16", "bfloat16", "float32", "float64"])
def test_normal_numbers_have_the_dtype_of_their_mean(mean, std):
    torch.manual_seed(0)
    centre = torch.full((2000,), 3.0, dtype=getattr(torch, mean))
    width = torch.full((1,), 0.5, dtype=getattr(torch, std))
    found = torch.normal(centre, width)
    assert found.dtype is centre.dtype and torch.normal(3.0, width).dtype is width.dtype
    assert abs(found.double().mean() - 3.0) < 0.05 and abs(found.double().std() - 0.5) < 0.05


def test_seeds():
    assert torch.manual_seed(-1).initial_seed() == 2**64 - 1
    assert torch.seed() == torch.initial_seed()
    with pytest.raises(ArgumentError, match="Overflow"):
        torch.manual_seed(2**64)
    with pytest.raises(ArgumentTypeError, match="needs an int"):
        torch.manual_seed("one")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_uniform_numbers_stay_below_one(dtype):
    drawn = torch.rand(100000, dtype=dtype)
    assert float(drawn.max()) < 1
    assert float(drawn.min()) >= 0


def test_randperm_is_a_permutation():
    for n in (0, 1, 50):
        order = torch.randperm(n)
        assert sorted(order.tolist()) == list(range(n))
    assert torch.randperm(50).tolist() != list(range(50))
    assert torch.randperm(4, dtype=torch.int32).dtype is torch.int32


def test_multinomial_without_replacement():
    weights = torch.tensor([[1.0, 0.0, 5.0, 2.0], [0.0, 1.0, 1.0, 1.0]])
    for _ in range(50):
        drawn = torch.multinomial(weights, 3)
        assert sorted(drawn[0].tolist()) == [0, 2, 3]
        assert sorted(drawn[1].tolist()) == [1, 2, 3]
    first = torch.stack([torch.multinomial(torch.tensor([1.0, 3.0]), 1) for _ in range(2000)])
    assert abs(float(first.float().mean()) - 0.75) < 0.05


BAD = {
    "empty range": (lambda: torch.randint(5, 5, (2,)), ArgumentError, "low < high"),
    "integer rand": (lambda: torch.rand(2, dtype=torch.int64), DTypeError, "floating-point"),
    "negative size": (lambda: torch.rand(-1), ArgumentError, "negative dimension"),
    "negative std": (lambda: torch.normal(0.0, -1.0, (2,)), ArgumentError, "std >= 0"),
    "limits exchanged": (lambda: torch.empty(2).uniform_(1, 0), ArgumentError, r"\[from, to\) range"),
    "no weight": (lambda: torch.multinomial(torch.tensor([0.0, 0.0]), 1), OptionError, "invalid multinomial"),
    "negative weight": (
        lambda: torch.multinomial(torch.tensor([1.0, -1.0]), 1),
        OptionError,
        "element < 0",
    ),
    "too many": (lambda: torch.multinomial(torch.ones(2), 3), OptionError, "without replacement"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()


def test_a_captured_graph_draws_anew():
    state = torch.zeros(4)

    def step():
        state.copy_(torch.rand(4) + torch.randn(4))

    torch.manual_seed(1)
    expected = []
    for _ in range(6):
        step()
        expected.append(state.tolist())
    torch.manual_seed(1)
    captured = capture(step)
    for row in expected:
        captured()
        assert state.tolist() == row
