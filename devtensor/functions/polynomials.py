"""Orthogonal polynomials by their recurrences, of a degree that may differ from element to element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from devtensor.core.dtype import default_dtype, int64
from devtensor.core.errors import ArgumentTypeError
from devtensor.core.naming import named
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor, strides_of
from devtensor.functions.formats import placed
from devtensor.functions.out import into
from devtensor.ops.compare import eq, ge, where
from devtensor.ops.create import cast, full
from devtensor.ops.elementwise import add, trunc
from devtensor.ops.reduce import amax

__all__: list[str] = []


class Family(NamedTuple):
    """A family: its member of degree 1, and the next of two neighbours `p` and `before`, `p` of degree k."""

    name: str
    first: Callable[[Any], Any]
    following: Callable[[Any, Any, Any, int], Any]
    shifted: bool = False


def _chebyshev(x: Any, p: Any, before: Any, k: int) -> Any:
    return x * p * 2 - before


# Source: NIST Digital Library of Mathematical Functions, table 18.9.1.
FAMILIES = (
    Family("chebyshev_polynomial_t", lambda x: x, _chebyshev),
    Family("chebyshev_polynomial_u", lambda x: x * 2, _chebyshev),
    Family("chebyshev_polynomial_v", lambda x: x * 2 - 1, _chebyshev),
    Family("chebyshev_polynomial_w", lambda x: x * 2 + 1, _chebyshev),
    Family("shifted_chebyshev_polynomial_t", lambda x: x, _chebyshev, shifted=True),
    Family("shifted_chebyshev_polynomial_u", lambda x: x * 2, _chebyshev, shifted=True),
    Family("shifted_chebyshev_polynomial_v", lambda x: x * 2 - 1, _chebyshev, shifted=True),
    Family("shifted_chebyshev_polynomial_w", lambda x: x * 2 + 1, _chebyshev, shifted=True),
    Family("hermite_polynomial_h", lambda x: x * 2, lambda x, p, before, k: x * p * 2 - before * (2 * k)),
    Family("hermite_polynomial_he", lambda x: x, lambda x, p, before, k: x * p - before * k),
    Family(
        "laguerre_polynomial_l",
        lambda x: -x + 1,
        lambda x, p, before, k: ((-x + (2 * k + 1)) * p - before * k) / (k + 1),
    ),
    Family(
        "legendre_polynomial_p",
        lambda x: x,
        lambda x, p, before, k: (x * p * (2 * k + 1) - before * k) / (k + 1),
    ),
)


def _offered(family: Family) -> Callable:
    def polynomial(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(input, Tensor) and not isinstance(n, Tensor):
            raise ArgumentTypeError(f"[{family.name}] got two numbers; one of input and n must be a Tensor")
        with no_grad():
            return into(out, evaluate(family, input, n))

    return named(
        polynomial,
        family.name,
        f"""{family.name}: of degree `n` at `input`; 0 for negative degrees.

    Shapes: input (*A), n (*B) -> broadcast(*A, *B)
    Errors: a degree in a tensor is read by the host, which no captured graph can do.
    """,
    )


def evaluate(family: Family, input: Any, n: Any) -> Tensor:
    """All degrees up to the largest, each kept where it is the one asked for."""
    like = input if isinstance(input, Tensor) else n
    if not isinstance(n, Tensor):
        n = full((), n, int64, like.kind.device)
    if not isinstance(input, Tensor):
        input = full(
            (),
            input,
            like.kind.dtype if like.kind.dtype.differentiable else default_dtype(),
            like.kind.device,
        )
    wanted = add(input * 1.0, n * 0)
    degrees = trunc(cast(n, wanted.kind.dtype)) + wanted * 0
    x = wanted * 2 - 1 if family.shifted else wanted
    before, p = x * 0 + 1, family.first(x)
    result = where(eq(degrees, 0), before, 0.0)
    highest = int(amax(degrees).item()) if degrees.shape.numel() else 0
    for k in range(1, highest + 1):
        result = where(eq(degrees, k), p, result)
        before, p = p, family.following(x, p, before, k)
    return placed(where(ge(degrees, 0), result, 0.0), strides_of(wanted))


(
    chebyshev_polynomial_t,
    chebyshev_polynomial_u,
    chebyshev_polynomial_v,
    chebyshev_polynomial_w,
    shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u,
    shifted_chebyshev_polynomial_v,
    shifted_chebyshev_polynomial_w,
    hermite_polynomial_h,
    hermite_polynomial_he,
    laguerre_polynomial_l,
    legendre_polynomial_p,
) = map(_offered, FAMILIES)
