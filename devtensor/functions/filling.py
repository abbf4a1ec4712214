"""Filling tensors with random numbers of many distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import FLOAT, DType, float32, float64
from devtensor.core.errors import ArgumentError, DTypeError
from devtensor.core.inplace import copy_into
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.sampling import both_parts, chances, check_limits, check_std
from devtensor.ops.combine import clamp
from devtensor.ops.elementwise import ceil
from devtensor.ops.functions import exp, log1p
from devtensor.ops.hyperbolic import tan
from devtensor.random import Generator, generator_for

# How many integers in a row a floating-point dtype holds, from 0 on: the range of `random_` without limits.
EXACT = {"float16": 2**11, "bfloat16": 2**8, "float32": 2**24, "float64": 2**53}


def _fill(
    self: Tensor, draw: Callable[[Generator, tuple, DType], Tensor], generator: Generator | None
) -> Tensor:
    """Draw in the tensor's own dtype, of complex numbers each part, and write the result into it."""
    source = generator_for(self.device, generator)
    dtype = self.dtype if self.dtype.differentiable else float32
    with no_grad():
        made = both_parts(draw, source, tuple(self.array.shape), dtype)
    return copy_into(self, made)


def uniform_(
    self: Tensor, from_: float = 0, to: float = 1, *, generator: Generator | None = None, **old: Any
) -> Tensor:
    """Fill with numbers spread evenly over [from, to)."""
    low = old.get("from", from_)
    _only_floating("uniform_", self, complex=True)
    if low > to:
        raise ArgumentError(
            f"[uniform_] uniform_ expects to return a [from, to) range, but found from={low} > to={to}"
        )
    plain = low == 0 and to == 1
    return _fill(
        self,
        lambda source, *facts: source.uniform(*facts) if plain else source.uniform(*facts) * (to - low) + low,
        generator,
    )


def normal_(self: Tensor, mean: float = 0, std: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers."""
    check_std(std)
    # A complex number's variance is half in each part.
    std = std * math.sqrt(0.5) if self.dtype.is_complex else std
    _only_floating("normal_", self, complex=True)
    return _fill(self, lambda source, *facts: source.normal(*facts) * std + mean, generator)


def _only_floating(op: str, self: Tensor, complex: bool = False) -> None:
    if self.dtype.category != FLOAT and not (complex and self.dtype.is_complex):
        raise DTypeError(
            f"[{op}] target is {describe(self)}; it needs a floating-point dtype; convert with .float()"
        )


def _only_positive(op: str, name: str, value: float) -> None:
    if value <= 0:
        raise ArgumentError(
            f"[{op}] {op} expects {name} > 0.0, but found {name}={value}; give a positive one"
        )


def random_(
    self: Tensor, from_: Any = 0, to: int | None = None, *, generator: Generator | None = None, **old: Any
) -> Tensor:
    """Fill with integers spread evenly over [from, to), or over all that the dtype holds exactly."""
    low = old.get("from", from_)
    low, high = (low, to) if to is not None else (0, low or _count_of(self.dtype))
    check_limits("random_", low, high, self.dtype)
    made = generator_for(self.device, generator).integers(tuple(self.array.shape), low, high)
    return copy_into(self, made)


def _count_of(dtype: DType) -> int:
    """How many integers from 0 on the dtype holds exactly, in a row."""
    if dtype.category == FLOAT:
        return EXACT[dtype.name] + 1
    return 2 ** (dtype.bits - dtype.is_signed)


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill with 1 where chance, with probability `p`, says so, else 0."""
    with no_grad():
        made = chances(tuple(self.array.shape), p, self.dtype, self.device, generator)
    return copy_into(self, made)


def exponential_(self: Tensor, lambd: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fill with numbers of the exponential distribution: -log(1 - u) / lambd."""
    _only_floating("exponential_", self)
    _only_positive("exponential_", "lambda", lambd)
    return _fill(self, lambda source, *facts: log1p(-source.uniform(*facts)) / -lambd, generator)


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with the number of the first success in trials that succeed with probability `p`."""
    if not 0 < p < 1:
        raise ArgumentError(f"[geometric_] p is {p}; geometric_ expects p to be in (0, 1)")
    odds = math.log1p(-p)
    return _fill(
        self,
        lambda source, *facts: clamp(ceil(log1p(-source.uniform(facts[0], float64)) / odds), 1, None),
        generator,
    )


def log_normal_(
    self: Tensor, mean: float = 1, std: float = 2, *, generator: Generator | None = None
) -> Tensor:
    """Fill with numbers whose logarithm is normal."""
    _only_floating("log_normal_", self)
    _only_positive("log_normal_", "std", std)
    return _fill(self, lambda source, *facts: exp(source.normal(*facts) * std + mean), generator)


def cauchy_(
    self: Tensor, median: float = 0, sigma: float = 1, *, generator: Generator | None = None
) -> Tensor:
    """Fill with numbers of the Cauchy distribution."""
    _only_floating("cauchy_", self)
    _only_positive("cauchy_", "sigma", sigma)
    return _fill(
        self, lambda source, *facts: tan((source.uniform(*facts) - 0.5) * math.pi) * sigma + median, generator
    )


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (bernoulli_, cauchy_, exponential_, geometric_, log_normal_, normal_, random_, uniform_)
}
__all__: list[str] = []
