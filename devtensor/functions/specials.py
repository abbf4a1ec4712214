"""Special functions and functions of how numbers are made, in PyTorch's spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import bool_
from devtensor.core.inplace import copy_into
from devtensor.core.tensor import Tensor
from devtensor.functions import results
from devtensor.functions.creation import ones_like
from devtensor.functions.out import into
from devtensor.ops import gamma, numbers
from devtensor.ops.compare import eq
from devtensor.ops.gamma import digamma, igamma, igammac, lgamma, mvlgamma
from devtensor.ops.numbers import (
    copysign,
    fmax,
    fmin,
    gcd,
    lcm,
    ldexp,
    logaddexp,
    logaddexp2,
    nextafter,
    sinc,
)
from devtensor.ops.parts import conjugate, imag
from devtensor.ops.probability import i0, xlogy

__all__ = [
    "copysign",
    "digamma",
    "fmax",
    "fmin",
    "frexp",
    "gcd",
    "i0",
    "igamma",
    "igammac",
    "isreal",
    "lcm",
    "ldexp",
    "lgamma",
    "logaddexp",
    "logaddexp2",
    "mvlgamma",
    "nextafter",
    "polygamma",
    "sinc",
    "xlogy",
]


def polygamma(n: int, input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The n-th derivative of `digamma`."""
    return into(out, gamma.polygamma(input, n))


def polygamma_method(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of `digamma`."""
    return gamma.polygamma(self, n)


def polygamma_(self: Tensor, n: int) -> Tensor:
    """In-place form of `polygamma`."""
    return copy_into(self, gamma.polygamma(self, n))


def frexp(input: Tensor, *, out: Any = None) -> Any:
    """Mantissa, of size in [1/2, 1), and int32 exponent, as a named tuple."""
    return into(out, results.frexp(*numbers.frexp(input)))


def isreal(input: Tensor) -> Tensor:
    """Whether each number has no imaginary part."""
    if input.kind.dtype.is_complex:
        return eq(imag(input), 0)  # type: ignore[return-value]
    return ones_like(input, dtype=bool_)


def conj_physical_(self: Tensor) -> Tensor:
    """Conjugate the numbers themselves."""
    return copy_into(self, conjugate(self))


METHODS: dict[str, Callable] = {
    "polygamma": polygamma_method,
    "polygamma_": polygamma_,
    "frexp": frexp,
    "conj_physical_": conj_physical_,
    "isreal": isreal,
}
