"""Gamma, Dirichlet, Poisson and binomial numbers, drawn without reading from the device.

Each accepts the first of a fixed number of candidates that passes; that none does is rarer than 1e-8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from devtensor.autograd.function import Function
from devtensor.core.dtype import FLOAT, float64
from devtensor.core.errors import ArgumentError, DTypeError
from devtensor.core.state import current, no_grad
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.slopes_of_samples import dirichlet_slope, gamma_slope
from devtensor.ops.combine import clamp
from devtensor.ops.compare import where
from devtensor.ops.create import cast
from devtensor.ops.elementwise import floor, log
from devtensor.ops.functions import exp, log1p
from devtensor.ops.gamma import lgamma
from devtensor.ops.parts import abs
from devtensor.ops.softmax import softmax
from devtensor.random import Generator, generator_for

__all__ = [
    "_dirichlet_grad",
    "_sample_dirichlet",
    "_standard_gamma",
    "_standard_gamma_grad",
    "binomial",
    "poisson",
]

GAMMA_ROUNDS = 8
COUNT_ROUNDS = 14
SMALL_MEAN = 10
# A count of mean 10 is above this with a chance below 1e-16.
SMALL_STEPS = 50
TINY = {"float64": 2.0**-1022, "float32": 2.0**-126, "bfloat16": 2.0**-126, "float16": 2.0**-14}

Candidate = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _require_floating(op: str, *inputs: Tensor) -> None:
    for tensor in inputs:
        if tensor.dtype.category != FLOAT:
            raise DTypeError(f"[{op}] got {describe(tensor)}; it needs a floating-point dtype")


def first_accepted(
    rounds: int, shape: tuple, draw: Callable[[tuple], tuple[Tensor, Tensor]], candidate: Candidate
) -> Tensor:
    """Of candidates made of two random numbers each, the first that passes; else the last one."""
    made, passed = candidate(*draw(shape))
    for _ in range(rounds - 1):
        value, passes = candidate(*draw(shape))
        made = where(passed, made, value)
        passed = passed | passes
    return made


def _log_gamma_draws(concentration: Tensor, source: Generator) -> Tensor:
    """Logarithms of gamma numbers, in float64.

    Source: G. Marsaglia and W. Tsang, "A simple method for generating gamma variables", 2000; a
    concentration a below 1 by that of a + 1, times u^(1/a).
    """
    shape = tuple(concentration.array.shape)
    wide = cast(concentration, float64)
    small = wide < 1
    d = where(small, wide + 1, wide) - 1 / 3
    c = 1 / (d * 9) ** 0.5

    def candidate(x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        root = x * c + 1
        positive = root > 0
        v = where(positive, root, 1.0) ** 3
        return v, positive & (log1p(-u) < x * x * 0.5 + d * (1 - v + log(v)))

    def draw(shape: tuple) -> tuple[Tensor, Tensor]:
        return source.normal(shape, float64), source.uniform(shape, float64)

    v = first_accepted(GAMMA_ROUNDS, shape, draw, candidate)
    boost = log1p(-source.uniform(shape, float64)) / where(small, wide, 1.0)
    return log(d * v) + where(small, boost, 0.0)


class _Gamma(Function):
    """Gamma numbers, whose gradient is that of the quantile at a fixed chance."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, source: Generator) -> Tensor:
        made = cast(exp(_log_gamma_draws(concentration, source)), concentration.dtype)
        ctx.save_for_backward(concentration, made)
        return made

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return g * gamma_slope(*ctx.saved_tensors), None


class _Dirichlet(Function):
    """Points of the simplex; each coordinate's gradient is that of its own beta quantile."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, source: Generator) -> Tensor:
        shares = softmax(_log_gamma_draws(concentration, source), -1)
        made = clamp(cast(shares, concentration.dtype), TINY[concentration.dtype.name], None)
        ctx.save_for_backward(concentration, made)
        return made

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        concentration, made = ctx.saved_tensors
        total = concentration.sum(-1, True).expand_as(concentration)
        slope = dirichlet_slope(made, concentration, total)
        return slope * (g - (made * g).sum(-1, True)), None


def _standard_gamma(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of the gamma distribution with rate 1 and the concentrations that `input` gives.

    Shapes: input (*S) -> (*S)
    Source: gradients by M. Figurnov et al., "Implicit reparameterization gradients", 2018.
    """
    _require_floating("_standard_gamma", input)
    return _Gamma.apply(input, generator_for(input.device, generator))


