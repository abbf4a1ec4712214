"""Hurwitz' zeta function: a sum of as many terms as its arguments ask for."""

from __future__ import annotations

import math
from typing import Any

from devtensor.backend.protocol import Array

# B(2j) / (2j)!, the factors of Euler and Maclaurin's correction terms.
BERNOULLI = [
    n / d / math.factorial(2 * j)
    for j, (n, d) in enumerate(
        [(1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798)], 1
    )
]
STEPS = 12
"""Terms of zeta summed one by one before the rest is an integral with corrections."""
ROUNDS = 500
"""Terms of zeta at negative arguments, at most."""


def zeta(xp: Any, x: Array, q: Array) -> Array:
    """Hurwitz' zeta: the sum of (q + k)^-x over all k >= 0; for negative q only whole x have one."""
    power, start = xp.where((x > 1) & xp.isfinite(x), x, 2.0), xp.where(xp.isfinite(q), q, 1.0)
    whole = (power == xp.floor(power)) & (start < 0)
    steps = xp.where(whole, xp.minimum(xp.ceil(-start), ROUNDS), 0.0)
    total = zeta_positive(xp, power, xp.where(start + steps > 0, start + steps, 1.0))
    for k in range(int(steps.max()) if steps.size else 0):
        term = xp.where(k < steps, start + k, 1.0) ** -power
        total = total + xp.where(k < steps, term, 0.0)
    total = xp.where((q < 0) & (power != xp.floor(power)), math.nan, total)
    total = xp.where(q == math.inf, 0.0, total)
    total = xp.where(x == math.inf, xp.where(q > 1, 0.0, xp.where(q == 1, 1.0, math.inf)), total)
    total = xp.where(xp.isnan(x) | xp.isnan(q), math.nan, total)
    total = xp.where((q <= 0) & (q == xp.floor(q)), math.inf, total)
    return xp.where(x == 1, math.inf, xp.where(x < 1, math.nan, total))


def zeta_positive(xp: Any, x: Array, q: Array) -> Array:
    """Hurwitz' zeta for x > 1 and q > 0, by Euler and Maclaurin.

    Source: NIST Digital Library of Mathematical Functions, 25.11.1 and 2.10.1.
    """
    total = q**-x
    for k in range(1, STEPS):
        total = total + (q + k) ** -x
    far = q + STEPS
    last = far**-x
    total = total + last * far / (x - 1) + last / 2
    # What remains of a steep sum is 0, whatever the factor.
    steepness = xp.minimum(x, 1000.0)
    factor = steepness
    for j, bernoulli in enumerate(BERNOULLI, 1):
        total = total + bernoulli * factor * (last / far)
        factor = factor * (steepness + 2 * j - 1) * (steepness + 2 * j)
        last = last / (far * far)
    return total