def _sample_dirichlet(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Points of the Dirichlet distribution with the concentrations in the last dim of `input`.

    Shapes: input (*S, K) -> (*S, K)
    """
    _require_floating("_sample_dirichlet", input)
    return _Dirichlet.apply(input, generator_for(input.device, generator))


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of the Poisson distribution with the rates that `input` gives.

    Shapes: input (*S) -> (*S)
    Errors: ArgumentError for a negative rate, where looking does not wait for the device.
    Source: W. Hörmann, "The transformed rejection method for generating Poisson random variables", 1993
    (PTRS); rates below 10 by summing chances.
    """
    _require_floating("poisson", input)
    near = input.device.type == "cpu" and not any(hasattr(layer, "host_read") for layer in current().layers)
    if near and not bool((input >= 0).all()):
        raise ArgumentError("[poisson] invalid Poisson rate, expected rate to be non-negative")
    source = generator_for(input.device, generator)
    with no_grad():
        rates = cast(input.detach(), float64)
        few = _summed(rates, source, exp(-clamp(rates, None, SMALL_MEAN)), lambda k: rates / k)
        large = clamp(rates, SMALL_MEAN, None)
        steps = log(large)
        b = large**0.5 * 2.53 + 0.931
        bell = _Bell(b, b * 0.02483 - 0.059, 1.1328 / (b - 3.4) + 1.1239, large + 0.43)
        many = _transformed(bell, source, lambda k: k * steps - large - lgamma(k + 1))
        return cast(where(rates < SMALL_MEAN, few, many), input.dtype)


def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of successes in `count` trials that succeed with probability `prob`.

    Shapes: count (*A), prob (*B) -> broadcast(*A, *B)
    Errors: ArgumentError unless both have one floating dtype.
    Source: W. Hörmann, "The generation of binomial random variates", 1993 (BTRS); means below 10 by
    summing chances.
    """
    for tensor in (count, prob):
        if tensor.dtype.category != FLOAT:
            raise ArgumentError(
                f"[binomial] got {describe(tensor)}; binomial only takes floating-point dtypes"
            )
    if count.dtype is not prob.dtype:
        raise ArgumentError(
            f"[binomial] Found dtype of {describe(prob)}, but expected that of {describe(count)}"
        )
    source = generator_for(count.device, generator)
    with no_grad():
        chance = cast(prob.detach(), float64) + cast(count.detach(), float64) * 0
        trials = cast(count.detach(), float64) + chance * 0
        made = _successes(trials, where(chance > 0.5, 1 - chance, chance), source)
        return cast(where(chance > 0.5, trials - made, made), count.dtype)


def _successes(trials: Tensor, chance: Tensor, source: Generator) -> Tensor:
    """Successes where the chance is at most a half."""
    mean = trials * chance
    small = mean < SMALL_MEAN
    odds = chance / (1 - chance)
    start = exp(where(small, trials * log1p(-chance), 0.0))
    few = _summed(mean, source, start, lambda k: odds * (trials - (k - 1)) / k)
    trials, chance = where(small, 40.0, trials), where(small, 0.5, chance)
    log_odds, likeliest = log(chance / (1 - chance)), floor((trials + 1) * chance)

    def log_chance(k: Tensor) -> Tensor:
        inside = clamp(k, 0, trials)
        ways = lgamma(likeliest + 1) + lgamma(trials - likeliest + 1)
        ways = ways - lgamma(inside + 1) - lgamma(trials - inside + 1)
        found = ways + (inside - likeliest) * log_odds
        return where(k > trials, float("-inf"), found)

    mean = trials * chance
    spread = (mean * (1 - chance)) ** 0.5
    b = spread * 2.53 + 1.15
    bell = _Bell(b, b * 0.0248 - 0.0873 + chance * 0.01, (5.1 / b + 2.83) * spread, mean + 0.5)
    many = _transformed(bell, source, log_chance)
    return where(small, few, clamp(many, 0, trials))


def _summed(mean: Tensor, source: Generator, start: Tensor, ratio: Callable[[int], Tensor]) -> Tensor:
    """How many counts have to be summed from 0 on until their chances exceed a uniform number."""
    drawn = source.uniform(tuple(mean.array.shape), float64)
    chance = total = start
    made = cast(drawn >= total, float64)
    for k in range(1, SMALL_STEPS):
        chance = clamp(chance * ratio(k), 0, 1)
        total = total + chance
        made = made + cast(drawn >= total, float64)
    return made


class _Bell(NamedTuple):
    """What Hörmann's rejection needs of a bell-shaped distribution, in his letters: the hat's scale and
    bend, the inverse of the acceptance, and the place that u = 0 goes to."""

    b: Tensor
    a: Tensor
    inverse_alpha: Tensor
    centre: Tensor


def _transformed(bell: _Bell, source: Generator, log_chance: Callable[[Tensor], Tensor]) -> Tensor:
    """Counts by transformed rejection; `log_chance` gives a count's, up to what the bell leaves out."""

    def candidate(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        near = 0.5 - abs(u)
        k = floor((bell.a * 2 / near + bell.b) * u + bell.centre)
        inside = k >= 0
        k = where(inside, k, 0.0)
        hat = log(v * bell.inverse_alpha / (bell.a / (near * near) + bell.b))
        return k, inside & (hat <= log_chance(k))

    def draw(shape: tuple) -> tuple[Tensor, Tensor]:
        u, v = (1 - source.uniform(shape, float64) for _ in range(2))
        return u - 0.5, v

    return first_accepted(COUNT_ROUNDS, tuple(bell.b.array.shape), draw, candidate)


_standard_gamma_grad, _dirichlet_grad = gamma_slope, dirichlet_slope
